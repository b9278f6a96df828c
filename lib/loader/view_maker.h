/* One image of a dataset -> its views: drawn first, so that only what they need is decoded, and that once for all of
 * them. By one thread with memory of its own, which is used again; steady state allocates nothing.
 */
#ifndef MOCO_VIEW_MAKER_H
#define MOCO_VIEW_MAKER_H

#include "augment/augment_internal.h"
#include "data/dataset_internal.h"
#include "loader/sample_cache.h"

/* What is made of each image; the same for all threads. */
typedef struct moco_view_plan {
    moco_dataset *dataset;
    const moco_augment *augment;
    moco_sample_cache *cache; /* NULL: none */
    int32_t cache_kind;       /* MOCO_CACHE_* */
    int32_t views;            /* 2, 1, or 0: the evaluation view */
    int32_t output;           /* MOCO_PIXELS_* */
} moco_view_plan;

/* A thread's memory; starts zeroed. */
typedef struct moco_view_memory {
    moco_image_scratch encoded;
    moco_image image;
    moco_augment_scratch scratch;
    float *pixels; /* of an image of a dataset that has no 8-bit ones */
    int64_t pixels_capacity;
    float *view; /* where 8-bit views are made of such images */
    /* Of the last call: */
    int64_t ns_load;
    int64_t ns_augment;
    int32_t hit; /* 1: the image came from the cache */
} moco_view_memory;

void moco_view_memory_release(const moco_view_plan *plan, moco_view_memory *memory);

/* Views 0 and 1 of image `index` in `epoch`, each 3 x height x width of the augment in the type `output`; `key` is for
 * 2 views. */
moco_status moco_make_views(const moco_view_plan *plan, moco_view_memory *memory, int64_t epoch, int64_t index,
                            void *query, void *key, int32_t *label);

#endif
