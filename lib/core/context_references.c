#include "core/context_internal.h"

void moco_context_retain(moco_context *context) {
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void moco_context_destroy(moco_context *context) {
    if (context == NULL || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1) return;
    context->release_backends(context->backends);
    const moco_deallocate_fn deallocate = context->deallocate;
    deallocate(context, context->allocator_user);
}

int32_t moco_context_threads(const moco_context *context) {
    return context == NULL ? 0 : context->threads;
}
