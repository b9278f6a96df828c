/* Working memory that several encoders take turns in: what a training forward leaves there must stay until its
 * backward, but before it, or after, there is room for a forward that leaves nothing. So the key encoder needs no
 * memory of its own for activations.
 */
#ifndef MOCO_ENCODER_WORKSPACE_H
#define MOCO_ENCODER_WORKSPACE_H

#include <pthread.h>

#include "backend/grown_buffer.h"
#include "core/context_internal.h"

typedef struct moco_workspace {
    atomic_int references;
    moco_context *context; /* an encoder keeps it alive */
    pthread_mutex_t mutex; /* held while a pass runs in the buffer */
    moco_grown_buffer room;
    int32_t kept; /* 1: a training forward waits for its backward */
} moco_workspace;

moco_status moco_workspace_create(moco_workspace **out, moco_context *context);
moco_workspace *moco_workspace_retain(moco_workspace *workspace);
void moco_workspace_release(moco_workspace *workspace); /* NULL is a no-op */

#endif
