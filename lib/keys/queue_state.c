/* The queue's whole state: read, restore, visit, checksum. */
#include <string.h>

#include "backend/host_tensor.h"
#include "backend/tensor_checks.h"
#include "core/checked.h"
#include "core/checksum.h"
#include "core/config_fields.h"
#include "keys/queue_internal.h"

/* Rows to the host's keys[count x dim], widened on the way where they are bfloat16. */
static moco_status read_rows(const moco_queue *queue, const moco_tensor *rows, float *keys) {
    moco_context *context = queue->source.context;
    if (queue->dtype == MOCO_DTYPE_F32) return moco_tensor_download(context, rows, keys);
    moco_host_tensor wide;
    MOCO_TRY(moco_host_matrix_output(&wide, context, keys, rows->dims[0], queue->source.dim));
    moco_status status = moco_tensor_convert(context, &wide.tensor, rows);
    if (status == MOCO_OK) status = moco_host_tensor_fetch(&wide, context, keys);
    moco_host_tensor_release(&wide, context);
    return status;
}

moco_status moco_queue_read(const moco_queue *queue, int64_t first, int64_t count, float *keys, int64_t *ids) {
    MOCO_REQUIRE_POINTER(queue);
    MOCO_REQUIRE(first >= 0 && first <= queue->capacity, "first is %lld; it must be in 0..%lld", (long long) first,
                 (long long) queue->capacity);
    MOCO_REQUIRE(count >= 0 && count <= queue->capacity - first,
                 "count is %lld; from row %lld on the queue has %lld rows", (long long) count, (long long) first,
                 (long long) (queue->capacity - first));
    if (count == 0) return MOCO_OK;
    if (keys != NULL) {
        const moco_tensor rows = moco_queue_rows(queue, first, count);
        MOCO_TRY(read_rows(queue, &rows, keys));
    }
    if (ids != NULL) memcpy(ids, queue->ids + first, (size_t) count * sizeof *ids);
    return MOCO_OK;
}

static moco_status check_numbers(const moco_queue *queue, int64_t position, int64_t filled) {
    const int64_t capacity = queue->capacity;
    MOCO_REQUIRE(position >= 0 && position < capacity, "position is %lld; it must be in 0..%lld", (long long) position,
                 (long long) (capacity - 1));
    MOCO_REQUIRE(filled >= 0 && filled <= capacity, "filled is %lld; it must be in 0..%lld", (long long) filled,
                 (long long) capacity);
    /* Only rows 0 .. filled - 1 of a queue that starts empty are negatives: they must be the ones written so far. */
    MOCO_REQUIRE(queue->start == MOCO_QUEUE_START_RANDOM || filled == capacity || position == filled,
                 "position is %lld with filled %lld; a queue that started empty and is not full yet has position equal "
                 "to filled",
                 (long long) position, (long long) filled);
    return MOCO_OK;
}

moco_status moco_queue_restore(moco_queue *queue, const float *keys, const int64_t *ids, int64_t position,
                               int64_t filled) {
    MOCO_REQUIRE_POINTER(queue);
    MOCO_REQUIRE_POINTER(keys);
    MOCO_TRY(check_numbers(queue, position, filled));
    const int64_t capacity = queue->capacity;
    moco_host_tensor source;
    MOCO_TRY(moco_host_matrix_input(&source, queue->source.context, keys, capacity, queue->source.dim));
    moco_status status = moco_require_finite_rows(queue->source.context, &source.tensor, "keys");
    if (status == MOCO_OK) status = moco_queue_write_rows(queue, 0, &source.tensor);
    moco_host_tensor_release(&source, queue->source.context);
    MOCO_TRY(status);
    for (int64_t i = 0; i < capacity; ++i) queue->ids[i] = ids == NULL ? MOCO_QUEUE_NO_ID : ids[i];
    queue->position = position;
    queue->filled = filled;
    return MOCO_OK;
}

static moco_status visit_settings(const moco_queue *queue, const moco_state *state) {
    static const char *const but[] = {"seed", NULL}; /* of the starting rows */
    const moco_queue_config settings = {
        .struct_size = sizeof settings,
        .start = queue->start,
        .capacity = queue->capacity,
        .dim = queue->source.dim,
        .storage = moco_queue_storage(queue),
    };
    return moco_state_settings(state, MOCO_CONFIG_QUEUE, &settings, but);
}

moco_status moco_queue_visit(moco_queue *queue, const moco_state *visitor) {
    const moco_state inner = moco_state_in(visitor, "queue"), *state = &inner;
    const moco_tensor keys = moco_queue_rows(queue, 0, queue->capacity);
    int64_t position = queue->position, filled = queue->filled;
    MOCO_TRY(visit_settings(queue, state));
    MOCO_TRY(moco_state_number(state, "position", &position));
    MOCO_TRY(moco_state_number(state, "filled", &filled));
    MOCO_TRY(check_numbers(queue, position, filled));
    MOCO_TRY(moco_state_tensor(state, "keys", &keys));
    MOCO_TRY(moco_state_numbers(state, "ids", queue->ids, queue->capacity));
    if (!state->writes) return MOCO_OK;
    MOCO_TRY(moco_require_finite_rows(queue->source.context, &keys, "the loaded keys"));
    queue->position = position;
    queue->filled = filled;
    return MOCO_OK;
}

/* --- Checksum --- */

#define CHUNK_FLOATS ((int64_t) 1 << 18)

moco_status moco_queue_checksum(const moco_queue *queue, uint64_t *out) {
    MOCO_REQUIRE_POINTER(queue);
    MOCO_REQUIRE_POINTER(out);
    const int64_t chunk = moco_min_i64(queue->capacity, moco_max_i64(1, CHUNK_FLOATS / queue->source.dim));
    float *rows = (float *) moco_allocate(queue->source.context, (size_t) (chunk * queue->source.dim) * sizeof(float));
    if (rows == NULL) return MOCO_OUT_OF_MEMORY;
    uint64_t hash = MOCO_CHECKSUM_START;
    moco_status status = MOCO_OK;
    for (int64_t first = 0; first < queue->capacity; first += chunk) {
        const int64_t count = moco_min_i64(chunk, queue->capacity - first);
        status = moco_queue_read(queue, first, count, rows, NULL);
        if (status != MOCO_OK) break;
        hash = moco_checksum_add(hash, rows, (size_t) (count * queue->source.dim) * sizeof(float));
    }
    moco_deallocate(queue->source.context, rows);
    MOCO_TRY(status);
    hash = moco_checksum_add(hash, queue->ids, (size_t) queue->capacity * sizeof *queue->ids);
    hash = moco_checksum_add(hash, &queue->position, sizeof queue->position);
    *out = moco_checksum_add(hash, &queue->filled, sizeof queue->filled);
    return MOCO_OK;
}
