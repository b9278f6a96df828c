/* A loader's inside: a ring of batch buffers that worker threads fill ahead of the caller, sample by sample.
 *
 * Batch b lives in slot b mod slots. The workers take the epoch's samples strictly in order, so that all of them work
 * on the batch that is wanted next; which of them makes a sample has no influence on it. There is one slot more than
 * batches to keep ready, for the batch that the caller holds.
 */
#ifndef MOCO_LOADER_STATE_H
#define MOCO_LOADER_STATE_H

#include <pthread.h>

#include "augment/augment_internal.h"
#include "data/dataset_internal.h"
#include "loader/loader_internal.h"

enum { MOCO_SENTENCE_SIZE = 1024 };

/* Made batches; fields but the arrays' elements are guarded by the loader's mutex. */
typedef struct loader_slot {
    int64_t batch; /* -1: none yet */
    int64_t n;
    int64_t done; /* samples made, or passed over after a failure */
    float *query_images, *key_images;
    int64_t *sample_ids;
    int32_t *labels;
    moco_status status;    /* of the failed sample that comes first in the batch */
    int64_t failed_sample; /* its number in the batch */
    char sentence[MOCO_SENTENCE_SIZE];
} loader_slot;

/* One thread's memory for an image as the dataset gives it; grows as images do. */
typedef struct loader_scratch {
    float *pixels;
    int64_t capacity;
} loader_scratch;

typedef struct loader_worker {
    moco_loader *loader;
    pthread_t thread;
    loader_scratch scratch;
} loader_worker;

struct moco_loader {
    atomic_int references;
    moco_context *context; /* the dataset's */
    moco_dataset *dataset;
    moco_augment *augment;
    moco_loader_config config;
    int64_t batches;     /* per epoch */
    int64_t view_floats; /* of one view: channels x height x width */
    int64_t *order;      /* the epoch's permutation; NULL without shuffling */
    loader_slot *slots;
    int64_t slot_count;
    loader_worker *workers;
    int32_t worker_count;   /* running */
    loader_scratch scratch; /* of the calling thread, without workers */

    pthread_mutex_t mutex;
    pthread_cond_t work;  /* there may be a sample to take, or it is time to quit */
    pthread_cond_t ready; /* a batch is complete, or no sample is being made any more */
    /* Guarded by the mutex: */
    int32_t quit;
    int32_t running; /* an epoch has begun and samples may be taken */
    int64_t active;  /* samples being made */
    int64_t epoch;
    int64_t next_batch; /* that the caller gets next */
    int64_t make_batch; /* of the sample to be taken next */
    int64_t make_sample;
};

/* The batch's size; the last may be smaller. */
int64_t moco_loader_batch_count(const moco_loader *loader, int64_t batch);
/* Takes and makes one sample of the current epoch if there is one to make now; the mutex is held, and let go of
 * meanwhile. Returns 0 if there was none. */
int32_t moco_loader_make_sample(moco_loader *loader, loader_scratch *scratch);
/* Starts up to config.workers threads. That fewer could be started only makes it slower, so it is no failure. */
void moco_loader_start_workers(moco_loader *loader);
void moco_loader_join_workers(moco_loader *loader);

#endif
