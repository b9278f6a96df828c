#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <moco/loader.h>

enum { SIDE = 6, IMAGE = 3 * SIDE * SIDE, COUNT = 23 };

static moco_context *context;
static moco_dataset *dataset;
static moco_augment *augment;

#define assert_fails(call, status, word)                                                                         \
    do {                                                                                                         \
        assert_int_equal(call, status);                                                                          \
        if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" lacks \"%s\"", moco_last_error(), (word)); \
    } while (0)

static moco_augment *create_augment(moco_context *owner) {
    moco_augment_config config;
    moco_augment *made = NULL;
    assert_int_equal(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_CIFAR), MOCO_OK);
    config.height = SIDE;
    config.width = SIDE;
    assert_int_equal(moco_augment_create(&made, owner, &config), MOCO_OK);
    return made;
}

static int setup(void **state) {
    (void) state;
    static float pixels[COUNT * IMAGE];
    int32_t labels[COUNT];
    for (int i = 0; i < COUNT * IMAGE; ++i) pixels[i] = (float) (i * 7919 % 1000) / 1000.0f;
    for (int i = 0; i < COUNT; ++i) labels[i] = i % 4;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    assert_int_equal(
        moco_dataset_create_memory(&dataset, context, pixels, MOCO_PIXELS_FLOAT32, labels, COUNT, 3, SIDE, SIDE, 1),
        MOCO_OK);
    augment = create_augment(context);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_augment_destroy(augment);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    return 0;
}

static moco_loader_config config_of(int32_t workers) {
    moco_loader_config config;
    assert_int_equal(moco_loader_config_init(&config, sizeof config), MOCO_OK);
    config.workers = workers;
    config.batch_size = 5;
    return config;
}

static moco_loader *create(const moco_loader_config *config) {
    moco_loader *loader = NULL;
    assert_int_equal(moco_loader_create(&loader, dataset, augment, config), MOCO_OK);
    return loader;
}

static moco_batch next(moco_loader *loader) {
    moco_batch batch = {.struct_size = sizeof batch};
    assert_int_equal(moco_loader_next(loader, &batch), MOCO_OK);
    return batch;
}

/* Every sample once, with its label and the two views that the augment makes of it. */
static void check_epoch(const moco_loader_config *config, int64_t epoch) {
    moco_loader *loader = create(config);
    int seen[COUNT] = {0}, total = 0, in_order = 1;
    assert_int_equal(moco_loader_start_epoch(loader, epoch), MOCO_OK);
    for (;;) {
        const moco_batch batch = next(loader);
        assert_int_equal(batch.h, SIDE);
        assert_int_equal(batch.w, SIDE);
        assert_int_equal(batch.channels, 3);
        if (batch.n == 0) break;
        for (int64_t i = 0; i < batch.n; ++i) {
            const int64_t id = batch.sample_ids[i];
            float image[IMAGE], view[IMAGE];
            assert_true(id >= 0 && id < COUNT && seen[id]++ == 0);
            in_order &= id == total++;
            assert_int_equal(batch.labels[i], id % 4);
            assert_int_equal(moco_dataset_read(dataset, id, image, IMAGE), MOCO_OK);
            if (config->views == 0) {
                assert_int_equal(moco_augment_evaluate(augment, image, SIDE, SIDE, view), MOCO_OK);
            } else {
                assert_int_equal(moco_augment_apply(augment, image, SIDE, SIDE, epoch, id, 0, view), MOCO_OK);
            }
            assert_memory_equal(view, batch.query_images + i * IMAGE, sizeof view);
            assert_true((batch.key_images != NULL) == (config->views == 2));
            if (config->views == 2) {
                assert_int_equal(moco_augment_apply(augment, image, SIDE, SIDE, epoch, id, 1, view), MOCO_OK);
                assert_memory_equal(view, batch.key_images + i * IMAGE, sizeof view);
            }
        }
    }
    assert_int_equal(next(loader).n, 0); /* and so again */
    assert_int_equal(total, config->drop_last ? COUNT / 5 * 5 : COUNT);
    assert_int_equal(in_order, !config->shuffle);
    moco_loader_destroy(loader);
}

static void test_epochs(void **state) {
    (void) state;
    for (int32_t workers = 0; workers <= 3; ++workers) {
        for (int32_t options = 0; options < 12; ++options) {
            moco_loader_config config = config_of(workers);
            config.shuffle = options & 1;
            config.drop_last = options >> 1 & 1;
            config.views = options >> 2;
            config.prefetch = 1 + workers;
            check_epoch(&config, options);
        }
    }
}

