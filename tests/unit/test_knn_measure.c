/* kNN accuracy in one call equals the parts by hand, leaves out what has no label or can't be read, and refuses labels that
 * don't mean the same; the test images of a training set are found by the customs of their kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <moco.h>

#include "support/fake_images.h"
#include "support/image_files.h"

enum { SIDE = 8, VIEW = 3 * SIDE * SIDE, TRAIN = 40, TEST = 30 };

static moco_context *context;
static kept_log logged;
static temporary_folder folder;

static int setup(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    context = context_with_log(&logged, 2);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

static moco_augment *whole_views(int32_t side) {
    moco_augment *augment = NULL;
    moco_augment_config config;
    assert_succeeds(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_PLAIN));
    config.height = config.width = side;
    assert_succeeds(moco_augment_create(&augment, context, &config));
    return augment;
}

static moco_dataset *open_data(const char *description) {
    moco_dataset *dataset = NULL;
    assert_succeeds(moco_dataset_open(&dataset, context, description));
    return dataset;
}

/* --- Measuring --- */

/* The fractions by moco_extract and moco_knn_classify: pixels of the first `bank` images, k neighbours. */
static void measure_by_hand(moco_dataset *train, moco_dataset *test, moco_augment *augment, int64_t bank, int32_t k,
                            moco_knn_accuracy *accuracy) {
    static float known[TRAIN * VIEW], tested[TEST * VIEW];
    int32_t known_labels[TRAIN], labels[TEST], ranking[TEST * 11];
    const int64_t classes = moco_dataset_classes(train);
    moco_knn *knn = NULL;
    moco_knn_config config;
    assert_succeeds(moco_knn_config_init(&config, sizeof config));
    config.k = k;
    config.temperature = 0.3;
    assert_succeeds(moco_extract(NULL, train, augment, MOCO_OUTPUT_PIXELS, 0, bank, 7, known, known_labels));
    assert_succeeds(moco_extract(NULL, test, augment, MOCO_OUTPUT_PIXELS, 0, TEST, 7, tested, labels));
    int64_t kept = 0;
    for (int64_t i = 0; i < bank; ++i) {
        if (known_labels[i] < 0) continue;
        memmove(known + kept * VIEW, known + i * VIEW, VIEW * sizeof(float));
        known_labels[kept++] = known_labels[i];
    }
    assert_succeeds(moco_knn_create(&knn, context, known, known_labels, kept, VIEW, classes, &config));
    assert_succeeds(moco_knn_classify(knn, tested, TEST, ranking));
    int64_t count = 0, first = 0, five = 0;
    for (int64_t i = 0; i < TEST; ++i) {
        if (labels[i] < 0) continue;
        count++;
        first += ranking[i * classes] == labels[i];
        for (int r = 0; r < 5; ++r) five += ranking[i * classes + r] == labels[i];
    }
    accuracy->top1 = (double) first / (double) count;
    accuracy->top5 = (double) five / (double) count;
    accuracy->tested = count;
    moco_knn_destroy(knn);
}

static void equals_the_parts_by_hand(void **state) {
    (void) state;
    moco_dataset *train = open_data("synthetic:count=40,size=8");
    moco_dataset *test = open_data("synthetic:count=30,size=8,split=test");
    moco_augment *augment = whole_views(SIDE);
    double seen[2];
    for (int i = 0; i < 2; ++i) {
        moco_knn_measure_config config;
        moco_knn_accuracy expected, accuracy = {.struct_size = sizeof accuracy};
        assert_succeeds(moco_knn_measure_config_init(&config, sizeof config));
        assert_true(config.output == MOCO_OUTPUT_FEATURES && config.k == 200 && config.temperature == 0.1);
        config.output = MOCO_OUTPUT_PIXELS;
        config.k = i == 0 ? 3 : 9;
        config.temperature = 0.3;
        config.bank = i == 0 ? 0 : 23;
        config.batch_size = 11;
        measure_by_hand(train, test, augment, i == 0 ? TRAIN : 23, config.k, &expected);
        assert_succeeds(moco_knn_measure(NULL, train, test, augment, &config, &accuracy));
        assert_true(accuracy.top1 == expected.top1 && accuracy.top5 == expected.top5);
        assert_int_equal(accuracy.tested, TEST);
        assert_int_equal(accuracy.broken, 0);
        seen[i] = accuracy.top5;
    }
    assert_true(seen[0] > 0.0 && seen[0] < 1.0 && seen[0] != seen[1]); /* numbers that could have been others */
    moco_augment_destroy(augment);
    moco_dataset_destroy(train);
    moco_dataset_destroy(test);
}

