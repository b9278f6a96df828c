/* Second tier: the operator seam. A backend owns tensor memory and does all arithmetic on it; encoder, queue, loss and
 * optimizer above it never look inside a buffer. Backends form a chain (say onednn -> cblas -> reference): what one
 * does not support falls to the next. All members of a chain share one kind of memory.
 *
 * `reference` is complete, plain and always the last of a host chain: the oracle of the conformance suite that every
 * backend runs.
 */
#ifndef MOCO_SYS_BACKEND_H
#define MOCO_SYS_BACKEND_H

#include <moco/context.h>

MOCO_BEGIN_DECLS

#define MOCO_BACKEND_VERSION 1

enum {
    MOCO_DTYPE_F32 = 0,
    MOCO_DTYPE_F64 = 1, /* reference backend: for finite differences and as an oracle */
    MOCO_DTYPE_BF16 = 2,
    MOCO_DTYPE_I64 = 3
};

/* How a tensor's elements lie in its buffer. PLAIN: dense, row-major in the order of `dims` (NCHW for images). Any
 * other value belongs to the backend that answered it in moco_layer_info and is opaque to everybody else. */
#define MOCO_LAYOUT_PLAIN ((uint64_t) 0)

/* A view of a part of a buffer. `buffer` is the backend's object, not an address. */
typedef struct moco_tensor {
    void *buffer;
    uint64_t offset; /* bytes from the buffer's start; a multiple of 64, except where rows of a matrix are addressed */
    int32_t dtype;
    int32_t rank; /* 0..4; an absent tensor has buffer NULL */
    int64_t dims[4];
    uint64_t layout;
} moco_tensor;

/* --- Layers: planned once per shape, then run many times ---------------------------------------------------------- */

enum {
    MOCO_LAYER_CONV2D = 0,     /* weight: out_c x c/groups x kernel x kernel; no bias (BatchNorm follows) */
    MOCO_LAYER_LINEAR = 1,     /* x: n x c -> n x out_c; weight: out_c x c; bias: out_c */
    MOCO_LAYER_BATCH_NORM = 2, /* over (n, h, w) per channel and group; weight and bias: c; see bn_* below */
    MOCO_LAYER_RELU = 3,
    MOCO_LAYER_MAX_POOL = 4,     /* kernel, stride, padding; padding never wins */
    MOCO_LAYER_AVERAGE_POOL = 5, /* global: n x c x h x w -> n x c */
    MOCO_LAYER_L2_NORMALIZE = 6, /* rows of n x c: y = x / max(||x||, 1e-12), as torch.nn.functional.normalize */
    MOCO_LAYER_REORDER = 7       /* from input_layout to PLAIN; created by the backend that owns input_layout */
};

/* Everything that fixes a layer's shape and arithmetic. Vectors (n x c) have h = w = 1. */
typedef struct moco_layer_desc {
    uint32_t struct_size;
    int32_t kind;     /* MOCO_LAYER_* */
    int32_t dtype;    /* of activations and parameters: F32 or F64 */
    int32_t training; /* 1: a backward pass may follow; 0: forward only, nothing need be saved */
    int64_t n;        /* input n x c x h x w */
    int64_t c;
    int64_t h;
    int64_t w;
    int64_t out_c; /* output n x out_c x out_h x out_w */
    int64_t out_h;
    int64_t out_w;
    int32_t kernel; /* square */
    int32_t stride;
    int32_t padding;
    int32_t groups;     /* of a convolution */
    int32_t relu;       /* BATCH_NORM: y = relu(bn(x) [+ residual]); LINEAR: y = relu(x W^T + b) */
    int32_t residual;   /* BATCH_NORM: 1 adds `residual` (shape of y) before the relu */
    int32_t bn_groups;  /* G >= 1: groups of samples with statistics of their own */
    int32_t bn_strided; /* 0: group g holds samples floor(g n / G) .. floor((g+1) n / G) - 1; 1: sample i is in group i
                           mod G */
    double bn_eps;
    double bn_momentum;       /* running = (1 - bn_momentum) running + bn_momentum * (mean over groups of the statistic;
                                 variance unbiased by the group's size, as PyTorch's) */
    uint64_t input_layout;    /* of x (and of dx) */
    uint64_t residual_layout; /* of residual (and of d_residual) */
    int32_t skip_input_gradient; /* 1: dx is never asked for (the first layer) */
    int32_t compute_dtype;    /* F32, or BF16: activations and copies of the weights may be bfloat16. Only a wish: what
                                 can't be had is computed as `dtype` */
    int32_t constant_weights; /* 1: weights rarely change between calls: worth keeping reordered copies of them */
    int32_t direct_convolution; /* 1: convolutions as plain sums of products; 0: by any algorithm */
} moco_layer_desc;