static void test_counts(void **state) {
    (void) state;
    moco_loader_config config = config_of(1);
    moco_loader *loader = create(&config);
    assert_int_equal(moco_loader_batches_per_epoch(loader), 4);
    assert_int_equal(moco_loader_batch_size(loader), 5);
    moco_loader_destroy(loader);
    config.drop_last = 0;
    loader = create(&config);
    assert_int_equal(moco_loader_batches_per_epoch(loader), 5);
    moco_loader_destroy(loader);
    config.batch_size = 100; /* larger than the dataset: one small batch */
    loader = create(&config);
    assert_int_equal(moco_loader_batches_per_epoch(loader), 1);
    assert_int_equal(moco_loader_start_epoch(loader, 0), MOCO_OK);
    assert_int_equal(next(loader).n, COUNT);
    moco_loader_destroy(loader);
    assert_int_equal(moco_loader_batches_per_epoch(NULL), 0);
    assert_int_equal(moco_loader_batch_size(NULL), 0);
    moco_loader_destroy(NULL);
}

/* Epochs differ, seeds differ, and an epoch begun in its middle goes on as the whole one does. */
static void test_start_at(void **state) {
    (void) state;
    moco_loader_config config = config_of(2);
    moco_loader *loader = create(&config), *resumed = create(&config);
    config.seed = 9;
    moco_loader *other = create(&config);
    int64_t first[5];
    assert_int_equal(moco_loader_start_epoch(loader, 7), MOCO_OK);
    for (int64_t b = 0; b < 4; ++b) {
        const moco_batch batch = next(loader);
        if (b == 0) memcpy(first, batch.sample_ids, sizeof first);
        assert_int_equal(moco_loader_start_at(resumed, 7, b), MOCO_OK);
        const moco_batch same = next(resumed);
        assert_memory_equal(batch.sample_ids, same.sample_ids, 5 * sizeof(int64_t));
        assert_memory_equal(batch.query_images, same.query_images, 5 * IMAGE * sizeof(float));
        assert_memory_equal(batch.key_images, same.key_images, 5 * IMAGE * sizeof(float));
    }
    assert_int_equal(moco_loader_start_at(resumed, 7, 4), MOCO_OK);
    assert_int_equal(next(resumed).n, 0);
    assert_int_equal(moco_loader_start_epoch(loader, 8), MOCO_OK);
    assert_memory_not_equal(next(loader).sample_ids, first, sizeof first);
    assert_int_equal(moco_loader_start_epoch(other, 7), MOCO_OK);
    assert_memory_not_equal(next(other).sample_ids, first, sizeof first);
    moco_loader_destroy(loader);
    moco_loader_destroy(resumed);
    moco_loader_destroy(other);
}

/* A batch stays as it is until the next call, however far ahead the workers are. */
static void test_batch_is_held(void **state) {
    (void) state;
    moco_loader_config config = config_of(3);
    config.prefetch = 1;
    config.batch_size = 2;
    moco_loader *loader = create(&config);
    for (int64_t epoch = 0; epoch < 20; ++epoch) {
        assert_int_equal(moco_loader_start_epoch(loader, epoch), MOCO_OK);
        for (moco_batch batch = next(loader); batch.n > 0; batch = next(loader)) {
            float copy[2 * IMAGE];
            memcpy(copy, batch.query_images, sizeof copy);
            for (volatile int spin = 0; spin < 20000; ++spin) {
            }
            assert_memory_equal(copy, batch.query_images, sizeof copy);
        }
    }
    moco_loader_destroy(loader);
}

/* Epochs and loaders given up at every point; handles let go of in any order. */
static void test_giving_up(void **state) {
    (void) state;
    for (int32_t workers = 0; workers <= 4; workers += 2) {
        for (int taken = 0; taken <= 5; ++taken) {
            const moco_loader_config config = config_of(workers);
            moco_loader *loader = create(&config);
            for (int64_t epoch = 0; epoch < 10; ++epoch) {
                assert_int_equal(moco_loader_start_epoch(loader, epoch), MOCO_OK);
                for (int i = 0; i < taken; ++i) next(loader);
            }
            moco_loader_destroy(loader);
        }
    }
    moco_context *own = NULL;
    moco_dataset *images = NULL;
    moco_loader *loader = NULL;
    assert_int_equal(moco_context_create(&own, NULL), MOCO_OK);
    assert_int_equal(moco_dataset_open(&images, own, "synthetic:count=20"), MOCO_OK);
    moco_augment *views = create_augment(own);
    const moco_loader_config config = config_of(2);
    assert_int_equal(moco_loader_create(&loader, images, views, &config), MOCO_OK);
    moco_context_destroy(own);
    moco_dataset_destroy(images);
    moco_augment_destroy(views);
    assert_int_equal(moco_loader_start_epoch(loader, 0), MOCO_OK);
    assert_int_equal(next(loader).n, 5);
    moco_loader_destroy(loader);
}

