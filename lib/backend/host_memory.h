/* Buffers in the host's memory, shared by all host backends: the memory half of their tables, and the address behind a
 * tensor. Only backends may call moco_host_address().
 */
#ifndef MOCO_BACKEND_HOST_MEMORY_H
#define MOCO_BACKEND_HOST_MEMORY_H

#include <moco/sys/backend.h>
#include <string.h>

typedef struct moco_host_buffer {
    char *base;
    uint64_t bytes;
    int32_t owned;
} moco_host_buffer;

/* The address of a tensor's first element; NULL for an absent tensor. */
static inline void *moco_host_address(const moco_tensor *tensor) {
    const moco_host_buffer *buffer = (const moco_host_buffer *) tensor->buffer;
    return buffer == NULL ? NULL : (void *) (buffer->base + tensor->offset);
}

/* bfloat16 is the upper half of a float32. */
static inline float moco_float_of_bf16(uint16_t value) {
    const uint32_t bits = (uint32_t) value << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* The memory members of moco_backend_ops; `self` begins with a moco_context pointer (see moco_host_backend). */
typedef struct moco_host_backend {
    moco_context *context;
} moco_host_backend;

moco_status moco_host_buffer_create(void *self, uint64_t bytes, void **buffer);
moco_status moco_host_buffer_wrap(void *self, void *memory, uint64_t bytes, void **buffer);
void moco_host_buffer_destroy(void *self, void *buffer);
moco_status moco_host_map(void *self, void *buffer, uint64_t offset, uint64_t bytes, void **address);
moco_status moco_host_upload(void *self, void *buffer, uint64_t offset, const void *source, uint64_t bytes);
moco_status moco_host_download(void *self, const void *buffer, uint64_t offset, void *target, uint64_t bytes);
moco_status moco_host_copy(void *self, void *target, uint64_t target_offset, const void *source, uint64_t source_offset,
                           uint64_t bytes);
moco_status moco_host_fill_zero(void *self, void *buffer, uint64_t offset, uint64_t bytes);
moco_status moco_host_gather_rows(void *self, const moco_tensor *target, const moco_tensor *source, const int64_t *rows,
                                  int64_t n);
moco_status moco_host_all_finite(void *self, const moco_tensor *tensor, int32_t *finite, int64_t *first);
moco_status moco_host_convert(void *self, const moco_tensor *target, const moco_tensor *source);
moco_status moco_host_add(void *self, const moco_tensor *target, const moco_tensor *source);

/* Those members of a host backend's table, but `add`, which most backends have a faster one of. */
#define MOCO_HOST_MEMORY_OPS                                                                                    \
    .memory = MOCO_MEMORY_HOST, .buffer_create = moco_host_buffer_create, .buffer_wrap = moco_host_buffer_wrap, \
    .buffer_destroy = moco_host_buffer_destroy, .upload = moco_host_upload, .download = moco_host_download,     \
    .copy = moco_host_copy, .fill_zero = moco_host_fill_zero, .gather_rows = moco_host_gather_rows,             \
    .all_finite = moco_host_all_finite, .convert = moco_host_convert, .map = moco_host_map

#endif
