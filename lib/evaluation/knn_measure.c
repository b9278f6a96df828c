/* kNN accuracy of a dataset in one call: extract, leave out what has no label, evaluate. */
#include <moco/evaluation.h>
#include <string.h>

#include "augment/augment_internal.h"
#include "core/checked.h"
#include "core/config.h"
#include "data/dataset_internal.h"
#include "encoder/encoder_internal.h"
#include "evaluation/knn_watch.h"

static const moco_knn_measure_config default_config = {
    .struct_size = sizeof(moco_knn_measure_config),
    .output = MOCO_OUTPUT_FEATURES,
    .k = 200,
    .temperature = 0.1,
    .batch_size = 256,
};

moco_status moco_knn_measure_config_init(moco_knn_measure_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_knn_measure_config");
}

/* --- That labels mean the same in both --- */

static moco_status check_classes(const moco_dataset *train, const moco_dataset *test) {
    const int64_t classes = moco_dataset_classes(train);
    MOCO_REQUIRE(classes > 0, "the training images have no labels, which kNN needs");
    MOCO_REQUIRE(moco_dataset_classes(test) > 0, "the test images have no labels, which kNN needs");
    for (int64_t i = 0; i < moco_dataset_classes(test); ++i) {
        const char *theirs = moco_dataset_class_name(test, i);
        MOCO_REQUIRE(i < classes,
                     "class %lld of the test images (%s) is none of the training images, which have %lld; they "
                     "must have the same classes",
                     (long long) i, theirs == NULL ? "without a name" : theirs, (long long) classes);
        const char *ours = moco_dataset_class_name(train, i);
        const int32_t same = ours == NULL || theirs == NULL ? ours == theirs : strcmp(ours, theirs) == 0;
        MOCO_REQUIRE(same,
                     "class %lld of the test images is %s, of the training images %s; they must have the same classes",
                     (long long) i, theirs == NULL ? "without a name" : theirs, ours == NULL ? "without a name" : ours);
    }
    return MOCO_OK;
}

/* --- Rows with labels --- */

typedef struct labelled_rows {
    float *rows;
    int32_t *labels;
    int64_t count; /* that have a label */
    int64_t broken;
} labelled_rows;

static void keep_labelled(labelled_rows *table, int64_t count, int64_t dim) {
    for (int64_t i = 0; i < count; ++i) {
        table->broken += table->labels[i] == MOCO_UNREADABLE;
        if (table->labels[i] < 0) continue;
        const int64_t to = table->count++;
        table->labels[to] = table->labels[i];
        memmove(table->rows + to * dim, table->rows + i * dim, (size_t) dim * sizeof *table->rows);
    }
}

/* The first `count` images. On failure the tables are the caller's to release, too. */
static moco_status extract(labelled_rows *table, moco_encoder *encoder, moco_dataset *dataset, moco_augment *augment,
                           const moco_knn_measure_config *config, int64_t count, moco_knn_watch *watch) {
    const int64_t dim = moco_extract_dim(encoder, augment, config->output);
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_checked_multiply(count, dim, "images x row length", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "images x row length", &bytes));
    table->rows = (float *) moco_allocate(dataset->context, bytes);
    table->labels = (int32_t *) moco_allocate_zeroed(dataset->context, (size_t) count, sizeof *table->labels);
    if (table->rows == NULL || table->labels == NULL) return MOCO_OUT_OF_MEMORY;
    MOCO_TRY(moco_extract_watched(encoder, dataset, augment, config->output, 0, count, config->batch_size, table->rows,
                                  table->labels, watch));
    keep_labelled(table, count, dim);
    return MOCO_OK;
}

static void release(labelled_rows *table, moco_context *context) {
    moco_deallocate(context, table->rows);
    moco_deallocate(context, table->labels);
}

/* --- Measuring --- */

