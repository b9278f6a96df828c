#include "loader/sample_cache.h"

#include <string.h>

#include "core/checked.h"

#define GRAIN 64 /* moco_allocate's: what an allocation is rounded up to */

typedef _Atomic(moco_cached_sample *) cache_cell;

struct moco_sample_cache {
    moco_context *context;
    int64_t samples;
    uint64_t budget;
    _Atomic uint64_t used; /* never above the budget */
    _Atomic int64_t count;
    cache_cell *table;
};

static size_t rounded(size_t bytes) {
    return (bytes + GRAIN - 1) / GRAIN * GRAIN;
}

moco_status moco_sample_cache_create(moco_sample_cache **out, moco_context *context, int64_t samples, uint64_t budget) {
    size_t table_bytes;
    MOCO_TRY(moco_checked_bytes(samples, sizeof(cache_cell), "the cache's table", &table_bytes));
    const uint64_t least = rounded(sizeof(moco_sample_cache)) + rounded(table_bytes);
    MOCO_REQUIRE(budget >= least,
                 "cache_bytes is %llu; the cache's table of %lld images alone takes %llu bytes: give it more, or 0 for "
                 "no cache",
                 (unsigned long long) budget, (long long) samples, (unsigned long long) least);
    moco_sample_cache *cache = (moco_sample_cache *) moco_allocate_zeroed(context, 1, sizeof *cache);
    if (cache == NULL) return MOCO_OUT_OF_MEMORY;
    cache->table = (cache_cell *) moco_allocate(context, table_bytes);
    if (cache->table == NULL) {
        moco_deallocate(context, cache);
        return MOCO_OUT_OF_MEMORY;
    }
    for (int64_t i = 0; i < samples; ++i) atomic_init(&cache->table[i], NULL);
    cache->context = context;
    cache->samples = samples;
    cache->budget = budget;
    atomic_init(&cache->used, least);
    atomic_init(&cache->count, 0);
    *out = cache;
    return MOCO_OK;
}

void moco_sample_cache_destroy(moco_sample_cache *cache) {
    if (cache == NULL) return;
    for (int64_t i = 0; i < cache->samples; ++i) moco_deallocate(cache->context, atomic_load(&cache->table[i]));
    moco_deallocate(cache->context, cache->table);
    moco_deallocate(cache->context, cache);
}

const moco_cached_sample *moco_sample_cache_find(const moco_sample_cache *cache, int64_t sample) {
    return atomic_load_explicit(&cache->table[sample], memory_order_acquire);
}

static int32_t reserve(moco_sample_cache *cache, uint64_t bytes) {
    uint64_t used = atomic_load(&cache->used);
    do {
        if (bytes > cache->budget - used) return 0;
    } while (!atomic_compare_exchange_weak(&cache->used, &used, used + bytes));
    return 1;
}

void moco_sample_cache_add(moco_sample_cache *cache, int64_t sample, const moco_cached_sample *loaded) {
    const size_t head = rounded(sizeof *loaded);
    if (loaded->size > SIZE_MAX / 2) return;
    const size_t bytes = head + rounded(loaded->size);
    if (!reserve(cache, bytes)) return;
    moco_cached_sample *kept = (moco_cached_sample *) moco_allocate(cache->context, bytes);
    if (kept != NULL) {
        moco_cached_sample *expected = NULL;
        uint8_t *copy = (uint8_t *) kept + head;
        memcpy(copy, loaded->bytes, loaded->size);
        *kept = *loaded;
        kept->bytes = copy;
        if (kept->held.pixels != NULL) kept->held.pixels = copy;
        if (atomic_compare_exchange_strong_explicit(&cache->table[sample], &expected, kept, memory_order_release,
                                                    memory_order_relaxed)) {
            atomic_fetch_add(&cache->count, 1);
            return;
        }
        moco_deallocate(cache->context, kept); /* another thread was faster */
    }
    atomic_fetch_sub(&cache->used, bytes);
}

uint64_t moco_sample_cache_bytes(const moco_sample_cache *cache) {
    return atomic_load(&cache->used);
}

int64_t moco_sample_cache_count(const moco_sample_cache *cache) {
    return atomic_load(&cache->count);
}
