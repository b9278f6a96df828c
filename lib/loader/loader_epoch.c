/* An epoch as the caller sees it: its start, its batches one after the other, and what they took. */
#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "core/config.h"
#include "core/random.h"
#include "loader/loader_state.h"

#define MAX_EPOCH     (((int64_t) 1 << 32) - 1)
#define LEAST_SAMPLES 1000 /* that a fraction of broken ones is taken of */

/* What the first release's struct had. */
#define OLDEST_BATCH offsetof(moco_batch, query_pixels)

/* Inside a callback a loader can't be asked for what it is just making, nor to stop making it; and a run's batches are
 * the run's. The mutex is held. */
static moco_status check_free(moco_loader *loader) {
    if (loader->in_call || moco_loader_this_worker(loader) != NULL) {
        return moco_fail(MOCO_INVALID_STATE, "the loader is making the batch from whose callback this call comes; a "
                                             "dataset's callbacks can't start it or take batches from it");
    }
    if (loader->in_run) {
        return moco_fail(MOCO_INVALID_STATE, "the loader is in use by moco_trainer_run; use one of your own for other "
                                             "batches, in on_step too");
    }
    return MOCO_OK;
}

/* Takes hold of the loader for one call (`use` &in_call) or a run (&in_run), unless it is taken. */
static moco_status begin_use(moco_loader *loader, int32_t *use) {
    pthread_mutex_lock(&loader->mutex);
    const moco_status status = check_free(loader);
    if (status == MOCO_OK) *use = 1;
    pthread_mutex_unlock(&loader->mutex);
    return status;
}

static void end_use(moco_loader *loader, int32_t *use) {
    pthread_mutex_lock(&loader->mutex);
    *use = 0;
    pthread_mutex_unlock(&loader->mutex);
}

moco_status moco_loader_begin_run(moco_loader *loader) {
    return begin_use(loader, &loader->in_run);
}

void moco_loader_end_run(moco_loader *loader) {
    end_use(loader, &loader->in_run);
}

moco_status moco_loader_start_epoch(moco_loader *loader, int64_t epoch) {
    return moco_loader_start_at(loader, epoch, 0);
}

moco_status moco_loader_start_at(moco_loader *loader, int64_t epoch, int64_t batch) {
    MOCO_REQUIRE_POINTER(loader);
    MOCO_TRY(begin_use(loader, &loader->in_call));
    end_use(loader, &loader->in_call);
    return moco_loader_resume_at(loader, epoch, batch, 0); /* samples before it count as good */
}

/* The mutex is held. No sample is taken from here on; those being made still read `order` and write into the slots. */
static void stop_making(moco_loader *loader) {
    loader->running = 0;
    while (loader->active > 0) pthread_cond_wait(&loader->ready, &loader->mutex);
    for (int64_t i = 0; i < loader->slot_count; ++i) loader->slots[i].batch = -1;
}

void moco_loader_leave_epoch(moco_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    stop_making(loader);
    loader->epoch = loader->next_batch = 0;
    loader->given_samples = loader->given_replaced = 0;
    pthread_mutex_unlock(&loader->mutex);
}

moco_status moco_loader_begin_epoch(moco_loader *loader, int64_t epoch) {
    return moco_loader_resume_at(loader, epoch, 0, 0);
}

moco_status moco_loader_resume_at(moco_loader *loader, int64_t epoch, int64_t batch, int64_t replaced) {
    MOCO_REQUIRE(epoch >= 0 && epoch <= MAX_EPOCH, "epoch is %lld; it must be 0 to %lld", (long long) epoch,
                 (long long) MAX_EPOCH);
    MOCO_REQUIRE(batch >= 0 && batch <= loader->batches, "batch is %lld; it must be 0 to %lld, the epoch's batches",
                 (long long) batch, (long long) loader->batches);
    pthread_mutex_lock(&loader->mutex);
    stop_making(loader);
    if (loader->order != NULL) {
        moco_random random;
        moco_random_init(&random, loader->config.seed, MOCO_RANDOM_LOADER, (uint64_t) epoch, 0);
        moco_random_permutation(&random, loader->dataset->count, loader->order);
    }
    loader->epoch = epoch;
    loader->next_batch = batch;
    loader->make_batch = batch;
    loader->make_sample = 0;
    loader->given_samples = batch * loader->config.batch_size;
    loader->given_replaced = replaced;
    loader->running = 1;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
    return MOCO_OK;
}

moco_status moco_loader_continue_at(moco_loader *loader, int64_t epoch, int64_t batch) {
    pthread_mutex_lock(&loader->mutex);
    const int32_t is_there = loader->running && loader->epoch == epoch && loader->next_batch == batch;
    const int64_t replaced = is_there ? loader->given_replaced : 0;
    pthread_mutex_unlock(&loader->mutex);
    return moco_loader_resume_at(loader, epoch, batch, replaced);
}

/* Waits for, or without workers makes, the next batch; the mutex is held. */
static const loader_slot *await_batch(moco_loader *loader) {
    const loader_slot *slot = &loader->slots[loader->next_batch % loader->slot_count];
    if (slot->batch == loader->next_batch && slot->done == slot->n) return slot;
    const int64_t started = moco_now_ns();
    while (slot->batch != loader->next_batch || slot->done < slot->n) {
        if (loader->worker_count > 0) {
            pthread_cond_wait(&loader->ready, &loader->mutex);
        } else {
            moco_loader_make_sample(loader, &loader->memory);
        }
    }
    loader->statistics.ns_wait += moco_now_ns() - started;
    return slot;
}

