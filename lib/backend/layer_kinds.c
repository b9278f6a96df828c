#include "backend/layer_kinds.h"

#include <string.h>

#include "core/checked.h"

typedef long long ll;

int64_t moco_value_elements(const moco_value_desc *value) {
    return value->dims[0] * value->dims[1] * value->dims[2] * value->dims[3];
}

static void set_output(moco_layer_desc *desc, int32_t rank, int64_t d0, int64_t d1, int64_t d2, int64_t d3) {
    const moco_value_desc output = {.dtype = desc->dtype, .rank = rank, .dims = {d0, d1, d2, d3}};
    desc->output = output;
}

/* --- What several kinds demand --- */

static moco_status same_as_input(moco_layer_desc *desc) {
    const int64_t *dims = desc->inputs[MOCO_INPUT].dims;
    set_output(desc, desc->inputs[MOCO_INPUT].rank, dims[0], dims[1], dims[2], dims[3]);
    return MOCO_OK;
}

static moco_status check_images(const moco_layer_desc *desc) {
    MOCO_REQUIRE(desc->inputs[MOCO_INPUT].rank == 4, "the input of %s has rank %d; it must be images, n x c x h x w",
                 moco_layer_kind_of(desc->kind)->name, desc->inputs[MOCO_INPUT].rank);
    return MOCO_OK;
}

/* Fills the output of a window that moves over images. */
static moco_status infer_window(moco_layer_desc *desc, int64_t out_c, int32_t kernel, int32_t stride, int32_t padding) {
    MOCO_TRY(check_images(desc));
    const int64_t *dims = desc->inputs[MOCO_INPUT].dims, h = dims[2], w = dims[3];
    MOCO_REQUIRE(kernel >= 1 && stride >= 1 && padding >= 0,
                 "kernel is %d, stride %d, padding %d; they must be at least 1, 1 and 0", kernel, stride, padding);
    MOCO_REQUIRE(h < INT32_MAX && w < INT32_MAX, "an image of %lld x %lld is too large", (ll) h, (ll) w);
    const int64_t padded_h = h + 2 * (int64_t) padding, padded_w = w + 2 * (int64_t) padding;
    MOCO_REQUIRE(padded_h >= kernel && padded_w >= kernel,
                 "a %d x %d window meets an image of %lld x %lld with padding %d; it must fit in", kernel, kernel,
                 (ll) h, (ll) w, padding);
    set_output(desc, 4, dims[0], out_c, (padded_h - kernel) / stride + 1, (padded_w - kernel) / stride + 1);
    return MOCO_OK;
}

/* --- CONV2D --- */

static moco_status infer_conv2d(moco_layer_desc *desc) {
    const moco_conv2d_desc *conv = &desc->of.conv2d;
    MOCO_TRY(check_images(desc));
    const int64_t c = desc->inputs[MOCO_INPUT].dims[1];
    int64_t bytes;
    MOCO_REQUIRE(conv->out_c >= 1, "out_c is %lld; it must be at least 1", (ll) conv->out_c);
    MOCO_REQUIRE(conv->groups >= 1 && c % conv->groups == 0 && conv->out_c % conv->groups == 0,
                 "groups is %d for %lld input and %lld output channels; it must divide both", conv->groups, (ll) c,
                 (ll) conv->out_c);
    MOCO_TRY(infer_window(desc, conv->out_c, conv->kernel, conv->stride, conv->padding));
    const int64_t weight[5] = {conv->out_c, c / conv->groups, conv->kernel, conv->kernel, 16};
    return moco_checked_product(weight, 5, "the size of a convolution's weight", &bytes);
}

static int64_t conv2d_elements(const moco_layer_desc *desc, int32_t parameter) {
    const moco_conv2d_desc *conv = &desc->of.conv2d;
    (void) parameter;
    return conv->out_c * (desc->inputs[MOCO_INPUT].dims[1] / conv->groups) * conv->kernel * conv->kernel;
}

/* --- LINEAR --- */

