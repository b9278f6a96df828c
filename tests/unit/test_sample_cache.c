/* The cache of images: never more than its budget, whatever is added by however many threads; and a loader's batches
 * have the same bits with any cache, filled or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include <moco/loader.h>

#include "loader/sample_cache.h"
#include "support/fake_images.h"
#include "support/image_files.h"

/* --- An allocator that knows how much is in use --- */

typedef struct counting {
    atomic_llong live; /* bytes */
    atomic_llong most;
    atomic_llong left; /* allocations until one fails */
} counting;

static void *allocate(uint64_t size, uint64_t alignment, void *user) {
    counting *self = (counting *) user;
    if (atomic_fetch_sub(&self->left, 1) == 0) return NULL;
    /* The size stands before the block. */
    unsigned char *memory = (unsigned char *) aligned_alloc((size_t) alignment, (size_t) (size + alignment));
    if (memory == NULL) return NULL;
    memcpy(memory, &size, sizeof size);
    memcpy(memory + 8, &alignment, sizeof alignment);
    const long long live = atomic_fetch_add(&self->live, (long long) size) + (long long) size;
    long long most = atomic_load(&self->most);
    while (live > most && !atomic_compare_exchange_weak(&self->most, &most, live)) {
    }
    return memory + alignment;
}

static void deallocate(void *block, void *user) {
    uint64_t size, alignment = 64;
    unsigned char *memory = (unsigned char *) block - alignment;
    memcpy(&size, memory, sizeof size);
    atomic_fetch_sub(&((counting *) user)->live, (long long) size);
    free(memory);
}

static moco_context *counted_context(counting *self) {
    moco_context *context = NULL;
    moco_context_config config;
    assert_succeeds(moco_context_config_init(&config, sizeof config));
    config.allocate = allocate;
    config.deallocate = deallocate;
    config.allocator_user = self;
    config.threads = 1;
    atomic_init(&self->live, 0);
    atomic_init(&self->most, 0);
    atomic_init(&self->left, INT64_MAX);
    assert_succeeds(moco_context_create(&context, &config));
    return context;
}

/* --- The cache alone --- */

enum { SAMPLES = 400, THREADS = 4 };

static size_t size_of(int64_t sample) {
    return (size_t) (sample * 37 % 500);
}

static moco_cached_sample sample_of(int64_t sample, uint8_t bytes[512]) {
    for (size_t i = 0; i < size_of(sample); ++i) bytes[i] = (uint8_t) ((size_t) sample * 13 + i);
    return (moco_cached_sample){
        .bytes = bytes, .size = size_of(sample), .held = {.full_h = sample}, .label = (int32_t) sample};
}

static void check_sample(const moco_cached_sample *found, int64_t sample) {
    uint8_t bytes[512];
    const moco_cached_sample expected = sample_of(sample, bytes);
    assert_int_equal(found->held.full_h, sample);
    assert_int_equal(found->label, sample);
    assert_int_equal(found->size, expected.size);
    assert_memory_equal(found->bytes, bytes, expected.size);
}

