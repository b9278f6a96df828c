/* The trainer: the parts, called in the paper's order (arXiv 1911.05722, Algorithm 1, and the reference's builder.py):
 *
 *   q = f_q(query images);  momentum update;  k = f_k(shuffled key images);  loss and dL/dq against the queue;
 *   f_q backward;  optimizer step;  enqueue k
 *
 * The momentum update and k depend on nothing that f_q's forward changes but its BatchNorm buffers. Where the momentum
 * encoder has buffers of its own (MOCO_BN_BUFFERS_OWN, the default), k may so come before q with the same bits, and
 * with a built-in encoder it does: f_k then runs in the memory that afterwards keeps f_q's activations for the backward
 * pass.
 */
#ifndef MOCO_TRAINER_H
#define MOCO_TRAINER_H

#include <moco/encoder.h>
#include <moco/loader.h>
#include <moco/loss.h>
#include <moco/momentum_encoder.h>
#include <moco/optimizer.h>
#include <moco/queue.h>
#include <moco/schedule.h>

MOCO_BEGIN_DECLS

typedef struct moco_trainer moco_trainer;

typedef struct moco_trainer_config {
    uint32_t struct_size;
    int32_t use_learning_rate_schedule; /* 1 (default): learning_rate below sets the optimizer's; 0: the caller does */
    const moco_schedule *learning_rate; /* copied; NULL (default): moco_schedule_init's, which is v2's */
    double momentum_end; /* 0 (default): momentum stays; else m goes from the momentum encoder's at creation to this
                                along a cosine over learning_rate->epochs; 0 < momentum_end <= 1 */
    int64_t
        steps_per_epoch; /* for schedules when the caller calls step() itself; default 1; run() takes the loader's */
} moco_trainer_config;

typedef struct moco_step_stats {
    uint32_t struct_size;
    int32_t warming_up; /* 1 while the queue that this loss was taken against held random or no rows beside keys
                           (filled < capacity): the loss may rise until it is full */
    int64_t step;       /* 0-based number of this step */
    int64_t epoch;      /* step / steps_per_epoch */
    int64_t samples;    /* n of this step */
    /* Of the loss: moco_loss_result says what they are. */
    double loss;
    double mean_positive_similarity;
    double mean_negative_similarity;
    double top1;
    double top5;
    double chance_loss;
    int64_t negatives;
    int64_t masked;
    double learning_rate;     /* used in this step */
    double momentum;          /* used in this step */
    int64_t queue_filled;     /* after the enqueue */
    double seconds;           /* of this step; in run(), loader wait included */
    double images_per_second; /* samples / seconds: images of the dataset, each of which has two views */
    /* Wall-clock nanoseconds by phase. */
    int64_t ns_load;
    int64_t ns_query_forward;
    int64_t ns_momentum_update;
    int64_t ns_key_forward;
    int64_t ns_loss;
    int64_t ns_query_backward;
    int64_t ns_optimizer;
    int64_t ns_enqueue;
} moco_step_stats;

/* After each step of run(). Non-zero stops the run with CALLBACK. It may call anything but steps, runs and restores of this
 * trainer and the run's own loader, which are INVALID_STATE here: evaluate, save, set rates, ask to stop. Where it
 * destroys the trainer, the run ends with CANCELLED; other handles that it destroys are kept to the run's end. */
typedef int32_t (*moco_step_fn)(const moco_step_stats *stats, void *user);

