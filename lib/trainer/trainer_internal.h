/* The trainer's inside: its parts, its schedules, and the memory of one step. */
#ifndef MOCO_TRAINER_INTERNAL_H
#define MOCO_TRAINER_INTERNAL_H

#include <moco/sys/backend.h>
#include <moco/trainer.h>

#include "backend/grown_buffer.h"
#include "core/context_internal.h"
#include "core/references.h"
#include "core/state.h"

typedef struct moco_method moco_method; /* trainer/method.h */

struct moco_trainer {
    moco_references references;
    int32_t is_at_work; /* in a step or run, from where the caller's code may be called */
    int32_t reserved;
    moco_context *context;
    const moco_method *method;
    moco_encoder *query_encoder;
    moco_momentum_encoder *momentum_encoder; /* this, queue and loss: NULL where the method does without */
    moco_queue *queue;
    moco_loss *loss;
    moco_optimizer *optimizer;
    moco_trainer_config config; /* its learning_rate points to the one below */
    moco_schedule learning_rate;
    double momentum_start; /* of the cosine to config.momentum_end */
    int64_t step_count;
    atomic_int stop_requested; /* lock-free, so that a signal handler may set it */

    moco_grown_buffer q;   /* n x dim */
    moco_grown_buffer k;   /* n x dim */
    moco_grown_buffer d_q; /* n x dim */
    /* Copies of the images where the backend can't work on the host's memory. */
    moco_grown_buffer query_images;
    moco_grown_buffer key_images;

    /* Of its own, where moco_trainer_create_for has made them; else NULL. */
    moco_loader *loader;
    moco_augment *augment;
};

/* Every step and run is between these two. They hold the trainer; a second one inside is INVALID_STATE. */
moco_status moco_trainer_begin_work(moco_trainer *trainer);
void moco_trainer_end_work(moco_trainer *trainer);

/* Makes a loader that fits, with the views in it, the one that moco_trainer_run takes where it is given none. */
moco_status moco_trainer_keep_loader(moco_trainer *trainer, moco_loader *loader, moco_augment *augment);

/* moco_trainer_create for any method. */
moco_status moco_trainer_create_with(moco_trainer **out, const moco_method *method, moco_encoder *query_encoder,
                                     moco_momentum_encoder *momentum_encoder, moco_queue *queue, moco_loss *loss,
                                     moco_optimizer *optimizer, const moco_trainer_config *config);

/* core/state.h; the parts are "trainer", "schedule", "query_encoder", and those of the parts it has. A loader that the
 * caller hands to moco_trainer_run is visited by the caller. */
moco_status moco_trainer_visit(moco_trainer *trainer, const moco_state *state);

/* Two views of n images in the host's memory, n x channels x h x w each. */
typedef struct moco_views {
    const float *query_images;
    const float *key_images;
    const int64_t *sample_ids; /* may be NULL */
    int64_t n;
    int64_t h;
    int64_t w;
} moco_views;

/* One step; fills all of `stats` but what only run() knows (ns_load). `started_ns` is when the step began. */
moco_status moco_trainer_step_views(moco_trainer *trainer, const moco_views *views, int64_t steps_per_epoch,
                                    int64_t started_ns, moco_step_stats *stats);

#endif
