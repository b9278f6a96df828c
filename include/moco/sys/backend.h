/* Second tier: the operator seam. A backend owns tensor memory and does all arithmetic on it; encoder, queue, loss and
 * optimizer above it never look inside a buffer. Backends form a chain (say cpu -> reference): what one
 * does not support falls to the next. All members of a chain share one kind of memory.
 *
 * `reference` is complete, plain and always the last of a host chain: the oracle of the conformance suite that every
 * backend runs. The host is here the processor with its memory, beside a device; the program is the caller.
 */
#ifndef MOCO_SYS_BACKEND_H
#define MOCO_SYS_BACKEND_H

#include <moco/context.h>
#include <moco/sys/mode.h>

MOCO_BEGIN_DECLS

#define MOCO_BACKEND_VERSION 2

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

/* Each kind says its inputs and parameters by the places below. A row is what the last dimension holds: rank 2, n x c,
 * or rank 3, n x t x c, has rows of c values. */
enum {
    MOCO_LAYER_CONV2D = 0,     /* of.conv2d; weight: out_c x c/groups x kernel x kernel; no bias (BatchNorm follows) */
    MOCO_LAYER_LINEAR = 1,     /* of.linear; rows of c -> rows of out_c; weight: out_c x c; bias: out_c, or none where
                                  parameter_count is 1 */
    MOCO_LAYER_BATCH_NORM = 2, /* of.norm; over (n, h, w) per channel and group; four parameters of c values */
    MOCO_LAYER_RELU = 3,
    MOCO_LAYER_MAX_POOL = 4,     /* of.pool; padding never wins */
    MOCO_LAYER_AVERAGE_POOL = 5, /* global: n x c x h x w -> n x c */
    MOCO_LAYER_L2_NORMALIZE = 6, /* of each row: y = x / max(||x||, 1e-12), as torch.nn.functional.normalize */
    MOCO_LAYER_REORDER = 7,      /* from the layout of its input to PLAIN; created by the backend that owns that */
    MOCO_LAYER_LAYER_NORM = 8,   /* of.layer_norm; of each row, as torch.nn.LayerNorm; weight and bias: c */
    MOCO_LAYER_GELU = 9,         /* elementwise and exact: y = x (1 + erf(x / sqrt 2)) / 2, as torch.nn.GELU */
    MOCO_LAYER_ADD = 10          /* two inputs of one shape and their sum; a BatchNorm adds its residual itself */
};

/* Places of moco_layer_desc.inputs, and of the tensors that belong to them. */
enum {
    MOCO_INPUT = 0,
    MOCO_RESIDUAL = 1, /* BATCH_NORM, where input_count is 2: has the output's shape, added before the epilogue */
    MOCO_LAYER_INPUTS = 3
};

/* Places of parameters. The last two are buffers: statistics that no gradient goes to. */
enum { MOCO_WEIGHT = 0, MOCO_BIAS = 1, MOCO_RUNNING_MEAN = 2, MOCO_RUNNING_VAR = 3, MOCO_LAYER_PARAMETERS = 4 };

/* What is done to the result before it is written, BATCH_NORM and LINEAR only. */
enum {
    MOCO_EPILOGUE_NONE = 0,
    MOCO_EPILOGUE_RELU = 1 /* y = max(result, 0) */
};

/* What a layer reads or writes: the shape, without the memory. Unused dims are 1. */
typedef struct moco_value_desc {
    int32_t dtype;
    int32_t rank;
    int64_t dims[4];
    uint64_t layout;
} moco_value_desc;

typedef struct moco_conv2d_desc {
    int64_t out_c;
    int32_t kernel; /* square */
    int32_t stride;
    int32_t padding;
    int32_t groups;
    int32_t direct; /* 1: plain sums of products; 0: any algorithm */
    int32_t reserved;
} moco_conv2d_desc;

typedef struct moco_linear_desc {
    int64_t out_c;
} moco_linear_desc;

typedef struct moco_norm_desc {
    double eps;
    double momentum; /* running = (1 - momentum) running + momentum * (mean over groups of the statistic; variance
                        unbiased by the group's size, as PyTorch's) */
    int32_t groups;  /* G >= 1: groups of samples with statistics of their own */
    int32_t strided; /* 0: group g holds samples floor(g n / G) .. floor((g+1) n / G) - 1; 1: sample i is in group i mod
                        G */
} moco_norm_desc;

