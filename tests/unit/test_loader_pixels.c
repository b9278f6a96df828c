/* 8-bit batches hold what float batches hold before normalization, and the statistics add up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include <moco/loader.h>

#include "augment/augment_internal.h"
#include "support/fake_images.h"
#include "support/image_files.h"

enum { SIDE = 10, AREA = SIDE * SIDE, VIEW = 3 * AREA, COUNT = 41, BATCH = 6 };

static moco_context *context;
static fake_images images;

static int setup(void **state) {
    (void) state;
    assert_succeeds(moco_context_create(&context, NULL));
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

static moco_augment *create_augment(int32_t recipe) {
    moco_augment_config config;
    moco_augment *augment = NULL;
    assert_succeeds(moco_augment_config_init(&config, sizeof config, recipe));
    config.height = config.width = SIDE;
    assert_succeeds(moco_augment_create(&augment, context, &config));
    return augment;
}

static moco_loader *create(moco_dataset *dataset, moco_augment *augment, int32_t views, int32_t output) {
    moco_loader_config config;
    moco_loader *loader = NULL;
    assert_succeeds(moco_loader_config_init(&config, sizeof config));
    config.batch_size = BATCH;
    config.views = views;
    config.output = output;
    assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
    return loader;
}

static void compare(const moco_augment *augment, const float *normalized, const uint8_t *bytes, int64_t n) {
    const moco_augment_config *config = &augment->config;
    for (int64_t i = 0; i < n * VIEW; ++i) {
        const int64_t c = i / AREA % 3;
        const double value = 255.0 * ((double) normalized[i] * config->std[c] + config->mean[c]);
        if (!(fabs(value - (double) bytes[i]) <= 0.502)) {
            fail_msg("element %lld is %d, not %g", (long long) i, bytes[i], value);
        }
    }
}

static void check_pixels(moco_dataset *dataset, int32_t recipe, int32_t views) {
    moco_augment *augment = create_augment(recipe);
    moco_loader *floats = create(dataset, augment, views, MOCO_PIXELS_FLOAT32);
    moco_loader *bytes = create(dataset, augment, views, MOCO_PIXELS_UINT8);
    moco_batch a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
    assert_succeeds(moco_loader_start_epoch(floats, 3));
    assert_succeeds(moco_loader_start_epoch(bytes, 3));
    do {
        assert_succeeds(moco_loader_next(floats, &a));
        assert_succeeds(moco_loader_next(bytes, &b));
        assert_int_equal(a.n, b.n);
        assert_null(a.query_pixels);
        assert_null(a.key_pixels);
        assert_null(b.query_images);
        assert_null(b.key_images);
        if (a.n == 0) break;
        assert_memory_equal(a.sample_ids, b.sample_ids, (size_t) a.n * sizeof *a.sample_ids);
        compare(augment, a.query_images, b.query_pixels, a.n);
        assert_true((b.key_pixels != NULL) == (views == 2));
        if (views == 2) compare(augment, a.key_images, b.key_pixels, a.n);
    } while (a.n > 0);
    b.struct_size = offsetof(moco_batch, query_pixels); /* a batch without a place for the pixels */
    assert_succeeds(moco_loader_start_epoch(bytes, 0));
    assert_refuses(moco_loader_next(bytes, &b), MOCO_INVALID_ARGUMENT,
                   sizeof(void *) == 8 ? "struct_size of moco_batch is 72" : "struct_size of moco_batch is 56");
    moco_loader_destroy(floats);
    moco_loader_destroy(bytes);
    moco_augment_destroy(augment);
}

