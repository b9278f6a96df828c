/* The oneDNN backend's table: convolution, BatchNorm and pooling on a channel-blocked layout that no two layers need to
 * convert between. Everything else falls to the next backend of the chain.
 */
#include "backend/cpu/cpu_backend.h"

#include <string.h>

#include "backend/cpu/onednn/onednn_provider.h"
#include "core/checked.h"

struct moco_layer {
    image_layer desc;
    onednn_convolution *convolution; /* CONV2D only */
};

static void destroy(void *self) {
    cpu_backend *backend = (cpu_backend *) self;
    moco_onednn_close(backend->onednn, backend->host.context);
    moco_deallocate(backend->host.context, backend);
}

static moco_status create(void **self, moco_context *context) {
    cpu_backend *backend = (cpu_backend *) moco_allocate_zeroed(context, 1, sizeof *backend);
    if (backend == NULL) return MOCO_OUT_OF_MEMORY;
    backend->host.context = context;
    moco_cpu_choose_formats(&backend->f32, &backend->bf16);
    const moco_status status = backend->f32.kernels != NULL
                                   ? moco_onednn_open(&backend->onednn, context)
                                   : moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend needs a processor with AVX2 or "
                                                                 "AVX-512");
    if (status != MOCO_OK) {
        destroy(backend);
        return status;
    }
    *self = backend;
    return MOCO_OK;
}

/* What oneDNN's blocked convolutions take: outputs in whole blocks; inputs too, except a plain image of a few channels.
 */
static moco_status check_convolution(const cpu_format *format, const image_layer *desc) {
    const int32_t blocked_input = desc->input_layout == format->layout && desc->c % format->block == 0;
    const int32_t image_input = desc->input_layout == MOCO_LAYOUT_PLAIN && desc->c < format->block;
    if ((!blocked_input && !image_input) || desc->out_c % format->block != 0) {
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend takes convolutions of whole blocks of %lld channels",
                         (long long) format->block);
    }
    return MOCO_OK;
}

static moco_status plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    if (desc->dtype != MOCO_DTYPE_F32 || format == NULL) {
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend takes float32, PLAIN or in a layout of its own");
    }
    switch (desc->kind) {
    case MOCO_LAYER_CONV2D:
        MOCO_TRY(check_convolution(format, desc));
        return moco_onednn_convolution_create(&layer->convolution, backend, desc, info);
    case MOCO_LAYER_BATCH_NORM:
        return moco_blocked_norm_plan(backend, desc, info);
    case MOCO_LAYER_MAX_POOL:
    case MOCO_LAYER_AVERAGE_POOL:
    case MOCO_LAYER_REORDER:
        return moco_blocked_pool_plan(backend, desc, info);
    default:
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend has no layer kind %d", desc->kind);
    }
}

static moco_status layer_create(void *self, const moco_layer_desc *desc, moco_layer **out, moco_layer_info *info) {
    cpu_backend *backend = (cpu_backend *) self;
    moco_layer *layer = (moco_layer *) moco_allocate_zeroed(backend->host.context, 1, sizeof *layer);
    if (layer == NULL) return MOCO_OUT_OF_MEMORY;
    moco_image_layer_of(&layer->desc, desc);
    const moco_status status = plan(backend, layer, info);
    if (status != MOCO_OK) {
        moco_deallocate(backend->host.context, layer);
        return status;
    }
    *out = layer;
    return MOCO_OK;
}

static void layer_destroy(void *self, moco_layer *layer) {
    cpu_backend *backend = (cpu_backend *) self;
    moco_onednn_convolution_destroy(backend, layer->convolution);
    moco_deallocate(backend->host.context, layer);
}

static moco_status layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    cpu_backend *backend = (cpu_backend *) self;
    switch (layer->desc.kind) {
    case MOCO_LAYER_CONV2D:
        return moco_onednn_convolution_forward(backend, layer->convolution, args);
    case MOCO_LAYER_BATCH_NORM:
        return moco_blocked_norm_forward(backend, &layer->desc, args);
    default:
        return moco_blocked_pool_forward(backend, &layer->desc, args);
    }
}

static moco_status layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    cpu_backend *backend = (cpu_backend *) self;
    switch (layer->desc.kind) {
    case MOCO_LAYER_CONV2D:
        return moco_onednn_convolution_backward(backend, layer->convolution, args);
    case MOCO_LAYER_BATCH_NORM:
        return moco_blocked_norm_backward(backend, &layer->desc, args);
    default:
        return moco_blocked_pool_backward(backend, &layer->desc, args);
    }
}

typedef struct add_work {
    const cpu_format *format;
    char *target;
    const char *source;
} add_work;

static void add_range(void *argument, int64_t begin, int64_t end) {
    const add_work *work = (const add_work *) argument;
    const int64_t offset = begin * work->format->block * work->format->kernels->element_bytes;
    work->format->kernels->add(work->target + offset, work->source + offset, end - begin);
}

/* float32 is the next backend's. */
static moco_status add(void *self, const moco_tensor *target, const moco_tensor *source) {
    const cpu_backend *backend = (const cpu_backend *) self;
    const cpu_format *format = &backend->bf16;
    if (target->dtype != MOCO_DTYPE_BF16 || format->kernels == NULL || target->dims[0] % format->block != 0) {
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend adds whole blocks of bfloat16");
    }
    add_work work = {format, (char *) moco_host_address(target), (const char *) moco_host_address(source)};
    moco_parallel_range(backend->host.context, target->dims[0] / format->block, moco_cpu_grain(format->block),
                        add_range, &work);
    return MOCO_OK;
}

static int32_t computes(void *self, int32_t dtype) {
    const cpu_backend *backend = (const cpu_backend *) self;
    return dtype == MOCO_DTYPE_F32 || (dtype == MOCO_DTYPE_BF16 && backend->bf16.kernels != NULL);
}

extern const moco_backend_ops moco_backend_onednn;
const moco_backend_ops moco_backend_onednn = {
    .struct_size = sizeof(moco_backend_ops),
    .abi_version = MOCO_BACKEND_VERSION,
    .name = "onednn",
    .memory = MOCO_MEMORY_HOST,
    .create = create,
    .destroy = destroy,
    .add = add,
    .computes = computes,
    .layer_create = layer_create,
    .layer_destroy = layer_destroy,
    .layer_forward = layer_forward,
    .layer_backward = layer_backward,
};
