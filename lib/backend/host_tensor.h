/* Tensors over the arrays that a host passes to the public functions: wrapped where the backend works in the host's
 * memory, copied where it does not.
 */
#ifndef MOCO_ENCODER_HOST_TENSOR_H
#define MOCO_ENCODER_HOST_TENSOR_H

#include <moco/sys/backend.h>

#include "core/context_internal.h"

typedef struct moco_host_tensor {
    moco_tensor tensor;
    int32_t copied; /* 1: the backend has memory of its own for it */
} moco_host_tensor;

/* INVALID_ARGUMENT unless n, c, h and w are at least 1 and n * c * h * w floats can be addressed. */
moco_status moco_check_image_shape(int64_t n, int64_t c, int64_t h, int64_t w);

/* float32 arrays of dims[4], whose product was checked; vectors are n x c x 1 x 1. */
moco_status moco_host_tensor_input(moco_host_tensor *out, moco_context *context, const float *host,
                                   const int64_t dims[4]);
moco_status moco_host_tensor_output(moco_host_tensor *out, moco_context *context, float *host, const int64_t dims[4]);
/* After the output was computed: brings it to `host` if it is not there yet. */
moco_status moco_host_tensor_fetch(const moco_host_tensor *tensor, moco_context *context, float *host);
/* A zeroed one is a no-op. */
void moco_host_tensor_release(moco_host_tensor *tensor, moco_context *context);

#endif
