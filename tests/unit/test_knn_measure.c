/* kNN accuracy in one call equals the parts by hand, leaves out what has no label or can't be read, and refuses labels that
 * don't mean the same; the test images of a training set are found by the customs of their kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include <moco.h>

#include "core/random.h"
#include "data/dataset_internal.h"
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

/* How many classes the k rows nearest to `row` have, by the definition. */
static int64_t classes_that_vote(const float *known, const int32_t *labels, int64_t count, const float *row,
                                 int32_t k) {
    int32_t taken[TRAIN] = {0}, voted[11] = {0};
    int64_t classes = 0;
    for (int32_t neighbour = 0; neighbour < k && neighbour < count; ++neighbour) {
        int64_t nearest = -1;
        double best = 0;
        for (int64_t i = 0; i < count; ++i) {
            double dot = 0, length = 0;
            for (int64_t c = 0; c < VIEW; ++c) {
                dot += (double) known[i * VIEW + c] * (double) row[c];
                length += (double) known[i * VIEW + c] * (double) known[i * VIEW + c];
            }
            const double cosine = length > 0 ? dot / sqrt(length) : 0;
            if (taken[i] || (nearest >= 0 && cosine <= best)) continue;
            nearest = i;
            best = cosine;
        }
        taken[nearest] = 1;
        classes += voted[labels[nearest]] == 0;
        voted[labels[nearest]] = 1;
    }
    return classes;
}

/* The fractions by moco_extract and moco_knn_classify: pixels of all images, or of the `bank` that are chosen. */
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
    int64_t chosen[TRAIN], count_chosen = bank;
    for (int64_t i = 0; i < bank; ++i) chosen[i] = i;
    if (bank < TRAIN) assert_succeeds(moco_dataset_choose(train, bank, 0, chosen, &count_chosen));
    assert_int_equal(count_chosen, bank);
    for (int64_t i = 0; i < bank; ++i) {
        const moco_status status =
            moco_extract(NULL, train, augment, MOCO_OUTPUT_PIXELS, chosen[i], 1, 7, known + i * VIEW, known_labels + i);
        if (status != MOCO_OK) known_labels[i] = MOCO_UNREADABLE; /* it is alone, so that this is a failure */
    }
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
        const int64_t voted = classes_that_vote(known, known_labels, kept, tested + i * VIEW, k);
        for (int r = 0; r < 5 && r < voted; ++r) five += ranking[i * classes + r] == labels[i];
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
    assert_refuses(moco_knn_measure(NULL, named, named, augment, NULL, NULL), MOCO_INVALID_ARGUMENT, "accuracy");
    assert_true(accuracy.top1 == 7.0);
    moco_augment_destroy(augment);
    moco_dataset_destroy(named);
    moco_dataset_destroy(unlabelled);
    moco_dataset_destroy(others);
}

/* --- A part of the training images --- */

enum { SORTED_CLASSES = 10, OF_EACH = 60, SORTED = SORTED_CLASSES * OF_EACH };

/* Images around a pattern for each class, one class after another, as a folder has them; and how many were read. */
typedef struct sorted_images {
    int64_t seed;
    atomic_int reads;
} sorted_images;

static int32_t sorted_info(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    (void) user;
    *h = *w = SIDE;
    *label = (int32_t) (index / OF_EACH);
    return 0;
}

static int32_t sorted_read(int64_t index, float *pixels, void *user) {
    sorted_images *images = (sorted_images *) user;
    moco_random random, pattern;
    atomic_fetch_add(&images->reads, 1);
    moco_random_init(&random, 5, MOCO_RANDOM_TEST, (uint64_t) images->seed, (uint64_t) index);
    moco_random_init(&pattern, 5, MOCO_RANDOM_TEST, 9, (uint64_t) (index / OF_EACH));
    for (int i = 0; i < VIEW; ++i) {
        pixels[i] = (float) (moco_random_normal(&pattern) + 3.0 * moco_random_normal(&random));
    }
    return 0;
}

static moco_dataset *sorted_dataset(sorted_images *images, int64_t seed) {
    moco_dataset *dataset = NULL;
    *images = (sorted_images){.seed = seed};
    assert_succeeds(moco_dataset_create_callback(&dataset, context, SORTED, 3, sorted_info, sorted_read, images));
    dataset->classes = SORTED_CLASSES;
    return dataset;
}

