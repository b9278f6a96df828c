/* A cache of images in memory, within a budget: one table of the dataset's samples, entries that are written once and
 * stay. Any number of threads may look up and add at once. Epochs visit every sample once, in a new order each, so what
 * is kept first is worth as much as what comes later: nothing is ever thrown out for something else.
 */
#ifndef MOCO_SAMPLE_CACHE_H
#define MOCO_SAMPLE_CACHE_H

#include "data/image.h"

typedef struct moco_sample_cache moco_sample_cache;

/* One sample as it was loaded: the bytes of its file, or its pixels. */
typedef struct moco_cached_sample {
    const uint8_t *bytes;
    size_t size;
    moco_image_part held; /* its pixels are `bytes`, or NULL for a file's; full_h and full_w are always set */
    int32_t label;
} moco_cached_sample;

/* `budget` bytes are for everything that the cache allocates; less than its table takes is INVALID_ARGUMENT. */
moco_status moco_sample_cache_create(moco_sample_cache **out, moco_context *context, int64_t samples, uint64_t budget);
void moco_sample_cache_destroy(moco_sample_cache *cache); /* NULL is a no-op */

/* NULL if it is not there; else it stays as long as the cache. */
const moco_cached_sample *moco_sample_cache_find(const moco_sample_cache *cache, int64_t sample);
/* Copies the sample with its bytes, if there is still room. */
void moco_sample_cache_add(moco_sample_cache *cache, int64_t sample, const moco_cached_sample *loaded);

uint64_t moco_sample_cache_bytes(const moco_sample_cache *cache);
int64_t moco_sample_cache_count(const moco_sample_cache *cache);

#endif
