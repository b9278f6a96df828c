#include "support/evaluation_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/example_support.h"

#define DESCRIPTION_SIZE 4096
#define EXTRACT_BATCH    256

const char *const augment_names[] = {"v1", "v2", "cifar", "plain", "v3", NULL};

/* --- Datasets --- */

/* The test split: "synthetic:K" -> "synthetic:K,split=test,count=N"; "cifar10:DIR" -> "cifar10-test:DIR". */
static void describe_test(const char *description, int64_t test_count, char text[DESCRIPTION_SIZE]) {
    const char *colon = strchr(description, ':');
    const int kind_length = colon == NULL ? (int) strlen(description) : (int) (colon - description);
    int written;
    if (kind_length == 9 && strncmp(description, "synthetic", 9) == 0) {
        written = snprintf(text, DESCRIPTION_SIZE, "%s%ssplit=test,count=%lld", description,
                           colon == NULL      ? ":"
                           : colon[1] == '\0' ? ""
                                              : ",",
                           (long long) test_count);
    } else {
        written = snprintf(text, DESCRIPTION_SIZE, "%.*s-test%s", kind_length, description, colon == NULL ? "" : colon);
    }
    if (written >= DESCRIPTION_SIZE) stop("--data is longer than %d characters", DESCRIPTION_SIZE - 20);
}

void open_data(evaluation_data *data, moco_context *context, const char *description, int64_t test_count) {
    char test_description[DESCRIPTION_SIZE];
    describe_test(description, test_count, test_description);
    data->train = NULL;
    data->test = NULL;
    check_choice(moco_dataset_open(&data->train, context, description));
    check_choice(moco_dataset_open(&data->test, context, test_description));
}

void close_data(evaluation_data *data) {
    moco_dataset_destroy(data->train);
    moco_dataset_destroy(data->test);
}

moco_augment *open_augment(moco_context *context, const moco_dataset *dataset, const char *recipe, int64_t size,
                           double crop_min, uint64_t seed) {
    int32_t number = 0;
    while (augment_names[number] != NULL && strcmp(augment_names[number], recipe) != 0) ++number;
    if (augment_names[number] == NULL) stop("there is no augmentation recipe \"%s\"", recipe);
    int64_t h = 0;
    int64_t w = 0;
    check(moco_dataset_info(dataset, 0, &h, &w, NULL));
    moco_augment_config config;
    check(moco_augment_config_init(&config, sizeof config, number));
    config.height = (int32_t) (size > 0 ? size : h);
    config.width = (int32_t) (size > 0 ? size : w);
    /* Images of the views' own size are evaluated whole, as the official CIFAR demo does. */
    if (config.height == h && config.width == w) config.eval_resize = 1;
    if (crop_min > 0) config.crop_min = crop_min;
    config.seed = seed;
    moco_augment *augment = NULL;
    check_choice(moco_augment_create(&augment, context, &config));
    return augment;
}

/* --- kNN --- */

typedef struct table {
    float *rows;
    int32_t *labels;
} table;

static moco_status extract(table *out, moco_encoder *encoder, moco_dataset *dataset, moco_augment *augment,
                           int32_t output, int64_t count) {
    const int64_t dim = moco_extract_dim(encoder, augment, output);
    out->rows = (float *) allocate((size_t) count, (size_t) dim * sizeof *out->rows);
    out->labels = (int32_t *) allocate((size_t) count, sizeof *out->labels);
    return moco_extract(encoder, dataset, augment, output, 0, count, EXTRACT_BATCH, out->rows, out->labels);
}

moco_status measure_knn(moco_context *context, moco_encoder *encoder, const evaluation_data *data,
                        moco_augment *augment, int32_t output, int64_t bank, int64_t k, double temperature,
                        knn_accuracy *accuracy) {
    const double start = seconds_now();
    const int64_t train_count = moco_dataset_count(data->train);
    const int64_t test_count = moco_dataset_count(data->test);
    if (bank == 0 || bank > train_count) bank = train_count;
    table train = {NULL, NULL};
    table test = {NULL, NULL};
    moco_knn *knn = NULL;
    moco_knn_config config;
    moco_status status = moco_knn_config_init(&config, sizeof config);
    config.k = (int32_t) k;
    config.temperature = temperature;
    if (status == MOCO_OK) status = extract(&train, encoder, data->train, augment, output, bank);
    if (status == MOCO_OK) status = extract(&test, encoder, data->test, augment, output, test_count);
    if (status == MOCO_OK) {
        status =
            moco_knn_create(&knn, context, train.rows, train.labels, bank, moco_extract_dim(encoder, augment, output),
                            moco_dataset_classes(data->train), &config);
    }
    if (status == MOCO_OK) {
        status = moco_knn_evaluate(knn, test.rows, test.labels, test_count, &accuracy->top1, &accuracy->top5);
    }
    moco_knn_destroy(knn);
    free(train.rows);
    free(train.labels);
    free(test.rows);
    free(test.labels);
    accuracy->seconds = seconds_now() - start;
    return status;
}