/* What a bank of N random images gives, by hand, many times. */
static double shuffled_top1(moco_dataset *train, moco_dataset *test, int64_t bank, uint64_t seed) {
    static float known[SORTED * VIEW], tested[SORTED * VIEW], rows[SORTED * VIEW];
    static int32_t labels[SORTED], test_labels[SORTED], row_labels[SORTED];
    static int64_t order[SORTED];
    moco_random random;
    moco_knn *knn = NULL;
    moco_knn_config config;
    double top1 = 0;
    assert_succeeds(moco_knn_config_init(&config, sizeof config));
    config.k = 5;
    assert_succeeds(moco_extract(NULL, train, NULL, MOCO_OUTPUT_PIXELS, 0, SORTED, 64, known, labels));
    assert_succeeds(moco_extract(NULL, test, NULL, MOCO_OUTPUT_PIXELS, 0, SORTED, 64, tested, test_labels));
    moco_random_init(&random, seed, MOCO_RANDOM_TEST, 1, 1);
    moco_random_permutation(&random, SORTED, order);
    for (int64_t i = 0; i < bank; ++i) {
        memcpy(rows + i * VIEW, known + order[i] * VIEW, VIEW * sizeof *rows);
        row_labels[i] = labels[order[i]];
    }
    assert_succeeds(moco_knn_create(&knn, context, rows, row_labels, bank, VIEW, SORTED_CLASSES, &config));
    assert_succeeds(moco_knn_evaluate(knn, tested, test_labels, SORTED, &top1, NULL));
    moco_knn_destroy(knn);
    return top1;
}

static void a_bank_of_sorted_images_is_as_good_as_of_shuffled_ones(void **state) {
    (void) state;
    enum { BANK = 60 };
    sorted_images train_images, test_images;
    moco_dataset *train = sorted_dataset(&train_images, 1), *test = sorted_dataset(&test_images, 2);
    moco_knn_measure_config config;
    moco_knn_accuracy accuracy, again;
    assert_succeeds(moco_knn_accuracy_init(&accuracy, sizeof accuracy));
    assert_succeeds(moco_knn_accuracy_init(&again, sizeof again));
    assert_succeeds(moco_knn_measure_config_init(&config, sizeof config));
    assert_int_equal(config.bank_seed, 0);
    config.k = 5;
    config.output = MOCO_OUTPUT_PIXELS;
    config.bank = BANK; /* as many as the first class has: of the first so many, top-1 was 0.1 */
    assert_succeeds(moco_knn_measure(NULL, train, test, NULL, &config, &accuracy));
    assert_int_equal(train_images.reads, BANK);
    double mean = 0;
    for (uint64_t seed = 0; seed < 8; ++seed) mean += shuffled_top1(train, test, BANK, seed) / 8;
    assert_true(mean > 0.4 && mean < 0.95); /* a number that could be others */
    if (fabs(accuracy.top1 - mean) > 0.1) fail_msg("%.3f of a sorted set, %.3f of a shuffled one", accuracy.top1, mean);
    assert_succeeds(moco_knn_measure(NULL, train, test, NULL, &config, &again));
    assert_true(again.top1 == accuracy.top1 && again.top5 == accuracy.top5);
    config.bank_seed = 1;
    assert_succeeds(moco_knn_measure(NULL, train, test, NULL, &config, &again));
    assert_true(again.top1 != accuracy.top1 && fabs(again.top1 - mean) < 0.1);
    config.bank = 2 * SORTED; /* more than there are: all */
    assert_succeeds(moco_knn_measure(NULL, train, test, NULL, &config, &again));
    assert_true(again.top1 > accuracy.top1);
    moco_dataset_destroy(train);
    moco_dataset_destroy(test);
}

