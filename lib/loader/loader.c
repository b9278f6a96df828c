/* A loader's configuration, memory and lifetime. */
#include "core/checked.h"
#include "core/config.h"
#include "loader/loader_state.h"

#define MAX_WORKERS  256
#define MAX_PREFETCH 1024
#define MAX_RANKS    (1 << 20)
#define MAX_IMAGES   ((int64_t) 1 << 40)

/* What the first release's struct had. */
#define OLDEST_CONFIG offsetof(moco_loader_config, rank)

static const moco_loader_config default_config = MOCO_LOADER_CONFIG_INITIALIZER;

moco_status moco_loader_config_init(moco_loader_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, OLDEST_CONFIG,
                            "moco_loader_config");
}

static moco_status check(const moco_dataset *dataset, const moco_loader_config *c) {
    MOCO_REQUIRE(c->workers >= 0 && c->workers <= MAX_WORKERS, "workers is %d; it must be 0 to %d", c->workers,
                 MAX_WORKERS);
    MOCO_REQUIRE(c->batch_size >= 1, "batch_size is %lld; it must be at least 1", (long long) c->batch_size);
    MOCO_REQUIRE(c->prefetch >= 1 && c->prefetch <= MAX_PREFETCH, "prefetch is %d; it must be 1 to %d", c->prefetch,
                 MAX_PREFETCH);
    MOCO_REQUIRE(c->shuffle == 0 || c->shuffle == 1, "shuffle is %d; it must be 0 or 1", c->shuffle);
    MOCO_REQUIRE(c->drop_last == 0 || c->drop_last == 1, "drop_last is %d; it must be 0 or 1", c->drop_last);
    MOCO_REQUIRE(c->views >= 0 && c->views <= 2, "views is %d; it must be 0 (evaluation), 1 or 2", c->views);
    MOCO_REQUIRE(dataset->channels == 3,
                 "the dataset's images have %lld channels; augmentation needs 3 (red, green and blue)",
                 (long long) dataset->channels);
    MOCO_REQUIRE(dataset->count <= MAX_IMAGES, "the dataset has %lld images; a loader takes at most 2^40",
                 (long long) dataset->count);
    MOCO_REQUIRE(c->world_size >= 1 && c->world_size <= MAX_RANKS, "world_size is %d; it must be 1 to %d",
                 c->world_size, MAX_RANKS);
    MOCO_REQUIRE(c->rank >= 0 && c->rank < c->world_size, "rank is %d; it must be 0 to %d, one less than world_size",
                 c->rank, c->world_size - 1);
    int64_t run = 0;
    MOCO_TRY(moco_checked_multiply(c->batch_size, c->world_size, "batch_size x world_size", &run));
    MOCO_REQUIRE(!c->drop_last || dataset->count >= run,
                 "batch_size is %lld%s, more than the dataset's %lld images, and drop_last would leave no batch; make "
                 "the batch smaller or drop_last 0",
                 (long long) c->batch_size, c->world_size > 1 ? " for each of world_size ranks" : "",
                 (long long) dataset->count);
    return MOCO_OK;
}

static moco_status check_cache(const moco_dataset *dataset, const moco_loader_config *c) {
    MOCO_REQUIRE(c->output == MOCO_PIXELS_FLOAT32 || c->output == MOCO_PIXELS_UINT8,
                 "output is %d; it must be MOCO_PIXELS_FLOAT32 (0) or MOCO_PIXELS_UINT8 (1)", c->output);
    MOCO_REQUIRE(c->max_broken_fraction >= 0.0 && c->max_broken_fraction <= 1.0,
                 "max_broken_fraction is %g; it must be 0 to 1", c->max_broken_fraction);
    MOCO_REQUIRE(c->cache == MOCO_CACHE_ENCODED || c->cache == MOCO_CACHE_DECODED,
                 "cache is %d; it must be MOCO_CACHE_ENCODED (0) or MOCO_CACHE_DECODED (1)", c->cache);
    if (c->cache_bytes == 0) return MOCO_OK;
    if (dataset->ops->load == NULL || (c->cache == MOCO_CACHE_ENCODED && dataset->ops->fetch == NULL)) {
        return moco_fail(MOCO_UNSUPPORTED, "cache_bytes is %llu with %s; %s: make it 0",
                         (unsigned long long) c->cache_bytes,
                         c->cache == MOCO_CACHE_ENCODED ? "MOCO_CACHE_ENCODED" : "MOCO_CACHE_DECODED",
                         c->cache == MOCO_CACHE_ENCODED ? "the dataset's images are not files to keep"
                                                        : "the dataset's images are not decoded to 8 bits");
    }
    return MOCO_OK;
}