static void test_pixels(void **state) {
    (void) state;
    moco_dataset *fake = fake_dataset(context, &images, COUNT), *floats = NULL, *scenes = NULL;
    static float pixels[COUNT * 3 * 12 * 14];
    for (int64_t i = 0; i < COUNT * 3 * 12 * 14; ++i) pixels[i] = (float) (i * 7919 % 1000) / 999.0f;
    assert_succeeds(
        moco_dataset_create_memory(&floats, context, pixels, MOCO_PIXELS_FLOAT32, NULL, COUNT, 3, 12, 14, 0));
    assert_succeeds(moco_dataset_open(&scenes, context, "synthetic:count=20"));
    for (int32_t recipe = MOCO_AUGMENT_V1; recipe <= MOCO_AUGMENT_PLAIN; ++recipe) {
        for (int32_t views = 0; views <= 2; ++views) {
            check_pixels(fake, recipe, views);
            check_pixels(floats, recipe, views);
            check_pixels(scenes, recipe, views);
        }
    }
    moco_dataset_destroy(fake);
    moco_dataset_destroy(floats);
    moco_dataset_destroy(scenes);
}

static moco_loader_statistics statistics_of(moco_loader *loader) {
    moco_loader_statistics statistics;
    assert_succeeds(moco_loader_statistics_init(&statistics, sizeof statistics));
    assert_true(statistics.struct_size == sizeof statistics && statistics.batches == 0 && statistics.ns_wait == 0);
    assert_succeeds(moco_loader_read_statistics(loader, &statistics));
    return statistics;
}

static void test_statistics(void **state) {
    (void) state;
    for (int32_t workers = 0; workers <= 2; ++workers) {
        moco_dataset *dataset = fake_dataset(context, &images, COUNT);
        moco_augment *augment = create_augment(MOCO_AUGMENT_V2);
        moco_loader_config config;
        moco_loader *loader = NULL;
        images.slow_ns = 2000000; /* of every third image */
        assert_succeeds(moco_loader_config_init(&config, sizeof config));
        config.batch_size = BATCH;
        config.workers = workers;
        assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
        moco_loader_statistics last = statistics_of(loader);
        assert_int_equal(last.samples + last.batches + last.ns_wait + last.ns_load, 0);
        const int64_t started = moco_now_ns();
        assert_succeeds(moco_loader_start_epoch(loader, 0));
        for (int64_t b = 1; b <= COUNT / BATCH; ++b) {
            moco_batch batch = {.struct_size = sizeof batch};
            assert_succeeds(moco_loader_next(loader, &batch));
            const moco_loader_statistics now = statistics_of(loader);
            assert_int_equal(now.batches, b);
            assert_int_equal(now.samples, b * BATCH);
            assert_true(now.ns_load >= last.ns_load && now.ns_augment >= last.ns_augment);
            assert_true(now.ns_wait >= last.ns_wait);
            last = now;
        }
        const int64_t passed = moco_now_ns() - started;
        assert_true(last.ns_load >= COUNT / BATCH * BATCH / 3 * images.slow_ns / 2);
        assert_true(last.ns_augment > 0);
        assert_true(last.ns_load + last.ns_augment <= passed * (workers == 0 ? 1 : workers));
        assert_true(last.ns_wait > 0 && last.ns_wait <= passed);
        if (workers == 0) assert_true(last.ns_wait >= last.ns_load + last.ns_augment);
        assert_int_equal(last.replaced + last.broken + last.cache_hits + last.cache_misses + last.cached, 0);
        assert_true(last.cache_bytes == 0);
        assert_refuses(moco_loader_read_statistics(NULL, &last), MOCO_INVALID_ARGUMENT, "loader is NULL");
        assert_refuses(moco_loader_read_statistics(loader, NULL), MOCO_INVALID_ARGUMENT, "statistics is NULL");
        assert_refuses(moco_loader_statistics_init(NULL, sizeof last), MOCO_INVALID_ARGUMENT,
                       "moco_loader_statistics is NULL");
        last.struct_size = 8;
        assert_refuses(moco_loader_read_statistics(loader, &last), MOCO_INVALID_ARGUMENT, "struct_size");
        moco_loader_destroy(loader);
        moco_augment_destroy(augment);
        moco_dataset_destroy(dataset);
    }
    images.slow_ns = 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pixels), cmocka_unit_test(test_statistics)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
