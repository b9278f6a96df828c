/* Broken samples: each is logged once and replaced by the same other sample whatever the number of threads; too many
 * end the epoch at the same batch; a host's own failures are never replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <moco/loader.h>

#include "augment/augment_internal.h"
#include "core/random.h"
#include "loader/loader_internal.h"
#include "support/fake_images.h"
#include "support/image_files.h"

enum { SIDE = 8, VIEW = 3 * SIDE * SIDE, COUNT = 300, BATCH = 7, SEED = 5 };

static kept_log logged;
static moco_context *context;
static moco_augment *augment;
static fake_images images;

static int setup(void **state) {
    (void) state;
    moco_augment_config config;
    context = context_with_log(&logged, 2);
    assert_succeeds(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_V2));
    config.height = SIDE;
    config.width = SIDE;
    assert_succeeds(moco_augment_create(&augment, context, &config));
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_augment_destroy(augment);
    moco_context_destroy(context);
    return 0;
}

static moco_loader_config config_of(int32_t workers) {
    moco_loader_config config;
    assert_succeeds(moco_loader_config_init(&config, sizeof config));
    config.workers = workers;
    config.batch_size = BATCH;
    config.seed = SEED;
    return config;
}

/* Every tenth or so, in each of the ways a file can be broken. */
static int64_t break_some(void) {
    static const moco_status ways[4] = {MOCO_FORMAT, MOCO_IO, MOCO_NOT_FOUND, MOCO_UNSUPPORTED};
    int64_t broken = 0;
    for (int64_t i = 0; i < images.count; ++i) {
        if (i * 37 % 100 < 8) images.statuses[i] = ways[broken++ % 4];
    }
    return broken;
}

/* The sample that is used for `index`, as the header tells it. */
static int64_t used_for(int64_t epoch, int64_t index) {
    moco_random random;
    moco_random_init(&random, SEED, MOCO_RANDOM_REPLACEMENT, (uint64_t) epoch, (uint64_t) index);
    while (images.statuses[index] != MOCO_OK) {
        index = (int64_t) moco_random_below(&random, (uint64_t) images.count);
    }
    return index;
}

static void check_view(int64_t epoch, int64_t index, int32_t view, const float *actual) {
    static uint8_t bytes[3 * 16 * 16];
    moco_view_draw draw;
    moco_augment_scratch scratch = {0};
    float expected[VIEW];
    int64_t h = 0, w = 0;
    int32_t label = 0;
    fake_info(NULL, index, &h, &w, &label);
    const moco_image_part pixels = moco_image_whole(bytes, h, w);
    for (int64_t i = 0; i < 3 * h * w; ++i) bytes[i] = fake_pixel(index, i);
    moco_augment_draw(augment, h, w, epoch, index, view, &draw);
    assert_succeeds(moco_augment_render_pixels(augment, &pixels, &draw, &scratch, MOCO_PIXELS_FLOAT32, expected));
    moco_augment_scratch_release(augment, &scratch);
    assert_memory_equal(expected, actual, sizeof expected);
}

/* Loads an epoch from batch `first` on against the model; returns how many samples were replaced. */
static int64_t check_epoch(moco_loader *loader, int64_t epoch, int64_t first) {
    static int64_t order[FAKE_MAX];
    moco_random random;
    moco_random_init(&random, SEED, MOCO_RANDOM_LOADER, (uint64_t) epoch, 0);
    moco_random_permutation(&random, images.count, order);
    int64_t replaced = 0;
    assert_succeeds(moco_loader_start_at(loader, epoch, first));
    for (int64_t b = first;; ++b) {
        moco_batch batch = {.struct_size = sizeof batch};
        assert_succeeds(moco_loader_next(loader, &batch));
        if (batch.n == 0) break;
        for (int64_t i = 0; i < batch.n; ++i) {
            const int64_t wanted = order[b * BATCH + i], used = used_for(epoch, wanted);
            replaced += used != wanted;
            assert_int_equal(batch.sample_ids[i], used);
            assert_int_equal(batch.labels[i], fake_label(used));
            check_view(epoch, used, 0, batch.query_images + i * VIEW);
            check_view(epoch, used, 1, batch.key_images + i * VIEW);
        }
    }
    return replaced;
}

static int64_t lines_with(const char *word) {
    int64_t lines = 0;
    for (const char *at = logged.text; (at = strstr(at, word)) != NULL; at += strlen(word)) ++lines;
    return lines;
}

