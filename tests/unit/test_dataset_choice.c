/* A choice of images has every class's share of them, whatever their order, and the same ones each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <moco.h>

#include "core/random.h"
#include "support/image_files.h"

enum { COUNT = 1000, CLASSES = 5, MOST_LABEL = 2000000000 };

static moco_context *context;
static kept_log logged;
static int32_t labels[COUNT];

static int setup(void **state) {
    (void) state;
    context = context_with_log(&logged, 1);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

/* A label as large as one may be takes no more memory than any other. */
static int32_t kind_of(int32_t label) {
    return label == MOST_LABEL ? CLASSES - 1 : label;
}

static int32_t tell_label(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    *h = *w = 1;
    *label = labels[index];
    return user != NULL && index == *(const int64_t *) user;
}

static int32_t never_read(int64_t index, float *pixels, void *user) {
    (void) index;
    (void) pixels;
    (void) user;
    return 1;
}

static moco_dataset *make_dataset(void *user) {
    moco_dataset *dataset = NULL;
    assert_succeeds(moco_dataset_create_callback(&dataset, context, COUNT, 3, tell_label, never_read, user));
    return dataset;
}

/* 500, 300, 150, 7 and 3 images, and 40 without a label; sorted, or in random order. */
static void fill_labels(int shuffled) {
    static const int32_t kinds[6] = {0, 1, 2, 3, MOST_LABEL, MOCO_NO_LABEL};
    static const int64_t counts[6] = {500, 300, 150, 7, 3, 40};
    int64_t order[COUNT], at = 0;
    moco_random random;
    moco_random_init(&random, 1, MOCO_RANDOM_TEST, 0, 0);
    moco_random_permutation(&random, COUNT, order);
    for (int kind = 0; kind < 6; ++kind) {
        for (int64_t i = 0; i < counts[kind]; ++i, ++at) labels[shuffled ? order[at] : at] = kinds[kind];
    }
}

static void each_class_has_its_share(void **state) {
    (void) state;
    static const int64_t counts[CLASSES] = {500, 300, 150, 7, 3}, wanted[] = {1, 2, 7, 96, 100, 959, 960};
    static int64_t indices[COUNT];
    for (int shuffled = 0; shuffled < 2; ++shuffled) {
        fill_labels(shuffled);
        moco_dataset *dataset = make_dataset(NULL);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i) {
            int64_t chosen = -1, of_class[CLASSES] = {0};
            assert_succeeds(moco_dataset_choose(dataset, wanted[i], 3, indices, &chosen));
            assert_int_equal(chosen, wanted[i]);
            for (int64_t j = 0; j < chosen; ++j) {
                assert_true(indices[j] >= 0 && indices[j] < COUNT);
                if (j > 0) assert_true(indices[j] > indices[j - 1]);
                assert_true(labels[indices[j]] >= 0);
                of_class[kind_of(labels[indices[j]])]++;
            }
            for (int c = 0; c < CLASSES; ++c) {
                const int64_t low = counts[c] * wanted[i] / 960, high = (counts[c] * wanted[i] + 959) / 960;
                if (of_class[c] < low || of_class[c] > high) {
                    fail_msg("%d of %d: class %d has %d", (int) wanted[i], 960, c, (int) of_class[c]);
                }
            }
        }
        int64_t chosen = 0;
        assert_succeeds(moco_dataset_choose(dataset, COUNT, 3, indices, &chosen));
        assert_int_equal(chosen, 960); /* those that have a label */
        moco_dataset_destroy(dataset);
    }
}

static void seeds_choose(void **state) {
    (void) state;
    static int64_t first[COUNT], again[COUNT], times[COUNT];
    int64_t chosen = 0;
    fill_labels(0);
    moco_dataset *dataset = make_dataset(NULL);
    assert_succeeds(moco_dataset_choose(dataset, 96, 3, first, &chosen));
    assert_succeeds(moco_dataset_choose(dataset, 96, 3, again, &chosen));
    assert_memory_equal(first, again, 96 * sizeof *first);
    assert_succeeds(moco_dataset_choose(dataset, 96, 4, again, &chosen));
    assert_memory_not_equal(first, again, 96 * sizeof *first);
    /* Every image of a class is as likely as any other: 200 x 10 % of the first class's 500 in two halves. */
    for (uint64_t seed = 0; seed < 200; ++seed) {
        assert_succeeds(moco_dataset_choose(dataset, 96, seed, again, &chosen));
        for (int64_t i = 0; i < chosen; ++i) times[again[i]]++;
    }
    int64_t halves[2] = {0};
    for (int64_t i = 0; i < 500; ++i) {
        halves[i >= 250] += times[i];
        assert_true(times[i] > 2 && times[i] < 50);
    }
    assert_true(halves[0] + halves[1] == 200 * 50);
    assert_true(halves[0] > 4800 && halves[0] < 5200);
    moco_dataset_destroy(dataset);
}

static void nonsense_is_refused(void **state) {
    (void) state;
    int64_t indices[4] = {7, 7, 7, 7}, chosen = 9, failing = 5;
    fill_labels(0);
    moco_dataset *dataset = make_dataset(NULL), *broken = make_dataset(&failing);
    assert_refuses(moco_dataset_choose(NULL, 4, 0, indices, &chosen), MOCO_INVALID_ARGUMENT, "dataset");
    assert_refuses(moco_dataset_choose(dataset, 0, 0, indices, &chosen), MOCO_INVALID_ARGUMENT, "count is 0");
    assert_refuses(moco_dataset_choose(dataset, 4, 0, NULL, &chosen), MOCO_INVALID_ARGUMENT, "indices");
    assert_refuses(moco_dataset_choose(dataset, 4, 0, indices, NULL), MOCO_INVALID_ARGUMENT, "chosen");
    assert_refuses(moco_dataset_choose(broken, 4, 0, indices, &chosen), MOCO_CALLBACK, "for image 5");
    assert_true(chosen == 9 && indices[0] == 7);
    for (int64_t i = 0; i < COUNT; ++i) labels[i] = MOCO_NO_LABEL;
    assert_succeeds(moco_dataset_choose(dataset, 4, 0, indices, &chosen));
    assert_int_equal(chosen, 0);
    moco_dataset_destroy(broken);
    moco_dataset_destroy(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_class_has_its_share, setup, teardown),
        cmocka_unit_test_setup_teardown(seeds_choose, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests_name("a choice of images", tests, NULL, NULL);
}
