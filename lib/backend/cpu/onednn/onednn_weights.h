/* One pass's weights, or gradient of them, in the layout and dtype that oneDNN prefers for it, and the way between
 * them and the caller's plain float32. */
#ifndef MOCO_ONEDNN_WEIGHTS_H
#define MOCO_ONEDNN_WEIGHTS_H

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/onednn/onednn_api.h"

/* How the pass gets weights that it can read, or a gradient gets to where the caller reads it. */
typedef enum onednn_weights_path {
    ONEDNN_PLAIN_AS_IS, /* plain weights are what the pass reads */
    ONEDNN_TILED_BY_US, /* by our own weight_kernels */
    ONEDNN_REORDERED    /* by oneDNN's reorders */
} onednn_weights_path;

/* Where weights lie that are not plain. */
typedef enum onednn_weights_home {
    ONEDNN_IN_SCRATCH, /* made anew in the working memory of each call */
    ONEDNN_KEPT        /* in memory of their own, while their version stays the same: constant weights */
} onednn_weights_home;

typedef struct onednn_weights {
    onednn_weights_path path;
    onednn_weights_home home;
    dnnl_memory_t own; /* as the pass reads, or writes, them */
    dnnl_memory_t plain;
    dnnl_primitive_t reorder;      /* REORDERED: from plain to own, of a gradient from own to plain */
    dnnl_primitive_t reorder_add;  /* REORDERED, of a gradient: adds own to plain */
    const weight_kernels *kernels; /* TILED_BY_US */
    int32_t transposed;            /* TILED_BY_US: 1: tiles lie column by column (weight_kernels.h) */
    int64_t rows, columns;         /* TILED_BY_US: out_c and c, of which plain weights are */
    uint64_t offset;               /* IN_SCRATCH: of own in the call's scratch */
    void *kept;                    /* KEPT */
    uint64_t kept_bytes;           /* KEPT; else 0 */
    uint64_t version;              /* KEPT: of what kept holds, if kept_is_current */
    int32_t kept_is_current;
} onednn_weights;

typedef struct onednn_weights_kind {
    onednn_const_md own;
    onednn_const_md plain;
    int32_t gradient;
    int32_t transposed; /* own and plain are of c x out_c */
} onednn_weights_kind;

/* `*scratch`, the call's so far, grows by what own weights need. */
moco_status moco_onednn_weights_plan(onednn_weights *weights, cpu_backend *backend, const image_layer *desc,
                                     const onednn_weights_kind *kind, uint64_t *scratch);
void moco_onednn_weights_release(onednn_weights *weights, cpu_backend *backend);

/* args->parameters[MOCO_WEIGHT] as the pass takes them: afterwards `own` has them. */
moco_status moco_onednn_weights_prepare(onednn_weights *weights, cpu_backend *backend, const moco_layer_args *args);

/* Where the pass puts its gradient, and from there to args->d_parameters[MOCO_WEIGHT]. */
moco_status moco_onednn_weights_plan_gradient(onednn_weights *weights, const moco_layer_args *args);
moco_status moco_onednn_weights_export_gradient(onednn_weights *weights, cpu_backend *backend,
                                                const moco_layer_args *args);

#endif
