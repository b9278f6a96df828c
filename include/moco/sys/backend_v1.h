/* Second tier, version 1: what a backend's table was before layers were described by kind (<moco/sys/backend.h>). A table
 * with abi_version 1 is still taken: pass it as a moco_backend_ops pointer. It is asked for the kinds of layers that
 * version 1 had, 0 to 7, and its other members work as those of version 2 with the same names.
 */
#ifndef MOCO_SYS_BACKEND_V1_H
#define MOCO_SYS_BACKEND_V1_H

#include <moco/sys/backend.h>

MOCO_BEGIN_DECLS

/* Everything that fixes a layer's shape and arithmetic. Vectors (n x c) have h = w = 1. */
typedef struct moco_layer_desc_v1 {
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
    int32_t compute_dtype;    /* F32, or BF16: activations and copies of the weights may be bfloat16. A preference: what
                                 can't be had is computed as `dtype` */
    int32_t constant_weights; /* 1: weights rarely change between calls: worth keeping reordered copies of them */
    int32_t direct_convolution; /* 1: convolutions as plain sums of products; 0: by any algorithm */
} moco_layer_desc_v1;

/* What the backend answers when it plans a layer. */
typedef struct moco_layer_info_v1 {
    uint64_t wanted_input_layout; /* equals desc.input_layout where it can take it as it is */
    uint64_t output_layout;       /* of y (and of dy) */
    uint64_t output_bytes;        /* of y in that layout */
    uint64_t saved_bytes;   /* written by a training forward, read by backward (statistics, pooling indices); 0: none */
    uint64_t scratch_bytes; /* working memory of one call, contents not kept */
    int32_t backward_needs_x; /* 1: backward reads x / y of the forward, so the planner keeps them */
    int32_t backward_needs_y;
    int32_t output_dtype;   /* of y (and of dy); only an opaque layout's may differ from desc.dtype */
    int32_t accumulates_dx; /* 1: backward can add its dx to what is there */
} moco_layer_info_v1;

/* The tensors of one call; which ones are present depends on the kind. Gradients (dweight, dbias) are overwritten, or
 * added to with accumulate = 1; dx is overwritten, or added to with accumulate_dx = 1, which only layers are asked for
 * that say accumulates_dx; d_residual is overwritten always. dx may share memory with dy only where a layer is
 * elementwise (RELU, BATCH_NORM) and dx is overwritten; d_residual never does, nor with dx. y shares memory with x only
 * where no backward pass reads x: in RELU, and in BATCH_NORM planned without training. */
typedef struct moco_layer_args_v1 {
    int32_t mode; /* MOCO_MODE_*: 0 and 1 batch statistics (0 fills `saved`), 2 running ones */
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
} moco_layer_args_v1;

/* The members as in moco_backend_ops, whose comments hold here too. */
typedef struct moco_backend_ops_v1 {
    uint32_t struct_size;
    uint32_t abi_version; /* 1 */
    const char *name;
    int32_t memory; /* MOCO_MEMORY_* */
    int32_t reserved;
    moco_status (*create)(void **self, moco_context *context);
    void (*destroy)(void *self);
    moco_status (*buffer_create)(void *self, uint64_t bytes, void **buffer);
    moco_status (*buffer_wrap)(void *self, void *memory, uint64_t bytes, void **buffer);
    void (*buffer_destroy)(void *self, void *buffer);
    moco_status (*upload)(void *self, void *buffer, uint64_t offset, const void *source, uint64_t bytes);
    moco_status (*download)(void *self, const void *buffer, uint64_t offset, void *target, uint64_t bytes);
    moco_status (*copy)(void *self, void *target, uint64_t target_offset, const void *source, uint64_t source_offset,
                        uint64_t bytes);
    moco_status (*fill_zero)(void *self, void *buffer, uint64_t offset, uint64_t bytes);
    moco_status (*gather_rows)(void *self, const moco_tensor *target, const moco_tensor *source, const int64_t *rows,
                               int64_t n);
    moco_status (*all_finite)(void *self, const moco_tensor *tensor, int32_t *finite, int64_t *first);
    moco_status (*add)(void *self, const moco_tensor *target, const moco_tensor *source);
    moco_status (*layer_create)(void *self, const moco_layer_desc_v1 *desc, moco_layer **layer,
                                moco_layer_info_v1 *info);
    void (*layer_destroy)(void *self, moco_layer *layer);
    moco_status (*layer_forward)(void *self, moco_layer *layer, const moco_layer_args_v1 *args);
    moco_status (*layer_backward)(void *self, moco_layer *layer, const moco_layer_args_v1 *args);
    moco_status (*momentum_update)(void *self, const moco_tensor *target, const moco_tensor *source, double m);
    moco_status (*sgd_update)(void *self, const moco_sgd_args *args);
    moco_status (*info_nce)(void *self, moco_info_nce_args *args);
    int32_t (*computes)(void *self, int32_t dtype);
    moco_status (*convert)(void *self, const moco_tensor *target, const moco_tensor *source);
    moco_status (*sgd_momentum_update)(void *self, const moco_sgd_args *args, const moco_tensor *average, double m);
} moco_backend_ops_v1;

MOCO_END_DECLS

#endif
