/* Layers of the reference backend: what each kind demands of its description and of its tensors, and which kernels it
 * runs.
 */
#include "backend/backend_chain.h"
#include "backend/host_memory.h"
#include "backend/reference/reference_backend.h"
#include "core/checked.h"

struct moco_layer {
    image_layer desc;
    const reference_kernels *kernels;
    uint64_t saved_bytes;
};

typedef long long ll;

/* --- Planning --- */

static moco_status check_output(const image_layer *desc, int64_t c, int64_t h, int64_t w) {
    MOCO_REQUIRE(
        desc->out_c == c && desc->out_h == h && desc->out_w == w,
        "the output of layer kind %d is described as %lld x %lld x %lld; its input makes it %lld x %lld x %lld",
        desc->kind, (ll) desc->out_c, (ll) desc->out_h, (ll) desc->out_w, (ll) c, (ll) h, (ll) w);
    return MOCO_OK;
}

static moco_status check_vectors(const image_layer *desc) {
    MOCO_REQUIRE(desc->h == 1 && desc->w == 1, "layer kind %d takes vectors; its input has h = %lld and w = %lld",
                 desc->kind, (ll) desc->h, (ll) desc->w);
    return MOCO_OK;
}

static moco_status check_window(const image_layer *desc, int64_t out_c) {
    const int64_t kernel = desc->kernel, padding = desc->padding;
    MOCO_REQUIRE(kernel >= 1 && desc->stride >= 1 && padding >= 0,
                 "kernel is %d, stride %d, padding %d; they must be at least 1, 1 and 0", desc->kernel, desc->stride,
                 desc->padding);
    MOCO_REQUIRE(desc->h < INT32_MAX && desc->w < INT32_MAX, "an image of %lld x %lld is too large", (ll) desc->h,
                 (ll) desc->w);
    MOCO_REQUIRE(desc->h + 2 * padding >= kernel && desc->w + 2 * padding >= kernel,
                 "a %lld x %lld window meets an image of %lld x %lld with padding %lld; it must fit in", (ll) kernel,
                 (ll) kernel, (ll) desc->h, (ll) desc->w, (ll) padding);
    return check_output(desc, out_c, (desc->h + 2 * padding - kernel) / desc->stride + 1,
                        (desc->w + 2 * padding - kernel) / desc->stride + 1);
}

static moco_status check_conv(const image_layer *desc) {
    MOCO_REQUIRE(desc->out_c >= 1, "out_c is %lld; it must be at least 1", (ll) desc->out_c);
    MOCO_REQUIRE(desc->groups >= 1 && desc->c % desc->groups == 0 && desc->out_c % desc->groups == 0,
                 "groups is %d for %lld input and %lld output channels; it must divide both", desc->groups,
                 (ll) desc->c, (ll) desc->out_c);
    return check_window(desc, desc->out_c);
}

static moco_status check_pool(const image_layer *desc) {
    MOCO_TRY(check_window(desc, desc->c));
    MOCO_REQUIRE(desc->padding <= desc->kernel / 2, "padding is %d for a %d x %d max pool; it must be at most %d",
                 desc->padding, desc->kernel, desc->kernel, desc->kernel / 2);
    MOCO_REQUIRE(desc->h * desc->w <= INT32_MAX, "a plane of %lld values is too large for a max pool",
                 (ll) (desc->h * desc->w));
    return MOCO_OK;
}

/* As PyTorch: a variance over one value is no statistic. */
static moco_status check_group_sizes(const image_layer *desc) {
    for (int64_t g = 0; g < desc->bn_groups; ++g) {
        const int64_t values = reference_group_size(desc, g) * desc->h * desc->w;
        MOCO_REQUIRE(values > 1,
                     "BatchNorm group %lld of %d has %lld value(s) per channel (n = %lld, h x w = %lld x %lld); in "
                     "training it must have more than 1",
                     (ll) g, desc->bn_groups, (ll) values, (ll) desc->n, (ll) desc->h, (ll) desc->w);
    }
    return MOCO_OK;
}

static moco_status check_batch_norm(const image_layer *desc) {
    int64_t product;
    MOCO_REQUIRE(desc->bn_groups >= 1, "bn_groups is %d; it must be at least 1", desc->bn_groups);
    MOCO_REQUIRE(desc->bn_eps >= 0.0, "bn_eps is %g; it must be at least 0", desc->bn_eps);
    MOCO_TRY(moco_checked_multiply(desc->n, (int64_t) desc->bn_groups + 1, "n * bn_groups", &product));
    MOCO_TRY(moco_checked_multiply(desc->c * 16, desc->bn_groups, "BatchNorm statistics", &product));
    if (desc->training) MOCO_TRY(check_group_sizes(desc));
    return check_output(desc, desc->c, desc->h, desc->w);
}

