/* Runs one planned layer, forward and backward, on any context and dtype, with double arrays on the outside. Buffers go
 * through the chain's own upload and download; outputs and scratch start as NaN; backward gets only what the layer
 * said that it needs; a tensor in a layout of the backend's own is read and written through its REORDER layer.
 */
#ifndef MOCO_TEST_LAYER_HARNESS_H
#define MOCO_TEST_LAYER_HARNESS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/image_layer.h"
#include "backend/layer_kinds.h"
#include "backend/planned_layer.h"
#include "core/random.h"

#define assert_ok(expression)                                                                         \
    do {                                                                                              \
        const moco_status status_ = (expression);                                                     \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #expression, status_, moco_last_error()); \
    } while (0)

enum { X, RESIDUAL, WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR, DY, Y, DX, D_RESIDUAL, DWEIGHT, DBIAS, LAYER_TENSORS };

static const char *const layer_tensor_names[LAYER_TENSORS] = {
    "x", "residual", "weight", "bias", "running_mean", "running_var", "dy", "y", "dx", "d_residual", "dweight", "dbias",
};

/* All tensors of a layer; absent ones have 0 elements. Outputs are overwritten by run_layer. */
typedef struct layer_data {
    double *values[LAYER_TENSORS];
    int64_t elements[LAYER_TENSORS];
} layer_data;

typedef struct layer_run {
    int32_t mode;
    int32_t accumulate;
    int32_t accumulate_dx;
    int32_t in_place;         /* dx shares dy's memory */
    int32_t evaluate_between; /* an evaluating forward between forward and backward */
    int32_t stale_weights;    /* a forward with other weights before it */
} layer_run;

static inline moco_context *open_context(const char *backend, int32_t threads) {
    moco_context_config config;
    moco_context *context = NULL;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.backend = backend;
    config.threads = threads;
    assert_ok(moco_context_create(&context, &config));
    return context;
}

/* A desc of `kind` with x of n x c x h x w and everything else neutral. */
static inline image_layer layer_desc(int32_t kind, int64_t n, int64_t c, int64_t h, int64_t w) {
    const image_layer desc = {
        .kind = kind,
        .dtype = MOCO_DTYPE_F32,
        .training = 1,
        .n = n,
        .c = c,
        .h = h,
        .w = w,
        .out_c = c,
        .out_h = kind == MOCO_LAYER_AVERAGE_POOL ? 1 : h,
        .out_w = kind == MOCO_LAYER_AVERAGE_POOL ? 1 : w,
        .kernel = 1,
        .stride = 1,
        .groups = 1,
        .bn_groups = 1,
        .bn_eps = 1e-5,
        .bn_momentum = 0.1,
        .residual = moco_layer_kind_of(kind) != NULL && moco_layer_kind_of(kind)->least_inputs > 1,
    };
    return desc;
}

/* The same as a backend is told it. */
static inline moco_layer_desc describe_layer(const image_layer *image) {
    const moco_layer_kind *kind = moco_layer_kind_of(image->kind);
    const int32_t of_rows = kind != NULL && kind->of_rows;
    const moco_value_desc input = {.dtype = image->dtype,
                                   .rank = of_rows && image->h == 1 && image->w == 1 ? 2 : 4,
                                   .dims = {image->n, image->c, image->h, image->w},
                                   .layout = image->input_layout};
    moco_layer_desc desc = {
        .struct_size = sizeof desc,
        .kind = image->kind,
        .dtype = image->dtype,
        .compute_dtype = image->compute_dtype,
        .training = image->training,
        .constant_weights = image->constant_weights,
        .skip_input_gradient = image->skip_input_gradient,
        .epilogue = image->relu ? MOCO_EPILOGUE_RELU : MOCO_EPILOGUE_NONE,
        .input_count = image->residual ? 2 : 1,
        .parameter_count = kind == NULL ? 0 : kind->most_parameters,
        .inputs = {input, input},
    };
    desc.inputs[MOCO_RESIDUAL].layout = image->residual_layout;
    if (image->kind == MOCO_LAYER_CONV2D) {
        const moco_conv2d_desc conv = {.out_c = image->out_c,
                                       .kernel = image->kernel,
                                       .stride = image->stride,
                                       .padding = image->padding,
                                       .groups = image->groups,
                                       .direct = image->direct_convolution};
        desc.of.conv2d = conv;
    } else if (image->kind == MOCO_LAYER_LINEAR) {
        desc.of.linear.out_c = image->out_c;
    } else if (image->kind == MOCO_LAYER_BATCH_NORM) {
        const moco_norm_desc norm = {.eps = image->bn_eps,
                                     .momentum = image->bn_momentum,
                                     .groups = image->bn_groups,
                                     .strided = image->bn_strided};
        desc.of.norm = norm;
    } else if (image->kind == MOCO_LAYER_MAX_POOL) {
        const moco_pool_desc pool = {.kernel = image->kernel, .stride = image->stride, .padding = image->padding};
        desc.of.pool = pool;
    } else if (image->kind == MOCO_LAYER_LAYER_NORM) {
        desc.of.layer_norm.eps = image->bn_eps;
    }
    return desc;
}