static void test_replacements(void **state) {
    (void) state;
    static const int32_t workers[] = {0, 1, 2, 5};
    for (int i = 0; i < 4; ++i) {
        moco_loader *loader = NULL;
        moco_loader_config config = config_of(workers[i]);
        moco_loader_statistics statistics = {.struct_size = sizeof statistics};
        moco_dataset *dataset = fake_dataset(context, &images, COUNT);
        images.slow_ns = 20000;
        const int64_t broken = break_some();
        forget_log(&logged);
        config.drop_last = 0; /* every broken one is met */
        config.prefetch = 1 + i;
        assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
        int64_t replaced = 0;
        for (int64_t epoch = 0; epoch < 3; ++epoch) replaced += check_epoch(loader, epoch, 0);
        assert_int_equal(replaced, 3 * broken);
        assert_succeeds(moco_loader_read_statistics(loader, &statistics));
        assert_int_equal(statistics.replaced, replaced);
        assert_int_equal(statistics.broken, broken);
        assert_int_equal(statistics.samples, 3 * COUNT);
        assert_int_equal(statistics.batches, 3 * moco_loader_batches_per_epoch(loader));
        for (int64_t index = 0; index < COUNT; ++index) { /* named once, with the reason, as a warning */
            char line[96];
            snprintf(line, sizeof line, "1: image %lld is broken and left out: fake-%lld.jpg: it is cut short\n",
                     (long long) index, (long long) index);
            assert_int_equal(lines_with(line), images.statuses[index] != MOCO_OK);
        }
        assert_int_equal(lines_with("\n"), broken);
        moco_loader_destroy(loader);
        moco_dataset_destroy(dataset);
    }
    images.slow_ns = 0;
}

static void test_resuming(void **state) {
    (void) state;
    moco_loader *loader = NULL;
    const moco_loader_config config = config_of(2);
    moco_dataset *dataset = fake_dataset(context, &images, COUNT);
    break_some();
    assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
    for (int64_t first = 0; first <= COUNT / BATCH; first += 6) check_epoch(loader, 4, first);
    moco_loader_destroy(loader);
    moco_dataset_destroy(dataset);
}

/* --- How many are too many --- */

/* Loads an epoch that is to end with the failure of the batch where the model says so, or not at all. */
static void check_limit(double limit, int64_t count, int32_t workers) {
    moco_loader *loader = NULL;
    moco_loader_config config = config_of(workers);
    moco_dataset *dataset = fake_dataset(context, &images, count);
    break_some();
    config.shuffle = 0;
    config.drop_last = 0;
    config.max_broken_fraction = limit;
    assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
    for (int64_t epoch = 0; epoch < 2; ++epoch) { /* counted anew */
        assert_succeeds(moco_loader_start_epoch(loader, epoch));
        for (int64_t samples = 0, broken = 0, last = -1; samples < count;) {
            moco_batch batch = {.struct_size = sizeof batch, .n = -5};
            for (int64_t i = 0; i < BATCH && samples < count; ++i, ++samples) {
                if (images.statuses[samples] == MOCO_OK) continue;
                last = samples;
                ++broken;
            }
            const int64_t least = count < 1000 ? count : 1000;
            if ((double) broken > limit * (double) (samples > least ? samples : least)) {
                char words[256];
                snprintf(words, sizeof words,
                         "%lld of %lld samples of this epoch are broken, more than max_broken_fraction %g allows; the "
                         "last one: fake-%lld.jpg: it is cut short",
                         (long long) broken, (long long) samples, limit, (long long) last);
                assert_refuses(moco_loader_next(loader, &batch), images.statuses[last], words);
                assert_refuses(moco_loader_next(loader, &batch), images.statuses[last], words); /* and so again */
                assert_int_equal(batch.n, -5);
                break;
            }
            assert_succeeds(moco_loader_next(loader, &batch));
        }
    }
    moco_loader_destroy(loader);
    moco_dataset_destroy(dataset);
}

static void test_limits(void **state) {
    (void) state;
    static const double limits[] = {0, 0.001, 0.01, 0.05, 0.07, 0.079, 0.08, 0.1, 0.5, 1};
    for (int32_t workers = 0; workers <= 3; workers += 3) {
        for (int i = 0; i < 10; ++i) {
            check_limit(limits[i], 2000, workers);
            check_limit(limits[i], 300, workers);
            check_limit(limits[i], 40, workers);
        }
    }
}

/* The batch of an epoch that is not given, which begins `pause` batches late at the place where the loader is anyway. */
static int64_t batch_refused(int64_t pause, moco_status (*go_on)(moco_loader *, int64_t, int64_t)) {
    moco_loader *loader = NULL;
    moco_loader_config config = config_of(2);
    moco_dataset *dataset = fake_dataset(context, &images, 2000);
    break_some();
    config.max_broken_fraction = 0.05;
    assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
    assert_succeeds(moco_loader_start_epoch(loader, 0));
    int64_t at = 0;
    for (moco_batch batch = {.struct_size = sizeof batch};; ++at) {
        if (at == pause) assert_succeeds(go_on(loader, 0, at));
        if (moco_loader_next(loader, &batch) != MOCO_OK || batch.n == 0) break;
    }
    moco_loader_destroy(loader);
    moco_dataset_destroy(dataset);
    return at;
}

