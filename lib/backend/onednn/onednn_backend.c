/* The oneDNN backend's table: convolution, BatchNorm and pooling on a channel-blocked layout that no two layers need to
 * convert between. Everything else falls to the next backend of the chain.
 */
#include "backend/onednn/onednn_backend.h"

#include <string.h>

#include "core/checked.h"

struct moco_layer {
    moco_layer_desc desc;
    onednn_convolution *convolution; /* CONV2D only */
};

moco_status onednn_bytes(int64_t n, int64_t c, int64_t h, int64_t w, uint64_t *bytes) {
    const int64_t dims[5] = {n, c, h, w, (int64_t) sizeof(float)};
    int64_t product;
    MOCO_TRY(moco_checked_product(dims, 5, "a layer's output", &product));
    *bytes = (uint64_t) product;
    return MOCO_OK;
}

int64_t onednn_grain(int64_t elements_each) {
    return moco_max_i64(1, 16384 / moco_max_i64(1, elements_each));
}

static void destroy(void *self) {
    onednn_backend *backend = (onednn_backend *) self;
    if (backend->stream != NULL) dnnl_stream_destroy(backend->stream);
    if (backend->engine != NULL) dnnl_engine_destroy(backend->engine);
    moco_deallocate(backend->host.context, backend);
}

static moco_status choose_block(onednn_backend *backend) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
        backend->block = 16;
        backend->layout = ONEDNN_LAYOUT_BLOCKED_16;
        backend->kernels = &blocked_kernels_16;
        return MOCO_OK;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        backend->block = 8;
        backend->layout = ONEDNN_LAYOUT_BLOCKED_8;
        backend->kernels = &blocked_kernels_8;
        return MOCO_OK;
    }
#endif
    return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend needs a processor with AVX2 or AVX-512");
}

static moco_status create(void **self, moco_context *context) {
    onednn_backend *backend = (onednn_backend *) moco_allocate_zeroed(context, 1, sizeof *backend);
    if (backend == NULL) return MOCO_OUT_OF_MEMORY;
    backend->host.context = context;
    moco_status status = choose_block(backend);
    if (status == MOCO_OK) status = onednn_check(dnnl_engine_create(&backend->engine, dnnl_cpu, 0), "its engine");
    if (status == MOCO_OK) {
        status = onednn_check(dnnl_stream_create(&backend->stream, backend->engine, dnnl_stream_default_flags),
                              "its stream");
    }
    if (status != MOCO_OK) {
        destroy(backend);
        return status;
    }
    *self = backend;
    return MOCO_OK;
}

/* What oneDNN's blocked convolutions take: outputs in whole blocks; inputs too, except a plain image of a few channels.
 */
static moco_status check_convolution(const onednn_backend *backend, const moco_layer_desc *desc) {
    const int32_t blocked_input = desc->input_layout == backend->layout && desc->c % backend->block == 0;
    const int32_t image_input = desc->input_layout == MOCO_LAYOUT_PLAIN && desc->c < backend->block;
    if ((!blocked_input && !image_input) || desc->out_c % backend->block != 0) {
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend takes convolutions of whole blocks of %lld channels",
                         (long long) backend->block);
    }
    return MOCO_OK;
}

static moco_status plan(onednn_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const moco_layer_desc *desc = &layer->desc;
    if (desc->dtype != MOCO_DTYPE_F32) return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend takes float32");
    switch (desc->kind) {
    case MOCO_LAYER_CONV2D:
        MOCO_TRY(check_convolution(backend, desc));
        return onednn_convolution_create(&layer->convolution, backend, desc, info);
    case MOCO_LAYER_BATCH_NORM:
        return onednn_norm_plan(backend, desc, info);
    case MOCO_LAYER_MAX_POOL:
    case MOCO_LAYER_AVERAGE_POOL:
    case MOCO_LAYER_REORDER:
        return onednn_pool_plan(backend, desc, info);
    default:
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend has no layer kind %d", desc->kind);
    }
}

static moco_status layer_create(void *self, const moco_layer_desc *desc, moco_layer **out, moco_layer_info *info) {
    onednn_backend *backend = (onednn_backend *) self;
    moco_layer *layer = (moco_layer *) moco_allocate_zeroed(backend->host.context, 1, sizeof *layer);
    if (layer == NULL) return MOCO_OUT_OF_MEMORY;
    layer->desc = *desc;
    const moco_status status = plan(backend, layer, info);
    if (status != MOCO_OK) {
        moco_deallocate(backend->host.context, layer);
        return status;
    }
    *out = layer;
    return MOCO_OK;
}

static void layer_destroy(void *self, moco_layer *layer) {
    onednn_backend *backend = (onednn_backend *) self;
    onednn_convolution_destroy(backend, layer->convolution);
    moco_deallocate(backend->host.context, layer);
}

static moco_status layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    onednn_backend *backend = (onednn_backend *) self;
    switch (layer->desc.kind) {
    case MOCO_LAYER_CONV2D:
        return onednn_convolution_forward(backend, layer->convolution, args);
    case MOCO_LAYER_BATCH_NORM:
        return onednn_norm_forward(backend, &layer->desc, args);
    default:
        return onednn_pool_forward(backend, &layer->desc, args);
    }
}

static moco_status layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    onednn_backend *backend = (onednn_backend *) self;
    switch (layer->desc.kind) {
    case MOCO_LAYER_CONV2D:
        return onednn_convolution_backward(backend, layer->convolution, args);
    case MOCO_LAYER_BATCH_NORM:
        return onednn_norm_backward(backend, &layer->desc, args);
    default:
        return onednn_pool_backward(backend, &layer->desc, args);
    }
}

extern const moco_backend_ops moco_backend_onednn;
const moco_backend_ops moco_backend_onednn = {
    .struct_size = sizeof(moco_backend_ops),
    .abi_version = MOCO_BACKEND_VERSION,
    .name = "onednn",
    .memory = MOCO_MEMORY_HOST,
    .create = create,
    .destroy = destroy,
    .layer_create = layer_create,
    .layer_destroy = layer_destroy,
    .layer_forward = layer_forward,
    .layer_backward = layer_backward,
};
