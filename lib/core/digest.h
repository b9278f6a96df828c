/* A 64-bit digest of bytes that is quick on large blocks: XXH64 (Yann Collet's specification, version 0.1.1 of its
 * document). It finds damage; it is no defence against somebody who wants two files to look alike. */
#ifndef MOCO_CORE_DIGEST_H
#define MOCO_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* XXH64 of data[bytes] with `seed`. Several pieces are chained by giving each the digest before it as its seed, which is
 * not the digest of the pieces joined. */
uint64_t moco_digest(const void *data, size_t bytes, uint64_t seed);

#endif
