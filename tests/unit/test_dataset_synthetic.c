/* The built-in scenes: a pure function of (seed, split, index), balanced, and not to be told by their pixels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include <moco/dataset.h>

enum { IMAGE = 3 * 32 * 32, CLASSES = 10 };

static moco_context *context;

static int setup(void **state) {
    (void) state;
    return moco_context_create(&context, NULL);
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

static moco_dataset *open_set(const char *description) {
    moco_dataset *dataset = NULL;
    if (moco_dataset_open(&dataset, context, description) != MOCO_OK) fail_msg("%s", moco_last_error());
    return dataset;
}

static void read_image(const moco_dataset *dataset, int64_t index, float *pixels, int64_t capacity) {
    assert_int_equal(moco_dataset_read(dataset, index, pixels, capacity), MOCO_OK);
}

static void test_shape(void **state) {
    (void) state;
    moco_dataset *dataset = open_set("synthetic");
    int64_t h = 0, w = 0;
    int32_t label = -1;
    assert_int_equal(moco_dataset_count(dataset), 4096);
    assert_int_equal(moco_dataset_channels(dataset), 3);
    assert_int_equal(moco_dataset_classes(dataset), CLASSES);
    int64_t counts[CLASSES] = {0};
    for (int64_t i = 0; i < 4096; ++i) {
        assert_int_equal(moco_dataset_info(dataset, i, &h, &w, &label), MOCO_OK);
        assert_true(label >= 0 && label < CLASSES);
        counts[label]++;
    }
    assert_int_equal(h, 32);
    assert_int_equal(w, 32);
    for (int c = 0; c < CLASSES; ++c) {
        assert_true(counts[c] == 409 || counts[c] == 410);
        for (int d = 0; d < c; ++d) {
            assert_string_not_equal(moco_dataset_class_name(dataset, c), moco_dataset_class_name(dataset, d));
        }
    }
    assert_null(moco_dataset_class_name(dataset, CLASSES));
    moco_dataset_destroy(dataset);

    dataset = open_set("synthetic:count=7,size=51,seed=18446744073709551615,split=test");
    assert_int_equal(moco_dataset_count(dataset), 7);
    assert_int_equal(moco_dataset_info(dataset, 6, &h, &w, NULL), MOCO_OK);
    assert_int_equal(h, 51);
    assert_int_equal(w, 51);
    moco_dataset_destroy(dataset);
}

/* An image does not depend on count or on what was read before, but on seed, split and index. */
static void test_determinism(void **state) {
    (void) state;
    const char *const others[] = {"synthetic:seed=1", "synthetic:split=test", "synthetic"};
    float image[IMAGE], again[IMAGE];
    moco_dataset *dataset = open_set("synthetic:count=100"), *same = open_set("synthetic:split=train,size=32,seed=0");
    for (int64_t i = 0; i < 100; ++i) {
        read_image(dataset, i, image, IMAGE);
        read_image(same, 99 - i, again, IMAGE);
        read_image(same, i, again, IMAGE);
        assert_memory_equal(image, again, sizeof image);
        for (int j = 0; j < IMAGE; ++j) assert_true(image[j] >= 0.0f && image[j] <= 1.0f);
    }
    for (int k = 0; k < 3; ++k) {
        moco_dataset *other = open_set(others[k]);
        read_image(dataset, 3, image, IMAGE);
        read_image(other, k == 2 ? 13 : 3, again, IMAGE);
        assert_memory_not_equal(image, again, sizeof image);
        moco_dataset_destroy(other);
    }
    moco_dataset_destroy(dataset);
    moco_dataset_destroy(same);
}

/* The same scene at another size: averaging 2 x 2 pixels of the larger one gives the smaller one, but for the grain,
 * which is per pixel (at most 0.045 x 2.45 in each), and the rounding of edges. */