/* A run that goes on where it was gives up where it would have given up without a pause. */
static void test_limit_after_a_pause(void **state) {
    (void) state;
    const int64_t unbroken = batch_refused(-1, NULL);
    assert_in_range(unbroken, 10, 2000 / BATCH - 10);
    assert_int_equal(batch_refused(unbroken - 5, moco_loader_continue_at), unbroken);
    assert_true(batch_refused(unbroken - 5, moco_loader_start_at) > unbroken); /* starts with good ones */
}

/* One of ten is no reason to stop, two are. */
static void test_small_sets(void **state) {
    (void) state;
    for (int64_t broken = 0; broken <= 2; ++broken) {
        moco_loader *loader = NULL;
        moco_loader_config config = config_of(1);
        moco_batch batch = {.struct_size = sizeof batch};
        moco_dataset *dataset = fake_dataset(context, &images, 10);
        for (int64_t i = 0; i < broken; ++i) images.statuses[3 + i] = MOCO_IO;
        config.batch_size = 10;
        assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
        assert_succeeds(moco_loader_start_epoch(loader, 0));
        assert_int_equal(moco_loader_next(loader, &batch), broken < 2 ? MOCO_OK : MOCO_IO);
        moco_loader_destroy(loader);
        moco_dataset_destroy(dataset);
    }
}

static void test_nothing_is_left(void **state) {
    (void) state;
    for (int32_t workers = 0; workers <= 3; ++workers) {
        moco_loader *loader = NULL;
        moco_loader_config config = config_of(workers);
        moco_batch batch = {.struct_size = sizeof batch};
        moco_dataset *dataset = fake_dataset(context, &images, COUNT);
        for (int64_t i = 0; i < COUNT; ++i) images.statuses[i] = MOCO_FORMAT;
        config.max_broken_fraction = 1;
        config.shuffle = 0;
        assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
        assert_succeeds(moco_loader_start_epoch(loader, 0));
        assert_refuses(moco_loader_next(loader, &batch), MOCO_FORMAT,
                       "image 0 and all 100 images tried in its place are broken; its failure: fake-0.jpg: it is cut");
        /* Someone mounts the disk again, while nothing is made: an epoch begun at its end makes nothing. */
        assert_succeeds(moco_loader_start_at(loader, 0, moco_loader_batches_per_epoch(loader)));
        for (int64_t i = 0; i < COUNT; ++i) images.statuses[i] = MOCO_OK;
        assert_succeeds(moco_loader_start_epoch(loader, 0));
        assert_succeeds(moco_loader_next(loader, &batch));
        assert_int_equal(batch.sample_ids[3], 3);
        moco_loader_destroy(loader);
        moco_dataset_destroy(dataset);
    }
}

/* What is no matter of the file ends the epoch, in place of a broken one, too. */
static void test_other_failures(void **state) {
    (void) state;
    static const moco_status ways[] = {MOCO_CALLBACK, MOCO_OUT_OF_MEMORY, MOCO_INTERNAL, MOCO_INVALID_ARGUMENT};
    for (int way = 0; way < 4; ++way) {
        for (int32_t workers = 0; workers <= 3; ++workers) {
            moco_loader *loader = NULL;
            moco_loader_config config = config_of(workers);
            moco_batch batch = {.struct_size = sizeof batch};
            moco_dataset *dataset = fake_dataset(context, &images, COUNT);
            images.statuses[9] = images.statuses[11] = ways[way];
            images.statuses[8] = MOCO_FORMAT;
            config.shuffle = 0;
            assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
            assert_succeeds(moco_loader_start_epoch(loader, 0));
            assert_succeeds(moco_loader_next(loader, &batch));
            assert_refuses(moco_loader_next(loader, &batch), ways[way], "fake-9.jpg");
            moco_loader_destroy(loader);
            moco_dataset_destroy(dataset);
        }
    }
    moco_loader *loader = NULL;
    moco_loader_config config = config_of(1);
    moco_batch batch = {.struct_size = sizeof batch};
    moco_dataset *dataset = fake_dataset(context, &images, COUNT);
    images.statuses[2] = MOCO_FORMAT;
    const int64_t other = used_for(0, 2);
    images.statuses[other] = MOCO_CALLBACK;
    char name[32];
    snprintf(name, sizeof name, "fake-%lld.jpg", (long long) other);
    config.shuffle = 0;
    assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
    assert_succeeds(moco_loader_start_epoch(loader, 0));
    assert_refuses(moco_loader_next(loader, &batch), MOCO_CALLBACK, name);
    moco_loader_destroy(loader);
    moco_dataset_destroy(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replacements),
        cmocka_unit_test(test_resuming),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_small_sets),
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_other_failures),
        cmocka_unit_test(test_limit_after_a_pause),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
