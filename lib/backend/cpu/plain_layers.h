/* The cblas backend: float32 in PLAIN layout on the processor. Matrix products go to BLAS; convolutions, BatchNorm and
 * the rest are our own loops, cut into tasks by size.
 */
#ifndef MOCO_CPU_PLAIN_LAYERS_H
#define MOCO_CPU_PLAIN_LAYERS_H

#include <moco/sys/backend.h>

#include "backend/cpu/kernels/conv_kernel.h"
#include "backend/cpu/kernels/vector_kernel.h"
#include "backend/host_memory.h"
#include "backend/image_layer.h"
#include "core/checked.h"
#include "core/context_internal.h"

typedef struct plain_backend {
    moco_host_backend host; /* first */
    const vector_kernel *vector;
    const conv_kernel *conv; /* its copy and scatter serve every convolution ... */
    int32_t conv_by_gemm;    /* ... its tiles and dots those that are not multiplied by BLAS */
} plain_backend;

typedef struct tiled_convolution tiled_convolution;

struct moco_layer {
    image_layer desc;
    tiled_convolution *convolution; /* CONV2D */
};

/* The kernels for this processor, or NULL-terminated lists of all that it runs, best first, for tests. */
const conv_kernel *const *moco_cpu_conv_kernels(void);
const vector_kernel *const *moco_cpu_vector_kernels(void);

/* Argument checks: a tensor that does not fit is a bug above, INTERNAL before it is used. */
moco_status moco_cpu_check_tensor(const moco_tensor *tensor, const char *name, int64_t elements);

moco_status moco_tiled_convolution_create(tiled_convolution **out, plain_backend *backend, const image_layer *desc,
                                          moco_layer_info *info);
void moco_tiled_convolution_destroy(plain_backend *backend, tiled_convolution *convolution); /* NULL is a no-op */
void moco_tiled_convolution_forward(plain_backend *backend, const tiled_convolution *convolution,
                                    const moco_layer_args *args);
void moco_tiled_convolution_backward(plain_backend *backend, const tiled_convolution *convolution,
                                     const moco_layer_args *args);

void moco_plain_norm_forward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args);
void moco_plain_norm_backward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args);

void moco_linear_forward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args);
void moco_linear_backward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args);

void moco_plain_max_pool_forward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args);
void moco_plain_max_pool_backward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args);

/* RELU, AVERAGE_POOL, L2_NORMALIZE. */
void moco_row_layer_forward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args);
void moco_row_layer_backward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args);

moco_status moco_cpu_momentum_update(void *self, const moco_tensor *target, const moco_tensor *source, double m);
/* `average` may be NULL. */
moco_status moco_cpu_sgd_momentum_update(void *self, const moco_sgd_args *args, const moco_tensor *average, double m);
moco_status moco_cpu_sgd_update(void *self, const moco_sgd_args *args);
moco_status moco_cpu_add(void *self, const moco_tensor *target, const moco_tensor *source);

#endif
