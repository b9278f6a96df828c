/* One pass's weights, or gradient of them, in the layout and dtype that oneDNN likes best for it, and the way between
 * them and the caller's plain float32. */
#ifndef MOCO_ONEDNN_WEIGHTS_H
#define MOCO_ONEDNN_WEIGHTS_H

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/onednn/onednn_api.h"

typedef struct onednn_weights {
    dnnl_memory_t own; /* as the pass takes them */
    dnnl_memory_t plain;
    dnnl_primitive_t reorder;     /* from plain to own, of a gradient from own to plain. NULL: kernels do it; or without
                                     those, plain weights are what the pass takes */
    dnnl_primitive_t reorder_add; /* of a gradient: own added to plain */
    const weight_kernels *kernels; /* NULL: the reorders do it */
    int32_t turned;                /* 1: tiles lie column by column (weight_kernels.h) */
    int64_t rows, columns;         /* out_c and c, of which plain weights are */
    uint64_t offset;               /* of own in the call's scratch, */
    void *kept;                    /* or where weights are constant this instead */
    uint64_t version;
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
