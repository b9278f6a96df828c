#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <string.h>

#include "core/checked.h"
#include "loader/loader_state.h"

int64_t moco_loader_batch_count(const moco_loader *loader, int64_t batch) {
    const int64_t size = loader->config.batch_size;
    return moco_min_i64(size, loader->dataset->count - batch * size);
}

static moco_status reserve(moco_context *context, loader_scratch *scratch, int64_t floats) {
    if (floats <= scratch->capacity) return MOCO_OK;
    size_t bytes = 0;
    MOCO_TRY(moco_checked_bytes(floats, sizeof(float), "an image", &bytes));
    float *pixels = (float *) moco_allocate(context, bytes);
    if (pixels == NULL) return MOCO_OUT_OF_MEMORY;
    moco_deallocate(context, scratch->pixels);
    scratch->pixels = pixels;
    scratch->capacity = floats;
    return MOCO_OK;
}

/* Image `index` as sample number `at` of the batch in `slot`. */
static moco_status make_views(const moco_loader *loader, int64_t epoch, int64_t index, loader_slot *slot, int64_t at,
                              loader_scratch *scratch) {
    int64_t h = 0, w = 0, floats = 0;
    int32_t label = MOCO_NO_LABEL;
    MOCO_TRY(moco_dataset_info(loader->dataset, index, &h, &w, &label));
    const int64_t shape[3] = {loader->dataset->channels, h, w};
    MOCO_TRY(moco_checked_product(shape, 3, "the image's channels x h x w", &floats));
    MOCO_TRY(reserve(loader->context, scratch, floats));
    MOCO_TRY(moco_dataset_read(loader->dataset, index, scratch->pixels, scratch->capacity));
    slot->sample_ids[at] = index;
    slot->labels[at] = label;
    float *query = slot->query_images + at * loader->view_floats;
    if (loader->config.views == 0) return moco_augment_evaluate(loader->augment, scratch->pixels, h, w, query);
    MOCO_TRY(moco_augment_apply(loader->augment, scratch->pixels, h, w, epoch, index, 0, query));
    if (loader->config.views == 1) return MOCO_OK;
    return moco_augment_apply(loader->augment, scratch->pixels, h, w, epoch, index, 1,
                              slot->key_images + at * loader->view_floats);
}

/* Keeps the failure of the sample that comes first, whichever was made first. */
static void note_failure(loader_slot *slot, int64_t at, moco_status status) {
    if (slot->status != MOCO_OK && slot->failed_sample < at) return;
    slot->status = status;
    slot->failed_sample = at;
    const size_t length = strnlen(moco_last_error(), sizeof slot->sentence - 1);
    memcpy(slot->sentence, moco_last_error(), length);
    slot->sentence[length] = '\0';
}

int32_t moco_loader_make_sample(moco_loader *loader, loader_scratch *scratch) {
    if (!loader->running || loader->make_batch >= loader->batches ||
        loader->make_batch >= loader->next_batch + loader->config.prefetch) {
        return 0;
    }
    const int64_t batch = loader->make_batch, at = loader->make_sample, epoch = loader->epoch;
    loader_slot *slot = &loader->slots[batch % loader->slot_count];
    if (at == 0) {
        slot->batch = batch;
        slot->n = moco_loader_batch_count(loader, batch);
        slot->done = 0;
        slot->status = MOCO_OK;
    }
    if (++loader->make_sample == slot->n) {
        loader->make_sample = 0;
        loader->make_batch++;
    }
    if (slot->status == MOCO_OK) { /* the rest of a failed batch is passed over */
        loader->active++;
        pthread_mutex_unlock(&loader->mutex);
        const int64_t position = batch * loader->config.batch_size + at;
        const int64_t index = loader->order == NULL ? position : loader->order[position];
        const moco_status status = make_views(loader, epoch, index, slot, at, scratch);
        pthread_mutex_lock(&loader->mutex);
        loader->active--;
        if (status != MOCO_OK) note_failure(slot, at, status);
    }
    slot->done++;
    if (slot->done == slot->n || loader->active == 0) pthread_cond_broadcast(&loader->ready);
    return 1;
}

static void *work(void *argument) {
    loader_worker *worker = (loader_worker *) argument;
    moco_loader *loader = worker->loader;
    pthread_mutex_lock(&loader->mutex);
    while (!loader->quit) {
        if (!moco_loader_make_sample(loader, &worker->scratch)) pthread_cond_wait(&loader->work, &loader->mutex);
    }
    pthread_mutex_unlock(&loader->mutex);
    return NULL;
}

void moco_loader_start_workers(moco_loader *loader) {
    /* The host's signals are for the host's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (loader->worker_count < loader->config.workers) {
        loader_worker *worker = &loader->workers[loader->worker_count];
        worker->loader = loader;
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) break;
        loader->worker_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (loader->worker_count < loader->config.workers) {
        moco_log(loader->context, MOCO_LOG_WARNING,
                 "the loader could start only %d of %d worker threads and goes on so", loader->worker_count,
                 loader->config.workers);
    }
}

void moco_loader_join_workers(moco_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    loader->quit = 1;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
    for (int32_t i = 0; i < loader->worker_count; ++i) {
        pthread_join(loader->workers[i].thread, NULL);
        moco_deallocate(loader->context, loader->workers[i].scratch.pixels);
    }
}
