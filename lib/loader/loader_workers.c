/* Making samples, by worker threads or the caller: each is taken in the epoch's order, made without the mutex, and
 * replaced if it is broken.
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <string.h>

#include "core/random.h"
#include "core/threads.h"
#include "loader/loader_state.h"

#define MAX_REPLACEMENTS 100 /* tried for one sample */

/* What a thread found out while it made one sample; added up under the mutex. */
typedef struct sample_report {
    int32_t replaced;
    int64_t hits, misses, ns_load, ns_augment;
    loader_failure broken;
} sample_report;

static void keep_failure(loader_failure *failure, moco_status status, int64_t sample) {
    failure->status = status;
    failure->sample = sample;
    const size_t length = strnlen(moco_last_error(), sizeof failure->sentence - 1);
    memcpy(failure->sentence, moco_last_error(), length);
    failure->sentence[length] = '\0';
}

/* Image `index` as sample number `at` of the batch in `slot`. */
static moco_status make_views(const moco_loader *loader, int64_t epoch, int64_t index, loader_slot *slot, int64_t at,
                              moco_view_memory *memory, sample_report *report) {
    uint8_t *query = slot->query_views + at * loader->view_bytes;
    uint8_t *key = slot->key_views == NULL ? NULL : slot->key_views + at * loader->view_bytes;
    slot->sample_ids[at] = index;
    const moco_status status = moco_make_views(&loader->plan, memory, epoch, index, query, key, &slot->labels[at]);
    report->hits += memory->hit;
    report->misses += loader->cache != NULL && !memory->hit;
    report->ns_load += memory->ns_load;
    report->ns_augment += memory->ns_augment;
    return status;
}

/* As make_views, with another sample in place of a broken one: the first that is not broken of a random sequence that
 * depends on seed, epoch and sample alone. */
static moco_status make_or_replace(moco_loader *loader, int64_t epoch, int64_t index, loader_slot *slot, int64_t at,
                                   moco_view_memory *memory, sample_report *report) {
    moco_status status = make_views(loader, epoch, index, slot, at, memory, report);
    if (!moco_is_broken(status)) return status;
    report->replaced = 1;
    keep_failure(&report->broken, status, at);
    moco_broken_images_note(&loader->dataset->broken, loader->context, index);
    moco_random random;
    moco_random_init(&random, loader->config.seed, MOCO_RANDOM_REPLACEMENT, (uint64_t) epoch, (uint64_t) index);
    for (int32_t attempt = 0; attempt < MAX_REPLACEMENTS; ++attempt) {
        const int64_t other = (int64_t) moco_random_below(&random, (uint64_t) loader->dataset->count);
        status = make_views(loader, epoch, other, slot, at, memory, report);
        if (!moco_is_broken(status)) return status;
        moco_broken_images_note(&loader->dataset->broken, loader->context, other);
    }
    return moco_fail(status, "image %lld and all %d images tried in its place are broken; its failure: %s",
                     (long long) index, MAX_REPLACEMENTS, report->broken.sentence);
}

static void add_report(moco_loader *loader, loader_slot *slot, const sample_report *report) {
    moco_loader_statistics *statistics = &loader->statistics;
    statistics->cache_hits += report->hits;
    statistics->cache_misses += report->misses;
    statistics->ns_load += report->ns_load;
    statistics->ns_augment += report->ns_augment;
    if (!report->replaced) return;
    slot->replaced++;
    if (slot->broken.status == MOCO_OK || slot->broken.sample < report->broken.sample) slot->broken = report->broken;
}

static void make_sample(moco_loader *loader, loader_slot *slot, int64_t batch, int64_t at, moco_view_memory *memory) {
    sample_report report; /* large, so not cleared as a whole */
    report.replaced = 0;
    report.hits = report.misses = report.ns_load = report.ns_augment = 0;
    const int64_t epoch = loader->epoch;
    loader->active++;
    pthread_mutex_unlock(&loader->mutex);
    const int64_t position = moco_loader_position(&loader->config, loader->dataset->count, batch, at);
    const int64_t index = loader->order == NULL ? position : loader->order[position];
    const moco_status status = make_or_replace(loader, epoch, index, slot, at, memory, &report);
    pthread_mutex_lock(&loader->mutex);
    loader->active--;
    add_report(loader, slot, &report);
    /* Of several failures the sample's that comes first is kept, whichever was made first. */
    if (status != MOCO_OK && (slot->failure.status == MOCO_OK || at < slot->failure.sample)) {
        keep_failure(&slot->failure, status, at);
    }
}

int32_t moco_loader_make_sample(moco_loader *loader, moco_view_memory *memory) {
    if (!loader->running || loader->make_batch >= loader->batches ||
        loader->make_batch >= loader->next_batch + loader->config.prefetch) {
        return 0;
    }
    const int64_t batch = loader->make_batch, at = loader->make_sample;
    loader_slot *slot = &loader->slots[batch % loader->slot_count];
    if (at == 0) {
        slot->batch = batch;
        slot->n = moco_loader_batch_count(&loader->config, loader->dataset->count, batch);
        slot->done = 0;
        slot->replaced = 0;
        slot->failure.status = MOCO_OK;
        slot->broken.status = MOCO_OK;
    }
    if (++loader->make_sample == slot->n) {
        loader->make_sample = 0;
        loader->make_batch++;
    }
    /* The rest of a failed batch is passed over. */
    if (slot->failure.status == MOCO_OK) make_sample(loader, slot, batch, at, memory);
    slot->done++;
    if (slot->done == slot->n || (!loader->running && loader->active == 0)) pthread_cond_broadcast(&loader->ready);
    return 1;
}

static void *work(void *argument) {
    loader_worker *worker = (loader_worker *) argument;
    moco_loader *loader = worker->loader;
    pthread_mutex_lock(&loader->mutex);
    while (!loader->quit) {
        if (!moco_loader_make_sample(loader, &worker->memory)) pthread_cond_wait(&loader->work, &loader->mutex);
    }
    const int32_t disposes = loader->disposer == worker;
    pthread_mutex_unlock(&loader->mutex);
    if (disposes) loader->dispose(loader);
    return NULL;
}

loader_worker *moco_loader_this_worker(moco_loader *loader) {
    for (int32_t i = 0; i < loader->worker_count; ++i) {
        if (pthread_equal(loader->workers[i].thread, pthread_self())) return &loader->workers[i];
    }
    return NULL;
}

void moco_loader_start_workers(moco_loader *loader) {
    /* The host's signals are for the host's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int32_t most = moco_startable_beside_team(loader->context->threads, loader->config.workers);
    while (loader->worker_count < most) {
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
        const pthread_t thread = loader->workers[i].thread;
        if (pthread_equal(thread, pthread_self())) {
            pthread_detach(thread);
        } else {
            pthread_join(thread, NULL);
        }
        moco_view_memory_release(&loader->plan, &loader->workers[i].memory);
    }
}
