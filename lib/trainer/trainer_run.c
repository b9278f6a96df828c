/* Steps over a loader: epochs, the callback, and stopping between two steps. */
#include <math.h>

#include "augment/augment_internal.h"
#include "backend/backend_chain.h"
#include "encoder/encoder_internal.h"
#include "loader/loader_internal.h"
#include "trainer/trainer_internal.h"

static moco_status check_size(const moco_trainer *trainer, const moco_loader *loader, int64_t n) {
    const moco_augment *augment = moco_loader_augment(loader);
    const moco_status status = moco_encoder_prepare_training(trainer->query_encoder, n, moco_augment_height(augment),
                                                             moco_augment_width(augment));
    if (status != MOCO_INVALID_ARGUMENT) return status;
    return n == moco_loader_batch_size(loader)
               ? moco_fail(status, "batch_size is %lld: %s", (long long) n, moco_last_error())
               : moco_fail(status, "drop_last is 0, and the last batch of an epoch has %lld images: %s", (long long) n,
                           moco_last_error());
}

/* That the encoder can take the batches, also an incomplete one, which the end of an epoch would be late to tell. */
static moco_status check_batches(const moco_trainer *trainer, const moco_loader *loader) {
    const int64_t whole = moco_loader_batch_size(loader), last = moco_loader_last_batch_size(loader);
    if (last < whole) MOCO_TRY(check_size(trainer, loader, last));
    return last == whole || moco_loader_batches_per_epoch(loader) > 1 ? check_size(trainer, loader, whole) : MOCO_OK;
}

static moco_status check_loader(const moco_trainer *trainer, const moco_loader *loader) {
    MOCO_REQUIRE(moco_loader_context(loader) == trainer->context,
                 "loader was made from another context than the trainer's parts; all must share one");
    MOCO_REQUIRE(moco_loader_views(loader) == 2, "views of the loader is %d; training needs 2: query and key",
                 moco_loader_views(loader));
    MOCO_REQUIRE(moco_loader_output(loader) == MOCO_PIXELS_FLOAT32,
                 "output of the loader is MOCO_PIXELS_UINT8 (1); training needs MOCO_PIXELS_FLOAT32 (0)");
    MOCO_REQUIRE(moco_loader_batches_per_epoch(loader) >= 1, "loader has no batch in an epoch; it needs at least 1");
    return loader == trainer->loader ? MOCO_OK
                                     : check_batches(trainer, loader); /* its own was checked when it was kept */
}

moco_status moco_trainer_keep_loader(moco_trainer *trainer, moco_loader *loader, moco_augment *augment) {
    MOCO_TRY(check_loader(trainer, loader));
    moco_loader_retain(loader);
    moco_augment_retain(augment);
    trainer->loader = loader;
    trainer->augment = augment;
    return MOCO_OK;
}

/* The next batch, from the next epoch where one has ended. */
static moco_status next_batch(moco_trainer *trainer, moco_loader *loader, int64_t batches_per_epoch,
                              moco_batch *batch) {
    MOCO_TRY(moco_loader_take(loader, batch));
    if (batch->n == 0) {
        MOCO_TRY(moco_loader_begin_epoch(loader, trainer->step_count / batches_per_epoch));
        MOCO_TRY(moco_loader_take(loader, batch));
    }
    if (batch->n == 0) return moco_fail(MOCO_INTERNAL, "an epoch of the loader began without a batch");
    const int64_t channels = moco_encoder_channels(trainer->query_encoder);
    MOCO_REQUIRE(batch->channels == channels, "the loader's images have %lld channels; the encoder takes %lld",
                 (long long) batch->channels, (long long) channels);
    return MOCO_OK;
}

static int32_t finished(const moco_trainer *trainer, int64_t batches_per_epoch, int64_t epochs, int64_t max_steps) {
    return trainer->step_count / batches_per_epoch >= epochs || (max_steps > 0 && trainer->step_count >= max_steps);
}

static moco_status check_stop(moco_trainer *trainer) {
    if (!atomic_exchange(&trainer->stop_requested, 0)) return MOCO_OK;
    return moco_fail(MOCO_CANCELLED, "stopped on request after %lld steps", (long long) trainer->step_count);
}

