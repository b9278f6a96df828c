/* The key queue's inside, shared by queue.c (the ring), queue_random.c (starting rows) and queue_state.c (read,
 * restore, checksum).
 */
#ifndef MOCO_QUEUE_INTERNAL_H
#define MOCO_QUEUE_INTERNAL_H

#include "backend/backend_chain.h"
#include "keys/queue_view.h"

struct moco_queue {
    atomic_int references;
    moco_context *context;
    int32_t start; /* MOCO_QUEUE_START_* */
    int32_t dtype; /* of the keys: MOCO_DTYPE_F32 or BF16 */
    int64_t capacity;
    int64_t dim;
    int64_t position;
    int64_t filled;
    void *buffer; /* keys, capacity x dim, in the backend's memory */
    int64_t *ids; /* capacity */
};

/* Rows [first, first + count) of the queue. */
moco_tensor moco_queue_rows(const moco_queue *queue, int64_t first, int64_t count);

/* Writes float32 rows[count x dim] at row `first`, rounded as the queue stores them. */
moco_status moco_queue_write_rows(moco_queue *queue, int64_t first, const moco_tensor *rows);

/* INVALID_ARGUMENT unless rows[count x dim] can be addressed. */
moco_status moco_queue_check_rows(const moco_queue *queue, int64_t count);

/* The starting rows: random unit rows from `seed`, or zeros for a queue that starts empty. */
moco_status moco_queue_write_starting_rows(moco_queue *queue, uint64_t seed);

#endif