MOCO_API moco_status moco_trainer_config_init(moco_trainer_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_TRAINER_CONFIG_INITIALIZER \
    { sizeof(moco_trainer_config), 1, NULL, 0.0, 1 }
MOCO_API moco_status moco_step_stats_init(moco_step_stats *stats, uint32_t struct_size);

/* Keeps all parts alive. INVALID_ARGUMENT where they don't fit: other dims, another context, a momentum encoder or
 * optimizer of another encoder. `config` NULL means the defaults. */
MOCO_API moco_status moco_trainer_create(moco_trainer **out, moco_encoder *query_encoder,
                                         moco_momentum_encoder *momentum_encoder, moco_queue *queue, moco_loss *loss,
                                         moco_optimizer *optimizer, const moco_trainer_config *config);
MOCO_API void moco_trainer_destroy(moco_trainer *trainer);

/* One training step on two views of the same n images, [n x channels x h x w] each. sample_ids[n] and stats may be
 * NULL. A loss or running statistics that are not finite (an exploded run, or pixels that are not finite or far too
 * large) are INVALID_STATE. A step that fails has changed nothing that moco_trainer_checksum sees: go on with the next
 * batch. Only a failure of the backend itself (BACKEND) after the loss may have changed some parameters already.
 * Gradients are working memory: they are those of the last step, and after one that failed zero or undefined. */
MOCO_API moco_status moco_trainer_step(moco_trainer *trainer, const float *query_images, const float *key_images,
                                       const int64_t *sample_ids, int64_t n, int64_t h, int64_t w,
                                       moco_step_stats *stats);

/* Trains over the loader (views must be 2) from the trainer's current step until `epochs` epochs in all are done (0: as
 * many as the learning-rate schedule has), or `max_steps` steps in all if that is > 0. `loader` NULL is the trainer's
 * own, which moco_trainer_create_for has made. Returns CANCELLED after request_stop, with the last step complete. A step
 * that fails ends it, as moco_trainer_step says; the trainer's own loader then gives that step's batch again. Batches
 * that the encoder can't take, such as a last one without drop_last that has fewer images than bn_groups, are
 * INVALID_ARGUMENT before the first step, and in moco_trainer_create_for. */
MOCO_API moco_status moco_trainer_run(moco_trainer *trainer, moco_loader *loader, int64_t epochs, int64_t max_steps,
                                      moco_step_fn on_step, void *user);

/* Asks a run() to stop after the step in progress. From any thread, or a signal handler. A request made while nothing
 * runs is kept for the next run(). NULL is a no-op. */
MOCO_API void moco_trainer_request_stop(moco_trainer *trainer);

/* The trainer's parts, to evaluate, save or set them: lent, they live at least as long. NULL: it has none. */
MOCO_API moco_encoder *moco_trainer_encoder(const moco_trainer *trainer); /* the query encoder */
MOCO_API moco_momentum_encoder *moco_trainer_momentum_encoder(const moco_trainer *trainer);
MOCO_API moco_queue *moco_trainer_queue(const moco_trainer *trainer);
MOCO_API moco_loss *moco_trainer_loss(const moco_trainer *trainer);
MOCO_API moco_optimizer *moco_trainer_optimizer(const moco_trainer *trainer);
/* These two only where moco_trainer_create_for has made the trainer. */
MOCO_API moco_loader *moco_trainer_loader(const moco_trainer *trainer);
MOCO_API moco_augment *moco_trainer_augment(const moco_trainer *trainer);

/* Steps done so far; set it, with the parts' own state, to continue a run. Behind the last count there is, 2^63 - 1, a
 * step is INVALID_STATE. */
MOCO_API int64_t moco_trainer_step_count(const moco_trainer *trainer);
MOCO_API moco_status moco_trainer_set_step_count(moco_trainer *trainer, int64_t step_count);

/* \since 0.2. A checksum of all that decides what training makes from here on: the parts' parameters, statistics, keys,
 * velocities, counts and settings, and the place of a loader of the trainer's own; not of how it is computed (threads,
 * backend, compute dtype). Two trainers with the same checksum go on to the same results, where the computation gives the
 * same bits. A value that is equal but not the same, -0 for 0, counts as another. */
MOCO_API moco_status moco_trainer_checksum(moco_trainer *trainer, uint64_t *out);

MOCO_END_DECLS

#endif
