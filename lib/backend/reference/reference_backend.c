#include "backend/reference/reference_backend.h"

#include "backend/host_memory.h"

static moco_status reference_create(void **self, moco_context *context) {
    moco_host_backend *backend = (moco_host_backend *) moco_allocate(context, sizeof *backend);
    if (backend == NULL) return MOCO_OUT_OF_MEMORY;
    backend->context = context;
    *self = backend;
    return MOCO_OK;
}

static void reference_destroy(void *self) {
    moco_deallocate(((moco_host_backend *) self)->context, self);
}

extern const moco_backend_ops moco_backend_reference;
const moco_backend_ops moco_backend_reference = {
    .struct_size = sizeof(moco_backend_ops),
    .abi_version = MOCO_BACKEND_VERSION,
    .name = "reference",
    MOCO_HOST_MEMORY_OPS,
    .create = reference_create,
    .destroy = reference_destroy,
    .add = moco_host_add,
    .layer_create = moco_reference_layer_create,
    .layer_destroy = moco_reference_layer_destroy,
    .layer_forward = moco_reference_layer_forward,
    .layer_backward = moco_reference_layer_backward,
    .momentum_update = moco_reference_momentum_update,
    .sgd_update = moco_reference_sgd_update,
    .update = moco_reference_update,
    .norms = moco_reference_norms,
    .info_nce = moco_reference_info_nce,
};