/* A step that was not taken leaves the trainer's own loader, whose place is part of the trainer's state, before it. */
static moco_status take_step(moco_trainer *trainer, moco_loader *loader, const moco_views *views,
                             int64_t batches_per_epoch, int64_t started_ns, moco_loader_place *before,
                             moco_step_stats *stats) {
    const moco_status status = moco_trainer_step_views(trainer, views, batches_per_epoch, started_ns, stats);
    if (status == MOCO_OK) {
        *before = moco_loader_read_place(loader);
    } else if (loader == trainer->loader) {
        moco_loader_go_to(loader, before);
    }
    return status;
}

/* What one run does, once its arguments are checked and its handles held. */
typedef struct run {
    moco_trainer *trainer;
    moco_loader *loader;
    int64_t epochs;
    int64_t max_steps;
    moco_step_fn on_step;
    void *user;
} run;

static moco_status tell_caller(const run *r, const moco_step_stats *stats) {
    if (r->on_step == NULL) return MOCO_OK;
    const int32_t answer = r->on_step(stats, r->user);
    if (answer != 0) {
        return moco_fail(MOCO_CALLBACK, "on_step returned %d in step %lld, which stopped the run", answer,
                         (long long) stats->step);
    }
    if (moco_references_are_ours(&r->trainer->references)) {
        return moco_fail(MOCO_CANCELLED, "on_step destroyed the trainer in step %lld, which stopped the run",
                         (long long) stats->step);
    }
    return MOCO_OK;
}

static moco_status take_steps(const run *r) {
    moco_trainer *trainer = r->trainer;
    moco_loader *loader = r->loader;
    const int64_t batches_per_epoch = moco_loader_batches_per_epoch(loader);
    moco_loader_place place = moco_loader_read_place(loader);
    MOCO_TRY(moco_loader_continue_at(loader, trainer->step_count / batches_per_epoch,
                                     trainer->step_count % batches_per_epoch));
    while (!finished(trainer, batches_per_epoch, r->epochs, r->max_steps)) {
        const int64_t started_ns = moco_now_ns();
        moco_batch batch;
        MOCO_TRY(next_batch(trainer, loader, batches_per_epoch, &batch));
        const int64_t loaded_ns = moco_now_ns();

        const moco_views views = {batch.query_images, batch.key_images, batch.sample_ids, batch.n, batch.h, batch.w};
        moco_step_stats stats;
        MOCO_TRY(take_step(trainer, loader, &views, batches_per_epoch, started_ns, &place, &stats));
        stats.ns_load = loaded_ns - started_ns;
        MOCO_TRY(tell_caller(r, &stats));
        MOCO_TRY(check_stop(trainer));
    }
    return MOCO_OK;
}

static moco_status check_run(run *r) {
    moco_trainer *trainer = r->trainer;
    if (r->loader == NULL) r->loader = trainer->loader;
    MOCO_REQUIRE(r->loader != NULL,
                 "loader is NULL, and the trainer has none of its own, as moco_trainer_create_for makes");
    MOCO_REQUIRE(r->epochs >= 0, "epochs is %lld; it must be 0 (as many as the schedule has) or more",
                 (long long) r->epochs);
    MOCO_REQUIRE(r->max_steps >= 0, "max_steps is %lld; it must be 0 (no limit) or more", (long long) r->max_steps);
    MOCO_TRY(check_loader(trainer, r->loader));
    const double scheduled = ceil(trainer->learning_rate.epochs);
    if (r->epochs == 0) r->epochs = scheduled < 0x1p62 ? (int64_t) scheduled : INT64_MAX;
    return check_stop(trainer);
}

static moco_status run_over_loader(run *r) {
    MOCO_TRY(check_run(r));
    if (finished(r->trainer, moco_loader_batches_per_epoch(r->loader), r->epochs, r->max_steps)) return MOCO_OK;
    MOCO_TRY(moco_loader_begin_run(r->loader));
    moco_loader_retain(r->loader);
    const moco_status status = take_steps(r);
    moco_loader_end_run(r->loader);
    moco_loader_release(r->loader);
    return status;
}

moco_status moco_trainer_run(moco_trainer *trainer, moco_loader *loader, int64_t epochs, int64_t max_steps,
                             moco_step_fn on_step, void *user) {
    MOCO_REQUIRE_POINTER(trainer);
    run r = {trainer, loader, epochs, max_steps, on_step, user};
    MOCO_TRY(moco_trainer_begin_work(trainer));
    const moco_status status = run_over_loader(&r);
    moco_trainer_end_work(trainer);
    return status;
}
