/* Rows of a queue as tensors, written from float32 whatever the queue stores. */
#include "keys/queue_internal.h"

moco_tensor moco_queue_rows(const moco_queue *queue, int64_t first, int64_t count) {
    const uint64_t offset = (uint64_t) first * (uint64_t) queue->source.dim * moco_dtype_size(queue->dtype);
    return moco_tensor_2d(queue->buffer, offset, queue->dtype, count, queue->source.dim);
}

moco_status moco_queue_write_rows(moco_queue *queue, int64_t first, const moco_tensor *rows) {
    const moco_tensor target = moco_queue_rows(queue, first, rows->dims[0]);
    if (queue->dtype != MOCO_DTYPE_F32) return moco_tensor_convert(queue->source.context, &target, rows);
    return moco_tensor_copy(queue->source.context, &target, rows);
}