/* What the backend answers when it plans a layer. */
typedef struct moco_layer_info {
    uint64_t wanted_input_layout; /* equals desc.input_layout where it can take it as it is */
    uint64_t output_layout;       /* of y (and of dy) */
    uint64_t output_bytes;        /* of y in that layout */
    uint64_t saved_bytes;   /* written by a training forward, read by backward (statistics, pooling indices); 0: none */
    uint64_t scratch_bytes; /* working memory of one call, contents not kept */
    int32_t backward_needs_x; /* 1: backward reads x / y of the forward, so the planner keeps them */
    int32_t backward_needs_y;
    int32_t output_dtype;   /* of y (and of dy); only an opaque layout's may differ from desc.dtype */
    int32_t accumulates_dx; /* 1: backward can add its dx to what is there */
} moco_layer_info;

/* The tensors of one call; which ones are present depends on the kind. Gradients (dweight, dbias) are overwritten, or
 * added to with accumulate = 1; dx is overwritten, or added to with accumulate_dx = 1, which only layers are asked for
 * that say accumulates_dx; d_residual is overwritten always. dx may share memory with dy only where a layer is
 * elementwise (RELU, BATCH_NORM) and dx is overwritten; d_residual never does, nor with dx. y shares memory with x only
 * where no backward pass reads x: in RELU, and in BATCH_NORM planned without training. */
typedef struct moco_layer_args {
    int32_t mode; /* MOCO_MODE_TRAIN.. of encoder_ops.h: 0 and 1 batch statistics (0 fills `saved`), 2 running ones */
    int32_t accumulate;
    uint64_t weight_version; /* changes whenever weights may have changed: a key for cached reordered copies */
    moco_tensor x;
    moco_tensor residual;
    moco_tensor y;
    moco_tensor weight;
    moco_tensor bias;
    moco_tensor running_mean;
    moco_tensor running_var;
    moco_tensor dy;
    moco_tensor dx; /* buffer NULL: not asked for */
    moco_tensor d_residual;
    moco_tensor dweight;
    moco_tensor dbias;
    moco_tensor saved;
    moco_tensor scratch;
    int32_t accumulate_dx;
    int32_t reserved;
} moco_layer_args;

/* --- Hot operators of momentum contrast --------------------------------------------------------------------------- */

typedef struct moco_sgd_args {
    moco_tensor parameter; /* [elements], all of one dtype */
    moco_tensor gradient;
    moco_tensor velocity;
    int32_t first_step; /* 1: v = g, whatever velocity holds */
    int32_t nesterov;
    double learning_rate;
    double momentum;
    double dampening;
    double weight_decay;
} moco_sgd_args;

/* InfoNCE over the queue, see <moco/loss.h> for the equation and the statistics' definitions. */
typedef struct moco_info_nce_args {
    moco_tensor q;             /* n x dim */
    moco_tensor k;             /* n x dim */
    moco_tensor keys;          /* K x dim, K >= 0 rows in use; of q's dtype, or BF16 */
    moco_tensor d_q;           /* n x dim, or absent */
    const int64_t *sample_ids; /* host memory, n; NULL: no masking */
    const int64_t *key_ids;    /* host memory, K; given exactly when sample_ids is */
    double temperature;
    /* Outputs, on the host. */
    double loss;
    double mean_positive_similarity;
    double mean_negative_similarity;
    int64_t top1; /* counts of samples, not fractions */
    int64_t top5;
    int64_t masked;
} moco_info_nce_args;

/* --- The table ---------------------------------------------------------------------------------------------------- */

