/* Bytes that grow, for the parts of a file that must be whole before they are written. Calls don't fail one by one: the
 * first failure is kept, later calls do nothing, and `status` tells it.
 */
#ifndef MOCO_IO_BYTE_BUFFER_H
#define MOCO_IO_BYTE_BUFFER_H

#include "core/context_internal.h"

typedef struct moco_byte_buffer {
    moco_context *context;
    unsigned char *bytes;
    size_t size;
    size_t capacity;
    moco_status status;
} moco_byte_buffer;

void moco_byte_buffer_init(moco_byte_buffer *buffer, moco_context *context);
/* Frees the bytes; the buffer is then empty and may be used again. */
void moco_byte_buffer_release(moco_byte_buffer *buffer);

void moco_append_bytes(moco_byte_buffer *buffer, const void *bytes, size_t count);
void moco_append_text(moco_byte_buffer *buffer, const char *text); /* without its NUL */
void moco_append_byte(moco_byte_buffer *buffer, unsigned byte);
/* The `count` low bytes of `value`, the lowest first. */
void moco_append_little(moco_byte_buffer *buffer, uint64_t value, int32_t count);

#endif
