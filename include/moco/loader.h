/* The loader: shuffled batches of two augmented views, made ahead of time by worker threads. The batches depend only on
 * the seed, the epoch, the dataset and the recipe, never on the number of workers.
 *
 * A broken sample, whose file is missing, damaged or of a kind that cannot be read (IO, FORMAT, NOT_FOUND,
 * UNSUPPORTED), is logged as a warning, once per dataset, with its name and the reason, and replaced by another one,
 * which depends on seed, epoch and sample alone; ids and labels are the replacement's. Any other failure (CALLBACK,
 * OUT_OF_MEMORY) ends the epoch.
 *
 * With world_size ranks, all ranks cut one permutation: the batches number b of all ranks are, one after the other, the
 * batch that one loader with batch_size * world_size would make. Every rank has as many batches as the others, of equal
 * sizes. With drop_last the rest that does not fill a batch for each rank is left out; without, it is dealt evenly, and
 * where it does not divide, the epoch's first samples come again for the last ranks: fewer than world_size of them.
 */
#ifndef MOCO_LOADER_H
#define MOCO_LOADER_H

#include <moco/augment.h>
#include <moco/dataset.h>

MOCO_BEGIN_DECLS

typedef struct moco_loader moco_loader;

typedef struct moco_loader_config {
    uint32_t struct_size;
    int32_t workers; /* threads; default 2; 0: batches are made in moco_loader_next. Fewer, with a warning in the log,
                         * where the system doesn't let so many start beside the context's threads */
    int64_t batch_size; /* n; default 256 */
    int32_t prefetch;   /* batches kept ready; default 2, >= 1 */
    int32_t shuffle;    /* 1 (default): a new permutation each epoch; 0: in order */
    int32_t drop_last;  /* 1 (default): a last, smaller batch is left out, as in the reference */
    int32_t views;      /* 2 (default): query and key; 1: query only; 0: one evaluation view, not random */
    uint64_t seed;      /* of the permutation and of replacements; default 0 */
    int32_t rank;       /* 0 (default) to world_size - 1 */
    int32_t world_size; /* default 1 */
    int32_t output; /* MOCO_PIXELS_FLOAT32 (default): normalized; MOCO_PIXELS_UINT8: the same before normalization */
    int32_t cache;  /* MOCO_CACHE_*, what the cache holds */
    uint64_t cache_bytes; /* memory for the cache, its table of 8 bytes per image included; default 0: no cache */
    /* The epoch ends with the last broken sample's failure once broken / max(seen, min(1000, samples of the epoch))
     * exceeds this fraction, 0..1, default 0.1; `seen` and `broken` count up to and including the batch to be given.
     * Samples that were tried in place of broken ones do not count; 0: the first broken one ends it. */
    double max_broken_fraction;
} moco_loader_config;

/* The cache fills as images are first used, until nothing more fits, and keeps them until the loader's end. */
enum {
    MOCO_CACHE_ENCODED = 0, /* default; as files have them: no reading again. UNSUPPORTED for datasets without files */
    MOCO_CACHE_DECODED = 1  /* 8-bit pixels, as small as the recipe's least crop allows: no decoding again either. All
                             * images are decoded so then, cached or not. UNSUPPORTED for datasets of float32 pixels */
};

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
    /* The two instead of the ones above where the loader's output is MOCO_PIXELS_UINT8; else NULL. */
    const uint8_t *query_pixels;
    const uint8_t *key_pixels;
} moco_batch;

/* All since the loader was made. */
typedef struct moco_loader_statistics {
    uint32_t struct_size; /* set by moco_loader_statistics_init, or by the caller */
    int32_t reserved;
    int64_t batches;      /* given by moco_loader_next */
    int64_t samples;      /* in them */
    int64_t replaced;     /* of these samples, in place of broken ones */
    int64_t broken;       /* of the dataset's images, found so by this loader or others, evaluation included */
    int64_t cache_hits;   /* images taken from the cache */
    int64_t cache_misses; /* images not found there; 0 without a cache */
    int64_t cached;       /* images in the cache */
    uint64_t cache_bytes; /* memory it takes, at most the config's */
    int64_t ns_load;      /* reading and decoding, summed over the worker threads */
    int64_t ns_augment;   /* making views, summed over the worker threads */
    int64_t ns_wait;      /* moco_loader_next waiting for a batch, or making it, without workers */
} moco_loader_statistics;

MOCO_API moco_status moco_loader_config_init(moco_loader_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_LOADER_CONFIG_INITIALIZER \
    { sizeof(moco_loader_config), 2, 256, 2, 1, 1, 2, 0, 0, 1, MOCO_PIXELS_FLOAT32, MOCO_CACHE_ENCODED, 0, 0.1 }

/* Keeps dataset and augment alive. A dataset smaller than the batch (of all ranks together) is INVALID_ARGUMENT with
 * drop_last. */
MOCO_API moco_status moco_loader_create(moco_loader **out, moco_dataset *dataset, moco_augment *augment,
                                        const moco_loader_config *config);
/* Stops and joins the workers, in the middle of an epoch too; waits for the images in work. Called by one of these, in
 * its dataset's read, it leaves the waiting to that worker. */
MOCO_API void moco_loader_destroy(moco_loader *loader);

/* Begins `epoch` (>= 0) at its first batch, dropping what was left of the one before. */
MOCO_API moco_status moco_loader_start_epoch(moco_loader *loader, int64_t epoch);
/* As start_epoch, but at batch number `batch` of the epoch, without making the earlier ones: for resuming. Of
 * those, no sample counts as broken. */
MOCO_API moco_status moco_loader_start_at(moco_loader *loader, int64_t epoch, int64_t batch);

/* The next batch; n = 0 after the last one. INVALID_STATE before start_epoch, and while moco_trainer_run has the loader. A
 * worker's failure is returned here. */
MOCO_API moco_status moco_loader_next(moco_loader *loader, moco_batch *batch);

/* Of this rank. */
MOCO_API int64_t moco_loader_batches_per_epoch(const moco_loader *loader);
MOCO_API int64_t moco_loader_batch_size(const moco_loader *loader);

/* Zeros, with struct_size set: as an output is before it is read. Since 0.2. */
MOCO_API moco_status moco_loader_statistics_init(moco_loader_statistics *statistics, uint32_t struct_size);

/* May be called between any two calls, in the middle of an epoch too. */
MOCO_API moco_status moco_loader_read_statistics(moco_loader *loader, moco_loader_statistics *statistics);

MOCO_END_DECLS

#endif