/* Whether the batch may be given; if not, why. Counts only batches, so that it does not matter what was made ahead. */
static moco_status check_batch(const moco_loader *loader, const loader_slot *slot, char *sentence) {
    if (slot->failure.status != MOCO_OK) {
        memcpy(sentence, slot->failure.sentence, MOCO_SENTENCE_SIZE);
        return slot->failure.status;
    }
    if (slot->replaced == 0) return MOCO_OK;
    const int64_t samples = loader->given_samples + slot->n, broken = loader->given_replaced + slot->replaced;
    const int64_t whole = moco_max_i64(samples, moco_min_i64(LEAST_SAMPLES, loader->samples));
    if ((double) broken <= loader->config.max_broken_fraction * (double) whole) return MOCO_OK;
    snprintf(
        sentence, MOCO_SENTENCE_SIZE,
        "%lld of %lld samples of this epoch are broken, more than max_broken_fraction %g allows; the last one: %.800s",
        (long long) broken, (long long) samples, loader->config.max_broken_fraction, slot->broken.sentence);
    return slot->broken.status;
}

static void give_batch(moco_loader *loader, const loader_slot *slot, moco_batch *made) {
    made->n = slot->n;
    made->sample_ids = slot->sample_ids;
    made->labels = slot->labels;
    if (loader->config.output == MOCO_PIXELS_FLOAT32) {
        made->query_images = (const float *) (const void *) slot->query_views;
        made->key_images = (const float *) (const void *) slot->key_views;
    } else {
        made->query_pixels = slot->query_views;
        made->key_pixels = slot->key_views;
    }
    loader->given_samples += slot->n;
    loader->given_replaced += slot->replaced;
    loader->statistics.batches++;
    loader->statistics.samples += slot->n;
    loader->statistics.replaced += slot->replaced;
    loader->next_batch++;
    pthread_cond_broadcast(&loader->work);
}

moco_status moco_loader_take(moco_loader *loader, moco_batch *batch) {
    *batch = (moco_batch){.struct_size = sizeof *batch,
                          .h = moco_augment_height(loader->augment),
                          .w = moco_augment_width(loader->augment),
                          .channels = loader->dataset->channels};
    moco_status status = MOCO_OK;
    char sentence[MOCO_SENTENCE_SIZE];
    pthread_mutex_lock(&loader->mutex);
    if (!loader->running) {
        status = MOCO_INVALID_STATE;
        strcpy(sentence, "no epoch has begun; call moco_loader_start_epoch first");
    } else if (loader->next_batch < loader->batches) {
        const loader_slot *slot = await_batch(loader);
        status = check_batch(loader, slot, sentence); /* a failure is given again until the next start */
        if (status == MOCO_OK) give_batch(loader, slot, batch);
    }
    pthread_mutex_unlock(&loader->mutex);
    return status == MOCO_OK ? MOCO_OK : moco_fail_with(status, sentence);
}

moco_status moco_loader_next(moco_loader *loader, moco_batch *batch) {
    MOCO_REQUIRE_POINTER(loader);
    MOCO_REQUIRE_POINTER(batch);
    const size_t least = loader->config.output == MOCO_PIXELS_FLOAT32 ? OLDEST_BATCH : sizeof *batch;
    MOCO_REQUIRE(batch->struct_size >= least,
                 "struct_size of moco_batch is %u; set it to sizeof(moco_batch), at least %zu", batch->struct_size,
                 least);
    MOCO_TRY(begin_use(loader, &loader->in_call));
    moco_loader_retain(loader); /* a dataset's callback may destroy it */
    moco_batch made;
    moco_status status = moco_loader_take(loader, &made);
    end_use(loader, &loader->in_call);
    if (status == MOCO_OK && moco_references_are_ours(&loader->references)) {
        status = moco_fail(MOCO_INVALID_STATE, "the loader was destroyed by a callback while it made this batch");
    }
    moco_loader_release(loader);
    MOCO_TRY(status);
    return moco_output_write(batch, &made, sizeof made, OLDEST_BATCH, "moco_batch");
}

moco_status moco_loader_statistics_init(moco_loader_statistics *statistics, uint32_t struct_size) {
    const moco_loader_statistics zeros = {.struct_size = sizeof zeros};
    return moco_config_init(statistics, struct_size, &zeros, sizeof zeros, sizeof zeros, "moco_loader_statistics");
}

moco_status moco_loader_read_statistics(moco_loader *loader, moco_loader_statistics *statistics) {
    MOCO_REQUIRE_POINTER(loader);
    MOCO_REQUIRE_POINTER(statistics);
    pthread_mutex_lock(&loader->mutex);
    moco_loader_statistics now = loader->statistics;
    pthread_mutex_unlock(&loader->mutex);
    now.broken = moco_broken_images_count(&loader->dataset->broken);
    if (loader->cache != NULL) {
        now.cached = moco_sample_cache_count(loader->cache);
        now.cache_bytes = moco_sample_cache_bytes(loader->cache);
    }
    return moco_output_write(statistics, &now, sizeof now, sizeof now, "moco_loader_statistics");
}
