/* Bytes that grow, and the surgery that makes the zoo's files out of good ones. Out of memory aborts: only tests use
 * it. */
#ifndef MOCO_TEST_ZOO_BYTES_H
#define MOCO_TEST_ZOO_BYTES_H

#include <stddef.h>
#include <stdint.h>

typedef struct zoo_bytes {
    uint8_t *data;
    size_t size;
    size_t capacity;
} zoo_bytes; /* starts zeroed */

void zoo_bytes_free(zoo_bytes *bytes);
void zoo_append(zoo_bytes *out, const void *data, size_t size);
void zoo_append_text(zoo_bytes *out, const char *text); /* without its final zero */
void zoo_append_repeated(zoo_bytes *out, int byte, size_t count);
/* `count` bytes of a number, most or least significant first. */
void zoo_append_big_endian(zoo_bytes *out, uint64_t value, int count);
void zoo_append_little_endian(zoo_bytes *out, uint64_t value, int count);
/* Overwrites the bytes at `at` so; they must be there. */
void zoo_put_big_endian(zoo_bytes *bytes, size_t at, uint64_t value, int count);
void zoo_put_little_endian(zoo_bytes *bytes, size_t at, uint64_t value, int count);

void zoo_truncate(zoo_bytes *bytes, size_t size);
void zoo_remove(zoo_bytes *bytes, size_t at, size_t count);
void zoo_insert(zoo_bytes *bytes, size_t at, const void *data, size_t size);

/* Bytes that look random and are the same each time. */
void zoo_append_noise(zoo_bytes *out, size_t count);

#endif
