/* The queue as the loss may see it: const rows and ids, nothing that changes it. */
#ifndef MOCO_QUEUE_VIEW_H
#define MOCO_QUEUE_VIEW_H

#include <moco/queue.h>
#include <moco/sys/backend.h>

typedef struct moco_queue_view {
    moco_context *context;
    moco_tensor keys;   /* negatives x dim: the rows in use */
    const int64_t *ids; /* host memory, one per row in use */
    int64_t dim;
    int64_t negatives;
    int64_t filled;
} moco_queue_view;

/* Valid until the queue's next change. */
moco_queue_view moco_queue_const_view(const moco_queue *queue);

/* For the trainer: enqueues keys that already are in the backend's memory, n x dim float32. */
moco_status moco_queue_enqueue_tensor(moco_queue *queue, const moco_tensor *keys, const int64_t *ids);

/* For handles that keep the queue alive. */
void moco_queue_retain(moco_queue *queue);
moco_context *moco_queue_context(const moco_queue *queue);

#endif