enum { MOCO_MEMORY_HOST = 0, MOCO_MEMORY_DEVICE = 1 };

typedef struct moco_layer moco_layer; /* a planned layer; each backend defines its own */

/* Members marked (required) are non-NULL in every backend, (last) at least in the last one of a chain. UNSUPPORTED from
 * layer_create, or a NULL member, passes the work to the next backend. */
typedef struct moco_backend_ops {
    uint32_t struct_size;
    uint32_t abi_version; /* MOCO_BACKEND_VERSION */
    const char *name;
    int32_t memory; /* MOCO_MEMORY_* */
    int32_t reserved;

    /* (required) `context` outlives the backend. UNSUPPORTED: this machine can't run it. */
    moco_status (*create)(void **self, moco_context *context);
    void (*destroy)(void *self);

    /* Memory: (last). Buffers are 64-byte aligned. */
    moco_status (*buffer_create)(void *self, uint64_t bytes, void **buffer);
    /* A buffer over the host's memory, without a copy; NULL where memory is not the host's. */
    moco_status (*buffer_wrap)(void *self, void *memory, uint64_t bytes, void **buffer);
    void (*buffer_destroy)(void *self, void *buffer);
    moco_status (*upload)(void *self, void *buffer, uint64_t offset, const void *source, uint64_t bytes);
    moco_status (*download)(void *self, const void *buffer, uint64_t offset, void *target, uint64_t bytes);
    moco_status (*copy)(void *self, void *target, uint64_t target_offset, const void *source, uint64_t source_offset,
                        uint64_t bytes);
    moco_status (*fill_zero)(void *self, void *buffer, uint64_t offset, uint64_t bytes);
    /* target row i = source row rows[i] for i < n; rows are the tensors' last dims (PLAIN layout). */
    moco_status (*gather_rows)(void *self, const moco_tensor *target, const moco_tensor *source, const int64_t *rows,
                               int64_t n);
    /* *finite = 1 if all elements are finite, else 0 and *first (may be NULL) the index of the first that is not. */
    moco_status (*all_finite)(void *self, const moco_tensor *tensor, int32_t *finite, int64_t *first);
    /* target += source, elementwise: both 1-d, of one size and dtype, F32 or F64, or BF16 in the backend whose layout
     * it is. Sums the gradients of a value that several layers read; a tensor in an opaque layout is passed as the flat
     * run of its elements. UNSUPPORTED passes it on. */
    moco_status (*add)(void *self, const moco_tensor *target, const moco_tensor *source);

    /* Layers: (last) all kinds but REORDER. */
    moco_status (*layer_create)(void *self, const moco_layer_desc *desc, moco_layer **layer, moco_layer_info *info);
    void (*layer_destroy)(void *self, moco_layer *layer);
    moco_status (*layer_forward)(void *self, moco_layer *layer, const moco_layer_args *args);
    moco_status (*layer_backward)(void *self, moco_layer *layer, const moco_layer_args *args);

    /* Momentum contrast: (last). target = m * target + (1 - m) * source, elementwise, PLAIN, F32 or F64. */
    moco_status (*momentum_update)(void *self, const moco_tensor *target, const moco_tensor *source, double m);
    moco_status (*sgd_update)(void *self, const moco_sgd_args *args);
    moco_status (*info_nce)(void *self, moco_info_nce_args *args);

    /* 1 if this processor computes layers in MOCO_DTYPE_* `dtype` by instructions of its own; NULL: in F32 only. */
    int32_t (*computes)(void *self, int32_t dtype);

    /* (last) target = source, elementwise, F32 to BF16 or back, PLAIN. To BF16 it rounds to nearest, ties to even; a
     * finite value stays finite (the largest bfloat16), a NaN a NaN. */
    moco_status (*convert)(void *self, const moco_tensor *target, const moco_tensor *source);
    /* sgd_update, then average = m * average + (1 - m) * parameter with the new parameter, in one pass over memory and
     * with the bits of the two calls. NULL or UNSUPPORTED: two calls. */
    moco_status (*sgd_momentum_update)(void *self, const moco_sgd_args *args, const moco_tensor *average, double m);
} moco_backend_ops;

MOCO_END_DECLS

#endif
