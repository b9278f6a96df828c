/* The cblas backend: float32 in PLAIN layout on the processor. Matrix products go to BLAS; convolutions, BatchNorm and
 * the rest are our own loops, cut into tasks by size.
 */
#ifndef MOCO_CBLAS_BACKEND_H
#define MOCO_CBLAS_BACKEND_H

#include <moco/sys/backend.h>

#include "backend/cblas/conv_kernel.h"
#include "backend/cblas/vector_kernel.h"
#include "backend/host_memory.h"
#include "core/checked.h"
#include "core/context_internal.h"

typedef struct cblas_backend {
    moco_host_backend host; /* first */
    const vector_kernel *vector;
    const conv_kernel *conv; /* its copy and scatter serve every convolution ... */
    int32_t conv_by_gemm;    /* ... its tiles and dots those that are not multiplied by BLAS */
} cblas_backend;

typedef struct cblas_convolution cblas_convolution;

struct moco_layer {
    moco_layer_desc desc;
    moco_layer_info info;
    cblas_convolution *convolution; /* CONV2D */
};

/* The kernels for this processor, or NULL-terminated lists of all that it runs, best first, for tests. */
const conv_kernel *const *cblas_conv_kernels(void);
const vector_kernel *const *cblas_vector_kernels(void);

/* BLAS on one thread while our own threads call it. OpenMP builds see that they are inside a task; an OpenBLAS with its
 * own threads is set to one and back, which its other users in the process can notice only in between. */
int32_t cblas_enter(void);
void cblas_leave(int32_t threads);

/* Argument checks: a tensor that does not fit is a bug above, INTERNAL before it is used. */
moco_status cblas_check_tensor(const moco_tensor *tensor, const char *name, int64_t elements);

moco_status cblas_convolution_create(cblas_convolution **out, cblas_backend *backend, const moco_layer_desc *desc,
                                     moco_layer_info *info);
void cblas_convolution_destroy(cblas_backend *backend, cblas_convolution *convolution); /* NULL is a no-op */
void cblas_convolution_forward(cblas_backend *backend, const cblas_convolution *convolution,
                               const moco_layer_args *args);
void cblas_convolution_backward(cblas_backend *backend, const cblas_convolution *convolution,
                                const moco_layer_args *args);

void cblas_batch_norm_forward(cblas_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args);
void cblas_batch_norm_backward(cblas_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args);

void cblas_linear_forward(cblas_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args);
void cblas_linear_backward(cblas_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args);

void cblas_max_pool_forward(cblas_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args);
void cblas_max_pool_backward(cblas_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args);

/* RELU, AVERAGE_POOL, L2_NORMALIZE. */
void cblas_simple_forward(cblas_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args);
void cblas_simple_backward(cblas_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args);

moco_status cblas_momentum_update(void *self, const moco_tensor *target, const moco_tensor *source, double m);
/* `average` may be NULL. */
moco_status cblas_sgd_momentum_update(void *self, const moco_sgd_args *args, const moco_tensor *average, double m);
moco_status cblas_sgd_update(void *self, const moco_sgd_args *args);
moco_status cblas_add(void *self, const moco_tensor *target, const moco_tensor *source);

#endif