static void test_budget(void **state) {
    (void) state;
    counting self;
    moco_context *context = counted_context(&self);
    const long long before = atomic_load(&self.live);
    for (uint64_t budget = 0; budget < 300000; budget += 1709) {
        moco_sample_cache *cache = NULL;
        const moco_status status = moco_sample_cache_create(&cache, context, SAMPLES, budget);
        if (status != MOCO_OK) {
            assert_int_equal(status, MOCO_INVALID_ARGUMENT);
            assert_true(budget < SAMPLES * sizeof(void *) + 256);
            assert_null(cache);
            continue;
        }
        int64_t kept = 0;
        for (int64_t i = 0; i < SAMPLES; ++i) {
            uint8_t bytes[512];
            const moco_cached_sample sample = sample_of(i, bytes);
            assert_null(moco_sample_cache_find(cache, i));
            moco_sample_cache_add(cache, i, &sample);
            const moco_cached_sample *found = moco_sample_cache_find(cache, i);
            kept += found != NULL;
            if (found != NULL) check_sample(found, i);
            moco_sample_cache_add(cache, i, &sample); /* a second time changes nothing */
            assert_ptr_equal(moco_sample_cache_find(cache, i), found);
            const uint64_t bytes_now = moco_sample_cache_bytes(cache);
            assert_true(bytes_now <= budget);
            assert_int_equal((uint64_t) (atomic_load(&self.live) - before), bytes_now);
            /* What did not fit really did not. */
            if (found == NULL) assert_true(budget - bytes_now < size_of(i) + sizeof sample + 128);
        }
        assert_int_equal(moco_sample_cache_count(cache), kept);
        for (int64_t i = 0; i < SAMPLES; ++i) {
            if (moco_sample_cache_find(cache, i) != NULL) check_sample(moco_sample_cache_find(cache, i), i);
        }
        if (budget > 250000) assert_int_equal(kept, SAMPLES);
        moco_sample_cache_destroy(cache);
        assert_int_equal(atomic_load(&self.live), before);
    }
    moco_sample_cache_destroy(NULL);
    moco_context_destroy(context);
    assert_int_equal(atomic_load(&self.live), 0);
}

typedef struct adder {
    moco_sample_cache *cache;
    int64_t seed;
} adder;

static void *add_many(void *argument) {
    const adder *self = (const adder *) argument;
    for (int64_t i = 0; i < 4 * SAMPLES; ++i) {
        const int64_t sample = (i * 7 + self->seed * 31) % SAMPLES;
        uint8_t bytes[512];
        const moco_cached_sample wanted = sample_of(sample, bytes),
                                 *found = moco_sample_cache_find(self->cache, sample);
        if (found == NULL) {
            moco_sample_cache_add(self->cache, sample, &wanted);
        } else if (found->size != wanted.size || memcmp(found->bytes, bytes, wanted.size) != 0) {
            return (void *) self;
        }
    }
    return NULL;
}

static void test_threads(void **state) {
    (void) state;
    counting self;
    moco_context *context = counted_context(&self);
    const long long before = atomic_load(&self.live);
    for (uint64_t budget = 10000; budget < 200000; budget += 19000) {
        moco_sample_cache *cache = NULL;
        pthread_t threads[THREADS];
        adder adders[THREADS];
        assert_succeeds(moco_sample_cache_create(&cache, context, SAMPLES, budget));
        for (int64_t t = 0; t < THREADS; ++t) {
            adders[t] = (adder){cache, t};
            assert_int_equal(pthread_create(&threads[t], NULL, add_many, &adders[t]), 0);
        }
        for (int t = 0; t < THREADS; ++t) {
            void *answer = NULL;
            pthread_join(threads[t], &answer);
            assert_null(answer);
        }
        assert_true(moco_sample_cache_bytes(cache) <= budget);
        assert_int_equal((uint64_t) (atomic_load(&self.live) - before), moco_sample_cache_bytes(cache));
        moco_sample_cache_destroy(cache);
        assert_int_equal(atomic_load(&self.live), before);
    }
    moco_context_destroy(context);
}

/* --- Loaders with a cache --- */

enum { SIDE = 8, EPOCHS = 3, BATCH = 5, IMAGES = 33 };

static temporary_folder folder;
static int no_png;

static int make_images(void **state) {
    (void) state;
    no_png = png_is_missing();
    make_temporary_folder(&folder);
    for (int i = 0; i < IMAGES; ++i) {
        char name[64];
        snprintf(name, sizeof name, "class%d/%02d.png", i % 3, i);
        write_png_at(&folder, name, 9 + i % 4, 12 + i % 5, (uint32_t) i * 0x01050Bu);
    }
    write_bytes_at(&folder, "class1/broken.ppm", "P6\n9 9\n255\n", 11);
    return 0;
}

static int remove_images(void **state) {
    (void) state;
    remove_tree(folder.path);
    return 0;
}

