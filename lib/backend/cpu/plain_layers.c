/* The cblas backend's table: what it takes, and which file does it. A description that makes no sense is left to the
 * next backend too: the reference says what is wrong with it.
 */
#include "backend/cpu/plain_layers.h"

#include "backend/backend_chain.h"
#include "backend/cpu/info_nce/info_nce.h"

/* --- Planning --- */

static int32_t window_fits(const image_layer *desc) {
    const int64_t kernel = desc->kernel, stride = desc->stride, padding = desc->padding;
    if (kernel < 1 || stride < 1 || padding < 0 || desc->h > INT32_MAX || desc->w > INT32_MAX) return 0;
    if (desc->h + 2 * padding < kernel || desc->w + 2 * padding < kernel) return 0;
    return desc->out_h == (desc->h + 2 * padding - kernel) / stride + 1 &&
           desc->out_w == (desc->w + 2 * padding - kernel) / stride + 1;
}

static int32_t is_vectors(const image_layer *desc) {
    return desc->h == 1 && desc->w == 1 && desc->out_h == 1 && desc->out_w == 1 && desc->n <= INT32_MAX &&
           desc->c <= INT32_MAX && desc->out_c <= INT32_MAX;
}

static int32_t same_shape(const image_layer *desc) {
    return desc->out_c == desc->c && desc->out_h == desc->h && desc->out_w == desc->w;
}

/* The smallest group's values per channel; PyTorch too wants more than one in training. */
static int64_t smallest_group(const image_layer *desc) {
    return desc->n / desc->bn_groups * desc->h * desc->w;
}

static int32_t makes_sense(const image_layer *desc) {
    const int64_t input[5] = {desc->n, desc->c, desc->h, desc->w, 16};
    const int64_t output[5] = {desc->n, desc->out_c, desc->out_h, desc->out_w, 16};
    int64_t product;
    if (desc->n < 1 || desc->c < 1 || desc->h < 1 || desc->w < 1 || desc->out_c < 1) return 0;
    if (moco_checked_product(input, 5, "a layer's input", &product) != MOCO_OK ||
        moco_checked_product(output, 5, "a layer's output", &product) != MOCO_OK) {
        return 0;
    }
    switch (desc->kind) {
    case MOCO_LAYER_CONV2D: {
        if (desc->groups < 1 || desc->c % desc->groups != 0 || desc->out_c % desc->groups != 0) return 0;
        const int64_t weight[5] = {desc->out_c, desc->c / desc->groups, desc->kernel, desc->kernel, 16};
        return window_fits(desc) && moco_checked_product(weight, 5, "a convolution's weight", &product) == MOCO_OK;
    }
    case MOCO_LAYER_LINEAR:
        return is_vectors(desc) && moco_checked_multiply(desc->c * 16, desc->out_c, "weight", &product) == MOCO_OK;
    case MOCO_LAYER_L2_NORMALIZE:
        return is_vectors(desc) && same_shape(desc);
    case MOCO_LAYER_BATCH_NORM:
        return same_shape(desc) && desc->bn_groups >= 1 && desc->bn_groups <= desc->n && desc->bn_eps >= 0.0 &&
               moco_checked_multiply(desc->c * 16, desc->bn_groups, "statistics", &product) == MOCO_OK &&
               (!desc->training || smallest_group(desc) > 1) &&
               (!desc->residual || desc->residual_layout == MOCO_LAYOUT_PLAIN);
    case MOCO_LAYER_RELU:
        return same_shape(desc);
    case MOCO_LAYER_MAX_POOL:
        return window_fits(desc) && desc->out_c == desc->c && desc->padding <= desc->kernel / 2 &&
               desc->h * desc->w <= INT32_MAX;
    case MOCO_LAYER_AVERAGE_POOL:
        return desc->out_c == desc->c && desc->out_h == 1 && desc->out_w == 1;
    default:
        return 0;
    }
}

