#include <stddef.h>

#include "core/checked.h"
#include "core/config.h"
#include "keys/queue_internal.h"

static const moco_queue_config default_config = MOCO_QUEUE_CONFIG_INITIALIZER;
#define OLDEST_CONFIG offsetof(moco_queue_config, storage)

moco_status moco_queue_config_init(moco_queue_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, OLDEST_CONFIG,
                            "moco_queue_config");
}

static moco_status fail_memory(const moco_queue_config *config, uint64_t bytes) {
    return moco_fail(
        MOCO_OUT_OF_MEMORY,
        "out of memory: capacity is %lld, and so many keys of dim %lld take %llu bytes, more than there is",
        (long long) config->capacity, (long long) config->dim, (unsigned long long) bytes);
}

static void forget_all(moco_queue *queue) {
    for (int64_t i = 0; i < queue->capacity; ++i) queue->ids[i] = MOCO_QUEUE_NO_ID;
    queue->position = 0;
    queue->filled = 0;
}

moco_status moco_queue_create(moco_queue **out, moco_context *context, const moco_queue_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    moco_queue_config wanted = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&wanted, config, sizeof wanted, OLDEST_CONFIG, "moco_queue_config"));
    }
    MOCO_REQUIRE(wanted.capacity >= 1, "capacity is %lld; it must be at least 1", (long long) wanted.capacity);
    MOCO_REQUIRE(wanted.dim >= 1, "dim is %lld; it must be at least 1", (long long) wanted.dim);
    MOCO_REQUIRE(wanted.start == MOCO_QUEUE_START_RANDOM || wanted.start == MOCO_QUEUE_START_EMPTY,
                 "start is %d; it must be MOCO_QUEUE_START_RANDOM (0) or MOCO_QUEUE_START_EMPTY (1)", wanted.start);
    MOCO_REQUIRE(wanted.storage == MOCO_QUEUE_STORAGE_F32 || wanted.storage == MOCO_QUEUE_STORAGE_BF16,
                 "storage is %d; it must be MOCO_QUEUE_STORAGE_F32 (0) or MOCO_QUEUE_STORAGE_BF16 (1)", wanted.storage);
    const int32_t dtype = wanted.storage == MOCO_QUEUE_STORAGE_BF16 ? MOCO_DTYPE_BF16 : MOCO_DTYPE_F32;
    int64_t elements = 0;
    size_t key_bytes = 0, id_bytes = 0;
    MOCO_TRY(moco_checked_multiply(wanted.capacity, wanted.dim, "capacity * dim", &elements));
    MOCO_TRY(moco_checked_bytes(elements, moco_dtype_size(dtype), "the queue's keys", &key_bytes));
    MOCO_TRY(moco_checked_bytes(wanted.capacity, sizeof(int64_t), "the queue's ids", &id_bytes));

    moco_queue *queue = (moco_queue *) moco_allocate_zeroed(context, 1, sizeof *queue);
    if (queue == NULL) return MOCO_OUT_OF_MEMORY;
    moco_key_source_start(&queue->source, &moco_queue_kind, context, wanted.dim);
    queue->start = wanted.start;
    queue->dtype = dtype;
    queue->capacity = wanted.capacity;

    moco_status status;
    status = moco_buffer_create(context, key_bytes, &queue->buffer);
    if (status == MOCO_OK) queue->ids = (int64_t *) moco_allocate(context, id_bytes);
    if (status == MOCO_OUT_OF_MEMORY || (status == MOCO_OK && queue->ids == NULL)) {
        status = fail_memory(&wanted, (uint64_t) key_bytes + id_bytes);
    }
    if (status != MOCO_OK) goto failed;
    MOCO_TRY_GOTO(status, failed, moco_queue_write_starting_rows(queue, wanted.seed));
    forget_all(queue);
    *out = queue;
    return MOCO_OK;

failed:
    moco_queue_destroy(queue);
    return status;
}

void moco_queue_destroy(moco_queue *queue) {
    if (queue != NULL) moco_key_source_destroy(&queue->source);
}

moco_status moco_queue_reset(moco_queue *queue, uint64_t seed) {
    MOCO_REQUIRE_POINTER(queue);
    MOCO_TRY(moco_queue_write_starting_rows(queue, seed));
    forget_all(queue);
    return MOCO_OK;
}