/* --- Failures --- */

static int32_t failing_info(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    (void) user;
    *h = 3 + index; /* a size of its own for every image */
    *w = 9;
    *label = (int32_t) index;
    return 0;
}

static int32_t failing_read(int64_t index, float *pixels, void *user) {
    const int64_t broken = *(const int64_t *) user;
    for (int64_t i = 0; i < 3 * (3 + index) * 9; ++i) pixels[i] = 0.5f;
    return index >= broken ? 40 + (int32_t) index : 0;
}

/* Of all failing samples the first in the batch is reported, whoever made it; earlier batches arrive; the failure stays
 * until the next start. */
static void test_worker_failure(void **state) {
    (void) state;
    for (int32_t workers = 0; workers <= 4; ++workers) {
        int64_t broken = 12;
        moco_dataset *images = NULL;
        moco_loader *loader = NULL;
        assert_int_equal(moco_dataset_create_callback(&images, context, 20, 3, failing_info, failing_read, &broken),
                         MOCO_OK);
        moco_loader_config config = config_of(workers);
        config.shuffle = 0;
        assert_int_equal(moco_loader_create(&loader, images, augment, &config), MOCO_OK);
        for (int64_t epoch = 0; epoch < 3; ++epoch) {
            moco_batch batch = {.struct_size = sizeof batch, .n = 77};
            assert_int_equal(moco_loader_start_epoch(loader, epoch), MOCO_OK);
            assert_int_equal(next(loader).n, 5);
            assert_int_equal(next(loader).n, 5);
            for (int again = 0; again < 2; ++again) {
                assert_fails(moco_loader_next(loader, &batch), MOCO_CALLBACK, "returned 52 for image 12");
                assert_int_equal(batch.n, 77);
            }
        }
        moco_loader_destroy(loader);
        moco_dataset_destroy(images);
    }
}

#define assert_refused(field, value, word)                                                               \
    do {                                                                                                 \
        moco_loader_config c_ = config_of(1);                                                            \
        moco_loader *refused_ = NULL;                                                                    \
        c_.field = (value);                                                                              \
        assert_fails(moco_loader_create(&refused_, dataset, augment, &c_), MOCO_INVALID_ARGUMENT, word); \
        assert_null(refused_);                                                                           \
    } while (0)

static void test_refusals(void **state) {
    (void) state;
    moco_loader_config config = config_of(1);
    moco_loader *loader = NULL;
    moco_batch batch = {.struct_size = sizeof batch};
    assert_fails(moco_loader_config_init(NULL, sizeof config), MOCO_INVALID_ARGUMENT, "NULL");
    assert_fails(moco_loader_create(NULL, dataset, augment, &config), MOCO_INVALID_ARGUMENT, "out is NULL");
    assert_fails(moco_loader_create(&loader, NULL, augment, &config), MOCO_INVALID_ARGUMENT, "dataset is NULL");
    assert_fails(moco_loader_create(&loader, dataset, NULL, &config), MOCO_INVALID_ARGUMENT, "augment is NULL");
    assert_refused(struct_size, 5, "struct_size");
    assert_refused(workers, -1, "workers is -1");
    assert_refused(workers, 1000, "workers is 1000");
    assert_refused(batch_size, 0, "batch_size is 0");
    assert_refused(batch_size, COUNT + 1, "batch_size is 24");
    assert_refused(prefetch, 0, "prefetch is 0");
    assert_refused(shuffle, 2, "shuffle is 2");
    assert_refused(drop_last, -1, "drop_last is -1");
    assert_refused(views, 3, "views is 3");

    const float grey[4] = {0};
    moco_dataset *images = NULL;
    assert_int_equal(moco_dataset_create_memory(&images, context, grey, MOCO_PIXELS_FLOAT32, NULL, 4, 1, 1, 1, 0),
                     MOCO_OK);
    config.batch_size = 2;
    assert_fails(moco_loader_create(&loader, images, augment, &config), MOCO_INVALID_ARGUMENT, "1 channels");
    moco_dataset_destroy(images);
    assert_null(loader);

    loader = create(&config);
    assert_fails(moco_loader_next(loader, &batch), MOCO_INVALID_STATE, "moco_loader_start_epoch");
    assert_fails(moco_loader_start_epoch(loader, -1), MOCO_INVALID_ARGUMENT, "epoch is -1");
    assert_fails(moco_loader_start_epoch(loader, (int64_t) 1 << 32), MOCO_INVALID_ARGUMENT, "epoch is 4294967296");
    assert_fails(moco_loader_start_at(loader, 0, -1), MOCO_INVALID_ARGUMENT, "batch is -1");
    assert_fails(moco_loader_start_at(loader, 0, 12), MOCO_INVALID_ARGUMENT, "batch is 12");
    assert_fails(moco_loader_start_epoch(NULL, 0), MOCO_INVALID_ARGUMENT, "loader is NULL");
    assert_int_equal(moco_loader_start_epoch(loader, 0), MOCO_OK);
    assert_fails(moco_loader_next(loader, NULL), MOCO_INVALID_ARGUMENT, "batch is NULL");
    assert_fails(moco_loader_next(NULL, &batch), MOCO_INVALID_ARGUMENT, "loader is NULL");
    batch.struct_size = 4;
    assert_fails(moco_loader_next(loader, &batch), MOCO_INVALID_ARGUMENT, "struct_size of moco_batch is 4");
    moco_loader_destroy(loader);
}