typedef struct moco_pool_desc {
    int32_t kernel; /* square */
    int32_t stride;
    int32_t padding;
    int32_t reserved;
} moco_pool_desc;

typedef struct moco_layer_norm_desc {
    double eps; /* y = (x - mean) / sqrt(variance + eps) * weight + bias, with the row's biased variance */
} moco_layer_norm_desc;

/* What only one kind needs, with room for the kinds to come; the rest is 0. */
typedef union moco_layer_part {
    moco_conv2d_desc conv2d;
    moco_linear_desc linear;
    moco_norm_desc norm;
    moco_pool_desc pool;
    moco_layer_norm_desc layer_norm;
    uint64_t room[16];
} moco_layer_part;

/* Everything that fixes a layer's shape and arithmetic. */
typedef struct moco_layer_desc {
    uint32_t struct_size;
    int32_t kind;                /* MOCO_LAYER_* */
    int32_t dtype;               /* of arithmetic and parameters: F32 or F64 */
    int32_t compute_dtype;       /* F32, or BF16: activations and copies of the weights may be bfloat16. A preference:
                                    what can't be had is computed as `dtype` */
    int32_t training;            /* 1: a backward pass may follow; 0: forward only, nothing need be saved */
    int32_t constant_weights;    /* 1: weights rarely change between calls: worth keeping reordered copies of them */
    int32_t skip_input_gradient; /* 1: the gradient of MOCO_INPUT is never asked for (the first layer) */
    int32_t epilogue;            /* MOCO_EPILOGUE_* */
    int32_t input_count;
    int32_t parameter_count;
    moco_value_desc inputs[MOCO_LAYER_INPUTS];
    moco_value_desc output; /* PLAIN, of `dtype`; computed from the rest before a backend sees it */
    moco_layer_part of;
} moco_layer_desc;

/* What the backend answers when it plans a layer. Before, struct_size is set, output_dtype is desc.dtype, and the rest
 * is 0. */
typedef struct moco_layer_info {
    uint32_t struct_size;
    int32_t output_dtype;          /* of y (and of dy); only an opaque layout's may differ from desc.dtype */
    uint64_t wanted_input_layout;  /* of MOCO_INPUT; equals its layout in desc where the backend takes it as it is */
    uint64_t output_layout;        /* of y (and of dy) */
    uint64_t output_bytes;         /* of y in that layout */
    uint64_t saved_bytes;          /* written by a training forward, read by backward (statistics, pooling indices) */
    uint64_t scratch_bytes;        /* working memory of one call, contents not kept */
    int32_t backward_needs_inputs; /* bit i: backward reads inputs[i] of the forward, so the planner keeps it */
    int32_t backward_needs_y;      /* 1: and y */
    int32_t accumulates_inputs;    /* bit i: backward can add d_inputs[i] to what is there */
    int32_t works_in_place; /* 1: y may share memory with MOCO_INPUT where no backward pass reads that, and its gradient
                               with dy, where it is overwritten */
    uint64_t kept_bytes;    /* memory that the layer holds itself, for as long as it lives: copies of constant weights.
                               By it the planner decides how many shapes it keeps layers for */
} moco_layer_info;

/* The tensors of one call; which ones are present depends on the kind. d_parameters are overwritten, or added to with
 * accumulate = 1; d_inputs[i] is overwritten, or added to where bit i of accumulate_inputs is set, which only layers
 * are asked for that say so in accumulates_inputs. No two tensors share memory, but where works_in_place allows it. */