static moco_status check_desc(const image_layer *desc) {
    const int64_t input[5] = {desc->n, desc->c, desc->h, desc->w, 16};
    const int64_t output[5] = {desc->n, desc->out_c, desc->out_h, desc->out_w, 16};
    int64_t bytes;
    MOCO_REQUIRE(desc->n >= 1 && desc->c >= 1 && desc->h >= 1 && desc->w >= 1,
                 "the input of layer kind %d is %lld x %lld x %lld x %lld; each must be at least 1", desc->kind,
                 (ll) desc->n, (ll) desc->c, (ll) desc->h, (ll) desc->w);
    MOCO_TRY(moco_checked_product(input, 5, "the size of a layer's input", &bytes));
    MOCO_TRY(moco_checked_product(output, 5, "the size of a layer's output", &bytes));
    switch (desc->kind) {
    case MOCO_LAYER_CONV2D: {
        MOCO_TRY(check_conv(desc));
        const int64_t weight[5] = {desc->out_c, desc->c / desc->groups, desc->kernel, desc->kernel, 16};
        return moco_checked_product(weight, 5, "the size of a convolution's weight", &bytes);
    }
    case MOCO_LAYER_LINEAR: {
        MOCO_REQUIRE(desc->out_c >= 1, "out_c is %lld; it must be at least 1", (ll) desc->out_c);
        MOCO_TRY(check_vectors(desc));
        const int64_t weight[3] = {desc->out_c, desc->c, 16};
        MOCO_TRY(moco_checked_product(weight, 3, "the size of a linear layer's weight", &bytes));
        return check_output(desc, desc->out_c, 1, 1);
    }
    case MOCO_LAYER_BATCH_NORM:
        return check_batch_norm(desc);
    case MOCO_LAYER_RELU:
        return check_output(desc, desc->c, desc->h, desc->w);
    case MOCO_LAYER_MAX_POOL:
        return check_pool(desc);
    case MOCO_LAYER_AVERAGE_POOL:
        return check_output(desc, desc->c, 1, 1);
    case MOCO_LAYER_L2_NORMALIZE:
        MOCO_TRY(check_vectors(desc));
        return check_output(desc, desc->c, 1, 1);
    default:
        return moco_fail(MOCO_UNSUPPORTED, "layer kind %d is none that the reference backend has", desc->kind);
    }
}

/* Which tensors of the forward pass its backward reads again. */
static void describe_plan(const image_layer *desc, moco_layer_info *info) {
    const uint64_t element = moco_dtype_size(desc->dtype);
    info->wanted_input_layout = MOCO_LAYOUT_PLAIN;
    info->output_layout = MOCO_LAYOUT_PLAIN;
    info->works_in_place = desc->kind == MOCO_LAYER_BATCH_NORM || desc->kind == MOCO_LAYER_RELU;
    info->output_bytes = (uint64_t) (desc->n * desc->out_c * desc->out_h * desc->out_w) * element;
    if (!desc->training) return;
    switch (desc->kind) {
    case MOCO_LAYER_BATCH_NORM:
        info->saved_bytes = (uint64_t) (2 * desc->c * desc->bn_groups) * sizeof(double);
        info->backward_needs_inputs = 1;
        info->backward_needs_y = desc->relu != 0;
        break;
    case MOCO_LAYER_LINEAR:
        info->backward_needs_inputs = 1;
        info->backward_needs_y = desc->relu != 0;
        break;
    case MOCO_LAYER_RELU:
        info->backward_needs_y = 1;
        break;
    case MOCO_LAYER_MAX_POOL:
        info->saved_bytes = (uint64_t) (desc->n * desc->c * desc->out_h * desc->out_w) * sizeof(int32_t);
        break;
    case MOCO_LAYER_CONV2D:
    case MOCO_LAYER_L2_NORMALIZE:
        info->backward_needs_inputs = 1;
        break;
    default:
        break;
    }
}

moco_status moco_reference_layer_create(void *self, const moco_layer_desc *layer_desc, moco_layer **layer,
                                        moco_layer_info *info) {
    image_layer image;
    MOCO_TRY(moco_image_layer_of(&image, layer_desc));
    const image_layer *desc = &image;
    moco_context *context = ((moco_host_backend *) self)->context;
    const reference_kernels *kernels = moco_reference_kernels_for(desc->dtype);
    if (kernels == NULL) return MOCO_UNSUPPORTED;
    MOCO_TRY(check_desc(desc));
    if (desc->residual && desc->residual_layout != MOCO_LAYOUT_PLAIN) {
        return moco_fail(MOCO_UNSUPPORTED, "residual_layout belongs to another backend; it must be PLAIN here");
    }
    moco_layer *created = (moco_layer *) moco_allocate(context, sizeof *created);
    if (created == NULL) return MOCO_OUT_OF_MEMORY;
    describe_plan(desc, info);
    created->desc = *desc;
    created->kernels = kernels;
    created->saved_bytes = info->saved_bytes;
    *layer = created;
    return MOCO_OK;
}

