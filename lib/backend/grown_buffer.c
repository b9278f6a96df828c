#include "backend/grown_buffer.h"

#include "backend/backend_chain.h"

moco_status moco_grown_buffer_reserve(moco_grown_buffer *grown, moco_context *context, uint64_t bytes) {
    if (grown->buffer != NULL && bytes <= grown->bytes) return MOCO_OK;
    void *larger = NULL;
    MOCO_TRY(moco_buffer_create(context, bytes, &larger));
    moco_buffer_destroy(context, grown->buffer);
    grown->buffer = larger;
    grown->bytes = bytes;
    return MOCO_OK;
}

void moco_grown_buffer_release(moco_grown_buffer *grown, moco_context *context) {
    moco_buffer_destroy(context, grown->buffer);
    grown->buffer = NULL;
    grown->bytes = 0;
}