static void describe(const image_layer *desc, moco_layer_info *info) {
    info->wanted_input_layout = MOCO_LAYOUT_PLAIN;
    info->output_layout = MOCO_LAYOUT_PLAIN;
    info->works_in_place = desc->kind == MOCO_LAYER_BATCH_NORM || desc->kind == MOCO_LAYER_RELU;
    info->output_bytes = (uint64_t) (desc->n * desc->out_c * desc->out_h * desc->out_w) * sizeof(float);
    if (!desc->training) return;
    switch (desc->kind) {
    case MOCO_LAYER_BATCH_NORM:
        info->saved_bytes = (uint64_t) (2 * desc->c * desc->bn_groups) * sizeof(float);
        info->backward_needs_inputs = 1;
        info->backward_needs_y = desc->relu != 0;
        break;
    case MOCO_LAYER_LINEAR:
        info->scratch_bytes = desc->relu ? (uint64_t) (desc->n * desc->out_c) * sizeof(float) : 0;
        info->backward_needs_inputs = 1;
        info->backward_needs_y = desc->relu != 0;
        break;
    case MOCO_LAYER_RELU:
        info->backward_needs_y = 1;
        break;
    case MOCO_LAYER_MAX_POOL:
        info->saved_bytes = (uint64_t) (desc->n * desc->c * desc->out_h * desc->out_w) * sizeof(int32_t);
        break;
    case MOCO_LAYER_L2_NORMALIZE:
        info->backward_needs_inputs = 1;
        break;
    default:
        break;
    }
}

static moco_status layer_create(void *self, const moco_layer_desc *layer_desc, moco_layer **out,
                                moco_layer_info *info) {
    image_layer image;
    MOCO_TRY(moco_image_layer_of(&image, layer_desc));
    const image_layer *desc = &image;
    plain_backend *backend = (plain_backend *) self;
    moco_context *context = backend->host.context;
    if (desc->dtype != MOCO_DTYPE_F32 || !makes_sense(desc)) {
        return moco_fail(MOCO_UNSUPPORTED, "the cblas backend doesn't take this layer of kind %d", desc->kind);
    }
    moco_layer *layer = (moco_layer *) moco_allocate_zeroed(context, 1, sizeof *layer);
    if (layer == NULL) return MOCO_OUT_OF_MEMORY;
    layer->desc = *desc;
    describe(desc, &layer->info);
    if (desc->kind == MOCO_LAYER_CONV2D) {
        const moco_status status = moco_tiled_convolution_create(&layer->convolution, backend, desc, &layer->info);
        if (status != MOCO_OK) {
            moco_deallocate(context, layer);
            return status;
        }
    }
    *info = layer->info;
    *out = layer;
    return MOCO_OK;
}

static void layer_destroy(void *self, moco_layer *layer) {
    plain_backend *backend = (plain_backend *) self;
    moco_tiled_convolution_destroy(backend, layer->convolution);
    moco_deallocate(backend->host.context, layer);
}

/* --- Running --- */

static moco_status check_bytes(const moco_tensor *tensor, const char *name, uint64_t bytes) {
    const moco_host_buffer *buffer = (const moco_host_buffer *) tensor->buffer;
    if (bytes == 0) return MOCO_OK;
    if (buffer == NULL) return moco_fail(MOCO_INTERNAL, "tensor %s is absent", name);
    if (tensor->offset > buffer->bytes || bytes > buffer->bytes - tensor->offset) {
        return moco_fail(MOCO_INTERNAL, "tensor %s, bytes %llu + %llu, leaves its buffer of %llu", name,
                         (unsigned long long) tensor->offset, (unsigned long long) bytes,
                         (unsigned long long) buffer->bytes);
    }
    return MOCO_OK;
}

moco_status moco_cpu_check_tensor(const moco_tensor *tensor, const char *name, int64_t elements) {
    if (tensor->buffer != NULL && (tensor->dtype != MOCO_DTYPE_F32 || tensor->layout != MOCO_LAYOUT_PLAIN ||
                                   moco_tensor_elements(tensor) != elements)) {
        return moco_fail(MOCO_INTERNAL,
                         "tensor %s has %lld elements of dtype %d; it must have %lld of float32 in order", name,
                         (long long) moco_tensor_elements(tensor), tensor->dtype, (long long) elements);
    }
    return check_bytes(tensor, name, (uint64_t) elements * sizeof(float));
}

static moco_status check_optional(const moco_tensor *tensor, const char *name, int64_t elements) {
    return tensor->buffer == NULL ? MOCO_OK : moco_cpu_check_tensor(tensor, name, elements);
}

