/* A 64-bit checksum to tell by whether two states are the same. It is no defence against somebody who wants them to seem
 * so. */
#ifndef MOCO_CORE_CHECKSUM_H
#define MOCO_CORE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define MOCO_CHECKSUM_START UINT64_C(0xcbf29ce484222325)

/* The checksum of what `hash` is of, followed by `data`. A last part of less than four bytes counts as if zeros followed
 * it. */
uint64_t moco_checksum_add(uint64_t hash, const void *data, size_t bytes);

#endif