/* --- Progress --- */

enum { STEPS = 4 + 3 + 1 }; /* 40 and 30 images in batches of 11, then one block of comparisons */

typedef struct told {
    moco_knn_progress steps[STEPS];
    int32_t count;
    int32_t stop_at; /* the call, from 1, that wants no more; 0: none */
    moco_dataset **to_destroy;
} told;

static int32_t note_progress(const moco_knn_progress *progress, void *user) {
    told *seen = (told *) user;
    if (seen->count == STEPS) return -1;
    seen->steps[seen->count++] = *progress;
    if (seen->to_destroy != NULL) {
        moco_dataset_destroy(*seen->to_destroy);
        *seen->to_destroy = NULL;
        seen->to_destroy = NULL;
    }
    return seen->count == seen->stop_at ? 7 : 0;
}

static void progress_counts_images_and_stops(void **state) {
    (void) state;
    static const int64_t done[STEPS] = {11, 22, 33, 40, 51, 62, 70, 30},
                         total[STEPS] = {70, 70, 70, 70, 70, 70, 70, 30};
    moco_dataset *train = open_data("synthetic:count=40,size=8");
    moco_dataset *test = open_data("synthetic:count=30,size=8,split=test");
    moco_augment *augment = whole_views(SIDE);
    told seen = {.count = 0};
    moco_knn_measure_config config;
    moco_knn_accuracy silent = {.struct_size = sizeof silent}, accuracy = {.struct_size = sizeof accuracy};
    assert_succeeds(moco_knn_measure_config_init(&config, sizeof config));
    assert_true(config.progress == NULL && config.user == NULL);
    config.output = MOCO_OUTPUT_PIXELS;
    config.batch_size = 11;
    assert_succeeds(moco_knn_measure(NULL, train, test, augment, &config, &silent));
    config.progress = note_progress;
    config.user = &seen;
    assert_succeeds(moco_knn_measure(NULL, train, test, augment, &config, &accuracy));
    assert_true(accuracy.top1 == silent.top1 && accuracy.top5 == silent.top5);
    assert_int_equal(seen.count, STEPS);
    for (int32_t i = 0; i < STEPS; ++i) {
        assert_int_equal(seen.steps[i].struct_size, sizeof(moco_knn_progress));
        assert_int_equal(seen.steps[i].stage, i == STEPS - 1 ? MOCO_KNN_STAGE_COMPARE : MOCO_KNN_STAGE_ENCODE);
        assert_int_equal(seen.steps[i].done, done[i]);
        assert_int_equal(seen.steps[i].total, total[i]);
    }
    for (int32_t stop = 1; stop <= STEPS; ++stop) {
        seen = (told){.stop_at = stop};
        accuracy.top1 = 7.0;
        assert_refuses(moco_knn_measure(NULL, train, test, augment, &config, &accuracy), MOCO_CALLBACK,
                       "progress returned 7");
        assert_int_equal(seen.count, stop);
        assert_true(accuracy.top1 == 7.0);
    }
    /* A dataset that is destroyed from inside stays until the measurement ends. */
    seen = (told){.to_destroy = &test};
    assert_succeeds(moco_knn_measure(NULL, train, test, augment, &config, &accuracy));
    assert_null(test);
    assert_true(accuracy.top1 == silent.top1);
    moco_augment_destroy(augment);
    moco_dataset_destroy(train);
}

static void broken_and_unlabelled_images_are_left_out(void **state) {
    (void) state;
    static fake_images good, broken;
    moco_augment *augment = whole_views(SIDE);
    moco_dataset *train = fake_dataset(context, &good, TRAIN);
    moco_dataset *test = fake_dataset(context, &broken, TEST);
    moco_knn_measure_config config;
    moco_knn_accuracy expected, accuracy = {.struct_size = sizeof accuracy};
    assert_succeeds(moco_knn_measure_config_init(&config, sizeof config));
    config.output = MOCO_OUTPUT_PIXELS;
    config.k = 5;
    config.temperature = 0.3;
    broken.statuses[3] = MOCO_FORMAT;
    broken.statuses[TEST - 1] = MOCO_NOT_FOUND;
    good.statuses[0] = MOCO_IO;
    measure_by_hand(train, test, augment, TRAIN, config.k, &expected);
    assert_succeeds(moco_knn_measure(NULL, train, test, augment, &config, &accuracy));
    assert_true(accuracy.top1 == expected.top1 && accuracy.top5 == expected.top5);
    assert_int_equal(accuracy.broken, 3);
    assert_int_equal(accuracy.tested, expected.tested);
    assert_int_equal(accuracy.tested, TEST - 2);
    moco_dataset_destroy(train);
    moco_dataset_destroy(test);

    /* Each image is its own nearest neighbour, but for the one that has no label. */
    static float pixels[4 * VIEW];
    static const int32_t labels[4] = {0, MOCO_NO_LABEL, 1, 2};
    for (int i = 0; i < 4 * VIEW; ++i) pixels[i] = (float) (i * 37 % 101) / 101.0f;
    assert_succeeds(
        moco_dataset_create_memory(&train, context, pixels, MOCO_PIXELS_FLOAT32, labels, 4, 3, SIDE, SIDE, 0));
    config.k = 1;
    assert_succeeds(moco_knn_measure(NULL, train, train, augment, &config, &accuracy));
    assert_int_equal(accuracy.tested, 3);
    assert_true(accuracy.top1 == 1.0);
    moco_dataset_destroy(train);
    moco_augment_destroy(augment);
}

