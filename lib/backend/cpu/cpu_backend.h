/* What the files of the oneDNN backend share. Convolutions are oneDNN's, but for those that our own code makes faster;
 * what lies between them (BatchNorm, ReLU, residuals, pooling) is our own on the same channel-blocked layout, because
 * there only memory traffic counts.
 */
#ifndef MOCO_CPU_BACKEND_H
#define MOCO_CPU_BACKEND_H

#include "backend/backend_chain.h"
#include "backend/cpu/kernels/blocked_kernels.h"
#include "backend/cpu/kernels/direct_kernels.h"
#include "backend/cpu/kernels/weight_kernels.h"
#include "backend/cpu/kernels/winograd_kernels.h"
#include "backend/host_memory.h"
#include "backend/image_layer.h"

/* n x (c / B) x h x w x B, with B channels side by side: one SIMD register of float32. B is fixed by the processor. */
#define CPU_LAYOUT_BLOCKED_16      ((uint64_t) 0x10010)
#define CPU_LAYOUT_BLOCKED_8       ((uint64_t) 0x10008)
#define CPU_LAYOUT_BLOCKED_16_BF16 ((uint64_t) 0x20010)

/* How activations lie between layers that agree. */
typedef struct cpu_format {
    uint64_t layout; /* CPU_LAYOUT_BLOCKED_* */
    int64_t block;   /* B */
    int32_t dtype;   /* MOCO_DTYPE_* */
    const blocked_kernels *kernels;
    const winograd_kernels *winograd; /* NULL: none for this processor */
    const weight_kernels *weights;    /* likewise */
    const direct_kernels *direct;     /* likewise */
} cpu_format;

typedef struct onednn_provider onednn_provider;

typedef struct cpu_backend {
    moco_host_backend host; /* first: the shared memory functions expect it */
    onednn_provider *onednn;
    cpu_format f32;  /* kernels NULL: this processor has no registers for a block */
    cpu_format bf16; /* kernels NULL: it has no bfloat16 */
} cpu_backend;

/* NULL-terminated: the direct convolutions' kernels that this processor runs, best first, for tests. */
const direct_kernels *const *moco_cpu_direct_kernels(void);

/* The formats of this processor's registers (cpu_kernels.c). */
void moco_cpu_choose_formats(cpu_format *f32, cpu_format *bf16);

/* The format of the layer's input: its layout's, or for a PLAIN one that which its compute_dtype asks for. NULL: the
 * layout is another backend's. */
const cpu_format *moco_cpu_format_of(const cpu_backend *backend, const image_layer *desc);

typedef struct onednn_convolution onednn_convolution;

moco_status moco_onednn_convolution_create(onednn_convolution **out, cpu_backend *backend, const image_layer *desc,
                                           moco_layer_info *info);
void moco_onednn_convolution_destroy(cpu_backend *backend, onednn_convolution *convolution);
moco_status moco_onednn_convolution_forward(cpu_backend *backend, onednn_convolution *convolution,
                                            const moco_layer_args *args);
moco_status moco_onednn_convolution_backward(cpu_backend *backend, onednn_convolution *convolution,
                                             const moco_layer_args *args);

/* The weight gradient of a 1 x 1 convolution by our own kernel (pointwise_gradient.c), where that takes it. */
int32_t moco_pointwise_supports(const cpu_backend *backend, const image_layer *desc);
uint64_t moco_pointwise_scratch(const cpu_backend *backend, const image_layer *desc);
void moco_pointwise_gradient(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args);

/* 3 x 3 convolutions by our own kernels (winograd_tiles_outer.c), where those take them. */
int32_t moco_winograd_supports(const cpu_backend *backend, const image_layer *desc);
uint64_t moco_winograd_scratch(const cpu_backend *backend, const image_layer *desc);
void moco_winograd_forward(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args);
void moco_winograd_input_gradient(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args);
void moco_winograd_weight_gradient(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args);

/* BatchNorm (blocked_norm.c): `info` is filled by plan, which answers UNSUPPORTED for what it doesn't take. */
moco_status moco_blocked_norm_plan(const cpu_backend *backend, const image_layer *desc, moco_layer_info *info);
moco_status moco_blocked_norm_forward(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args);
moco_status moco_blocked_norm_backward(const cpu_backend *backend, const image_layer *desc,
                                       const moco_layer_args *args);

/* Pooling and the way back to PLAIN (blocked_pool.c). */
moco_status moco_blocked_pool_plan(const cpu_backend *backend, const image_layer *desc, moco_layer_info *info);
moco_status moco_blocked_pool_forward(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args);
moco_status moco_blocked_pool_backward(const cpu_backend *backend, const image_layer *desc,
                                       const moco_layer_args *args);

/* Bytes of n x c x h x w elements of `dtype`. */
moco_status moco_cpu_bytes(int32_t dtype, int64_t n, int64_t c, int64_t h, int64_t w, uint64_t *bytes);
/* To whole cache lines. */
static inline uint64_t cpu_aligned(uint64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* How many tasks of so many elements, say (sample, channel block), make a range worth handing to a thread. */
int64_t moco_cpu_grain(int64_t elements_each);

#endif
