/* The key queue's inside, shared by queue_create.c (lifetime), queue_source.c (as a key source), queue.c (the ring),
 * queue_rows.c (rows as tensors), queue_random.c (starting rows) and queue_state.c (read, restore, checksum); and what the
 * trainer asks of a queue. The loss sees queue_view.h.
 */
#ifndef MOCO_QUEUE_INTERNAL_H
#define MOCO_QUEUE_INTERNAL_H

#include "core/state.h"
#include "keys/key_source.h"
#include "keys/queue_view.h"

struct moco_queue {
    moco_key_source source; /* context and dim are its; first, so that a queue is a key source */
    int32_t start;          /* MOCO_QUEUE_START_* */
    int32_t dtype;          /* of the keys: MOCO_DTYPE_F32 or BF16 */
    int64_t capacity;
    int64_t position;
    int64_t filled;
    void *buffer; /* keys, capacity x dim, in the backend's memory */
    int64_t *ids; /* capacity */
};

extern const moco_key_source_kind moco_queue_kind;

/* Rows [first, first + count) of the queue. */
moco_tensor moco_queue_rows(const moco_queue *queue, int64_t first, int64_t count);

/* Writes float32 rows[count x dim] at row `first`, rounded as the queue stores them. */
moco_status moco_queue_write_rows(moco_queue *queue, int64_t first, const moco_tensor *rows);

/* The starting rows: random unit rows from `seed`, or zeros for a queue that starts empty. */
moco_status moco_queue_write_starting_rows(moco_queue *queue, uint64_t seed);

/* --- For the trainer --- */

/* Enqueues keys that already are in the backend's memory, n x dim float32. */
moco_status moco_queue_enqueue_tensor(moco_queue *queue, const moco_tensor *keys, const int64_t *ids);

/* Everything that decides how the queue goes on, see core/state.h; the part is "queue". A visitor that writes and then fails, or brings numbers
 * that can't be (INVALID_ARGUMENT), leaves position and filled as they were, and the rows of any value. */
moco_status moco_queue_visit(moco_queue *queue, const moco_state *state);

/* The queue as a key source: the same object, with the same references. */
moco_key_source *moco_queue_source(moco_queue *queue);

#endif
