#include "encoder/workspace.h"

moco_status moco_workspace_create(moco_workspace **out, moco_context *context) {
    moco_workspace *workspace = (moco_workspace *) moco_allocate_zeroed(context, 1, sizeof *workspace);
    if (workspace == NULL) return MOCO_OUT_OF_MEMORY;
    atomic_init(&workspace->references, 1);
    workspace->context = context;
    pthread_mutex_init(&workspace->mutex, NULL); /* with default attributes it cannot fail on Linux */
    *out = workspace;
    return MOCO_OK;
}

moco_workspace *moco_workspace_retain(moco_workspace *workspace) {
    atomic_fetch_add_explicit(&workspace->references, 1, memory_order_relaxed);
    return workspace;
}

void moco_workspace_release(moco_workspace *workspace) {
    if (workspace == NULL || atomic_fetch_sub_explicit(&workspace->references, 1, memory_order_acq_rel) != 1) return;
    moco_grown_buffer_release(&workspace->room, workspace->context);
    pthread_mutex_destroy(&workspace->mutex);
    moco_deallocate(workspace->context, workspace);
}