void moco_reference_layer_destroy(void *self, moco_layer *layer) {
    moco_deallocate(((moco_host_backend *) self)->context, layer);
}

/* --- Running --- */

typedef struct layer_sizes {
    int64_t x;
    int64_t y;
    int64_t weight; /* 0: none */
    int64_t bias;
} layer_sizes;

static layer_sizes sizes_of(const image_layer *desc) {
    layer_sizes sizes = {.x = desc->n * desc->c * desc->h * desc->w,
                         .y = desc->n * desc->out_c * desc->out_h * desc->out_w};
    if (desc->kind == MOCO_LAYER_CONV2D) {
        sizes.weight = desc->out_c * (desc->c / desc->groups) * desc->kernel * desc->kernel;
    } else if (desc->kind == MOCO_LAYER_LINEAR) {
        sizes.weight = desc->out_c * desc->c;
        sizes.bias = desc->out_c;
    } else if (desc->kind == MOCO_LAYER_BATCH_NORM) {
        sizes.weight = sizes.bias = desc->c;
    }
    return sizes;
}

static moco_status check_optional(const moco_tensor *tensor, const char *name, int32_t dtype, int64_t elements) {
    return tensor->buffer == NULL ? MOCO_OK : moco_reference_check_tensor(tensor, name, dtype, elements);
}

static moco_status check_forward(const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    const layer_sizes sizes = sizes_of(desc);
    MOCO_TRY(moco_reference_check_tensor(&args->inputs[MOCO_INPUT], "x", desc->dtype, sizes.x));
    MOCO_TRY(moco_reference_check_tensor(&args->y, "y", desc->dtype, sizes.y));
    if (sizes.weight > 0)
        MOCO_TRY(moco_reference_check_tensor(&args->parameters[MOCO_WEIGHT], "weight", desc->dtype, sizes.weight));
    if (args->mode == 0 && layer->saved_bytes > 0) {
        MOCO_TRY(moco_reference_check_bytes(&args->saved, "saved", layer->saved_bytes));
    }
    if (desc->kind == MOCO_LAYER_LINEAR)
        return check_optional(&args->parameters[MOCO_BIAS], "bias", desc->dtype, sizes.bias);
    if (desc->kind != MOCO_LAYER_BATCH_NORM) return MOCO_OK;

    MOCO_TRY(moco_reference_check_tensor(&args->parameters[MOCO_BIAS], "bias", desc->dtype, sizes.bias));
    if (desc->residual)
        MOCO_TRY(moco_reference_check_tensor(&args->inputs[MOCO_RESIDUAL], "residual", desc->dtype, sizes.y));
    if (args->mode != 2) {
        MOCO_TRY(check_group_sizes(desc));
        if (args->parameters[MOCO_RUNNING_MEAN].buffer == NULL && args->parameters[MOCO_RUNNING_VAR].buffer == NULL)
            return MOCO_OK;
    }
    MOCO_TRY(moco_reference_check_tensor(&args->parameters[MOCO_RUNNING_MEAN], "running_mean", desc->dtype, desc->c));
    return moco_reference_check_tensor(&args->parameters[MOCO_RUNNING_VAR], "running_var", desc->dtype, desc->c);
}

moco_status moco_reference_layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    moco_context *context = ((moco_host_backend *) self)->context;
    const image_layer *desc = &layer->desc;
    const reference_kernels *kernels = layer->kernels;
    MOCO_REQUIRE(args->mode >= 0 && args->mode <= 2, "mode is %d; it must be a MOCO_MODE_*, 0 to 2", args->mode);
    MOCO_TRY(check_forward(layer, args));
    reference_call call = {desc, args};
    switch (desc->kind) {
    case MOCO_LAYER_CONV2D:
        moco_parallel_for(context, desc->n * desc->out_c, kernels->conv_forward, &call);
        break;
    case MOCO_LAYER_LINEAR:
        moco_parallel_for(context, desc->n, kernels->linear_forward, &call);
        break;
    case MOCO_LAYER_BATCH_NORM:
        moco_parallel_for(context, desc->c, args->mode == 2 ? kernels->batch_norm_evaluate : kernels->batch_norm_train,
                          &call);
        break;
    case MOCO_LAYER_RELU:
        moco_parallel_for(context, desc->n, kernels->relu_forward, &call);
        break;
    case MOCO_LAYER_MAX_POOL:
        moco_parallel_for(context, desc->n * desc->c, kernels->max_pool_forward, &call);
        break;
    case MOCO_LAYER_AVERAGE_POOL:
        moco_parallel_for(context, desc->n * desc->c, kernels->average_pool_forward, &call);
        break;
    default: /* L2_NORMALIZE; others are not created */
        moco_parallel_for(context, desc->n, kernels->l2_normalize_forward, &call);
        break;
    }
    return MOCO_OK;
}