/* --- Memory that runs out --- */

typedef struct allocator {
    atomic_llong left; /* allocations until one fails */
    atomic_llong live;
} allocator;

static void *allocate(uint64_t size, uint64_t alignment, void *user) {
    allocator *self = (allocator *) user;
    if (atomic_fetch_sub(&self->left, 1) == 0) return NULL;
    atomic_fetch_add(&self->live, 1);
    return aligned_alloc((size_t) alignment, (size_t) size);
}

static void deallocate(void *memory, void *user) {
    atomic_fetch_sub(&((allocator *) user)->live, 1);
    free(memory);
}

/* Opens, loads two batches and closes. */
static moco_status run(moco_context *own, int32_t workers) {
    moco_dataset *images = NULL;
    moco_augment *views = NULL;
    moco_loader *loader = NULL;
    moco_augment_config recipe;
    moco_batch batch = {.struct_size = sizeof batch};
    const moco_loader_config config = config_of(workers);
    moco_augment_config_init(&recipe, sizeof recipe, MOCO_AUGMENT_CIFAR);
    moco_status status = moco_dataset_open(&images, own, "synthetic:count=10,size=8");
    if (status == MOCO_OK) status = moco_augment_create(&views, own, &recipe);
    if (status == MOCO_OK) status = moco_loader_create(&loader, images, views, &config);
    if (status == MOCO_OK) status = moco_loader_start_epoch(loader, 0);
    if (status == MOCO_OK) status = moco_loader_next(loader, &batch);
    if (status == MOCO_OK) status = moco_loader_next(loader, &batch);
    moco_loader_destroy(loader);
    moco_augment_destroy(views);
    moco_dataset_destroy(images);
    return status;
}

static void test_out_of_memory(void **state) {
    (void) state;
    for (int32_t workers = 0; workers <= 2; ++workers) {
        allocator self;
        moco_context_config config;
        moco_context *own = NULL;
        assert_int_equal(moco_context_config_init(&config, sizeof config), MOCO_OK);
        config.allocate = allocate;
        config.deallocate = deallocate;
        config.allocator_user = &self;
        atomic_init(&self.live, 0);
        atomic_init(&self.left, INT64_MAX);
        assert_int_equal(moco_context_create(&own, &config), MOCO_OK);
        const long long before = atomic_load(&self.live);
        int failed = 0;
        moco_status status = MOCO_OUT_OF_MEMORY;
        for (int64_t n = 0; status != MOCO_OK; ++n) {
            atomic_store(&self.left, n);
            status = run(own, workers);
            failed += status != MOCO_OK;
            assert_true(status == MOCO_OK || status == MOCO_OUT_OF_MEMORY);
            assert_int_equal(atomic_load(&self.live), before);
        }
        assert_true(failed > 20);
        moco_context_destroy(own);
        assert_int_equal(atomic_load(&self.live), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),    cmocka_unit_test(test_counts),
        cmocka_unit_test(test_start_at),  cmocka_unit_test(test_batch_is_held),
        cmocka_unit_test(test_giving_up), cmocka_unit_test(test_worker_failure),
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
