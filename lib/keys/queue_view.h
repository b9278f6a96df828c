/* The queue as the loss may see it: its rows and ids, nothing that changes them. queue_internal.h has the rest. */
#ifndef MOCO_QUEUE_VIEW_H
#define MOCO_QUEUE_VIEW_H

#include <moco/queue.h>

#include "keys/key_view.h"

/* Valid until the queue's next change. */
moco_key_view moco_queue_view(const moco_queue *queue);

#endif
