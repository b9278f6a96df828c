/* Batches have the same bits for any number of worker threads and any prefetch, whichever way an epoch was begun. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <moco/loader.h>

enum { EPOCHS = 2 };

static uint64_t hash(uint64_t value, const void *data, size_t size) {
    const unsigned char *bytes = (const unsigned char *) data;
    for (size_t i = 0; i < size; ++i) value = (value ^ bytes[i]) * 0x100000001b3u; /* FNV-1a */
    return value;
}

/* A hash of all batches of two epochs. */
static uint64_t load(const char *source, int32_t recipe, int32_t workers, int32_t prefetch, int32_t views) {
    moco_context *context = NULL;
    moco_dataset *dataset = NULL;
    moco_augment *augment = NULL;
    moco_loader *loader = NULL;
    moco_augment_config augment_config;
    moco_loader_config loader_config;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    assert_int_equal(moco_dataset_open(&dataset, context, source), MOCO_OK);
    assert_int_equal(moco_augment_config_init(&augment_config, sizeof augment_config, recipe), MOCO_OK);
    augment_config.height = 24;
    augment_config.width = 20;
    assert_int_equal(moco_augment_create(&augment, context, &augment_config), MOCO_OK);
    assert_int_equal(moco_loader_config_init(&loader_config, sizeof loader_config), MOCO_OK);
    loader_config.workers = workers;
    loader_config.prefetch = prefetch;
    loader_config.views = views;
    loader_config.batch_size = 7;
    loader_config.drop_last = 0;
    assert_int_equal(moco_loader_create(&loader, dataset, augment, &loader_config), MOCO_OK);

    uint64_t value = 0xcbf29ce484222325u;
    moco_batch batch = {.struct_size = sizeof batch};
    for (int64_t epoch = 0; epoch < EPOCHS; ++epoch) {
        assert_int_equal(moco_loader_start_epoch(loader, 99), MOCO_OK); /* given up for the one meant */
        if (workers % 2 == 1) assert_int_equal(moco_loader_next(loader, &batch), MOCO_OK);
        assert_int_equal(moco_loader_start_epoch(loader, epoch), MOCO_OK);
        for (;;) {
            assert_int_equal(moco_loader_next(loader, &batch), MOCO_OK);
            value = hash(value, &batch.n, sizeof batch.n);
            if (batch.n == 0) break;
            const size_t images = (size_t) (batch.n * batch.channels * batch.h * batch.w) * sizeof(float);
            value = hash(value, batch.sample_ids, (size_t) batch.n * sizeof(int64_t));
            value = hash(value, batch.labels, (size_t) batch.n * sizeof(int32_t));
            value = hash(value, batch.query_images, images);
            if (batch.key_images != NULL) value = hash(value, batch.key_images, images);
        }
    }
    moco_loader_destroy(loader);
    moco_augment_destroy(augment);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    return value;
}

static void test_threads(void **state) {
    (void) state;
    for (int32_t recipe = MOCO_AUGMENT_V1; recipe <= MOCO_AUGMENT_PLAIN; ++recipe) {
        for (int32_t views = 0; views <= 2; ++views) {
            const uint64_t wanted = load("synthetic:count=45,size=40", recipe, 0, 1, views);
            for (int32_t workers = 1; workers <= 4; ++workers) {
                for (int32_t prefetch = 1; prefetch <= 4; prefetch += 3) {
                    assert_true(load("synthetic:count=45,size=40", recipe, workers, prefetch, views) == wanted);
                }
            }
        }
    }
}

static void test_something_differs(void **state) { /* the hash sees the images */
    (void) state;
    assert_true(load("synthetic:count=45", 2, 2, 2, 2) != load("synthetic:count=45,seed=1", 2, 2, 2, 2));
    assert_true(load("synthetic:count=45", 2, 2, 2, 2) != load("synthetic:count=45,split=test", 2, 2, 2, 2));
    assert_true(load("synthetic:count=45", 2, 2, 2, 2) != load("synthetic:count=45", 1, 2, 2, 2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_something_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