static void nonsense_is_refused(void **state) {
    (void) state;
    static float pixels[4 * VIEW];
    static const int32_t many[4] = {0, 11, 2, 3};
    moco_augment *augment = whole_views(SIDE);
    moco_dataset *named = open_data("synthetic:count=10,size=8");
    moco_dataset *unlabelled = NULL, *others = NULL;
    moco_knn_measure_config config;
    moco_knn_accuracy accuracy = {.struct_size = sizeof accuracy, .top1 = 7.0};
    assert_succeeds(moco_knn_measure_config_init(&config, sizeof config));
    config.output = MOCO_OUTPUT_PIXELS;
    assert_succeeds(
        moco_dataset_create_memory(&unlabelled, context, pixels, MOCO_PIXELS_FLOAT32, NULL, 4, 3, SIDE, SIDE, 0));
    assert_succeeds(
        moco_dataset_create_memory(&others, context, pixels, MOCO_PIXELS_FLOAT32, many, 4, 3, SIDE, SIDE, 0));
    assert_refuses(moco_knn_measure(NULL, unlabelled, named, augment, &config, &accuracy), MOCO_INVALID_ARGUMENT,
                   "training images have no labels");
    assert_refuses(moco_knn_measure(NULL, named, unlabelled, augment, &config, &accuracy), MOCO_INVALID_ARGUMENT,
                   "test images have no labels");
    assert_refuses(moco_knn_measure(NULL, named, others, augment, &config, &accuracy), MOCO_INVALID_ARGUMENT,
                   "without a name");
    assert_refuses(moco_knn_measure(NULL, named, named, augment, NULL, &accuracy), MOCO_INVALID_ARGUMENT, "encoder");
    config.bank = -1;
    assert_refuses(moco_knn_measure(NULL, named, named, augment, &config, &accuracy), MOCO_INVALID_ARGUMENT, "bank");
    config.bank = 0;
    config.batch_size = 0;
    assert_refuses(moco_knn_measure(NULL, named, named, augment, &config, &accuracy), MOCO_INVALID_ARGUMENT,
                   "batch_size");
    config.batch_size = 8;
    config.k = 0;
    assert_refuses(moco_knn_measure(NULL, named, named, augment, &config, &accuracy), MOCO_INVALID_ARGUMENT, "k is 0");
    assert_refuses(moco_knn_measure(NULL, NULL, named, augment, NULL, &accuracy), MOCO_INVALID_ARGUMENT, "train");
    assert_refuses(moco_knn_measure(NULL, named, NULL, augment, NULL, &accuracy), MOCO_INVALID_ARGUMENT, "test");
    assert_refuses(moco_knn_measure(NULL, named, named, NULL, NULL, &accuracy), MOCO_INVALID_ARGUMENT, "augment");
    assert_refuses(moco_knn_measure(NULL, named, named, augment, NULL, NULL), MOCO_INVALID_ARGUMENT, "accuracy");
    assert_true(accuracy.top1 == 7.0);
    moco_augment_destroy(augment);
    moco_dataset_destroy(named);
    moco_dataset_destroy(unlabelled);
    moco_dataset_destroy(others);
}

/* --- Test images by custom --- */

static moco_dataset *open_test(const char *description) {
    moco_dataset *dataset = NULL;
    assert_succeeds(moco_dataset_open_test(&dataset, context, description, 5));
    return dataset;
}