static int64_t row_size(const moco_layer_desc *desc) {
    return desc->inputs[MOCO_INPUT].dims[desc->inputs[MOCO_INPUT].rank - 1];
}

static moco_status infer_linear(moco_layer_desc *desc) {
    const int64_t out_c = desc->of.linear.out_c;
    MOCO_REQUIRE(out_c >= 1, "out_c is %lld; it must be at least 1", (ll) out_c);
    const int64_t weight[3] = {out_c, row_size(desc), 16};
    int64_t bytes;
    MOCO_TRY(moco_checked_product(weight, 3, "the size of a linear layer's weight", &bytes));
    MOCO_TRY(same_as_input(desc));
    desc->output.dims[desc->output.rank - 1] = out_c;
    return MOCO_OK;
}

static int64_t linear_elements(const moco_layer_desc *desc, int32_t parameter) {
    return parameter == MOCO_WEIGHT ? desc->of.linear.out_c * row_size(desc) : desc->of.linear.out_c;
}

/* --- BATCH_NORM --- */

/* As PyTorch: a variance over one value is no statistic. */
static moco_status check_group_sizes(const moco_layer_desc *desc) {
    const int64_t *dims = desc->inputs[MOCO_INPUT].dims;
    const int64_t groups = desc->of.norm.groups, area = dims[2] * dims[3];
    MOCO_REQUIRE(dims[0] / groups * area > 1,
                 "n is %lld in %lld BatchNorm group(s) of h x w = %lld x %lld, which leaves the smallest group %lld "
                 "value(s) per channel; training needs more than 1: use a larger batch, larger images or fewer groups",
                 (ll) dims[0], (ll) groups, (ll) dims[2], (ll) dims[3], (ll) (dims[0] / groups * area));
    return MOCO_OK;
}

static moco_status infer_batch_norm(moco_layer_desc *desc) {
    const moco_norm_desc *norm = &desc->of.norm;
    const moco_value_desc *input = &desc->inputs[MOCO_INPUT];
    int64_t product;
    MOCO_REQUIRE(input->rank == 2 || input->rank == 4,
                 "the input of a BatchNorm has rank %d; it must be n x c or n x c x h x w", input->rank);
    MOCO_REQUIRE(norm->groups >= 1, "groups is %d; it must be at least 1", norm->groups);
    MOCO_REQUIRE(norm->eps >= 0.0, "eps is %g; it must be at least 0", norm->eps);
    MOCO_TRY(moco_checked_multiply(input->dims[0], (int64_t) norm->groups + 1, "n * groups", &product));
    MOCO_TRY(moco_checked_multiply(input->dims[1] * 16, norm->groups, "the size of the statistics", &product));
    if (desc->training) MOCO_TRY(check_group_sizes(desc));
    return same_as_input(desc);
}

static moco_status check_batch_norm_mode(const moco_layer_desc *desc, int32_t mode) {
    return mode == MOCO_MODE_EVALUATE ? MOCO_OK : check_group_sizes(desc);
}

static int64_t batch_norm_elements(const moco_layer_desc *desc, int32_t parameter) {
    (void) parameter;
    return desc->inputs[MOCO_INPUT].dims[1];
}

/* --- Pooling, rows --- */

static moco_status infer_max_pool(moco_layer_desc *desc) {
    const moco_pool_desc *pool = &desc->of.pool;
    MOCO_TRY(check_images(desc));
    const int64_t *dims = desc->inputs[MOCO_INPUT].dims;
    MOCO_TRY(infer_window(desc, dims[1], pool->kernel, pool->stride, pool->padding));
    MOCO_REQUIRE(pool->padding <= pool->kernel / 2, "padding is %d for a %d x %d max pool; it must be at most %d",
                 pool->padding, pool->kernel, pool->kernel, pool->kernel / 2);
    MOCO_REQUIRE(dims[2] * dims[3] <= INT32_MAX, "a plane of %lld values is too large for a max pool",
                 (ll) (dims[2] * dims[3]));
    return MOCO_OK;
}