static void test_sizes(void **state) {
    (void) state;
    static float small[IMAGE], large[4 * IMAGE], tall[3 * 200 * 200];
    moco_dataset *at32 = open_set("synthetic"), *at64 = open_set("synthetic:size=64"),
                 *at200 = open_set("synthetic:size=200");
    for (int64_t i = 0; i < 20; ++i) {
        read_image(at32, i, small, IMAGE);
        read_image(at64, i, large, 4 * IMAGE);
        read_image(at200, i, tall, 3 * 200 * 200);
        double sum = 0.0;
        for (int64_t c = 0; c < 3; ++c) {
            for (int64_t y = 0; y < 32; ++y) {
                for (int64_t x = 0; x < 32; ++x) {
                    const float *corner = large + (c * 64 + 2 * y) * 64 + 2 * x;
                    const float mean = (corner[0] + corner[1] + corner[64] + corner[65]) / 4.0f;
                    sum += fabs((double) (mean - small[(c * 32 + y) * 32 + x]));
                }
            }
        }
        assert_true(sum / IMAGE < 0.06);
    }
    moco_dataset_destroy(at32);
    moco_dataset_destroy(at64);
    moco_dataset_destroy(at200);
}

/* The share of test images that are nearest to their own class's mean image of the training set; chance is 10 %. */
static void test_pixels_tell_little(void **state) {
    (void) state;
    enum { TRAIN = 1000, TEST = 400 };
    static double means[CLASSES][IMAGE];
    float image[IMAGE];
    moco_dataset *train = open_set("synthetic"), *test = open_set("synthetic:split=test");
    memset(means, 0, sizeof means);
    for (int64_t i = 0; i < TRAIN; ++i) {
        int32_t label = 0;
        assert_int_equal(moco_dataset_info(train, i, NULL, NULL, &label), MOCO_OK);
        read_image(train, i, image, IMAGE);
        for (int j = 0; j < IMAGE; ++j) means[label][j] += (double) image[j] * CLASSES / TRAIN;
    }
    int right = 0;
    for (int64_t i = 0; i < TEST; ++i) {
        int32_t label = 0, nearest = 0;
        double least = INFINITY;
        assert_int_equal(moco_dataset_info(test, i, NULL, NULL, &label), MOCO_OK);
        read_image(test, i, image, IMAGE);
        for (int32_t c = 0; c < CLASSES; ++c) {
            double distance = 0.0;
            for (int j = 0; j < IMAGE; ++j) distance += pow((double) image[j] - means[c][j], 2.0);
            if (distance < least) {
                least = distance;
                nearest = c;
            }
        }
        right += nearest == label;
    }
    assert_true(right < TEST * 35 / 100);
    moco_dataset_destroy(train);
    moco_dataset_destroy(test);
}

static void assert_refused(const char *description, const char *word) {
    moco_dataset *dataset = NULL;
    assert_int_equal(moco_dataset_open(&dataset, context, description), MOCO_INVALID_ARGUMENT);
    assert_null(dataset);
    if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" lacks \"%s\"", moco_last_error(), word);
}

static void test_refusals(void **state) {
    (void) state;
    assert_refused("synthetic:count=0", "count of the synthetic dataset is \"0\"");
    assert_refused("synthetic:count=", "count");
    assert_refused("synthetic:count=-5", "\"-5\"");
    assert_refused("synthetic:count= 5", "\" 5\"");
    assert_refused("synthetic:count=5x", "\"5x\"");
    assert_refused("synthetic:count=99999999999999999999", "count");
    assert_refused("synthetic:size=7", "8 to 4096");
    assert_refused("synthetic:size=5000", "8 to 4096");
    assert_refused("synthetic:seed=18446744073709551616", "seed");
    assert_refused("synthetic:split=validation", "train or test");
    assert_refused("synthetic:colour=red", "\"colour\" is no key");
    assert_refused("synthetic:count", "key=value");
    assert_refused("synthetic:count=5,", "comma");
    assert_refused("synthetic:,count=5", "key=value");
    assert_refused("synthetic:count=5555555555555555555555555555555555555555555555555555555555555555", "too long");
    assert_refused("synthetics", "synthetics");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),    cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_pixels_tell_little),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
