#include "backend/cpu/cpu_backend.h"

#include "backend/cpu/info_nce/info_nce.h"
#include "backend/cpu/onednn/onednn_provider.h"
#include "core/checked.h"

/* --- Layers --- */

/* The ways to compute each kind, best first. A layer is done by the first that supports it; what none does is the next
 * backend's. */
static const cpu_layer_ops *const layer_ops[] = {
    &moco_cpu_blocked_convolution,
    &moco_cpu_plain_convolution,
    &moco_cpu_blocked_norm,
    &moco_cpu_plain_norm,
    &moco_cpu_blocked_max_pool,
    &moco_cpu_plain_max_pool,
    &moco_cpu_blocked_average_pool,
    &moco_cpu_plain_average_pool,
    &moco_cpu_reorder,
    &moco_cpu_linear,
    &moco_cpu_relu,
    &moco_cpu_l2_normalize,
    NULL,
};

static moco_status plan_layer(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    const moco_layer_info before = {
        .struct_size = sizeof before,
        .output_dtype = MOCO_DTYPE_F32,
        .wanted_input_layout = MOCO_LAYOUT_PLAIN,
        .output_layout = MOCO_LAYOUT_PLAIN,
        .output_bytes = (uint64_t) (desc->n * desc->out_c * desc->out_h * desc->out_w) * sizeof(float),
    };
    if (desc->dtype == MOCO_DTYPE_F32) {
        for (const cpu_layer_ops *const *ops = layer_ops; *ops != NULL; ++ops) {
            if ((*ops)->kind != desc->kind) continue;
            layer->ops = *ops;
            *info = before;
            const moco_status status = (*ops)->plan(backend, layer, info);
            if (status != MOCO_UNSUPPORTED) return status;
        }
    }
    return moco_fail(MOCO_UNSUPPORTED, "the cpu backend doesn't take this layer of kind %d and dtype %d", desc->kind,
                     desc->dtype);
}

static moco_status layer_create(void *self, const moco_layer_desc *desc, moco_layer **out, moco_layer_info *info) {
    cpu_backend *backend = (cpu_backend *) self;
    moco_layer *layer = (moco_layer *) moco_allocate_zeroed(backend->host.context, 1, sizeof *layer);
    if (layer == NULL) return MOCO_OUT_OF_MEMORY;
    moco_image_layer_of(&layer->desc, desc);
    const moco_status status = plan_layer(backend, layer, info);
    if (status != MOCO_OK) {
        moco_deallocate(backend->host.context, layer);
        return status;
    }
    *out = layer;
    return MOCO_OK;
}

static void layer_destroy(void *self, moco_layer *layer) {
    cpu_backend *backend = (cpu_backend *) self;
    if (layer->ops->release != NULL) layer->ops->release(backend, layer);
    moco_deallocate(backend->host.context, layer);
}

static moco_status layer_forward(void *self, moco_layer *layer, const moco_layer_args *args) {
    return layer->ops->forward((cpu_backend *) self, layer, args);
}

static moco_status layer_backward(void *self, moco_layer *layer, const moco_layer_args *args) {
    return layer->ops->backward((cpu_backend *) self, layer, args);
}

/* 1 where convolutions are computed in that dtype; what lies between them follows. */
static int32_t computes(void *self, int32_t dtype) {
    const cpu_backend *backend = (const cpu_backend *) self;
    return dtype == MOCO_DTYPE_F32 || (dtype == MOCO_DTYPE_BF16 && backend->bf16.block != 0 && backend->onednn != NULL);
}

/* --- The tables --- */

static void destroy(void *self) {
    cpu_backend *backend = (cpu_backend *) self;
#ifdef MOCO_HAVE_ONEDNN
    moco_onednn_close(backend->onednn);
#endif
    moco_deallocate(backend->host.context, backend);
}

static moco_status create(void **self, moco_context *context) {
    cpu_backend *backend = (cpu_backend *) moco_allocate_zeroed(context, 1, sizeof *backend);
    if (backend == NULL) return MOCO_OUT_OF_MEMORY;
    backend->host.context = context;
    moco_cpu_choose_kernels(backend);
    *self = backend;
    return MOCO_OK;
}

/* What the two names share: all but create. */
#define CPU_BACKEND_MEMBERS                                                                                  \
    .struct_size = sizeof(moco_backend_ops), .abi_version = MOCO_BACKEND_VERSION, MOCO_HOST_MEMORY_OPS,      \
    .destroy = destroy, .add = moco_cpu_add, .computes = computes, .layer_create = layer_create,             \
    .layer_destroy = layer_destroy, .layer_forward = layer_forward, .layer_backward = layer_backward,        \
    .momentum_update = moco_cpu_momentum_update, .sgd_update = moco_cpu_sgd_update,                          \
    .sgd_momentum_update = moco_cpu_sgd_momentum_update, .update = moco_cpu_update, .norms = moco_cpu_norms, \
    .info_nce = moco_cpu_info_nce

extern const moco_backend_ops moco_backend_cblas;
const moco_backend_ops moco_backend_cblas = {.name = "cblas", .create = create, CPU_BACKEND_MEMBERS};

#ifdef MOCO_HAVE_ONEDNN
static moco_status create_with_onednn(void **self, moco_context *context) {
    void *backend = NULL;
    MOCO_TRY(create(&backend, context));
    const moco_status status =
        ((cpu_backend *) backend)->f32.block == 0
            ? moco_fail(MOCO_UNSUPPORTED, "the backend \"onednn\" needs a processor with AVX2 or AVX-512")
            : moco_onednn_open(&((cpu_backend *) backend)->onednn, context);
    if (status != MOCO_OK) {
        destroy(backend);
        return status;
    }
    *self = backend;
    return MOCO_OK;
}

extern const moco_backend_ops moco_backend_onednn;
const moco_backend_ops moco_backend_onednn = {.name = "onednn", .create = create_with_onednn, CPU_BACKEND_MEMBERS};
#endif