static moco_status infer_average_pool(moco_layer_desc *desc) {
    MOCO_TRY(check_images(desc));
    set_output(desc, 2, desc->inputs[MOCO_INPUT].dims[0], desc->inputs[MOCO_INPUT].dims[1], 1, 1);
    return MOCO_OK;
}

/* --- LAYER_NORM --- */

static moco_status infer_layer_norm(moco_layer_desc *desc) {
    MOCO_REQUIRE(desc->of.layer_norm.eps >= 0.0, "eps is %g; it must be at least 0", desc->of.layer_norm.eps);
    return same_as_input(desc);
}

static int64_t layer_norm_elements(const moco_layer_desc *desc, int32_t parameter) {
    (void) parameter;
    return row_size(desc);
}

/* --- The table --- */

static const moco_layer_kind kinds[] = {
    [MOCO_LAYER_CONV2D] =
        {
            .name = "a convolution",
            .least_inputs = 1,
            .most_inputs = 1,
            .least_parameters = 1,
            .most_parameters = 1,
            .infer = infer_conv2d,
            .elements = conv2d_elements,
        },
    [MOCO_LAYER_LINEAR] =
        {
            .name = "a linear layer",
            .least_inputs = 1,
            .most_inputs = 1,
            .least_parameters = 1,
            .most_parameters = 2,
            .epilogues = 1,
            .of_rows = 1,
            .infer = infer_linear,
            .elements = linear_elements,
        },
    [MOCO_LAYER_BATCH_NORM] =
        {
            .name = "a BatchNorm",
            .least_inputs = 1,
            .most_inputs = 2,
            .least_parameters = 4,
            .most_parameters = 4,
            .buffers = 1 << MOCO_RUNNING_MEAN | 1 << MOCO_RUNNING_VAR,
            .epilogues = 1,
            .same_shape = 1,
            .infer = infer_batch_norm,
            .elements = batch_norm_elements,
            .check_mode = check_batch_norm_mode,
        },
    [MOCO_LAYER_RELU] =
        {
            .name = "a ReLU",
            .least_inputs = 1,
            .most_inputs = 1,
            .infer = same_as_input,
        },
    [MOCO_LAYER_MAX_POOL] =
        {
            .name = "a max pool",
            .least_inputs = 1,
            .most_inputs = 1,
            .infer = infer_max_pool,
        },
    [MOCO_LAYER_AVERAGE_POOL] =
        {
            .name = "an average pool",
            .least_inputs = 1,
            .most_inputs = 1,
            .infer = infer_average_pool,
        },
    [MOCO_LAYER_L2_NORMALIZE] =
        {
            .name = "an L2 normalization",
            .least_inputs = 1,
            .most_inputs = 1,
            .of_rows = 1,
            .infer = same_as_input,
        },
    [MOCO_LAYER_REORDER] =
        {
            .name = "a reorder",
            .least_inputs = 1,
            .most_inputs = 1,
            .infer = same_as_input,
        },
    [MOCO_LAYER_LAYER_NORM] =
        {
            .name = "a LayerNorm",
            .least_inputs = 1,
            .most_inputs = 1,
            .least_parameters = 2,
            .most_parameters = 2,
            .of_rows = 1,
            .infer = infer_layer_norm,
            .elements = layer_norm_elements,
        },
    [MOCO_LAYER_GELU] =
        {
            .name = "a GELU",
            .least_inputs = 1,
            .most_inputs = 1,
            .infer = same_as_input,
        },
    [MOCO_LAYER_ADD] =
        {
            .name = "an addition",
            .least_inputs = 2,
            .most_inputs = 2,
            .same_shape = 1,
            .infer = same_as_input,
        },
};

const moco_layer_kind *moco_layer_kind_of(int32_t kind) {
    return kind >= 0 && kind < moco_layer_kind_count() ? &kinds[kind] : NULL;
}

int32_t moco_layer_kind_count(void) {
    return (int32_t) (sizeof kinds / sizeof *kinds);
}