typedef struct moco_layer_args {
    uint32_t struct_size;
    int32_t mode;              /* MOCO_MODE_* */
    int32_t accumulate;        /* 1: add to d_parameters */
    int32_t accumulate_inputs; /* bit i: add to d_inputs[i] */
    uint64_t weight_version;   /* changes whenever weights may have changed: a key for cached reordered copies */
    moco_tensor inputs[MOCO_LAYER_INPUTS];
    moco_tensor y;
    moco_tensor parameters[MOCO_LAYER_PARAMETERS];
    moco_tensor dy;
    moco_tensor d_inputs[MOCO_LAYER_INPUTS]; /* buffer NULL: not asked for */
    moco_tensor d_parameters[MOCO_LAYER_PARAMETERS];
    moco_tensor saved;
    moco_tensor scratch;
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

/* The rules that a backend may know. */
enum { MOCO_UPDATE_SGD = 0 /* <moco/optimizer.h> has the equations */ };
enum { MOCO_UPDATE_STATES = 2 /* the most that a rule keeps of each parameter */ };

/* One step of an update rule on parameters that lie one after the other. */
typedef struct moco_update_args {
    uint32_t struct_size;
    int32_t rule;          /* MOCO_UPDATE_* */
    moco_tensor parameter; /* [elements], and so the others, all of one dtype */
    moco_tensor gradient;
    moco_tensor states[MOCO_UPDATE_STATES]; /* SGD: the velocity, not touched with momentum 0 */
    moco_tensor average; /* absent, or: average = average_momentum * average + (1 - average_momentum) * parameter
                                with the new parameter, and with the bits of momentum_update called afterwards */
    double average_momentum;
    int64_t step; /* 0: the first one, which finds nothing in the states */
    double learning_rate;
    double weight_decay;
    double momentum;
    double dampening;
    int32_t nesterov;
    int32_t reserved;
} moco_update_args;

/* InfoNCE over the keys, see <moco/loss.h> for the equations and the statistics' definitions. */
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
    /* Gradients of the keys; absent where these are constants. A backend that does not make them is UNSUPPORTED then. */
    moco_tensor d_k;    /* n x dim */
    moco_tensor d_keys; /* K x dim, of q's dtype whatever keys has: dL by the keys as they are, so rounded if BF16 */
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

    /* Memory: (last). Buffers are aligned to buffer_alignment. A caller's backend that works in the host's memory leaves these
     * up to fill_zero, and map and unmap, NULL: the library has the buffers. */
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
    /* Of F32, F64 or BF16: *finite = 1 if all elements are finite, else 0 and *first (may be NULL) the index of the first
     * that is not. */
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

    /* Version 2. The address of `bytes` bytes of a buffer from `offset` on, valid until unmap; UNSUPPORTED, or NULL,
     * where memory is a device's; INTERNAL where they leave the buffer. */
    moco_status (*map)(void *self, void *buffer, uint64_t offset, uint64_t bytes, void **address);
    void (*unmap)(void *self, void *buffer, void *address); /* NULL: nothing to do */
    /* Waits until all that was asked of the backend is done. NULL: every call returns when its work is done. Else only
     * those must that hand something to the host: download, all_finite, info_nce, map, norms. Work is done in the order
     * that it was asked for. */
    moco_status (*synchronize)(void *self);
    /* Of the buffers that it creates; the places of tensors in buffers are multiples of the largest in the chain. A power of
     * two; 0: 64. */
    uint64_t buffer_alignment;
    /* (last) F32 or F64, PLAIN, in one pass over memory where it can be; UNSUPPORTED for a rule that it doesn't know.
     * Where a backend has none, SGD goes to its three members above. */
    moco_status (*update)(void *self, const moco_update_args *args);
    /* (last) norms[i] = the L2 norm of tensors[i] for i < count: F32 or F64, PLAIN; norms on the host. Sums run in double,
     * and in an order that depends on nothing but the number of elements. */
    moco_status (*norms)(void *self, const moco_tensor *tensors, int64_t count, double *norms);
} moco_backend_ops;

/* --- For a caller's own backend: moco_context_config.backends takes its table --------------------------------------- */

/* The address of a tensor's elements, where the context's backends work in the host's memory; UNSUPPORTED where they don't.
 * A backend that takes layers, but has no memory of its own, reads and writes its tensors so. `bytes` 0: those of a PLAIN
 * tensor; else so many from its offset on, as moco_layer_info has them of an opaque one. INTERNAL: they leave the buffer.
 * The address is valid until unmap. */
MOCO_API moco_status moco_backend_map(moco_context *context, const moco_tensor *tensor, uint64_t bytes, void **address);
MOCO_API void moco_backend_unmap(moco_context *context, const moco_tensor *tensor, void *address);

/* Waits until all that was asked of the context's backends is done: before a clock is read. */
MOCO_API moco_status moco_backend_synchronize(moco_context *context);

MOCO_END_DECLS

#endif
