/* Layers: planned once for their shapes, on the first backend of the chain that takes them, and then run. */
#ifndef MOCO_BACKEND_PLANNED_LAYER_H
#define MOCO_BACKEND_PLANNED_LAYER_H

#include "backend/backend_chain.h"

/* A planned layer, with the backend that made it. */
typedef struct moco_planned_layer {
    moco_context *context;
    const moco_backend_ops *ops;
    void *backend;
    moco_layer *layer; /* NULL: nothing planned */
    moco_layer_desc desc;
    moco_layer_info info;
} moco_planned_layer;

/* Checks `desc`, fills its output and plans it on the first backend that takes it. */
moco_status moco_layer_plan(moco_context *context, const moco_layer_desc *desc, moco_planned_layer *out);
/* 1 if a backend in use computes layers in MOCO_DTYPE_* `dtype`. */
int32_t moco_backends_compute(const moco_context *context, int32_t dtype);
void moco_layer_release(moco_planned_layer *layer);
/* Both check what the call brings before a backend sees it. */
moco_status moco_layer_forward(const moco_planned_layer *layer, const moco_layer_args *args);
moco_status moco_layer_backward(const moco_planned_layer *layer, const moco_layer_args *args);

#endif