static moco_status check_input(const moco_layer_kind *kind, const moco_layer_desc *desc, int32_t index) {
    const moco_value_desc *input = &desc->inputs[index];
    const int64_t *dims = input->dims, bytes[5] = {dims[0], dims[1], dims[2], dims[3], 16};
    int64_t product;
    MOCO_REQUIRE(input->rank >= 1 && input->rank <= 4, "input %d of %s has rank %d; it must be 1 to 4", index,
                 kind->name, input->rank);
    MOCO_REQUIRE(dims[0] >= 1 && dims[1] >= 1 && dims[2] >= 1 && dims[3] >= 1,
                 "input %d of %s is %lld x %lld x %lld x %lld; each must be at least 1", index, kind->name,
                 (ll) dims[0], (ll) dims[1], (ll) dims[2], (ll) dims[3]);
    for (int32_t i = input->rank; i < 4; ++i) {
        MOCO_REQUIRE(dims[i] == 1, "input %d of %s has rank %d and dims[%d] = %lld; it must be 1 there", index,
                     kind->name, input->rank, i, (ll) dims[i]);
    }
    MOCO_REQUIRE(input->layout != MOCO_LAYOUT_PLAIN || input->dtype == desc->dtype,
                 "input %d of %s is PLAIN and of dtype %d; it must be the layer's, %d", index, kind->name, input->dtype,
                 desc->dtype);
    MOCO_REQUIRE(!kind->of_rows || input->rank == 2 || input->rank == 3,
                 "input %d of %s has rank %d; it must be rows, n x c or n x t x c", index, kind->name, input->rank);
    return moco_checked_product(bytes, 5, "the size of a layer's input", &product);
}

moco_status moco_layer_infer(moco_layer_desc *desc) {
    const moco_layer_kind *kind = moco_layer_kind_of(desc->kind);
    if (kind == NULL) {
        return moco_fail(MOCO_UNSUPPORTED, "layer kind is %d; this library has kinds 0 to %d", desc->kind,
                         moco_layer_kind_count() - 1);
    }
    MOCO_REQUIRE(desc->input_count >= kind->least_inputs && desc->input_count <= kind->most_inputs,
                 "input_count of %s is %d; it must be %d to %d", kind->name, desc->input_count, kind->least_inputs,
                 kind->most_inputs);
    MOCO_REQUIRE(desc->parameter_count >= kind->least_parameters && desc->parameter_count <= kind->most_parameters,
                 "parameter_count of %s is %d; it must be %d to %d", kind->name, desc->parameter_count,
                 kind->least_parameters, kind->most_parameters);
    MOCO_REQUIRE(
        desc->epilogue == MOCO_EPILOGUE_NONE || (kind->epilogues && desc->epilogue == MOCO_EPILOGUE_RELU),
        "epilogue of %s is %d; it must be MOCO_EPILOGUE_NONE (0), or RELU (1) of a BatchNorm or a linear layer",
        kind->name, desc->epilogue);
    for (int32_t i = 0; i < desc->input_count; ++i) MOCO_TRY(check_input(kind, desc, i));
    MOCO_TRY(kind->infer(desc));
    for (int32_t i = 0; kind->same_shape && i < desc->input_count; ++i) {
        const int64_t *dims = desc->inputs[i].dims, *out = desc->output.dims;
        MOCO_REQUIRE(memcmp(dims, out, sizeof desc->output.dims) == 0,
                     "input %d of %s is %lld x %lld x %lld x %lld; it must have the shape of the output, %lld x %lld x "
                     "%lld x %lld",
                     i, kind->name, (ll) dims[0], (ll) dims[1], (ll) dims[2], (ll) dims[3], (ll) out[0], (ll) out[1],
                     (ll) out[2], (ll) out[3]);
    }
    const int64_t *out = desc->output.dims, bytes[5] = {out[0], out[1], out[2], out[3], 16};
    int64_t product;
    return moco_checked_product(bytes, 5, "the size of a layer's output", &product);
}