static moco_status allocate_array(moco_context *context, int64_t count, int64_t each, size_t element, const char *what,
                                  void **out) {
    int64_t elements = 0;
    size_t bytes = 0;
    MOCO_TRY(moco_checked_multiply(count, each, what, &elements));
    MOCO_TRY(moco_checked_bytes(elements, element, what, &bytes));
    *out = moco_allocate(context, bytes);
    return *out == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
}

static moco_status allocate_slots(moco_loader *loader) {
    moco_context *context = loader->context;
    const int64_t n = moco_loader_batch_count(&loader->config, loader->dataset->count, 0);
    loader->slots = (loader_slot *) moco_allocate_zeroed(context, (size_t) loader->slot_count, sizeof *loader->slots);
    if (loader->slots == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < loader->slot_count; ++i) {
        loader_slot *slot = &loader->slots[i];
        void *memory = NULL;
        slot->batch = -1;
        MOCO_TRY(allocate_array(context, n, loader->view_bytes, 1, "a batch's images", &memory));
        slot->query_views = (uint8_t *) memory;
        if (loader->config.views == 2) {
            MOCO_TRY(allocate_array(context, n, loader->view_bytes, 1, "a batch's images", &memory));
            slot->key_views = (uint8_t *) memory;
        }
        MOCO_TRY(allocate_array(context, n, 1, sizeof(int64_t), "a batch's sample ids", &memory));
        slot->sample_ids = (int64_t *) memory;
        MOCO_TRY(allocate_array(context, n, 1, sizeof(int32_t), "a batch's labels", &memory));
        slot->labels = (int32_t *) memory;
    }
    return MOCO_OK;
}

static moco_status allocate_parts(moco_loader *loader) {
    void *memory = NULL;
    const moco_loader_config *config = &loader->config;
    const int64_t element = config->output == MOCO_PIXELS_FLOAT32 ? (int64_t) sizeof(float) : 1;
    const int64_t shape[4] = {3, moco_augment_height(loader->augment), moco_augment_width(loader->augment), element};
    MOCO_TRY(moco_checked_product(shape, 4, "channels x height x width of a view", &loader->view_bytes));
    MOCO_TRY(allocate_slots(loader));
    if (config->shuffle) {
        MOCO_TRY(allocate_array(loader->context, loader->dataset->count, 1, sizeof(int64_t), "the epoch's permutation",
                                &memory));
        loader->order = (int64_t *) memory;
    }
    if (config->cache_bytes > 0) {
        MOCO_TRY(
            moco_sample_cache_create(&loader->cache, loader->context, loader->dataset->count, config->cache_bytes));
    }
    loader->plan = (moco_view_plan){
        .dataset = loader->dataset,
        .augment = loader->augment,
        .cache = loader->cache,
        .cache_kind = config->cache,
        .views = config->views,
        .output = config->output,
    };
    loader->workers =
        (loader_worker *) moco_allocate_zeroed(loader->context, (size_t) config->workers, sizeof *loader->workers);
    return loader->workers == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
}

