/* What the files of the cpu backend share. One backend does everything that this library has for the processor, on two
 * kinds of layout: PLAIN, and channel-blocked ones that no two layers need to convert between. Arithmetic is our own
 * kernels' (kernels/), chosen for the processor (cpu_kernels.c); matrix products are a BLAS's (blas/), and convolutions
 * oneDNN's where it is there and faster (onednn/).
 *
 * The backend has two names in moco_context_config: "onednn", with oneDNN, and "cblas", without.
 */
#ifndef MOCO_CPU_BACKEND_H
#define MOCO_CPU_BACKEND_H

#include "backend/backend_chain.h"
#include "backend/cpu/kernels/blocked_kernels.h"
#include "backend/cpu/kernels/conv_kernel.h"
#include "backend/cpu/kernels/direct_kernels.h"
#include "backend/cpu/kernels/vector_kernel.h"
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

    /* PLAIN layout. */
    const vector_kernel *vector;
    const conv_kernel *conv;
    int32_t conv_by_gemm; /* 1: the baseline's tiles lose to a BLAS, so sums go to moco_gemm; copy and scatter are still
                             conv's */
    /* Channel-blocked layouts. */
    cpu_format f32;          /* block 0: this processor has no registers for one */
    cpu_format bf16;         /* block 0: it has no bfloat16 */
    onednn_provider *onednn; /* NULL: without */
} cpu_backend;

/* --- Layers --- */

typedef struct cpu_layer_ops cpu_layer_ops;

struct moco_layer {
    image_layer desc;
    const cpu_layer_ops *ops;
    void *plan; /* its own */
};

/* One way to compute one kind of layer, on one layout. */
struct cpu_layer_ops {
    int32_t kind; /* MOCO_LAYER_* */
    /* Fills what of `info` is not as for a PLAIN float32 layer that saves and keeps nothing, which it holds before, and
     * layer->plan if it wants one. UNSUPPORTED leaves the layer to the next way in the list. */
    moco_status (*plan)(cpu_backend *backend, moco_layer *layer, moco_layer_info *info);
    moco_status (*forward)(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args);
    moco_status (*backward)(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args);
    void (*release)(cpu_backend *backend, moco_layer *layer); /* NULL: nothing to release */
};

extern const cpu_layer_ops moco_cpu_blocked_convolution, moco_cpu_plain_convolution;
extern const cpu_layer_ops moco_cpu_blocked_norm, moco_cpu_plain_norm;
extern const cpu_layer_ops moco_cpu_blocked_max_pool, moco_cpu_plain_max_pool;
extern const cpu_layer_ops moco_cpu_blocked_average_pool, moco_cpu_plain_average_pool;
extern const cpu_layer_ops moco_cpu_reorder;
extern const cpu_layer_ops moco_cpu_linear, moco_cpu_relu, moco_cpu_l2_normalize;

/* --- Formats (cpu_formats.c) --- */

/* The format of the layer's input: its layout's, or for a PLAIN one that which its compute_dtype asks for. NULL: the
 * layout is none of ours, or this processor has no blocked ones. */
const cpu_format *moco_cpu_format_of(const cpu_backend *backend, const image_layer *desc);

/* The same if the layer's input, and its residual where it has one, are in that format's layout; else NULL. */
const cpu_format *moco_cpu_blocked_input(const cpu_backend *backend, const image_layer *desc);

/* Bytes of n x c x h x w elements of `dtype`. */
moco_status moco_cpu_bytes(int32_t dtype, int64_t n, int64_t c, int64_t h, int64_t w, uint64_t *bytes);
/* To whole cache lines. */
static inline uint64_t cpu_aligned(uint64_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* How many tasks of so many elements, say (sample, channel block), make a range worth handing to a thread. */
int64_t moco_cpu_grain(int64_t elements_each);

/* --- Kernels for this processor (cpu_kernels.c) --- */

void moco_cpu_choose_kernels(cpu_backend *backend);

/* NULL-terminated lists of all that it runs, best first, for tests. */
const conv_kernel *const *moco_cpu_conv_kernels(void);
const vector_kernel *const *moco_cpu_vector_kernels(void);
const direct_kernels *const *moco_cpu_direct_kernels(void);

/* --- Updates (updates.c) --- */

moco_status moco_cpu_momentum_update(void *self, const moco_tensor *target, const moco_tensor *source, double m);
moco_status moco_cpu_sgd_update(void *self, const moco_sgd_args *args);
/* `average` may be NULL. */
moco_status moco_cpu_sgd_momentum_update(void *self, const moco_sgd_args *args, const moco_tensor *average, double m);
moco_status moco_cpu_add(void *self, const moco_tensor *target, const moco_tensor *source);

/* --- Update rules and norms (update_rules.c) --- */

moco_status moco_cpu_update(void *self, const moco_update_args *update);
moco_status moco_cpu_norms(void *self, const moco_tensor *tensors, int64_t count, double *norms);

#endif