static moco_status evaluate(const labelled_rows *bank, const labelled_rows *tested, int64_t dim, moco_dataset *train,
                            const moco_knn_measure_config *config, moco_knn_accuracy *measured, moco_knn_watch *watch) {
    moco_knn *knn = NULL;
    moco_knn_config knn_config;
    MOCO_TRY(moco_knn_config_init(&knn_config, sizeof knn_config));
    knn_config.k = config->k;
    knn_config.temperature = config->temperature;
    MOCO_REQUIRE(bank->count > 0 && tested->count > 0,
                 "%lld training and %lld test images could be read and have a label; kNN needs at least one of each",
                 (long long) bank->count, (long long) tested->count);
    MOCO_TRY(moco_knn_create(&knn, train->context, bank->rows, bank->labels, bank->count, dim,
                             moco_dataset_classes(train), &knn_config));
    watch->progress.stage = MOCO_KNN_STAGE_COMPARE;
    watch->progress.done = 0;
    watch->progress.total = tested->count;
    const moco_status status = moco_knn_evaluate_watched(knn, tested->rows, tested->labels, tested->count,
                                                         &measured->top1, &measured->top5, watch);
    moco_knn_destroy(knn);
    measured->tested = tested->count;
    measured->broken = bank->broken + tested->broken;
    return status;
}

static void retain(moco_encoder *encoder, moco_dataset *train, moco_dataset *test, moco_augment *augment) {
    if (encoder != NULL) moco_encoder_retain(encoder);
    moco_dataset_retain(train);
    moco_dataset_retain(test);
    moco_augment_retain(augment);
}

static void let_go(moco_encoder *encoder, moco_dataset *train, moco_dataset *test, moco_augment *augment) {
    moco_encoder_destroy(encoder);
    moco_dataset_destroy(train);
    moco_dataset_destroy(test);
    moco_augment_destroy(augment);
}

moco_status moco_knn_measure(moco_encoder *encoder, moco_dataset *train, moco_dataset *test, moco_augment *augment,
                             const moco_knn_measure_config *config, moco_knn_accuracy *accuracy) {
    MOCO_REQUIRE_POINTER(train);
    MOCO_REQUIRE_POINTER(test);
    MOCO_REQUIRE_POINTER(augment);
    MOCO_REQUIRE_POINTER(accuracy);
    MOCO_REQUIRE(accuracy->struct_size >= sizeof *accuracy,
                 "struct_size of moco_knn_accuracy is %u; set it to sizeof(moco_knn_accuracy), at least %zu",
                 accuracy->struct_size, sizeof *accuracy);
    moco_knn_measure_config settings = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_knn_measure_config"));
    }
    MOCO_REQUIRE(settings.bank >= 0, "bank is %lld; it must be 0 (all images) or more", (long long) settings.bank);
    MOCO_TRY(check_classes(train, test));
    const int64_t bank = settings.bank == 0 ? train->count : moco_min_i64(settings.bank, train->count);
    const int64_t dim = moco_extract_dim(encoder, augment, settings.output);
    labelled_rows known = {.rows = NULL}, tested = {.rows = NULL};
    moco_knn_accuracy measured = {.struct_size = sizeof measured};
    moco_knn_watch watch = {
        .tell = settings.progress,
        .user = settings.user,
        .progress = {.struct_size = sizeof watch.progress, .total = bank + test->count},
    };
    retain(encoder, train, test, augment); /* progress may destroy its handles */
    moco_status status = extract(&known, encoder, train, augment, &settings, bank, &watch);
    if (status == MOCO_OK) status = extract(&tested, encoder, test, augment, &settings, test->count, &watch);
    if (status == MOCO_OK) status = evaluate(&known, &tested, dim, train, &settings, &measured, &watch);
    release(&known, train->context);
    release(&tested, test->context);
    let_go(encoder, train, test, augment);
    if (status != MOCO_OK) return status;
    return moco_output_write(accuracy, &measured, sizeof measured, sizeof measured, "moco_knn_accuracy");
}
