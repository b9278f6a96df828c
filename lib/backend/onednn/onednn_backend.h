/* What the files of the oneDNN backend share. Convolutions are oneDNN's; what lies between them (BatchNorm, ReLU,
 * residuals, pooling) is our own code on the same channel-blocked layout, because there only memory traffic counts.
 */
#ifndef MOCO_ONEDNN_BACKEND_H
#define MOCO_ONEDNN_BACKEND_H

#include "backend/backend_chain.h"
#include "backend/host_memory.h"
#include "backend/onednn/blocked_kernels.h"
#include "backend/onednn/onednn_api.h"

/* n x (c / B) x h x w x B, with B channels side by side: one SIMD register. B is fixed by the processor. */
#define ONEDNN_LAYOUT_BLOCKED_16 ((uint64_t) 0x10010)
#define ONEDNN_LAYOUT_BLOCKED_8  ((uint64_t) 0x10008)

typedef struct onednn_backend {
    moco_host_backend host; /* first: the shared memory functions expect it */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int64_t block;   /* 16 or 8 */
    uint64_t layout; /* ONEDNN_LAYOUT_BLOCKED_* */
    const blocked_kernels *kernels;
} onednn_backend;

typedef struct onednn_convolution onednn_convolution;

moco_status onednn_convolution_create(onednn_convolution **out, onednn_backend *backend, const moco_layer_desc *desc,
                                      moco_layer_info *info);
void onednn_convolution_destroy(onednn_backend *backend, onednn_convolution *convolution);
moco_status onednn_convolution_forward(onednn_backend *backend, onednn_convolution *convolution,
                                       const moco_layer_args *args);
moco_status onednn_convolution_backward(onednn_backend *backend, onednn_convolution *convolution,
                                        const moco_layer_args *args);

/* BatchNorm (onednn_norm.c): `info` is filled by plan, which answers UNSUPPORTED for what it doesn't take. */
moco_status onednn_norm_plan(const onednn_backend *backend, const moco_layer_desc *desc, moco_layer_info *info);
moco_status onednn_norm_forward(const onednn_backend *backend, const moco_layer_desc *desc,
                                const moco_layer_args *args);
moco_status onednn_norm_backward(const onednn_backend *backend, const moco_layer_desc *desc,
                                 const moco_layer_args *args);

/* Pooling and the way back to PLAIN (onednn_pool.c). */
moco_status onednn_pool_plan(const onednn_backend *backend, const moco_layer_desc *desc, moco_layer_info *info);
moco_status onednn_pool_forward(const onednn_backend *backend, const moco_layer_desc *desc,
                                const moco_layer_args *args);
moco_status onednn_pool_backward(const onednn_backend *backend, const moco_layer_desc *desc,
                                 const moco_layer_args *args);

/* Bytes of n x c x h x w float32. */
moco_status onednn_bytes(int64_t n, int64_t c, int64_t h, int64_t w, uint64_t *bytes);
/* How many (sample, channel block) tasks make a range worth handing to a thread. */
int64_t onednn_grain(int64_t elements_each);

#endif