static int64_t input_elements(const image_layer *desc) {
    return desc->n * desc->c * desc->h * desc->w;
}

static int64_t output_elements(const image_layer *desc) {
    return desc->n * desc->out_c * desc->out_h * desc->out_w;
}

static int64_t weight_elements(const image_layer *desc) {
    switch (desc->kind) {
    case MOCO_LAYER_CONV2D:
        return desc->out_c * (desc->c / desc->groups) * desc->kernel * desc->kernel;
    case MOCO_LAYER_LINEAR:
        return desc->out_c * desc->c;
    case MOCO_LAYER_BATCH_NORM:
        return desc->c;
    default:
        return 0;
    }
}

static moco_status check_forward(const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    MOCO_REQUIRE(args->mode >= 0 && args->mode <= 2, "mode is %d; it must be a MOCO_MODE_*, 0 to 2", args->mode);
    MOCO_TRY(moco_cpu_check_tensor(&args->inputs[MOCO_INPUT], "x", input_elements(desc)));
    MOCO_TRY(moco_cpu_check_tensor(&args->y, "y", output_elements(desc)));
    MOCO_TRY(check_bytes(&args->scratch, "scratch", layer->info.scratch_bytes));
    if (args->mode == 0) MOCO_TRY(check_bytes(&args->saved, "saved", layer->info.saved_bytes));
    if (weight_elements(desc) > 0)
        MOCO_TRY(moco_cpu_check_tensor(&args->parameters[MOCO_WEIGHT], "weight", weight_elements(desc)));
    if (desc->kind == MOCO_LAYER_LINEAR) return check_optional(&args->parameters[MOCO_BIAS], "bias", desc->out_c);
    if (desc->kind != MOCO_LAYER_BATCH_NORM) return MOCO_OK;
    MOCO_TRY(moco_cpu_check_tensor(&args->parameters[MOCO_BIAS], "bias", desc->c));
    if (desc->residual)
        MOCO_TRY(moco_cpu_check_tensor(&args->inputs[MOCO_RESIDUAL], "residual", output_elements(desc)));
    if (args->mode != 2) {
        MOCO_REQUIRE(smallest_group(desc) > 1,
                     "a BatchNorm group has %lld value(s) per channel (n = %lld in %d groups, h x w = %lld x %lld); in "
                     "training it must have more than 1",
                     (long long) smallest_group(desc), (long long) desc->n, desc->bn_groups, (long long) desc->h,
                     (long long) desc->w);
        if (args->parameters[MOCO_RUNNING_MEAN].buffer == NULL && args->parameters[MOCO_RUNNING_VAR].buffer == NULL)
            return MOCO_OK;
    }
    MOCO_TRY(moco_cpu_check_tensor(&args->parameters[MOCO_RUNNING_MEAN], "running_mean", desc->c));
    return moco_cpu_check_tensor(&args->parameters[MOCO_RUNNING_VAR], "running_var", desc->c);
}

static moco_status layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    plain_backend *backend = (plain_backend *) self;
    MOCO_TRY(check_forward(layer, args));
    switch (layer->desc.kind) {
    case MOCO_LAYER_CONV2D:
        moco_tiled_convolution_forward(backend, layer->convolution, args);
        break;
    case MOCO_LAYER_LINEAR:
        moco_linear_forward(backend, &layer->desc, args);
        break;
    case MOCO_LAYER_BATCH_NORM:
        moco_plain_norm_forward(backend, &layer->desc, args);
        break;
    case MOCO_LAYER_MAX_POOL:
        moco_plain_max_pool_forward(backend, &layer->desc, args);
        break;
    default:
        moco_row_layer_forward(backend, &layer->desc, args);
        break;
    }
    return MOCO_OK;
}

