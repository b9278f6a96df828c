/* The loader: shuffled batches of two augmented views, made ahead of time by worker threads. The batches depend only on
 * the seed, the epoch, the dataset and the recipe, never on the number of workers.
 */
#ifndef MOCO_LOADER_H
#define MOCO_LOADER_H

#include <moco/augment.h>
#include <moco/dataset.h>

MOCO_BEGIN_DECLS

typedef struct moco_loader moco_loader;

typedef struct moco_loader_config {
    uint32_t struct_size;
    int32_t workers;    /* threads; default 2; 0: batches are made in moco_loader_next */
    int64_t batch_size; /* n; default 256 */
    int32_t prefetch;   /* batches kept ready; default 2, >= 1 */
    int32_t shuffle;    /* 1 (default): a new permutation each epoch; 0: in order */
    int32_t drop_last;  /* 1 (default): a last, smaller batch is left out, as in the reference */
    int32_t views;      /* 2 (default): query and key; 1: query only; 0: one evaluation view, not random */
    uint64_t seed;      /* of the permutation; default 0 */
} moco_loader_config;

typedef struct moco_batch {
    uint32_t struct_size; /* set by the caller */
    int32_t reserved;
    int64_t n; /* samples; 0: the epoch has ended */
    int64_t h;
    int64_t w;
    int64_t channels;
    const float *query_images; /* n x channels x h x w, NCHW; owned by the loader until the next call on it */
    const float *key_images;   /* same; NULL unless views is 2 */
    const int64_t *sample_ids; /* n, indices into the dataset */
    const int32_t *labels;     /* n, MOCO_NO_LABEL where there is none */
} moco_batch;

MOCO_API moco_status moco_loader_config_init(moco_loader_config *config, uint32_t struct_size);

/* Keeps dataset and augment alive. A dataset smaller than the batch is INVALID_ARGUMENT with drop_last. */
MOCO_API moco_status moco_loader_create(moco_loader **out, moco_dataset *dataset, moco_augment *augment,
                                        const moco_loader_config *config);
/* Stops and joins the workers, in the middle of an epoch too. */
MOCO_API void moco_loader_destroy(moco_loader *loader);

/* Begins `epoch` (>= 0) at its first batch, dropping what was left of the one before. */
MOCO_API moco_status moco_loader_start_epoch(moco_loader *loader, int64_t epoch);
/* As start_epoch, but at batch number `batch` of the epoch, without making the earlier ones: for resuming. */
MOCO_API moco_status moco_loader_start_at(moco_loader *loader, int64_t epoch, int64_t batch);

/* The next batch; n = 0 after the last one. INVALID_STATE before start_epoch. A worker's failure is returned here. */
MOCO_API moco_status moco_loader_next(moco_loader *loader, moco_batch *batch);

MOCO_API int64_t moco_loader_batches_per_epoch(const moco_loader *loader);
MOCO_API int64_t moco_loader_batch_size(const moco_loader *loader);

MOCO_END_DECLS

#endif
