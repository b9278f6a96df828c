#include <string.h>

#include "core/checked.h"
#include "core/config.h"
#include "core/random.h"
#include "loader/loader_state.h"

#define MAX_WORKERS  256
#define MAX_PREFETCH 1024
#define MAX_EPOCH    (((int64_t) 1 << 32) - 1)
#define MAX_IMAGES   ((int64_t) 1 << 40)

static const moco_loader_config default_config = {
    .workers = 2, .batch_size = 256, .prefetch = 2, .shuffle = 1, .drop_last = 1, .views = 2};

moco_status moco_loader_config_init(moco_loader_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
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
    MOCO_REQUIRE(
        !c->drop_last || dataset->count >= c->batch_size,
        "batch_size is %lld, more than the dataset's %lld images, and drop_last would leave no batch; make the "
        "batch smaller or drop_last 0",
        (long long) c->batch_size, (long long) dataset->count);
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
    const int64_t n = moco_min_i64(loader->config.batch_size, loader->dataset->count);
    loader->slots = (loader_slot *) moco_allocate_zeroed(context, (size_t) loader->slot_count, sizeof *loader->slots);
    if (loader->slots == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < loader->slot_count; ++i) {
        loader_slot *slot = &loader->slots[i];
        void *memory = NULL;
        slot->batch = -1;
        MOCO_TRY(allocate_array(context, n, loader->view_floats, sizeof(float), "a batch's images", &memory));
        slot->query_images = (float *) memory;
        if (loader->config.views == 2) {
            MOCO_TRY(allocate_array(context, n, loader->view_floats, sizeof(float), "a batch's images", &memory));
            slot->key_images = (float *) memory;
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
    const int64_t shape[3] = {3, moco_augment_height(loader->augment), moco_augment_width(loader->augment)};
    MOCO_TRY(moco_checked_product(shape, 3, "channels x height x width of a view", &loader->view_floats));
    MOCO_TRY(allocate_slots(loader));
    if (config->shuffle) {
        MOCO_TRY(allocate_array(loader->context, loader->dataset->count, 1, sizeof(int64_t), "the epoch's permutation",
                                &memory));
        loader->order = (int64_t *) memory;
    }
    loader->workers =
        (loader_worker *) moco_allocate_zeroed(loader->context, (size_t) config->workers, sizeof *loader->workers);
    return loader->workers == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
}

/* Everything but the threads and what synchronises them. */
static void release(moco_loader *loader) {
    moco_context *context = loader->context;
    for (int64_t i = 0; loader->slots != NULL && i < loader->slot_count; ++i) {
        moco_deallocate(context, loader->slots[i].query_images);
        moco_deallocate(context, loader->slots[i].key_images);
        moco_deallocate(context, loader->slots[i].sample_ids);
        moco_deallocate(context, loader->slots[i].labels);
    }
    moco_deallocate(context, loader->slots);
    moco_deallocate(context, loader->order);
    moco_deallocate(context, loader->workers);
    moco_deallocate(context, loader->scratch.pixels);
    moco_augment_destroy(loader->augment);
    moco_dataset_destroy(loader->dataset);
    moco_deallocate(context, loader);
    moco_context_destroy(context);
}

moco_status moco_loader_create(moco_loader **out, moco_dataset *dataset, moco_augment *augment,
                               const moco_loader_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(dataset);
    MOCO_REQUIRE_POINTER(augment);
    moco_loader_config wanted = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&wanted, config, sizeof wanted, sizeof wanted, "moco_loader_config"));
    }
    MOCO_TRY(check(dataset, &wanted));
    moco_loader *loader = (moco_loader *) moco_allocate_zeroed(dataset->context, 1, sizeof *loader);
    if (loader == NULL) return MOCO_OUT_OF_MEMORY;
    atomic_init(&loader->references, 1);
    moco_context_retain(dataset->context);
    moco_dataset_retain(dataset);
    moco_augment_retain(augment);
    loader->context = dataset->context;
    loader->dataset = dataset;
    loader->augment = augment;
    loader->config = wanted;
    loader->batches =
        wanted.drop_last ? dataset->count / wanted.batch_size : 1 + (dataset->count - 1) / wanted.batch_size;
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
    atomic_fetch_add_explicit(&loader->references, 1, memory_order_relaxed);
}