static moco_status check_backward(const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    const moco_layer_info *info = &layer->info;
    if (!desc->training) return moco_fail(MOCO_INTERNAL, "backward of a layer that was planned with training = 0");
    if (args->d_inputs[MOCO_INPUT].buffer != NULL && desc->skip_input_gradient) {
        return moco_fail(MOCO_INTERNAL, "dx is asked of a layer that was planned with skip_input_gradient = 1");
    }
    MOCO_TRY(moco_cpu_check_tensor(&args->dy, "dy", output_elements(desc)));
    MOCO_TRY(check_optional(&args->d_inputs[MOCO_INPUT], "dx", input_elements(desc)));
    if (info->backward_needs_inputs)
        MOCO_TRY(moco_cpu_check_tensor(&args->inputs[MOCO_INPUT], "x", input_elements(desc)));
    if (info->backward_needs_y) MOCO_TRY(moco_cpu_check_tensor(&args->y, "y", output_elements(desc)));
    MOCO_TRY(check_bytes(&args->saved, "saved", info->saved_bytes));
    MOCO_TRY(check_bytes(&args->scratch, "scratch", info->scratch_bytes));
    const int64_t weights = weight_elements(desc);
    if (weights > 0) {
        MOCO_TRY(moco_cpu_check_tensor(&args->parameters[MOCO_WEIGHT], "weight", weights));
        MOCO_TRY(check_optional(&args->d_parameters[MOCO_WEIGHT], "dweight", weights));
    }
    if (desc->kind == MOCO_LAYER_LINEAR || desc->kind == MOCO_LAYER_BATCH_NORM) {
        MOCO_TRY(check_optional(&args->d_parameters[MOCO_BIAS], "dbias", desc->out_c));
    }
    return desc->residual ? check_optional(&args->d_inputs[MOCO_RESIDUAL], "d_residual", output_elements(desc))
                          : MOCO_OK;
}

static moco_status layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    plain_backend *backend = (plain_backend *) self;
    MOCO_TRY(check_backward(layer, args));
    switch (layer->desc.kind) {
    case MOCO_LAYER_CONV2D:
        moco_tiled_convolution_backward(backend, layer->convolution, args);
        break;
    case MOCO_LAYER_LINEAR:
        moco_linear_backward(backend, &layer->desc, args);
        break;
    case MOCO_LAYER_BATCH_NORM:
        moco_plain_norm_backward(backend, &layer->desc, args);
        break;
    case MOCO_LAYER_MAX_POOL:
        moco_plain_max_pool_backward(backend, &layer->desc, args);
        break;
    default:
        moco_row_layer_backward(backend, &layer->desc, args);
        break;
    }
    return MOCO_OK;
}

/* --- The table --- */

static moco_status create(void **self, moco_context *context) {
    plain_backend *backend = (plain_backend *) moco_allocate_zeroed(context, 1, sizeof *backend);
    if (backend == NULL) return MOCO_OUT_OF_MEMORY;
    backend->host.context = context;
    backend->vector = moco_cpu_vector_kernels()[0];
    backend->conv = moco_cpu_conv_kernels()[0];
    backend->conv_by_gemm = moco_cpu_conv_kernels()[1] == NULL; /* the baseline's tiles are slower than a BLAS */
    *self = backend;
    return MOCO_OK;
}

static void destroy(void *self) {
    moco_deallocate(((plain_backend *) self)->host.context, self);
}

extern const moco_backend_ops moco_backend_cblas;
const moco_backend_ops moco_backend_cblas = {
    .struct_size = sizeof(moco_backend_ops),
    .abi_version = MOCO_BACKEND_VERSION,
    .name = "cblas",
    .memory = MOCO_MEMORY_HOST,
    .create = create,
    .destroy = destroy,
    .buffer_create = moco_host_buffer_create,
    .buffer_wrap = moco_host_buffer_wrap,
    .buffer_destroy = moco_host_buffer_destroy,
    .upload = moco_host_upload,
    .download = moco_host_download,
    .copy = moco_host_copy,
    .fill_zero = moco_host_fill_zero,
    .gather_rows = moco_host_gather_rows,
    .all_finite = moco_host_all_finite,
    .add = moco_cpu_add,
    .convert = moco_host_convert,
    .layer_create = layer_create,
    .layer_destroy = layer_destroy,
    .layer_forward = layer_forward,
    .layer_backward = layer_backward,
    .momentum_update = moco_cpu_momentum_update,
    .sgd_update = moco_cpu_sgd_update,
    .sgd_momentum_update = moco_cpu_sgd_momentum_update,
    .info_nce = moco_cpu_info_nce,
};
