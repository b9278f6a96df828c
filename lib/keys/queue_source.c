/* The queue as a key source: the loss's view of it, and what the kind's table has. */
#include "keys/queue_internal.h"

moco_key_view moco_queue_view(const moco_queue *queue) {
    const int64_t negatives = moco_queue_negatives(queue);
    const moco_key_view view = {
        .context = queue->source.context,
        .keys = moco_queue_rows(queue, 0, negatives),
        .ids = queue->ids,
        .dim = queue->source.dim,
        .negatives = negatives,
    };
    return view;
}

moco_key_source *moco_queue_source(moco_queue *queue) {
    return &queue->source;
}

static moco_status view_queue(moco_key_source *self, const int64_t *sample_ids, int64_t n, moco_key_view *view) {
    (void) sample_ids; /* every batch has the same negatives */
    (void) n;
    *view = moco_queue_view((const moco_queue *) self);
    return MOCO_OK;
}

static moco_status enqueue(moco_key_source *self, const moco_tensor *k, const int64_t *sample_ids) {
    return moco_queue_enqueue_tensor((moco_queue *) self, k, sample_ids);
}

static moco_status visit_queue(moco_key_source *self, const moco_state *state) {
    return moco_queue_visit((moco_queue *) self, state);
}

static void destroy_queue(moco_key_source *self) {
    moco_queue *queue = (moco_queue *) self;
    moco_context *context = self->context;
    moco_buffer_destroy(context, queue->buffer);
    moco_deallocate(context, queue->ids);
    moco_deallocate(context, queue);
}

const moco_key_source_kind moco_queue_kind = {
    .name = "queue",
    .view = view_queue,
    .update = enqueue,
    .visit = visit_queue,
    .destroy = destroy_queue,
};