void moco_loader_destroy(moco_loader *loader) {
    if (loader == NULL || atomic_fetch_sub_explicit(&loader->references, 1, memory_order_acq_rel) != 1) return;
    moco_loader_join_workers(loader);
    pthread_cond_destroy(&loader->ready);
    pthread_cond_destroy(&loader->work);
    pthread_mutex_destroy(&loader->mutex);
    release(loader);
}

moco_status moco_loader_start_epoch(moco_loader *loader, int64_t epoch) {
    return moco_loader_start_at(loader, epoch, 0);
}

moco_status moco_loader_start_at(moco_loader *loader, int64_t epoch, int64_t batch) {
    MOCO_REQUIRE_POINTER(loader);
    MOCO_REQUIRE(epoch >= 0 && epoch <= MAX_EPOCH, "epoch is %lld; it must be 0 to %lld", (long long) epoch,
                 (long long) MAX_EPOCH);
    MOCO_REQUIRE(batch >= 0 && batch <= loader->batches, "batch is %lld; it must be 0 to %lld, the epoch's batches",
                 (long long) batch, (long long) loader->batches);
    pthread_mutex_lock(&loader->mutex);
    /* No sample is taken from here on; those being made still read `order` and write into the slots. */
    loader->running = 0;
    while (loader->active > 0) pthread_cond_wait(&loader->ready, &loader->mutex);
    for (int64_t i = 0; i < loader->slot_count; ++i) loader->slots[i].batch = -1;
    if (loader->order != NULL) {
        moco_random random;
        moco_random_init(&random, loader->config.seed, MOCO_RANDOM_LOADER, (uint64_t) epoch, 0);
        moco_random_permutation(&random, loader->dataset->count, loader->order);
    }
    loader->epoch = epoch;
    loader->next_batch = batch;
    loader->make_batch = batch;
    loader->make_sample = 0;
    loader->running = 1;
    pthread_cond_broadcast(&loader->work);
    pthread_mutex_unlock(&loader->mutex);
    return MOCO_OK;
}

/* Waits for, or without workers makes, the next batch; the mutex is held. */
static const loader_slot *await_batch(moco_loader *loader) {
    const loader_slot *slot = &loader->slots[loader->next_batch % loader->slot_count];
    while (slot->batch != loader->next_batch || slot->done < slot->n) {
        if (loader->worker_count > 0) {
            pthread_cond_wait(&loader->ready, &loader->mutex);
        } else {
            moco_loader_make_sample(loader, &loader->scratch);
        }
    }
    return slot;
}

moco_status moco_loader_next(moco_loader *loader, moco_batch *batch) {
    MOCO_REQUIRE_POINTER(loader);
    moco_batch made = {.h = moco_augment_height(loader->augment),
                       .w = moco_augment_width(loader->augment),
                       .channels = loader->dataset->channels};
    MOCO_REQUIRE_POINTER(batch);
    MOCO_REQUIRE(batch->struct_size >= sizeof made,
                 "struct_size of moco_batch is %u; set it to sizeof(moco_batch), at least %zu", batch->struct_size,
                 sizeof made);
    moco_status status = MOCO_OK;
    char sentence[MOCO_SENTENCE_SIZE];
    pthread_mutex_lock(&loader->mutex);
    if (!loader->running) {
        status = MOCO_INVALID_STATE;
        strcpy(sentence, "no epoch has begun; call moco_loader_start_epoch first");
    } else if (loader->next_batch < loader->batches) {
        const loader_slot *slot = await_batch(loader);
        if (slot->status != MOCO_OK) { /* and so again until the next start */
            status = slot->status;
            memcpy(sentence, slot->sentence, sizeof sentence);
        } else {
            made.n = slot->n;
            made.query_images = slot->query_images;
            made.key_images = slot->key_images;
            made.sample_ids = slot->sample_ids;
            made.labels = slot->labels;
            loader->next_batch++;
            pthread_cond_broadcast(&loader->work);
        }
    }
    pthread_mutex_unlock(&loader->mutex);
    if (status != MOCO_OK) return moco_fail_with(status, sentence);
    return moco_output_write(batch, &made, sizeof made, sizeof made, "moco_batch");
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

int32_t moco_loader_views(const moco_loader *loader) {
    return loader->config.views;
}
