/* Tensors over the arrays that a caller passes to the public functions: the array itself where the backend works in the
 * host's memory, a copy in the backend's where it does not. */
#ifndef MOCO_BACKEND_HOST_TENSOR_H
#define MOCO_BACKEND_HOST_TENSOR_H

#include <moco/sys/backend.h>

#include "backend/grown_buffer.h"

typedef struct moco_host_tensor {
    moco_tensor tensor;
    int32_t copied; /* 1: the backend has memory of its own for it */
    int32_t lent;   /* 1: that memory is the caller's moco_grown_buffer, and is not released with the tensor */
} moco_host_tensor;

/* float32 arrays of dims[4], whose product was checked; as layers take them, vectors are n x c x 1 x 1. */
moco_status moco_host_tensor_input(moco_host_tensor *out, moco_context *context, const float *host,
                                   const int64_t dims[4]);
moco_status moco_host_tensor_output(moco_host_tensor *out, moco_context *context, float *host, const int64_t dims[4]);

/* An input whose copy, where the backend needs one, lies in `room`: for calls that come again and again. It is valid until
 * the next use of `room`. */
moco_status moco_host_tensor_input_in(moco_host_tensor *out, moco_context *context, const float *host,
                                      const int64_t dims[4], moco_grown_buffer *room);

/* float32 matrices of n rows and dim columns; n * dim was checked. */
moco_status moco_host_matrix_input(moco_host_tensor *out, moco_context *context, const float *host, int64_t n,
                                   int64_t dim);
moco_status moco_host_matrix_output(moco_host_tensor *out, moco_context *context, float *host, int64_t n, int64_t dim);

/* After the output was computed: brings it to `host` if it is not there yet. */
moco_status moco_host_tensor_fetch(const moco_host_tensor *tensor, moco_context *context, float *host);
/* A zeroed one is a no-op. */
void moco_host_tensor_release(moco_host_tensor *tensor, moco_context *context);

#endif