/* Everything but the threads and what synchronises them. */
static void release(moco_loader *loader) {
    moco_context *context = loader->context;
    for (int64_t i = 0; loader->slots != NULL && i < loader->slot_count; ++i) {
        moco_deallocate(context, loader->slots[i].query_views);
        moco_deallocate(context, loader->slots[i].key_views);
        moco_deallocate(context, loader->slots[i].sample_ids);
        moco_deallocate(context, loader->slots[i].labels);
    }
    moco_deallocate(context, loader->slots);
    moco_deallocate(context, loader->order);
    moco_deallocate(context, loader->workers);
    if (loader->plan.dataset != NULL) moco_view_memory_release(&loader->plan, &loader->memory);
    moco_sample_cache_destroy(loader->cache);
    moco_augment_release(loader->augment);
    moco_dataset_release(loader->dataset);
    moco_deallocate(context, loader);
    moco_context_destroy(context);
}

static void dispose_of_all(moco_loader *loader) {
    moco_loader_join_workers(loader);
    pthread_cond_destroy(&loader->ready);
    pthread_cond_destroy(&loader->work);
    pthread_mutex_destroy(&loader->mutex);
    release(loader);
}

moco_status moco_loader_create(moco_loader **out, moco_dataset *dataset, moco_augment *augment,
                               const moco_loader_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(dataset);
    MOCO_REQUIRE_POINTER(augment);
    moco_loader_config wanted = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&wanted, config, sizeof wanted, OLDEST_CONFIG, "moco_loader_config"));
    }
    MOCO_TRY(check(dataset, &wanted));
    MOCO_TRY(check_cache(dataset, &wanted));
    moco_loader *loader = (moco_loader *) moco_allocate_zeroed(dataset->context, 1, sizeof *loader);
    if (loader == NULL) return MOCO_OUT_OF_MEMORY;
    moco_references_init(&loader->references, 1);
    loader->dispose = dispose_of_all;
    moco_context_retain(dataset->context);
    moco_dataset_retain(dataset);
    moco_augment_retain(augment);
    loader->context = dataset->context;
    loader->dataset = dataset;
    loader->augment = augment;
    loader->config = wanted;
    loader->batches = moco_loader_count_batches(&wanted, dataset->count);
    loader->samples = moco_loader_count_samples(&wanted, dataset->count);
    loader->slot_count = wanted.prefetch + 1;
    const moco_status status = allocate_parts(loader);
    if (status != MOCO_OK) {
        release(loader);
        return status;
    }
    /* With default attributes these three cannot fail on Linux. */
    pthread_mutex_init(&loader->mutex, NULL);
    pthread_cond_init(&loader->work, NULL);
    pthread_cond_init(&loader->ready, NULL);
    moco_loader_start_workers(loader);
    *out = loader;
    return MOCO_OK;
}

void moco_loader_retain(moco_loader *loader) {
    moco_references_retain(&loader->references);
}

/* In a worker, whose sample calls for it, it is put off until the sample is made. */
static void dispose(moco_loader *loader) {
    pthread_mutex_lock(&loader->mutex);
    loader->disposer = moco_loader_this_worker(loader);
    const int32_t later = loader->disposer != NULL;
    if (later) {
        loader->quit = 1;
        loader->running = 0;
        pthread_cond_broadcast(&loader->work);
    }
    pthread_mutex_unlock(&loader->mutex);
    if (!later) loader->dispose(loader);
}

void moco_loader_release(moco_loader *loader) {
    if (loader != NULL && moco_references_release(&loader->references)) dispose(loader);
}

void moco_loader_destroy(moco_loader *loader) {
    if (loader != NULL && moco_references_destroy(&loader->references)) dispose(loader);
}

int64_t moco_loader_batches_per_epoch(const moco_loader *loader) {
    return loader == NULL ? 0 : loader->batches;
}

int64_t moco_loader_batch_size(const moco_loader *loader) {
    return loader == NULL ? 0 : loader->config.batch_size;
}

moco_context *moco_loader_context(const moco_loader *loader) {
    return loader->context;
}

int64_t moco_loader_last_batch_size(const moco_loader *loader) {
    return moco_loader_batch_count(&loader->config, loader->dataset->count, loader->batches - 1);
}

const moco_augment *moco_loader_augment(const moco_loader *loader) {
    return loader->augment;
}

int32_t moco_loader_views(const moco_loader *loader) {
    return loader->config.views;
}

int32_t moco_loader_output(const moco_loader *loader) {
    return loader->config.output;
}