static inline moco_status plan_image_layer(moco_context *context, const image_layer *image, moco_planned_layer *out) {
    const moco_layer_desc desc = describe_layer(image);
    return moco_layer_plan(context, &desc, out);
}

static inline void set_window(image_layer *desc, int32_t kernel, int32_t stride, int32_t padding) {
    desc->kernel = kernel;
    desc->stride = stride;
    desc->padding = padding;
    desc->out_h = (desc->h + 2 * padding - kernel) / stride + 1;
    desc->out_w = (desc->w + 2 * padding - kernel) / stride + 1;
}

static inline layer_data layer_data_create(const image_layer *desc) {
    layer_data data;
    memset(&data, 0, sizeof data);
    const int64_t x = desc->n * desc->c * desc->h * desc->w, y = desc->n * desc->out_c * desc->out_h * desc->out_w;
    data.elements[X] = x;
    data.elements[DX] = desc->skip_input_gradient ? 0 : x;
    data.elements[Y] = data.elements[DY] = y;
    const moco_layer_kind *kind = moco_layer_kind_of(desc->kind);
    moco_layer_desc described = describe_layer(desc);
    const int32_t makes_sense = kind != NULL && moco_layer_infer(&described) == MOCO_OK;
    for (int32_t i = 0; makes_sense && i < described.parameter_count; ++i) {
        data.elements[WEIGHT + i] = kind->elements(&described, i);
    }
    if (desc->residual) data.elements[RESIDUAL] = data.elements[D_RESIDUAL] = y;
    data.elements[DWEIGHT] = data.elements[WEIGHT];
    data.elements[DBIAS] = data.elements[BIAS];
    for (int t = 0; t < LAYER_TENSORS; ++t) {
        data.values[t] = (double *) calloc((size_t) data.elements[t] + 1, sizeof(double));
        assert_non_null(data.values[t]);
    }
    return data;
}

static inline void layer_data_free(layer_data *data) {
    for (int t = 0; t < LAYER_TENSORS; ++t) free(data->values[t]);
}

static inline layer_data layer_data_copy(const image_layer *desc, const layer_data *data) {
    layer_data copy = layer_data_create(desc);
    for (int t = 0; t < LAYER_TENSORS; ++t) {
        memcpy(copy.values[t], data->values[t], (size_t) data->elements[t] * sizeof(double));
    }
    return copy;
}

/* MOCO_DTYPE_BF16: layers are asked to compute in bfloat16. */
static int32_t offered_compute_dtype = MOCO_DTYPE_F32;