/* Settings are looked at before the first image is. */
static void settings_are_refused_at_once(void **state) {
    (void) state;
    sorted_images images;
    moco_dataset *train = sorted_dataset(&images, 1), *one_channel = NULL;
    moco_encoder *encoder = NULL;
    moco_encoder_config encoder_config;
    moco_knn_measure_config config;
    moco_knn_accuracy accuracy;
    static const float pixels[4 * SIDE * SIDE];
    static const int32_t labels[4] = {0, 1, 2, 3};
    assert_refuses(moco_knn_accuracy_init(NULL, sizeof accuracy), MOCO_INVALID_ARGUMENT, "moco_knn_accuracy is NULL");
    assert_refuses(moco_knn_accuracy_init(&accuracy, 8), MOCO_INVALID_ARGUMENT,
                   "struct_size of moco_knn_accuracy is 8");
    assert_succeeds(moco_knn_accuracy_init(&accuracy, sizeof accuracy));
    assert_true(accuracy.struct_size == sizeof accuracy && accuracy.top1 == 0.0 && accuracy.tested == 0);
    assert_succeeds(moco_encoder_config_init(&encoder_config, sizeof encoder_config));
    encoder_config.architecture = "mlp";
    encoder_config.mlp_input_dim = VIEW;
    encoder_config.mlp_hidden_dim = 16;
    assert_succeeds(moco_encoder_create(&encoder, context, &encoder_config));
    assert_succeeds(
        moco_dataset_create_memory(&one_channel, context, pixels, MOCO_PIXELS_FLOAT32, labels, 4, 1, SIDE, SIDE, 0));
    static const struct {
        int32_t output, k;
        double temperature;
        int64_t bank, batch_size;
        const char *word;
    } wrong[] = {
        {9, 5, 0.1, 0, 8, "output is 9"},
        {MOCO_OUTPUT_PIXELS, 0, 0.1, 0, 8, "k is 0"},
        {MOCO_OUTPUT_PIXELS, 5, 0.0, 0, 8, "temperature is 0"},
        {MOCO_OUTPUT_PIXELS, 5, 0.1, -4, 8, "bank is -4"},
        {MOCO_OUTPUT_PIXELS, 5, 0.1, 0, 0, "batch_size is 0"},
        {MOCO_OUTPUT_FEATURES, 5, 0.1, 0, 8, "encoder is NULL"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        assert_succeeds(moco_knn_measure_config_init(&config, sizeof config));
        config.output = wrong[i].output;
        config.k = wrong[i].k;
        config.temperature = wrong[i].temperature;
        config.bank = wrong[i].bank;
        config.batch_size = wrong[i].batch_size;
        assert_refuses(moco_knn_measure(NULL, train, train, NULL, &config, &accuracy), MOCO_INVALID_ARGUMENT,
                       wrong[i].word);
    }
    assert_refuses(moco_knn_measure(encoder, train, one_channel, NULL, NULL, &accuracy), MOCO_INVALID_ARGUMENT,
                   "images have 1 channels; the encoder takes 3");
    config.output = MOCO_OUTPUT_PIXELS;
    config.batch_size = 8;
    assert_refuses(moco_knn_measure(NULL, train, one_channel, NULL, &config, &accuracy), MOCO_INVALID_ARGUMENT,
                   "64 values each, the training images 192");
    assert_int_equal(images.reads, 0);
    assert_succeeds(moco_knn_measure(encoder, train, train, NULL, NULL, &accuracy)); /* no augment at all */
    assert_int_equal(images.reads, 2 * SORTED);
    moco_encoder_destroy(encoder);
    moco_dataset_destroy(train);
    moco_dataset_destroy(one_channel);
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
    assert_int_equal(images_beside("both"), 2); /* the root itself */
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
    /* The test batch may be missing where the others are: there are no test images then. */
    dataset = NULL;
    write_bytes_at(&folder, "train only/data_batch_1.bin", record, 3073);
    snprintf(description, sizeof description, "cifar10:%s/train only", folder.path);
    assert_null(open_test(description));
    assert_non_null(strstr(logged.text, "there are no test images: cannot read"));
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
        cmocka_unit_test_setup_teardown(a_bank_of_sorted_images_is_as_good_as_of_shuffled_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(settings_are_refused_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(synthetic_images_have_a_test_split, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_have_their_test_images_beside, setup, teardown),
        cmocka_unit_test_setup_teardown(cifar_has_its_test_kind, setup, teardown),
    };
    return cmocka_run_group_tests_name("kNN measured", tests, NULL, NULL);
}
