#include "backend/image_layer.h"

#include "backend/layer_kinds.h"

/* n x c x h x w of a value; of rows, n counts those of all leading dimensions. */
static void shape_of(const moco_value_desc *value, int32_t of_rows, int64_t shape[4]) {
    shape[0] = value->dims[0];
    shape[1] = value->dims[1];
    shape[2] = value->dims[2];
    shape[3] = value->dims[3];
    if (of_rows && value->rank == 3) {
        shape[0] = value->dims[0] * value->dims[1];
        shape[1] = value->dims[2];
        shape[2] = 1;
    }
}

void moco_image_layer_of(image_layer *image, const moco_layer_desc *desc) {
    const int32_t of_rows = moco_layer_kind_of(desc->kind)->of_rows;
    int64_t in[4], out[4];
    shape_of(&desc->inputs[MOCO_INPUT], of_rows, in);
    shape_of(&desc->output, of_rows, out);
    const image_layer flat = {
        .kind = desc->kind,
        .dtype = desc->dtype,
        .training = desc->training,
        .n = in[0],
        .c = in[1],
        .h = in[2],
        .w = in[3],
        .out_c = out[1],
        .out_h = out[2],
        .out_w = out[3],
        .kernel = 1,
        .stride = 1,
        .groups = 1,
        .relu = desc->epilogue == MOCO_EPILOGUE_RELU,
        .residual = desc->input_count > MOCO_RESIDUAL,
        .bn_groups = 1,
        .input_layout = desc->inputs[MOCO_INPUT].layout,
        .residual_layout = desc->input_count > MOCO_RESIDUAL ? desc->inputs[MOCO_RESIDUAL].layout : MOCO_LAYOUT_PLAIN,
        .skip_input_gradient = desc->skip_input_gradient,
        .compute_dtype = desc->compute_dtype,
        .constant_weights = desc->constant_weights,
    };
    *image = flat;
    if (desc->kind == MOCO_LAYER_CONV2D) {
        image->kernel = desc->of.conv2d.kernel;
        image->stride = desc->of.conv2d.stride;
        image->padding = desc->of.conv2d.padding;
        image->groups = desc->of.conv2d.groups;
        image->direct_convolution = desc->of.conv2d.direct;
    } else if (desc->kind == MOCO_LAYER_MAX_POOL) {
        image->kernel = desc->of.pool.kernel;
        image->stride = desc->of.pool.stride;
        image->padding = desc->of.pool.padding;
    } else if (desc->kind == MOCO_LAYER_BATCH_NORM) {
        image->bn_groups = desc->of.norm.groups;
        image->bn_strided = desc->of.norm.strided;
        image->bn_eps = desc->of.norm.eps;
        image->bn_momentum = desc->of.norm.momentum;
    }
}