static moco_loader *create(moco_context *context, moco_dataset *dataset, int32_t workers, int32_t kind,
                           uint64_t budget) {
    moco_augment_config recipe;
    moco_augment *augment = NULL;
    moco_loader_config config;
    moco_loader *loader = NULL;
    moco_augment_config_init(&recipe, sizeof recipe, MOCO_AUGMENT_V2);
    recipe.height = recipe.width = SIDE;
    if (moco_augment_create(&augment, context, &recipe) != MOCO_OK) return NULL;
    moco_loader_config_init(&config, sizeof config);
    config.batch_size = BATCH;
    config.workers = workers;
    config.cache = kind;
    config.cache_bytes = budget;
    config.drop_last = 0;
    moco_loader_create(&loader, dataset, augment, &config);
    moco_augment_destroy(augment);
    return loader;
}

/* A hash of some epochs' batches, statistics after them; 0 where one failed. */
static uint64_t run(moco_loader *loader, moco_loader_statistics *statistics) {
    uint64_t value = 0xcbf29ce484222325u;
    for (int64_t epoch = 0; epoch < EPOCHS; ++epoch) {
        if (moco_loader_start_epoch(loader, epoch) != MOCO_OK) return 0;
        for (;;) {
            moco_batch batch = {.struct_size = sizeof batch};
            if (moco_loader_next(loader, &batch) != MOCO_OK) return 0;
            if (batch.n == 0) break;
            const size_t size = (size_t) batch.n * 3 * SIDE * SIDE * sizeof(float);
            value = hash_bytes(value, batch.sample_ids, (size_t) batch.n * sizeof *batch.sample_ids);
            value = hash_bytes(value, batch.labels, (size_t) batch.n * sizeof *batch.labels);
            value = hash_bytes(value, batch.query_images, size);
            value = hash_bytes(value, batch.key_images, size);
        }
    }
    statistics->struct_size = sizeof *statistics;
    assert_succeeds(moco_loader_read_statistics(loader, statistics));
    return value;
}

static moco_dataset *open_folder(moco_context *context) {
    char description[TEST_PATH_SIZE + 16];
    moco_dataset *dataset = NULL;
    snprintf(description, sizeof description, "folder:%s", folder.path);
    moco_dataset_open(&dataset, context, description);
    return dataset;
}

static void test_same_bits(void **state) {
    (void) state;
    if (no_png) skip();
    static const uint64_t budgets[] = {1000, 3000, 10000, 1 << 20};
    counting self;
    moco_context *context = counted_context(&self);
    moco_dataset *dataset = open_folder(context);
    assert_non_null(dataset);
    moco_loader_statistics statistics;
    moco_loader *loader = create(context, dataset, 0, MOCO_CACHE_ENCODED, 0);
    const uint64_t plain = run(loader, &statistics);
    moco_loader_destroy(loader);
    assert_true(plain != 0);
    assert_int_equal(statistics.cache_misses, 0);
    uint64_t decoded = 0;
    for (int32_t kind = MOCO_CACHE_ENCODED; kind <= MOCO_CACHE_DECODED; ++kind) {
        for (int32_t workers = 0; workers <= 4; workers += 2) {
            for (int b = 0; b < 4; ++b) {
                loader = create(context, dataset, workers, kind, budgets[b]);
                const uint64_t value = run(loader, &statistics);
                moco_loader_destroy(loader);
                if (kind == MOCO_CACHE_ENCODED) assert_true(value == plain);
                if (kind == MOCO_CACHE_DECODED && decoded == 0) decoded = value;
                if (kind == MOCO_CACHE_DECODED) assert_true(value == decoded);
                assert_true(statistics.cache_bytes <= budgets[b]);
                assert_true(statistics.cached > 0 || b == 0);
                if (b < 3) continue;
                /* All good images; after the first epoch none is read again. */
                assert_int_equal(statistics.cached, IMAGES);
                assert_int_equal(statistics.broken, 1);
                assert_int_equal(statistics.replaced, EPOCHS);
                assert_true(statistics.cache_misses <= IMAGES + EPOCHS + workers); /* and the broken one */
                assert_true(statistics.cache_hits >= (EPOCHS - 1) * (IMAGES + 1));
            }
        }
    }
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    assert_int_equal(atomic_load(&self.live), 0);
}

