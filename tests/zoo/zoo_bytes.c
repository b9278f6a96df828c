/* Bytes that grow. */
#include "zoo/zoo_bytes.h"

#include <stdlib.h>
#include <string.h>

static void reserve(zoo_bytes *bytes, size_t more) {
    if (bytes->size + more <= bytes->capacity) return;
    const size_t capacity = 2 * (bytes->size + more);
    uint8_t *data = (uint8_t *) realloc(bytes->data, capacity);
    if (data == NULL) abort();
    bytes->data = data;
    bytes->capacity = capacity;
}

void zoo_bytes_free(zoo_bytes *bytes) {
    free(bytes->data);
    *bytes = (zoo_bytes){0};
}

void zoo_append(zoo_bytes *out, const void *data, size_t size) {
    if (size == 0) return;
    reserve(out, size);
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

void zoo_append_text(zoo_bytes *out, const char *text) {
    zoo_append(out, text, strlen(text));
}

void zoo_append_repeated(zoo_bytes *out, int byte, size_t count) {
    reserve(out, count + 1);
    memset(out->data + out->size, byte, count);
    out->size += count;
}

void zoo_append_big_endian(zoo_bytes *out, uint64_t value, int count) {
    zoo_append_repeated(out, 0, (size_t) count);
    zoo_put_big_endian(out, out->size - (size_t) count, value, count);
}

void zoo_append_little_endian(zoo_bytes *out, uint64_t value, int count) {
    zoo_append_repeated(out, 0, (size_t) count);
    zoo_put_little_endian(out, out->size - (size_t) count, value, count);
}

void zoo_put_big_endian(zoo_bytes *bytes, size_t at, uint64_t value, int count) {
    if (at + (size_t) count > bytes->size) abort();
    for (int i = 0; i < count; ++i) bytes->data[at + (size_t) i] = (uint8_t) (value >> (8 * (count - 1 - i)));
}

void zoo_put_little_endian(zoo_bytes *bytes, size_t at, uint64_t value, int count) {
    if (at + (size_t) count > bytes->size) abort();
    for (int i = 0; i < count; ++i) bytes->data[at + (size_t) i] = (uint8_t) (value >> (8 * i));
}

void zoo_truncate(zoo_bytes *bytes, size_t size) {
    if (size > bytes->size) abort();
    bytes->size = size;
}

void zoo_remove(zoo_bytes *bytes, size_t at, size_t count) {
    if (at + count > bytes->size) abort();
    memmove(bytes->data + at, bytes->data + at + count, bytes->size - at - count);
    bytes->size -= count;
}

void zoo_insert(zoo_bytes *bytes, size_t at, const void *data, size_t size) {
    if (at > bytes->size) abort();
    reserve(bytes, size);
    memmove(bytes->data + at + size, bytes->data + at, bytes->size - at);
    memcpy(bytes->data + at, data, size);
    bytes->size += size;
}

void zoo_append_noise(zoo_bytes *out, size_t count) {
    uint32_t state = 2463534242u; /* xorshift32 */
    for (size_t i = 0; i < count; ++i) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        zoo_append_big_endian(out, state & 0xff, 1);
    }
}
