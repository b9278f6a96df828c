#include "backend/cpu/cpu_checks.h"

#include "core/status_internal.h"

static moco_status check_bytes(const moco_tensor *tensor, const char *name, uint64_t bytes) {
    const moco_host_buffer *buffer = (const moco_host_buffer *) tensor->buffer;
    if (bytes == 0) return MOCO_OK;
    if (buffer == NULL) return moco_fail(MOCO_INTERNAL, "tensor %s is absent", name);
    if (tensor->offset > buffer->bytes || bytes > buffer->bytes - tensor->offset) {
        return moco_fail(MOCO_INTERNAL, "tensor %s, bytes %llu + %llu, leaves its buffer of %llu", name,
                         (unsigned long long) tensor->offset, (unsigned long long) bytes,
                         (unsigned long long) buffer->bytes);
    }
    return MOCO_OK;
}

moco_status moco_cpu_check_tensor(const moco_tensor *tensor, const char *name, int64_t elements) {
    if (tensor->buffer != NULL && (tensor->dtype != MOCO_DTYPE_F32 || tensor->layout != MOCO_LAYOUT_PLAIN ||
                                   moco_tensor_elements(tensor) != elements)) {
        return moco_fail(MOCO_INTERNAL,
                         "tensor %s has %lld elements of dtype %d; it must have %lld of float32 in order", name,
                         (long long) moco_tensor_elements(tensor), tensor->dtype, (long long) elements);
    }
    return check_bytes(tensor, name, (uint64_t) elements * sizeof(float));
}
