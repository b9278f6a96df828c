/* Layers of version 1 tables: what version 2 says, in the structs of version 1. */
#include <string.h>

#include "backend/backend_table.h"
#include "backend/image_layer.h"
#include "core/context_internal.h"

/* What the chain sees as such a backend's layer. */
struct moco_layer {
    const moco_backend_ops_v1 *table;
    moco_context *context;
    moco_layer *own; /* the backend's */
};

static moco_layer_desc_v1 describe(const moco_layer_desc *desc) {
    image_layer image;
    moco_image_layer_of(&image, desc);
    const moco_layer_desc_v1 old = {
        .struct_size = sizeof old,
        .kind = image.kind,
        .dtype = image.dtype,
        .training = image.training,
        .n = image.n,
        .c = image.c,
        .h = image.h,
        .w = image.w,
        .out_c = image.out_c,
        .out_h = image.out_h,
        .out_w = image.out_w,
        .kernel = image.kernel,
        .stride = image.stride,
        .padding = image.padding,
        .groups = image.groups,
        .relu = image.relu,
        .residual = image.residual,
        .bn_groups = image.bn_groups,
        .bn_strided = image.bn_strided,
        .bn_eps = image.bn_eps,
        .bn_momentum = image.bn_momentum,
        .input_layout = image.input_layout,
        .residual_layout = image.residual_layout,
        .skip_input_gradient = image.skip_input_gradient,
        .compute_dtype = image.compute_dtype,
        .constant_weights = image.constant_weights,
        .direct_convolution = image.direct_convolution,
    };
    return old;
}

moco_status moco_layer_create_version_1(const moco_backend_ops_v1 *table, void *self, moco_context *context,
                                        const moco_layer_desc *desc, moco_layer **layer, moco_layer_info *info) {
    if (table->layer_create == NULL || desc->kind > MOCO_LAYER_REORDER) {
        return moco_fail(MOCO_UNSUPPORTED, "version 1 of backends had no layer kind %d", desc->kind);
    }
    if (desc->kind == MOCO_LAYER_LINEAR && desc->parameter_count <= MOCO_BIAS) {
        return moco_fail(MOCO_UNSUPPORTED, "version 1 of backends had no linear layer without a bias");
    }
    moco_layer *created = (moco_layer *) moco_allocate_zeroed(context, 1, sizeof *created);
    if (created == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_layer_desc_v1 old = describe(desc);
    moco_layer_info_v1 answer;
    memset(&answer, 0, sizeof answer);
    const moco_status status = table->layer_create(self, &old, &created->own, &answer);
    if (status != MOCO_OK) {
        moco_deallocate(context, created);
        return status;
    }
    created->table = table;
    created->context = context;
    info->wanted_input_layout = answer.wanted_input_layout;
    info->output_layout = answer.output_layout;
    info->output_bytes = answer.output_bytes;
    info->saved_bytes = answer.saved_bytes;
    info->scratch_bytes = answer.scratch_bytes;
    info->backward_needs_inputs = answer.backward_needs_x ? 1 << MOCO_INPUT : 0;
    info->backward_needs_y = answer.backward_needs_y;
    info->accumulates_inputs = answer.accumulates_dx ? 1 << MOCO_INPUT : 0;
    info->works_in_place = desc->kind == MOCO_LAYER_RELU || desc->kind == MOCO_LAYER_BATCH_NORM;
    if (answer.output_layout != MOCO_LAYOUT_PLAIN) info->output_dtype = answer.output_dtype;
    *layer = created;
    return MOCO_OK;
}

void moco_layer_destroy_version_1(void *self, moco_layer *layer) {
    layer->table->layer_destroy(self, layer->own);
    moco_deallocate(layer->context, layer);
}

static moco_layer_args_v1 arguments(const moco_layer_args *args) {
    const moco_layer_args_v1 old = {
        .mode = args->mode,
        .accumulate = args->accumulate,
        .weight_version = args->weight_version,
        .x = args->inputs[MOCO_INPUT],
        .residual = args->inputs[MOCO_RESIDUAL],
        .y = args->y,
        .weight = args->parameters[MOCO_WEIGHT],
        .bias = args->parameters[MOCO_BIAS],
        .running_mean = args->parameters[MOCO_RUNNING_MEAN],
        .running_var = args->parameters[MOCO_RUNNING_VAR],
        .dy = args->dy,
        .dx = args->d_inputs[MOCO_INPUT],
        .d_residual = args->d_inputs[MOCO_RESIDUAL],
        .dweight = args->d_parameters[MOCO_WEIGHT],
        .dbias = args->d_parameters[MOCO_BIAS],
        .saved = args->saved,
        .scratch = args->scratch,
        .accumulate_dx = args->accumulate_inputs >> MOCO_INPUT & 1,
    };
    return old;
}

moco_status moco_layer_forward_version_1(void *self, moco_layer *layer, const moco_layer_args *args) {
    const moco_layer_args_v1 old = arguments(args);
    return layer->table->layer_forward(self, layer->own, &old);
}

moco_status moco_layer_backward_version_1(void *self, moco_layer *layer, const moco_layer_args *args) {
    const moco_layer_args_v1 old = arguments(args);
    return layer->table->layer_backward(self, layer->own, &old);
}
