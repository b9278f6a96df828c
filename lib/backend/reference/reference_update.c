/* The updates of momentum contrast, checked: momentum update and update rules. */
#include "backend/backend_chain.h"
#include "backend/host_memory.h"
#include "backend/reference/reference_backend.h"
#include "backend/reference/reference_kernels.h"
#include "core/checked.h"

const reference_kernels *moco_reference_kernels_for(int32_t dtype) {
    if (dtype == MOCO_DTYPE_F32) return &moco_reference_kernels_f32;
    if (dtype == MOCO_DTYPE_F64) return &moco_reference_kernels_f64;
    moco_fail(MOCO_UNSUPPORTED, "dtype is %d; the reference backend computes in F32 (0) and F64 (1)", dtype);
    return NULL;
}

static moco_status check_bytes(const moco_tensor *tensor, const char *name, uint64_t bytes) {
    const moco_host_buffer *buffer = (const moco_host_buffer *) tensor->buffer;
    if (buffer == NULL) return moco_fail(MOCO_INTERNAL, "tensor %s is absent", name);
    if (tensor->offset > buffer->bytes || bytes > buffer->bytes - tensor->offset) {
        return moco_fail(MOCO_INTERNAL, "tensor %s, bytes %llu + %llu, leaves its buffer of %llu", name,
                         (unsigned long long) tensor->offset, (unsigned long long) bytes,
                         (unsigned long long) buffer->bytes);
    }
    return MOCO_OK;
}

moco_status moco_reference_check_tensor(const moco_tensor *tensor, const char *name, int32_t dtype, int64_t elements) {
    const moco_host_buffer *buffer = (const moco_host_buffer *) tensor->buffer;
    if (buffer == NULL) return moco_fail(MOCO_INTERNAL, "tensor %s is absent", name);
    if (tensor->dtype != dtype || moco_tensor_elements(tensor) != elements) {
        return moco_fail(MOCO_INTERNAL, "tensor %s has %lld elements of dtype %d; it must have %lld of dtype %d", name,
                         (long long) moco_tensor_elements(tensor), tensor->dtype, (long long) elements, dtype);
    }
    if (tensor->layout != MOCO_LAYOUT_PLAIN) {
        return moco_fail(MOCO_INTERNAL, "tensor %s has a layout of another backend", name);
    }
    return check_bytes(tensor, name, (uint64_t) elements * moco_dtype_size(dtype));
}

moco_status moco_reference_momentum_update(void *self, const moco_tensor *target, const moco_tensor *source, double m) {
    (void) self;
    const reference_kernels *kernels = moco_reference_kernels_for(target->dtype);
    if (kernels == NULL) return MOCO_UNSUPPORTED;
    const int64_t elements = moco_tensor_elements(target);
    MOCO_TRY(moco_reference_check_tensor(target, "target", target->dtype, elements));
    MOCO_TRY(moco_reference_check_tensor(source, "source", target->dtype, elements));
    kernels->momentum_update(moco_host_address(target), moco_host_address(source), m, elements);
    return MOCO_OK;
}

moco_status moco_reference_sgd_update(void *self, const moco_sgd_args *args) {
    (void) self;
    const int32_t dtype = args->parameter.dtype;
    const reference_kernels *kernels = moco_reference_kernels_for(dtype);
    if (kernels == NULL) return MOCO_UNSUPPORTED;
    const int64_t elements = moco_tensor_elements(&args->parameter);
    MOCO_TRY(moco_reference_check_tensor(&args->parameter, "parameter", dtype, elements));
    MOCO_TRY(moco_reference_check_tensor(&args->gradient, "gradient", dtype, elements));
    if (args->momentum != 0.0) {
        MOCO_TRY(moco_reference_check_tensor(&args->velocity, "velocity", dtype, elements));
    }
    kernels->sgd_update(args, elements);
    return MOCO_OK;
}

moco_status moco_reference_update(void *self, const moco_update_args *update) {
    if (update->rule != MOCO_UPDATE_SGD) {
        return moco_fail(MOCO_UNSUPPORTED, "update rule is %d; the reference backend has MOCO_UPDATE_SGD (0)",
                         update->rule);
    }
    const moco_sgd_args args = moco_update_as_sgd(update);
    MOCO_TRY(moco_reference_sgd_update(self, &args));
    if (update->average.buffer == NULL) return MOCO_OK;
    return moco_reference_momentum_update(self, &update->average, &update->parameter, update->average_momentum);
}

moco_status moco_reference_norms(void *self, const moco_tensor *tensors, int64_t count, double *norms) {
    (void) self;
    for (int64_t i = 0; i < count; ++i) {
        const reference_kernels *kernels = moco_reference_kernels_for(tensors[i].dtype);
        if (kernels == NULL) return MOCO_UNSUPPORTED;
        const int64_t elements = moco_tensor_elements(&tensors[i]);
        MOCO_TRY(moco_reference_check_tensor(&tensors[i], "tensors", tensors[i].dtype, elements));
        norms[i] = kernels->norm(moco_host_address(&tensors[i]), elements);
    }
    return MOCO_OK;
}
