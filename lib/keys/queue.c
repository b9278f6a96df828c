#include "backend/host_tensor.h"
#include "backend/tensor_checks.h"
#include "core/checked.h"
#include "keys/queue_internal.h"

/* --- Enqueue --- */

moco_status moco_queue_enqueue_tensor(moco_queue *queue, const moco_tensor *keys, const int64_t *ids) {
    MOCO_REQUIRE_POINTER(queue);
    MOCO_REQUIRE_POINTER(keys);
    MOCO_REQUIRE(keys->rank == 2 && keys->dims[1] == queue->source.dim && keys->dtype == MOCO_DTYPE_F32,
                 "keys is no float32 matrix with rows of %lld values", (long long) queue->source.dim);
    const int64_t n = keys->dims[0];
    if (n == 0) return MOCO_OK;
    MOCO_TRY(moco_require_finite_rows(queue->source.context, keys, "keys"));

    /* Of more keys than the queue holds, the earlier ones would be overwritten at once: only the last `capacity` go in,
     * where they would have come to lie. */
    const int64_t capacity = queue->capacity;
    const int64_t written = moco_min_i64(n, capacity);
    const int64_t skipped = n - written;
    const int64_t position = (queue->position + skipped % capacity) % capacity;
    const int64_t before_wrap = moco_min_i64(written, capacity - position);
    const int64_t runs[2][3] = {{skipped, position, before_wrap}, {skipped + before_wrap, 0, written - before_wrap}};
    for (int run = 0; run < 2; ++run) {
        const int64_t from = runs[run][0], to = runs[run][1], count = runs[run][2];
        if (count == 0) continue;
        moco_tensor source = *keys;
        source.offset += (uint64_t) from * (uint64_t) queue->source.dim * sizeof(float);
        source.dims[0] = count;
        MOCO_TRY(moco_queue_write_rows(queue, to, &source));
    }
    for (int64_t i = 0; i < written; ++i) {
        const int64_t slot = i < before_wrap ? position + i : i - before_wrap;
        queue->ids[slot] = ids == NULL ? MOCO_QUEUE_NO_ID : ids[skipped + i];
    }
    queue->position = (position + written % capacity) % capacity;
    queue->filled = n >= capacity - queue->filled ? capacity : queue->filled + n;
    return MOCO_OK;
}

moco_status moco_queue_enqueue(moco_queue *queue, const float *keys, const int64_t *ids, int64_t n) {
    MOCO_REQUIRE_POINTER(queue);
    MOCO_REQUIRE(n >= 0, "n is %lld; it must be at least 0", (long long) n);
    if (n == 0) return MOCO_OK;
    MOCO_REQUIRE_POINTER(keys);
    MOCO_TRY(moco_key_source_check_rows(&queue->source, n));
    moco_host_tensor rows;
    MOCO_TRY(moco_host_matrix_input(&rows, queue->source.context, keys, n, queue->source.dim));
    const moco_status status = moco_queue_enqueue_tensor(queue, &rows.tensor, ids);
    moco_host_tensor_release(&rows, queue->source.context);
    return status;
}

/* --- Getters --- */

int64_t moco_queue_capacity(const moco_queue *queue) {
    return queue == NULL ? 0 : queue->capacity;
}

int64_t moco_queue_dim(const moco_queue *queue) {
    return queue == NULL ? 0 : queue->source.dim;
}

int64_t moco_queue_position(const moco_queue *queue) {
    return queue == NULL ? 0 : queue->position;
}

int64_t moco_queue_filled(const moco_queue *queue) {
    return queue == NULL ? 0 : queue->filled;
}

int64_t moco_queue_negatives(const moco_queue *queue) {
    if (queue == NULL) return 0;
    return queue->start == MOCO_QUEUE_START_RANDOM ? queue->capacity : queue->filled;
}

int32_t moco_queue_storage(const moco_queue *queue) {
    return queue != NULL && queue->dtype == MOCO_DTYPE_BF16 ? MOCO_QUEUE_STORAGE_BF16 : MOCO_QUEUE_STORAGE_F32;
}