/* The nearest number that the offered dtype represents. */
static inline double round_to_offered(double value) {
    const float single = (float) value;
    if (offered_compute_dtype != MOCO_DTYPE_BF16) return single;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    bits = (bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u;
    float rounded;
    memcpy(&rounded, &bits, sizeof rounded);
    return rounded;
}

/* Normal numbers that are represented exactly, so that every dtype sees the same input. */
static inline void fill_normal(moco_random *random, double *values, int64_t count, double mean, double deviation) {
    for (int64_t i = 0; i < count; ++i) values[i] = round_to_offered(mean + deviation * moco_random_normal(random));
}

static inline void layer_data_fill(moco_random *random, layer_data *data, double x_mean, double x_deviation) {
    for (int t = 0; t < LAYER_TENSORS; ++t) {
        fill_normal(random, data->values[t], data->elements[t], t == X ? x_mean : 0.0, t == X ? x_deviation : 1.0);
    }
    for (int64_t i = 0; i < data->elements[RUNNING_VAR]; ++i) {
        data->values[RUNNING_VAR][i] = (float) moco_random_uniform(random, 0.1, 2.0);
    }
}

/* --- Buffers --- */

static inline void upload_values(moco_context *context, const moco_tensor *tensor, const double *values) {
    const int64_t count = moco_tensor_elements(tensor);
    if (tensor->dtype == MOCO_DTYPE_F64) {
        assert_ok(moco_tensor_upload(context, tensor, values));
        return;
    }
    float *rounded = (float *) malloc(((size_t) count + 1) * sizeof(float));
    for (int64_t i = 0; i < count; ++i) rounded[i] = (float) values[i];
    assert_ok(moco_tensor_upload(context, tensor, rounded));
    free(rounded);
}

static inline void download_values(moco_context *context, const moco_tensor *tensor, double *values) {
    const int64_t count = moco_tensor_elements(tensor);
    if (tensor->dtype == MOCO_DTYPE_F64) {
        assert_ok(moco_tensor_download(context, tensor, values));
        return;
    }
    float *single = (float *) malloc(((size_t) count + 1) * sizeof(float));
    assert_ok(moco_tensor_download(context, tensor, single));
    for (int64_t i = 0; i < count; ++i) values[i] = single[i];
    free(single);
}

static inline void add_values(moco_context *context, const moco_tensor *tensor, double *values) {
    const int64_t count = moco_tensor_elements(tensor);
    double *more = (double *) malloc(((size_t) count + 1) * sizeof(double));
    download_values(context, tensor, more);
    for (int64_t i = 0; i < count; ++i) values[i] += more[i];
    free(more);
}

/* A flat tensor of at least `bytes` bytes in a buffer of its own, all of it NaN. */
static inline moco_tensor nan_tensor(moco_context *context, int32_t dtype, int64_t elements, uint64_t bytes) {
    const uint64_t plain = (uint64_t) elements * moco_dtype_size(dtype);
    const uint64_t size = bytes > plain ? bytes : plain;
    void *buffer = NULL;
    assert_ok(moco_buffer_create(context, size, &buffer));
    const moco_tensor all = moco_tensor_1d(buffer, 0, MOCO_DTYPE_BF16, (int64_t) (size / 2));
    void *nan = malloc((size_t) size + 1);
    memset(nan, 0xFF, (size_t) size);
    assert_ok(moco_tensor_upload(context, &all, nan));
    free(nan);
    return moco_tensor_1d(buffer, 0, dtype, elements);
}

static inline moco_tensor value_tensor(moco_context *context, int32_t dtype, const double *values, int64_t elements) {
    const moco_tensor tensor = nan_tensor(context, dtype, elements, 0);
    upload_values(context, &tensor, values);
    return tensor;
}

/* --- A layer --- */

/* The layout that layers are offered x and residual in first; PLAIN where the backend declines it. */
static uint64_t offered_layout = MOCO_LAYOUT_PLAIN;

typedef struct live_layer {
    moco_context *context;
    moco_planned_layer layer;
    moco_planned_layer reorder;       /* of y, where its layout is not PLAIN */
    moco_planned_layer input_reorder; /* of x and dx, residual and d_residual, where theirs is not */
    moco_tensor tensors[LAYER_TENSORS];
    moco_tensor plain_y; /* the same as y where that is PLAIN */
    moco_tensor plain_dy;
    moco_tensor saved;
    int32_t in_place;
} live_layer;

static inline moco_layer_args forward_args(const live_layer *live, int32_t mode) {
    const moco_tensor *t = live->tensors;
    moco_layer_args args;
    memset(&args, 0, sizeof args);
    args.mode = mode;
    args.inputs[MOCO_INPUT] = t[X];
    args.inputs[MOCO_RESIDUAL] = t[RESIDUAL];
    args.parameters[MOCO_WEIGHT] = t[WEIGHT];
    args.parameters[MOCO_BIAS] = t[BIAS];
    args.parameters[MOCO_RUNNING_MEAN] = t[RUNNING_MEAN];
    args.parameters[MOCO_RUNNING_VAR] = t[RUNNING_VAR];
    args.y = t[Y];
    if (mode == 0) args.saved = live->saved;
    return args;
}

static inline void call_layer(const live_layer *live, const moco_planned_layer *layer, moco_layer_args *args,
                              moco_status (*pass)(const moco_planned_layer *, const moco_layer_args *)) {
    const uint64_t bytes = layer->info.scratch_bytes;
    args->scratch = moco_tensor_none();
    if (bytes > 0) args->scratch = nan_tensor(live->context, MOCO_DTYPE_BF16, (int64_t) ((bytes + 1) / 2), 0);
    assert_ok(pass(layer, args));
    moco_buffer_destroy(live->context, args->scratch.buffer);
}

static inline void shape_as_images(moco_tensor *tensor, const image_layer *desc, int32_t output) {
    const int64_t dims[4] = {desc->n, output ? desc->out_c : desc->c, output ? desc->out_h : desc->h,
                             output ? desc->out_w : desc->w};
    if (tensor->buffer == NULL) return;
    memcpy(tensor->dims, dims, sizeof dims);
    tensor->rank = 4;
}

static inline void plan_offered(live_layer *live, const image_layer *desc) {
    image_layer offered = *desc, plain = *desc;
    offered.compute_dtype = plain.compute_dtype = offered_compute_dtype;
    offered.input_layout = offered_layout;
    if (desc->residual) offered.residual_layout = offered_layout;
    if (offered_layout != MOCO_LAYOUT_PLAIN && desc->dtype == MOCO_DTYPE_F32 &&
        plan_image_layer(live->context, &offered, &live->layer) == MOCO_OK) {
        if (live->layer.info.wanted_input_layout == offered_layout) {
            image_layer reorder = layer_desc(MOCO_LAYER_REORDER, desc->n, desc->c, desc->h, desc->w);
            reorder.input_layout = offered_layout;
            assert_ok(plan_image_layer(live->context, &reorder, &live->input_reorder));
            return;
        }
        moco_layer_release(&live->layer);
    }
    assert_ok(plan_image_layer(live->context, &plain, &live->layer));
}

/* Converts a tensor of the shape of x between PLAIN and the offered layout, through a copy. */
static inline void convert_input(live_layer *live, int t, int32_t to_plain) {
    const moco_tensor *tensor = &live->tensors[t];
    if (live->input_reorder.layer == NULL || tensor->buffer == NULL) return;
    moco_tensor copy = nan_tensor(live->context, tensor->dtype, moco_tensor_elements(tensor), 0);
    memcpy(copy.dims, tensor->dims, sizeof copy.dims);
    copy.rank = tensor->rank;
    assert_ok(moco_tensor_copy(live->context, &copy, tensor));
    moco_tensor plain = to_plain ? *tensor : copy, opaque = to_plain ? copy : *tensor;
    plain.layout = MOCO_LAYOUT_PLAIN;
    opaque.layout = offered_layout;
    moco_layer_args args;
    memset(&args, 0, sizeof args);
    if (to_plain) {
        args.inputs[MOCO_INPUT] = opaque;
        args.y = plain;
    } else {
        args.dy = plain;
        args.d_inputs[MOCO_INPUT] = opaque;
    }
    call_layer(live, &live->input_reorder, &args, to_plain ? moco_layer_forward : moco_layer_backward);
    moco_buffer_destroy(live->context, copy.buffer);
}

static inline int32_t accumulates_dx(const live_layer *live, const layer_run *run) {
    return run->accumulate_dx && live->layer.info.accumulates_inputs;
}

static inline live_layer live_layer_open(moco_context *context, const image_layer *desc, const layer_data *data,
                                         const layer_run *run) {
    live_layer live;
    memset(&live, 0, sizeof live);
    live.context = context;
    plan_offered(&live, desc);
    const moco_layer_info *info = &live.layer.info;
    live.in_place =
        run->in_place && info->works_in_place && info->output_layout == live.layer.desc.inputs[MOCO_INPUT].layout;
    assert_true(info->wanted_input_layout == live.layer.desc.inputs[MOCO_INPUT].layout);
    for (int t = 0; t < LAYER_TENSORS; ++t) {
        if (data->elements[t] == 0) continue;
        const uint64_t bytes = t == Y || t == DY ? info->output_bytes : 0;
        if (t == DX && live.in_place) {
            live.tensors[t] = live.tensors[DY];
            continue;
        }
        live.tensors[t] = nan_tensor(context, desc->dtype, data->elements[t], bytes);
        const int32_t is_sum = (t == DWEIGHT || t == DBIAS) ? run->accumulate : t == DX && accumulates_dx(&live, run);
        if (t < DY || is_sum) upload_values(context, &live.tensors[t], data->values[t]);
    }
    for (int t = 0; t < LAYER_TENSORS; ++t) {
        if (t == X || t == DX) shape_as_images(&live.tensors[t], desc, 0);
        if (t == Y || t == DY || t == RESIDUAL || t == D_RESIDUAL) shape_as_images(&live.tensors[t], desc, 1);
    }
    live.tensors[X].layout = live.tensors[DX].layout = live.layer.desc.inputs[MOCO_INPUT].layout;
    live.tensors[RESIDUAL].layout = live.tensors[D_RESIDUAL].layout = live.layer.desc.inputs[MOCO_RESIDUAL].layout;
    convert_input(&live, X, 0);
    convert_input(&live, RESIDUAL, 0);
    if (accumulates_dx(&live, run)) convert_input(&live, DX, 0);
    if (info->saved_bytes > 0) {
        live.saved = nan_tensor(context, MOCO_DTYPE_BF16, (int64_t) ((info->saved_bytes + 1) / 2), 0);
    }
    live.plain_y = live.tensors[Y];
    live.plain_dy = live.tensors[DY];
    if (info->output_layout != MOCO_LAYOUT_PLAIN) {
        image_layer reorder = layer_desc(MOCO_LAYER_REORDER, desc->n, desc->out_c, desc->out_h, desc->out_w);
        reorder.dtype = desc->dtype;
        reorder.input_layout = info->output_layout;
        assert_ok(plan_image_layer(context, &reorder, &live.reorder));
        live.plain_y = nan_tensor(context, desc->dtype, data->elements[Y], 0);
        live.plain_dy = nan_tensor(context, desc->dtype, data->elements[Y], 0);
        shape_as_images(&live.plain_y, desc, 1);
        shape_as_images(&live.plain_dy, desc, 1);
        live.tensors[Y].layout = live.tensors[DY].layout = info->output_layout;
    }
    return live;
}

static inline void live_layer_close(live_layer *live) {
    if (live->plain_y.buffer != live->tensors[Y].buffer) moco_buffer_destroy(live->context, live->plain_y.buffer);
    if (live->plain_dy.buffer != live->tensors[DY].buffer) moco_buffer_destroy(live->context, live->plain_dy.buffer);
    for (int t = 0; t < LAYER_TENSORS; ++t) {
        if (t != DX || !live->in_place) moco_buffer_destroy(live->context, live->tensors[t].buffer);
    }
    moco_buffer_destroy(live->context, live->saved.buffer);
    moco_layer_release(&live->reorder);
    moco_layer_release(&live->input_reorder);
    moco_layer_release(&live->layer);
}

static inline void forward_once(live_layer *live, const layer_data *data, const layer_run *run) {
    if (run->stale_weights && live->tensors[WEIGHT].buffer != NULL) {
        moco_layer_args args = forward_args(live, 1);
        args.weight_version = 1;
        assert_ok(moco_tensor_fill_zero(live->context, &live->tensors[WEIGHT]));
        call_layer(live, &live->layer, &args, moco_layer_forward);
        upload_values(live->context, &live->tensors[WEIGHT], data->values[WEIGHT]);
        for (int t = RUNNING_MEAN; t <= RUNNING_VAR; ++t) {
            if (data->elements[t] > 0) upload_values(live->context, &live->tensors[t], data->values[t]);
        }
    }
    moco_layer_args args = forward_args(live, run->mode);
    args.weight_version = 2;
    call_layer(live, &live->layer, &args, moco_layer_forward);
}

/* What the backward pass says it needs of the forward's tensors, and the gradients. */
static inline moco_layer_args backward_args(const live_layer *live, const layer_run *run) {
    const moco_layer_info *info = &live->layer.info;
    const moco_tensor *t = live->tensors;
    moco_layer_args args;
    memset(&args, 0, sizeof args);
    args.mode = run->mode;
    args.accumulate = run->accumulate;
    args.accumulate_inputs = accumulates_dx(live, run);
    args.weight_version = 2;
    if (info->backward_needs_inputs) args.inputs[MOCO_INPUT] = t[X];
    if (info->backward_needs_y) args.y = t[Y];
    args.parameters[MOCO_WEIGHT] = t[WEIGHT];
    args.parameters[MOCO_BIAS] = t[BIAS];
    args.parameters[MOCO_RUNNING_MEAN] = t[RUNNING_MEAN];
    args.parameters[MOCO_RUNNING_VAR] = t[RUNNING_VAR];
    args.dy = t[DY];
    args.d_inputs[MOCO_INPUT] = t[DX];
    args.d_inputs[MOCO_RESIDUAL] = t[D_RESIDUAL];
    args.d_parameters[MOCO_WEIGHT] = t[DWEIGHT];
    args.d_parameters[MOCO_BIAS] = t[DBIAS];
    args.saved = live->saved;
    return args;
}

static inline void evaluate_elsewhere(live_layer *live) {
    const moco_tensor kept = live->tensors[Y];
    live->tensors[Y] =
        nan_tensor(live->context, kept.dtype, moco_tensor_elements(&kept), live->layer.info.output_bytes);
    live->tensors[Y].layout = kept.layout;
    moco_layer_args args = forward_args(live, 2);
    args.weight_version = 2;
    call_layer(live, &live->layer, &args, moco_layer_forward);
    moco_buffer_destroy(live->context, live->tensors[Y].buffer);
    live->tensors[Y] = kept;
}

static inline void reorder_pass(live_layer *live, int32_t backward) {
    if (live->reorder.layer == NULL) return;
    moco_layer_args args;
    memset(&args, 0, sizeof args);
    args.inputs[MOCO_INPUT] = live->tensors[Y];
    args.y = live->plain_y;
    args.dy = live->plain_dy;
    args.d_inputs[MOCO_INPUT] = live->tensors[DY];
    call_layer(live, &live->reorder, &args, backward ? moco_layer_backward : moco_layer_forward);
}

/* Runs `desc` on data's inputs and writes data's outputs; backward follows mode 0 of a training layer. Returns the name
 * of the backend that took the layer. */
static inline const char *run_layer(moco_context *context, const image_layer *desc, const layer_run *run,
                                    layer_data *data) {
    live_layer live = live_layer_open(context, desc, data, run);
    const char *name = live.layer.ops->name;
    forward_once(&live, data, run);
    reorder_pass(&live, 0);
    download_values(context, &live.plain_y, data->values[Y]);
    for (int t = RUNNING_MEAN; t <= RUNNING_VAR; ++t) {
        if (data->elements[t] > 0) download_values(context, &live.tensors[t], data->values[t]);
    }
    if (desc->training && run->mode == 0) {
        if (run->evaluate_between) evaluate_elsewhere(&live);
        upload_values(context, &live.plain_dy, data->values[DY]);
        reorder_pass(&live, 1);
        moco_layer_args args = backward_args(&live, run);
        call_layer(&live, &live.layer, &args, moco_layer_backward);
        convert_input(&live, DX, 1);
        convert_input(&live, D_RESIDUAL, 1);
        for (int t = DX; t <= DBIAS; ++t) {
            if (data->elements[t] == 0) continue;
            const int32_t add = t == DX && run->accumulate_dx && !args.accumulate_inputs;
            (add ? add_values : download_values)(context, &live.tensors[t], data->values[t]);
        }
    }
    live_layer_close(&live);
    return name;
}

#endif