/* Once in memory, images need no files. */
static void test_files_vanish(void **state) {
    (void) state;
    if (no_png) skip();
    moco_context *context = NULL;
    assert_succeeds(moco_context_create(&context, NULL));
    for (int32_t kind = MOCO_CACHE_ENCODED; kind <= MOCO_CACHE_DECODED; ++kind) {
        moco_dataset *dataset = open_folder(context);
        moco_loader *loader = create(context, dataset, 2, kind, 1 << 20);
        moco_loader_statistics statistics;
        const uint64_t before = run(loader, &statistics);
        char away[TEST_PATH_SIZE + 8];
        snprintf(away, sizeof away, "%s.away", folder.path);
        assert_int_equal(rename(folder.path, away), 0);
        const uint64_t after = run(loader, &statistics);
        assert_int_equal(rename(away, folder.path), 0);
        assert_true(before != 0 && before == after);
        moco_loader_destroy(loader);
        moco_dataset_destroy(dataset);
    }
    moco_context_destroy(context);
}

/* Every allocation fails once; nothing is lost, and a cache without memory is only a smaller cache. */
static void test_out_of_memory(void **state) {
    (void) state;
    if (no_png) skip();
    for (int32_t kind = MOCO_CACHE_ENCODED; kind <= MOCO_CACHE_DECODED; ++kind) {
        counting self;
        moco_context *context = counted_context(&self);
        moco_loader_statistics statistics;
        const long long before = atomic_load(&self.live);
        uint64_t wanted = 0;
        int failed = 0;
        for (int64_t n = INT64_MAX, step = 0; step < 400; n = step++) {
            atomic_store(&self.left, n);
            moco_dataset *dataset = open_folder(context);
            moco_loader *loader = dataset == NULL ? NULL : create(context, dataset, 1, kind, 1 << 20);
            const uint64_t value = loader == NULL ? 0 : run(loader, &statistics);
            moco_loader_destroy(loader);
            moco_dataset_destroy(dataset);
            assert_int_equal(atomic_load(&self.live), before);
            if (n == INT64_MAX) wanted = value;
            failed += value == 0;
            if (value != 0) assert_true(value == wanted);
        }
        assert_true(wanted != 0);
        assert_true(failed > 20);
        moco_context_destroy(context);
    }
}

static void test_refusals(void **state) {
    (void) state;
    static fake_images images;
    moco_context *context = NULL;
    moco_dataset *scenes = NULL;
    assert_succeeds(moco_context_create(&context, NULL));
    moco_dataset *fake = fake_dataset(context, &images, 100);
    assert_null(create(context, fake, 1, MOCO_CACHE_ENCODED, 1 << 20)); /* no files */
    assert_non_null(strstr(moco_last_error(), "MOCO_CACHE_ENCODED"));
    assert_null(create(context, fake, 1, MOCO_CACHE_DECODED, 500));
    assert_non_null(strstr(moco_last_error(), "cache_bytes is 500; the cache's table of 100 images alone takes"));
    moco_loader *loader = create(context, fake, 1, MOCO_CACHE_DECODED, 1 << 20);
    moco_loader_statistics statistics;
    assert_true(run(loader, &statistics) != 0);
    assert_int_equal(statistics.cached, 100);
    for (int i = 0; i < 100; ++i) assert_int_equal(atomic_load(&images.loads[i]), 1);
    moco_loader_destroy(loader);
    moco_dataset_destroy(fake);
    const float pixel[3] = {0};
    assert_succeeds(moco_dataset_create_memory(&scenes, context, pixel, MOCO_PIXELS_FLOAT32, NULL, 1, 3, 1, 1, 1));
    assert_null(create(context, scenes, 1, MOCO_CACHE_DECODED, 1 << 20)); /* float32 */
    assert_non_null(strstr(moco_last_error(), "MOCO_CACHE_DECODED"));
    moco_dataset_destroy(scenes);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),       cmocka_unit_test(test_threads),       cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_files_vanish), cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, make_images, remove_images);
}
