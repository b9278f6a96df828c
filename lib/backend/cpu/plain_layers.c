/* The cblas backend's table: what it takes, and which file does it. */
#include "backend/cpu/plain_layers.h"

#include "backend/backend_chain.h"
#include "backend/cpu/info_nce/info_nce.h"

/* --- Planning --- */

/* What a BLAS can count, and no layout of another backend's. */
static int32_t supports(const image_layer *desc) {
    const int32_t of_blas = desc->n <= INT32_MAX && desc->c <= INT32_MAX && desc->out_c <= INT32_MAX;
    if (desc->dtype != MOCO_DTYPE_F32 || desc->residual_layout != MOCO_LAYOUT_PLAIN) return 0;
    return desc->kind <= MOCO_LAYER_L2_NORMALIZE && (desc->kind != MOCO_LAYER_LINEAR || of_blas);
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
    moco_image_layer_of(&image, layer_desc);
    const image_layer *desc = &image;
    plain_backend *backend = (plain_backend *) self;
    moco_context *context = backend->host.context;
    if (!supports(desc)) {
        return moco_fail(MOCO_UNSUPPORTED, "the cblas backend doesn't take this layer of kind %d", desc->kind);
    }
    moco_layer *layer = (moco_layer *) moco_allocate_zeroed(context, 1, sizeof *layer);
    if (layer == NULL) return MOCO_OUT_OF_MEMORY;
    layer->desc = *desc;
    describe(desc, info);
    if (desc->kind == MOCO_LAYER_CONV2D) {
        const moco_status status = moco_tiled_convolution_create(&layer->convolution, backend, desc, info);
        if (status != MOCO_OK) {
            moco_deallocate(context, layer);
            return status;
        }
    }
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

static moco_status layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    plain_backend *backend = (plain_backend *) self;
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

static moco_status layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    plain_backend *backend = (plain_backend *) self;
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
    .map = moco_host_map,
    .layer_create = layer_create,
    .layer_destroy = layer_destroy,
    .layer_forward = layer_forward,
    .layer_backward = layer_backward,
    .momentum_update = moco_cpu_momentum_update,
    .sgd_update = moco_cpu_sgd_update,
    .sgd_momentum_update = moco_cpu_sgd_momentum_update,
    .info_nce = moco_cpu_info_nce,
};
