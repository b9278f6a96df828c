#include "backend/host_tensor.h"

#include <string.h>

#include "backend/backend_chain.h"

/* Gives `shape`, which has no buffer yet, the host's array for one, or memory of the backend's: in `room`, or of its own
 * where that is NULL. */
static moco_status open_over(moco_host_tensor *out, moco_context *context, float *host, moco_tensor shape,
                             moco_grown_buffer *room) {
    memset(out, 0, sizeof *out);
    const uint64_t bytes = moco_tensor_bytes(&shape);
    moco_status status = moco_buffer_wrap(context, host, bytes, &shape.buffer);
    if (status == MOCO_UNSUPPORTED) {
        out->copied = 1;
        out->lent = room != NULL;
        status = room != NULL ? moco_grown_buffer_reserve(room, context, bytes)
                              : moco_buffer_create(context, bytes, &shape.buffer);
        if (room != NULL) shape.buffer = room->buffer;
    }
    MOCO_TRY(status);
    out->tensor = shape;
    return MOCO_OK;
}

static moco_status open_input(moco_host_tensor *out, moco_context *context, const float *host, moco_tensor shape,
                              moco_grown_buffer *room) {
    /* A wrapped array is only read, although buffers know no const. */
    MOCO_TRY(open_over(out, context, (float *) (uintptr_t) host, shape, room));
    if (!out->copied) return MOCO_OK;
    const moco_status status = moco_tensor_upload(context, &out->tensor, host);
    if (status != MOCO_OK) moco_host_tensor_release(out, context);
    return status;
}

static moco_tensor shape_of(const int64_t dims[4]) {
    return moco_tensor_4d(NULL, 0, MOCO_DTYPE_F32, dims[0], dims[1], dims[2], dims[3]);
}

moco_status moco_host_tensor_input(moco_host_tensor *out, moco_context *context, const float *host,
                                   const int64_t dims[4]) {
    return open_input(out, context, host, shape_of(dims), NULL);
}

moco_status moco_host_tensor_output(moco_host_tensor *out, moco_context *context, float *host, const int64_t dims[4]) {
    return open_over(out, context, host, shape_of(dims), NULL);
}

moco_status moco_host_tensor_input_in(moco_host_tensor *out, moco_context *context, const float *host,
                                      const int64_t dims[4], moco_grown_buffer *room) {
    return open_input(out, context, host, shape_of(dims), room);
}

moco_status moco_host_matrix_input(moco_host_tensor *out, moco_context *context, const float *host, int64_t n,
                                   int64_t dim) {
    return open_input(out, context, host, moco_tensor_2d(NULL, 0, MOCO_DTYPE_F32, n, dim), NULL);
}

moco_status moco_host_matrix_output(moco_host_tensor *out, moco_context *context, float *host, int64_t n, int64_t dim) {
    return open_over(out, context, host, moco_tensor_2d(NULL, 0, MOCO_DTYPE_F32, n, dim), NULL);
}

moco_status moco_host_tensor_fetch(const moco_host_tensor *tensor, moco_context *context, float *host) {
    return tensor->copied ? moco_tensor_download(context, &tensor->tensor, host) : MOCO_OK;
}

void moco_host_tensor_release(moco_host_tensor *tensor, moco_context *context) {
    if (!tensor->lent) moco_buffer_destroy(context, tensor->tensor.buffer);
    memset(tensor, 0, sizeof *tensor);
}
