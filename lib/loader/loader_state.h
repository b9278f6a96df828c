/* A loader's inside: a ring of batch buffers that worker threads fill ahead of the caller, sample by sample.
 *
 * Batch b lives in slot b mod slots. The workers take the epoch's samples strictly in order, so that all of them work
 * on the batch that is wanted next; which of them makes a sample has no influence on it. There is one slot more than
 * batches to keep ready, for the batch that the caller holds.
 */
#ifndef MOCO_LOADER_STATE_H
#define MOCO_LOADER_STATE_H

#include <pthread.h>

#include "core/references.h"
#include "loader/loader_internal.h"
#include "loader/view_maker.h"

enum { MOCO_SENTENCE_SIZE = 1024 };

/* A failure of one of a batch's samples. */
typedef struct loader_failure {
    moco_status status; /* MOCO_OK: none */
    int64_t sample;     /* its number in the batch */
    char sentence[MOCO_SENTENCE_SIZE];
} loader_failure;

/* Made batches; fields but the arrays' elements are guarded by the loader's mutex. */
typedef struct loader_slot {
    int64_t batch; /* -1: none yet */
    int64_t n;
    int64_t done;                     /* samples made, or passed over after a failure */
    uint8_t *query_views, *key_views; /* n views each, in the type of the loader's output */
    int64_t *sample_ids;
    int32_t *labels;
    loader_failure failure; /* that ends the epoch: of the sample that comes first in the batch */
    loader_failure broken;  /* that was replaced: of the sample that comes last */
    int64_t replaced;
} loader_slot;

typedef struct loader_worker {
    moco_loader *loader;
    pthread_t thread;
    moco_view_memory memory;
} loader_worker;

struct moco_loader {
    moco_references references;
    moco_context *context; /* the dataset's */
    moco_dataset *dataset;
    moco_augment *augment;
    moco_sample_cache *cache; /* NULL without */
    moco_loader_config config;
    moco_view_plan plan;
    int64_t batches;    /* per epoch */
    int64_t samples;    /* per epoch, of this rank */
    int64_t view_bytes; /* of one view */
    int64_t *order;     /* the epoch's permutation, the same for all ranks; NULL without shuffling */
    loader_slot *slots;
    int64_t slot_count;
    loader_worker *workers;
    int32_t worker_count;    /* running */
    moco_view_memory memory; /* of the calling thread, without workers */

    pthread_mutex_t mutex;
    pthread_cond_t work;  /* there may be a sample to take, or it is time to quit */
    pthread_cond_t ready; /* a batch is complete, or the epoch is given up and no sample is being made any more */
    /* Guarded by the mutex: */
    int32_t quit;
    int32_t in_call;                      /* in moco_loader_next, from where the caller's code may be called */
    int32_t in_run;                       /* a trainer's run takes its batches */
    void (*dispose)(moco_loader *loader); /* the end of everything; in a worker only as its last act */
    loader_worker *disposer;              /* whose sample's making has destroyed the loader; NULL: none */
    int32_t running;                      /* an epoch has begun and samples may be taken */
    int64_t active;                       /* samples being made */
    int64_t epoch;
    int64_t next_batch; /* that the caller gets next */
    int64_t make_batch; /* of the sample to be taken next */
    int64_t make_sample;
    int64_t given_samples;  /* of the epoch, the batches before its start included */
    int64_t given_replaced; /* of these, in place of broken ones */
    moco_loader_statistics statistics;
};

/* --- Where it is (loader_epoch.c) --- */

/* moco_loader_start_at, with `replaced` of the samples before it in place of broken ones. */
moco_status moco_loader_resume_at(moco_loader *loader, int64_t epoch, int64_t batch, int64_t replaced);
/* As before the first start: no epoch has begun. */
void moco_loader_leave_epoch(moco_loader *loader);

/* --- Which samples a batch has (loader_shard.c) --- */

/* Batches and samples of one rank in an epoch of a dataset of `count` images. */
int64_t moco_loader_count_batches(const moco_loader_config *config, int64_t count);
int64_t moco_loader_count_samples(const moco_loader_config *config, int64_t count);
/* The batch's size; the last may be smaller. */
int64_t moco_loader_batch_count(const moco_loader_config *config, int64_t count, int64_t batch);
/* Where in the epoch's permutation sample number `at` of a batch of this rank is. */
int64_t moco_loader_position(const moco_loader_config *config, int64_t count, int64_t batch, int64_t at);

/* --- Making them (loader_workers.c) --- */

/* Takes and makes one sample of the current epoch if there is one to make now; the mutex is held, and let go of
 * meanwhile. Returns 0 if there was none. */
int32_t moco_loader_make_sample(moco_loader *loader, moco_view_memory *memory);
/* Starts up to config.workers threads. That fewer could be started only makes it slower, so it is no failure. */
void moco_loader_start_workers(moco_loader *loader);
void moco_loader_join_workers(moco_loader *loader);
/* The worker that this is called in; NULL: another thread. */
loader_worker *moco_loader_this_worker(moco_loader *loader);

#endif
