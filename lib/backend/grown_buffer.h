/* A buffer of the backend that a handle keeps from call to call: it grows when a call needs more, and never shrinks. */
#ifndef MOCO_BACKEND_GROWN_BUFFER_H
#define MOCO_BACKEND_GROWN_BUFFER_H

#include "core/context_internal.h"

typedef struct moco_grown_buffer {
    void *buffer; /* NULL before the first use */
    uint64_t bytes;
} moco_grown_buffer;

/* Makes room for at least `bytes`. The content is not kept when the buffer grows; where the backend has no memory for a
 * larger one, the old buffer and its content stay as they are. */
moco_status moco_grown_buffer_reserve(moco_grown_buffer *grown, moco_context *context, uint64_t bytes);

/* A zeroed one is a no-op. */
void moco_grown_buffer_release(moco_grown_buffer *grown, moco_context *context);

#endif
