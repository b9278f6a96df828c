#include "backend/planned_layer.h"

#include <string.h>

#include "backend/backend_table.h"
#include "backend/layer_arguments.h"
#include "backend/layer_kinds.h"

moco_status moco_layer_plan(moco_context *context, const moco_layer_desc *description, moco_planned_layer *out) {
    memset(out, 0, sizeof *out);
    out->context = context;
    out->desc = *description;
    MOCO_TRY(moco_layer_infer(&out->desc));
    const moco_layer_desc *desc = &out->desc;
    const moco_backend_ops *ops;
    void *self;
    for (int32_t place = 0; (ops = moco_backend_at(context, place, &self)) != NULL; ++place) {
        const moco_backend_ops_v1 *version_1 = moco_backend_version_1_at(context, place);
        if (ops->layer_create == NULL && version_1 == NULL) continue;
        moco_layer *layer = NULL;
        moco_layer_info info = {.struct_size = sizeof info, .output_dtype = desc->dtype};
        const moco_status status = version_1 != NULL
                                       ? moco_layer_create_version_1(version_1, self, context, desc, &layer, &info)
                                       : ops->layer_create(self, desc, &layer, &info);
        if (status == MOCO_UNSUPPORTED) continue;
        if (status != MOCO_OK) return status;
        out->ops = ops;
        out->backend = self;
        out->layer = layer;
        out->info = info;
        return MOCO_OK;
    }
    return moco_fail(MOCO_UNSUPPORTED, "no backend in use has layer kind %d with dtype %d", desc->kind, desc->dtype);
}

int32_t moco_backends_compute(const moco_context *context, int32_t dtype) {
    const moco_backend_ops *ops;
    void *self;
    for (int32_t place = 0; (ops = moco_backend_at(context, place, &self)) != NULL; ++place) {
        if (ops->computes == NULL ? dtype == MOCO_DTYPE_F32 : ops->computes(self, dtype)) return 1;
    }
    return 0;
}

void moco_layer_release(moco_planned_layer *layer) {
    if (layer->layer != NULL) layer->ops->layer_destroy(layer->backend, layer->layer);
    layer->layer = NULL;
}

moco_status moco_layer_forward(const moco_planned_layer *layer, const moco_layer_args *args) {
    MOCO_TRY(moco_layer_check_forward(layer, args));
    return layer->ops->layer_forward(layer->backend, layer->layer, args);
}

moco_status moco_layer_backward(const moco_planned_layer *layer, const moco_layer_args *args) {
    MOCO_TRY(moco_layer_check_backward(layer, args));
    return layer->ops->layer_backward(layer->backend, layer->layer, args);
}