static void synthetic_images_have_a_test_split(void **state) {
    (void) state;
    static const char *const descriptions[] = {"synthetic", "synthetic:", "synthetic:count=70"};
    static float expected[3 * 32 * 32], read[3 * 32 * 32];
    moco_dataset *split = open_data("synthetic:split=test");
    assert_succeeds(moco_dataset_read(split, 4, expected, 3 * 32 * 32));
    for (int i = 0; i < 3; ++i) {
        moco_dataset *test = open_test(descriptions[i]);
        assert_int_equal(moco_dataset_count(test), 5);
        assert_succeeds(moco_dataset_read(test, 4, read, 3 * 32 * 32));
        assert_memory_equal(read, expected, sizeof read);
        moco_dataset_destroy(test);
    }
    moco_dataset_destroy(split);
}

/* The custom's dataset, told by how many images it has (which needs no decoder); -1: there is none. */
static int64_t images_beside(const char *inner) {
    char description[TEST_PATH_SIZE + 64];
    snprintf(description, sizeof description, "folder:%s/%s", folder.path, inner);
    moco_dataset *dataset = open_test(description);
    const int64_t count = dataset == NULL ? -1 : moco_dataset_count(dataset);
    moco_dataset_destroy(dataset);
    return count;
}

static void write_pngs_at(const char *inner, int count) {
    char name[64];
    for (int i = 0; i < count; ++i) {
        snprintf(name, sizeof name, "%s/%d.png", inner, i);
        write_png_at(&folder, name, 1, 1, 0);
    }
}

static void folders_have_their_test_images_beside(void **state) {
    (void) state;
    write_pngs_at("both/train/a", 1);
    write_pngs_at("both/val/a", 2);
    write_pngs_at("both/test/a", 3);
    write_pngs_at("one/train/a", 1);
    write_pngs_at("one/test/a", 4);
    write_pngs_at("none/train/a", 1);
    write_pngs_at("none/training/a", 1);
    write_png_at(&folder, "none/val.png", 1, 1, 0);
    assert_int_equal(images_beside("both/train"), 2);
    assert_int_equal(images_beside("both/train//"), 2);
    assert_int_equal(images_beside("one/train"), 4);
    assert_int_equal(images_beside("none/train"), -1);
    assert_int_equal(images_beside("both"), -1);
    assert_int_equal(images_beside("none/training"), -1);
    assert_null(open_test("filelist:train"));
    assert_null(open_test("folder:train"));
}

static void cifar_has_its_test_kind(void **state) {
    (void) state;
    char description[TEST_PATH_SIZE + 64];
    static uint8_t record[2 * 3074];
    moco_dataset *dataset = NULL;
    write_bytes_at(&folder, "cifar/test_batch.bin", record, 2 * 3073);
    write_bytes_at(&folder, "cifar/test.bin", record, 3074);
    snprintf(description, sizeof description, "cifar10:%s/cifar", folder.path);
    dataset = open_test(description);
    assert_int_equal(moco_dataset_count(dataset), 2);
    moco_dataset_destroy(dataset);
    snprintf(description, sizeof description, "cifar100:%s/cifar", folder.path);
    dataset = open_test(description);
    assert_int_equal(moco_dataset_count(dataset), 1);
    moco_dataset_destroy(dataset);
    /* A kind whose test images must be there: that they are missing is told. */
    dataset = NULL;
    snprintf(description, sizeof description, "cifar10:%s", folder.path);
    assert_refuses(moco_dataset_open_test(&dataset, context, description, 5), MOCO_NOT_FOUND, "test_batch.bin");
    assert_refuses(moco_dataset_open_test(&dataset, context, "synthetic:size=1", 5), MOCO_INVALID_ARGUMENT, "size");
    assert_refuses(moco_dataset_open_test(&dataset, context, "synthetic", 0), MOCO_INVALID_ARGUMENT, "count");
    assert_refuses(moco_dataset_open_test(&dataset, context, NULL, 5), MOCO_INVALID_ARGUMENT, "description");
    assert_refuses(moco_dataset_open_test(&dataset, NULL, "synthetic", 5), MOCO_INVALID_ARGUMENT, "context");
    assert_refuses(moco_dataset_open_test(NULL, context, "synthetic", 5), MOCO_INVALID_ARGUMENT, "out");
    assert_null(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(equals_the_parts_by_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(progress_counts_images_and_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_and_unlabelled_images_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(synthetic_images_have_a_test_split, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_have_their_test_images_beside, setup, teardown),
        cmocka_unit_test_setup_teardown(cifar_has_its_test_kind, setup, teardown),
    };
    return cmocka_run_group_tests_name("kNN measured", tests, NULL, NULL);
}
