/* The operators of momentum contrast, checked and cut into tasks: momentum update, SGD, InfoNCE. */
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
    return moco_reference_check_bytes(tensor, name, (uint64_t) elements * moco_dtype_size(dtype));
}

moco_status moco_reference_check_bytes(const moco_tensor *tensor, const char *name, uint64_t bytes) {
    const moco_host_buffer *buffer = (const moco_host_buffer *) tensor->buffer;
    if (buffer == NULL) return moco_fail(MOCO_INTERNAL, "tensor %s is absent", name);
    if (tensor->offset > buffer->bytes || bytes > buffer->bytes - tensor->offset) {
        return moco_fail(MOCO_INTERNAL, "tensor %s, bytes %llu + %llu, leaves its buffer of %llu", name,
                         (unsigned long long) tensor->offset, (unsigned long long) bytes,
                         (unsigned long long) buffer->bytes);
    }
    return MOCO_OK;
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

static moco_status check_info_nce(const moco_info_nce_args *args, int64_t n, int64_t dim, int64_t keys) {
    const int32_t dtype = args->q.dtype;
    int64_t elements;
    MOCO_REQUIRE(n >= 1 && dim >= 1 && keys >= 0, "q is %lld x %lld against %lld keys; it must be at least 1 x 1",
                 (long long) n, (long long) dim, (long long) keys);
    MOCO_TRY(moco_checked_multiply(n, dim, "q", &elements));
    MOCO_TRY(moco_reference_check_tensor(&args->q, "q", dtype, elements));
    MOCO_TRY(moco_reference_check_tensor(&args->k, "k", dtype, elements));
    if (args->d_q.buffer != NULL) MOCO_TRY(moco_reference_check_tensor(&args->d_q, "d_q", dtype, elements));
    MOCO_TRY(moco_checked_multiply(keys, dim, "keys", &elements));
    const int32_t key_dtype = args->keys.dtype == MOCO_DTYPE_BF16 ? MOCO_DTYPE_BF16 : dtype;
    if (keys > 0) MOCO_TRY(moco_reference_check_tensor(&args->keys, "keys", key_dtype, elements));
    MOCO_REQUIRE((args->sample_ids == NULL) == (args->key_ids == NULL) || keys == 0,
                 "only one of sample_ids and key_ids is set; masking needs both");
    MOCO_REQUIRE(args->temperature != 0.0, "temperature is 0; it must be at least 1e-8 in size");
    return MOCO_OK;
}

moco_status moco_reference_info_nce(void *self, moco_info_nce_args *args) {
    moco_context *context = ((moco_host_backend *) self)->context;
    const int64_t n = args->q.dims[0], dim = args->q.dims[1], keys = args->keys.dims[0];
    const reference_kernels *kernels = moco_reference_kernels_for(args->q.dtype);
    if (kernels == NULL) return MOCO_UNSUPPORTED;
    MOCO_TRY(check_info_nce(args, n, dim, keys));

    int64_t logits;
    MOCO_TRY(moco_checked_multiply(keys, moco_context_threads(context), "logits", &logits));
    reference_info_nce_call call = {.args = args, .keys = moco_host_address(&args->keys)};
    void *widened = NULL;
    if (keys > 0 && args->keys.dtype == MOCO_DTYPE_BF16) {
        widened = moco_allocate_zeroed(context, (size_t) (keys * dim), moco_dtype_size(args->q.dtype));
        if (widened == NULL) return MOCO_OUT_OF_MEMORY;
        kernels->widen(widened, call.keys, keys * dim);
        call.keys = widened;
    }
    call.logits = (double *) moco_allocate_zeroed(context, (size_t) logits, sizeof(double));
    double *values = (double *) moco_allocate_zeroed(context, (size_t) n, 3 * sizeof(double));
    int64_t *counts = (int64_t *) moco_allocate_zeroed(context, (size_t) n, 2 * sizeof(int64_t));
    moco_status status = MOCO_OUT_OF_MEMORY;
    if (call.logits != NULL && values != NULL && counts != NULL) {
        call.loss = values;
        call.positive = values + n;
        call.negative = values + 2 * n;
        call.above = counts;
        call.masked = counts + n;
        moco_parallel_for(context, n, kernels->info_nce, &call);
        double loss = 0.0, positive = 0.0, negative = 0.0;
        args->top1 = args->top5 = args->masked = 0;
        for (int64_t i = 0; i < n; ++i) {
            loss += call.loss[i];
            positive += call.positive[i];
            negative += call.negative[i];
            args->top1 += call.above[i] == 0;
            args->top5 += call.above[i] < 5;
            args->masked += call.masked[i];
        }
        const double negatives = (double) n * (double) keys - (double) args->masked;
        args->loss = loss / (double) n;
        args->mean_positive_similarity = positive / (double) n;
        args->mean_negative_similarity = negatives > 0.0 ? negative / negatives : 0.0;
        status = MOCO_OK;
    }
    moco_deallocate(context, counts);
    moco_deallocate(context, values);
    moco_deallocate(context, call.logits);
    moco_deallocate(context, widened);
    return status;
}