static moco_status check_backward(const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    const layer_sizes sizes = sizes_of(desc);
    moco_layer_info info = {.struct_size = sizeof info};
    describe_plan(desc, &info);
    if (!desc->training) return moco_fail(MOCO_INTERNAL, "backward of a layer that was planned with training = 0");
    MOCO_TRY(moco_reference_check_tensor(&args->dy, "dy", desc->dtype, sizes.y));
    MOCO_TRY(check_optional(&args->d_inputs[MOCO_INPUT], "dx", desc->dtype, sizes.x));
    if (args->d_inputs[MOCO_INPUT].buffer != NULL && desc->skip_input_gradient) {
        return moco_fail(MOCO_INTERNAL, "dx is asked of a layer that was planned with skip_input_gradient = 1");
    }
    if (info.backward_needs_inputs)
        MOCO_TRY(moco_reference_check_tensor(&args->inputs[MOCO_INPUT], "x", desc->dtype, sizes.x));
    if (info.backward_needs_y) MOCO_TRY(moco_reference_check_tensor(&args->y, "y", desc->dtype, sizes.y));
    if (layer->saved_bytes > 0) MOCO_TRY(moco_reference_check_bytes(&args->saved, "saved", layer->saved_bytes));
    if (sizes.weight > 0) {
        MOCO_TRY(moco_reference_check_tensor(&args->parameters[MOCO_WEIGHT], "weight", desc->dtype, sizes.weight));
        MOCO_TRY(check_optional(&args->d_parameters[MOCO_WEIGHT], "dweight", desc->dtype, sizes.weight));
    }
    if (sizes.bias > 0) MOCO_TRY(check_optional(&args->d_parameters[MOCO_BIAS], "dbias", desc->dtype, sizes.bias));
    return desc->residual ? check_optional(&args->d_inputs[MOCO_RESIDUAL], "d_residual", desc->dtype, sizes.y)
                          : MOCO_OK;
}

moco_status moco_reference_layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    moco_context *context = ((moco_host_backend *) self)->context;
    const image_layer *desc = &layer->desc;
    const reference_kernels *kernels = layer->kernels;
    MOCO_TRY(check_backward(layer, args));
    const int32_t wants_dx = args->d_inputs[MOCO_INPUT].buffer != NULL;
    const int32_t wants_parameters =
        args->d_parameters[MOCO_WEIGHT].buffer != NULL || args->d_parameters[MOCO_BIAS].buffer != NULL;
    reference_call call = {desc, args};
    switch (desc->kind) {
    case MOCO_LAYER_CONV2D:
        if (wants_dx) moco_parallel_for(context, desc->n * desc->c, kernels->conv_backward_input, &call);
        if (args->d_parameters[MOCO_WEIGHT].buffer != NULL)
            moco_parallel_for(context, desc->out_c, kernels->conv_backward_weight, &call);
        break;
    case MOCO_LAYER_LINEAR:
        if (wants_dx) moco_parallel_for(context, desc->n, kernels->linear_backward_input, &call);
        if (wants_parameters) moco_parallel_for(context, desc->out_c, kernels->linear_backward_weight, &call);
        break;
    case MOCO_LAYER_BATCH_NORM:
        moco_parallel_for(context, desc->c, kernels->batch_norm_backward, &call);
        break;
    case MOCO_LAYER_RELU:
        if (wants_dx) moco_parallel_for(context, desc->n, kernels->relu_backward, &call);
        break;
    case MOCO_LAYER_MAX_POOL:
        if (wants_dx) moco_parallel_for(context, desc->n * desc->c, kernels->max_pool_backward, &call);
        break;
    case MOCO_LAYER_AVERAGE_POOL:
        if (wants_dx) moco_parallel_for(context, desc->n * desc->c, kernels->average_pool_backward, &call);
        break;
    default: /* L2_NORMALIZE; others are not created */
        if (wants_dx) moco_parallel_for(context, desc->n, kernels->l2_normalize_backward, &call);
        break;
    }
    return MOCO_OK;
}
