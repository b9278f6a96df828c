#include "io/byte_buffer.h"

#include <string.h>

#define FIRST_CAPACITY 1024

void moco_byte_buffer_init(moco_byte_buffer *buffer, moco_context *context) {
    memset(buffer, 0, sizeof *buffer);
    buffer->context = context;
}

void moco_byte_buffer_release(moco_byte_buffer *buffer) {
    moco_deallocate(buffer->context, buffer->bytes);
    moco_byte_buffer_init(buffer, buffer->context);
}

static moco_status reserve(moco_byte_buffer *buffer, size_t count) {
    if (count <= buffer->capacity - buffer->size) return MOCO_OK;
    size_t capacity = buffer->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : buffer->capacity;
    while (capacity - buffer->size < count) {
        if (capacity > SIZE_MAX / 2)
            return moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: a part of a file is too long");
        capacity *= 2;
    }
    unsigned char *grown = (unsigned char *) moco_allocate(buffer->context, capacity);
    if (grown == NULL) return MOCO_OUT_OF_MEMORY;
    if (buffer->size > 0) memcpy(grown, buffer->bytes, buffer->size);
    moco_deallocate(buffer->context, buffer->bytes);
    buffer->bytes = grown;
    buffer->capacity = capacity;
    return MOCO_OK;
}

void moco_append_bytes(moco_byte_buffer *buffer, const void *bytes, size_t count) {
    if (buffer->status == MOCO_OK) buffer->status = reserve(buffer, count);
    if (buffer->status != MOCO_OK || count == 0) return;
    memcpy(buffer->bytes + buffer->size, bytes, count);
    buffer->size += count;
}

void moco_append_text(moco_byte_buffer *buffer, const char *text) {
    moco_append_bytes(buffer, text, strlen(text));
}

void moco_append_byte(moco_byte_buffer *buffer, unsigned byte) {
    const unsigned char value = (unsigned char) byte;
    moco_append_bytes(buffer, &value, 1);
}

void moco_append_little(moco_byte_buffer *buffer, uint64_t value, int32_t count) {
    for (int32_t i = 0; i < count; ++i) moco_append_byte(buffer, (unsigned) (value >> (8 * i)) & 0xFFu);
}
