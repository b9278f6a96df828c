#include "support/evaluation_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/example_support.h"

#define DESCRIPTION_SIZE 4096
#define EXTRACT_BATCH    256

/* --- Datasets --- */

static void check_length(int written) {
    if (written < 0 || written >= DESCRIPTION_SIZE) stop("--data is longer than %d characters", DESCRIPTION_SIZE - 20);
}

/* The test split: "synthetic:K" -> "synthetic:K,split=test,count=N"; "cifar10:DIR" -> "cifar10-test:DIR". */
static void describe_test(const char *description, int64_t test_count, char text[DESCRIPTION_SIZE]) {
    const char *colon = strchr(description, ':');
    const int kind_length = colon == NULL ? (int) strlen(description) : (int) (colon - description);
    if (kind_length == 9 && strncmp(description, "synthetic", 9) == 0) {
        check_length(snprintf(text, DESCRIPTION_SIZE, "%s%ssplit=test,count=%lld", description,
                              colon == NULL      ? ":"
                              : colon[1] == '\0' ? ""
                                                 : ",",
                              (long long) test_count));
    } else {
        check_length(
            snprintf(text, DESCRIPTION_SIZE, "%.*s-test%s", kind_length, description, colon == NULL ? "" : colon));
    }
}

static int is_of_kind(const char *description, const char *kind) {
    const size_t length = strlen(kind);
    return strncmp(description, kind, length) == 0 && description[length] == ':';
}

/* "folder:SET/train" has its test images in SET/val or SET/test, "tar:FILE/train" likewise, where there is one. */
static moco_dataset *open_sibling(moco_context *context, const char *description) {
    static const char *const names[] = {"val", "test"};
    char text[DESCRIPTION_SIZE];
    size_t length = strlen(description);
    while (length > 0 && description[length - 1] == '/') --length;
    if (length < 6 || strncmp(description + length - 6, "/train", 6) != 0) return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        moco_dataset *sibling = NULL;
        check_length(snprintf(text, sizeof text, "%.*s/%s", (int) length - 6, description, names[i]));
        const moco_status status = moco_dataset_open(&sibling, context, text);
        if (status == MOCO_OK) return sibling;
        if (status != MOCO_NOT_FOUND) check_choice(status);
    }
    return NULL;
}

/* Numbers of classes mean the same in both where their names are the same. */
static void check_classes(const evaluation_data *data) {
    const int64_t classes = moco_dataset_classes(data->train);
    for (int64_t i = 0; i < moco_dataset_classes(data->test); ++i) {
        const char *train = moco_dataset_class_name(data->train, i);
        const char *test = moco_dataset_class_name(data->test, i);
        if (i >= classes || (train == NULL) != (test == NULL) || (train != NULL && strcmp(train, test) != 0)) {
            stop("class %lld of the test images is %s, of the training images %s; they must have the same classes",
                 (long long) i, test == NULL ? "without a name" : test,
                 i >= classes    ? "none"
                 : train == NULL ? "without a name"
                                 : train);
        }
    }
}

void open_data(evaluation_data *data, moco_context *context, const char *description, const char *test_description,
               int64_t test_count) {
    char text[DESCRIPTION_SIZE];
    data->train = NULL;
    data->test = NULL;
    check_choice(moco_dataset_open(&data->train, context, description));
    if (test_description != NULL) {
        check_choice(moco_dataset_open(&data->test, context, test_description));
    } else if (is_of_kind(description, "folder") || is_of_kind(description, "tar")) {
        data->test = open_sibling(context, description);
    } else if (!is_of_kind(description, "filelist")) {
        describe_test(description, test_count, text);
        check_choice(moco_dataset_open(&data->test, context, text));
    }
    if (data->test != NULL) check_classes(data);
}

void close_data(evaluation_data *data) {
    moco_dataset_destroy(data->train);
    moco_dataset_destroy(data->test);
}

moco_augment *open_augment(const moco_dataset *dataset, const char *name, int64_t size) {
    moco_recipe *recipe = NULL;
    moco_augment *augment = NULL;
    check(moco_recipe_create(&recipe, NULL, "quick"));
    check_choice(moco_recipe_set(recipe, "augment", name));
    moco_recipe_augment(recipe)->height = moco_recipe_augment(recipe)->width = (int32_t) size;
    check_choice(moco_augment_create_for(&augment, dataset, recipe));
    moco_recipe_destroy(recipe);
    return augment;
}

/* --- kNN --- */

typedef struct table {
    float *rows;
    int32_t *labels;
    int64_t count; /* images with a label that could be read */
    int64_t broken;
} table;

/* The first `count` images, without the broken ones and those that have no label. */
static moco_status extract(table *out, moco_encoder *encoder, moco_dataset *dataset, moco_augment *augment,
                           int32_t output, int64_t count) {
    const int64_t dim = moco_extract_dim(encoder, augment, output);
    out->rows = (float *) allocate((size_t) count, (size_t) dim * sizeof *out->rows);
    out->labels = (int32_t *) allocate((size_t) count, sizeof *out->labels);
    const moco_status status =
        moco_extract(encoder, dataset, augment, output, 0, count, EXTRACT_BATCH, out->rows, out->labels);
    if (status != MOCO_OK) return status;
    for (int64_t i = 0; i < count; ++i) {
        out->broken += out->labels[i] == MOCO_UNREADABLE;
        if (out->labels[i] < 0) continue;
        const int64_t to = out->count++;
        out->labels[to] = out->labels[i];
        memmove(out->rows + to * dim, out->rows + i * dim, (size_t) dim * sizeof *out->rows);
    }
    return MOCO_OK;
}

int can_measure_knn(const evaluation_data *data) {
    return data->test != NULL && moco_dataset_classes(data->train) > 0 && moco_dataset_classes(data->test) > 0;
}

moco_status measure_knn(moco_context *context, moco_encoder *encoder, const evaluation_data *data,
                        moco_augment *augment, int32_t output, int64_t bank, int64_t k, double temperature,
                        knn_accuracy *accuracy) {
    const double start = seconds_now();
    const int64_t train_count = moco_dataset_count(data->train);
    const int64_t test_count = moco_dataset_count(data->test);
    if (bank == 0 || bank > train_count) bank = train_count;
    table train = {NULL, NULL, 0, 0};
    table test = {NULL, NULL, 0, 0};
    moco_knn *knn = NULL;
    moco_knn_config config;
    moco_status status = moco_knn_config_init(&config, sizeof config);
    config.k = (int32_t) k;
    config.temperature = temperature;
    if (status == MOCO_OK) status = extract(&train, encoder, data->train, augment, output, bank);
    if (status == MOCO_OK) status = extract(&test, encoder, data->test, augment, output, test_count);
    if (status == MOCO_OK) {
        status =
            moco_knn_create(&knn, context, train.rows, train.labels, train.count,
                            moco_extract_dim(encoder, augment, output), moco_dataset_classes(data->train), &config);
    }
    if (status == MOCO_OK) {
        status = moco_knn_evaluate(knn, test.rows, test.labels, test.count, &accuracy->top1, &accuracy->top5);
    }
    moco_knn_destroy(knn);
    free(train.rows);
    free(train.labels);
    free(test.rows);
    free(test.labels);
    accuracy->tested = test.count;
    accuracy->broken = train.broken + test.broken;
    accuracy->seconds = seconds_now() - start;
    return status;
}
