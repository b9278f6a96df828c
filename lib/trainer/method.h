/* A method of contrastive learning: what one step does between the views in the backend's memory and the parts brought
 * up to date. Around it, the trainer applies the schedules, counts steps, and measures the whole.
 *
 * Every method trains the query encoder by the optimizer. The other parts of a trainer (momentum encoder, queue, loss)
 * are NULL where its method does without them, which the method's check decides.
 */
#ifndef MOCO_TRAINER_METHOD_H
#define MOCO_TRAINER_METHOD_H

#include "trainer/trainer_internal.h"

/* One step, for the method to take. */
typedef struct moco_step {
    moco_tensor query_images; /* n x channels x h x w */
    moco_tensor key_images;
    const int64_t *sample_ids; /* n; may be NULL */
    int64_t n;
    moco_step_stats *stats; /* the method fills in the loss's, the queue's and the phases' */
} moco_step;

struct moco_method {
    const char *name;
    /* INVALID_ARGUMENT, naming the part, unless the trainer has what the method needs. That parts belong together
     * (one context, one query encoder) was checked before. */
    moco_status (*check)(const moco_trainer *trainer);
    /* On failure, the query encoder's parameters, the optimizer's state and the keys kept are as before. */
    moco_status (*step)(moco_trainer *trainer, const moco_step *step);
};

/* Momentum Contrast: Algorithm 1 of arXiv 1911.05722. It needs all parts. */
extern const moco_method moco_method_queue;

/* --- For methods --- */

/* A matrix of n embeddings in `room`, which lasts until its next use. */
moco_status moco_trainer_embeddings(moco_trainer *trainer, moco_grown_buffer *room, int64_t n, moco_tensor *embeddings);

/* Waits for the backend to be done, so that the time is of the work and not of asking for it; then the time since *mark,
 * which moves to now. */
moco_status moco_trainer_lap(const moco_trainer *trainer, int64_t *mark, int64_t *elapsed_ns);

/* What the computation of a loss from q and k, which answered `status`, means for the run: INVALID_STATE where an
 * embedding or the loss is not finite, else `status`, and if that is OK `result` goes into the statistics. */
moco_status moco_trainer_take_loss(moco_trainer *trainer, moco_status status, const moco_loss_result *result,
                                   const moco_tensor *q, const moco_tensor *k, moco_step_stats *stats);

#endif
