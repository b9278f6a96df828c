/* kNN accuracy of a dataset in one call: extract, leave out what has no label, evaluate. */
#include <moco/evaluation.h>
#include <string.h>

#include "augment/augment_internal.h"
#include "core/checked.h"
#include "core/config.h"
#include "data/dataset_internal.h"
#include "encoder/encoder_internal.h"
#include "evaluation/extract_request.h"

static const moco_knn_measure_config default_config = MOCO_KNN_MEASURE_CONFIG_INITIALIZER;

moco_status moco_knn_measure_config_init(moco_knn_measure_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_knn_measure_config");
}

moco_status moco_knn_accuracy_init(moco_knn_accuracy *accuracy, uint32_t struct_size) {
    const moco_knn_accuracy none = {.struct_size = sizeof none};
    return moco_config_init(accuracy, struct_size, &none, sizeof none, sizeof none, "moco_knn_accuracy");
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

/* On failure the tables are the caller's to release, too. */
static moco_status extract(labelled_rows *table, const moco_extract_request *request, int64_t dim) {
    moco_context *context = request->dataset->context;
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_checked_multiply(request->count, dim, "images x row length", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "images x row length", &bytes));
    table->rows = (float *) moco_allocate(context, bytes);
    table->labels = (int32_t *) moco_allocate_zeroed(context, (size_t) request->count, sizeof *table->labels);
    if (table->rows == NULL || table->labels == NULL) return MOCO_OUT_OF_MEMORY;
    MOCO_TRY(moco_extract_rows(request, table->rows, table->labels));
    keep_labelled(table, request->count, dim);
    return MOCO_OK;
}

static void release(labelled_rows *table, moco_context *context) {
    moco_deallocate(context, table->rows);
    moco_deallocate(context, table->labels);
}

/* --- Measuring --- */

static moco_knn_config knn_settings(const moco_knn_measure_config *config) {
    return (moco_knn_config){
        .struct_size = sizeof(moco_knn_config), .k = config->k, .temperature = config->temperature};
}

static moco_status evaluate(const labelled_rows *bank, const labelled_rows *tested, int64_t dim, moco_dataset *train,
                            const moco_knn_measure_config *config, moco_knn_accuracy *measured, moco_knn_watch *watch) {
    moco_knn *knn = NULL;
    const moco_knn_config settings = knn_settings(config);
    MOCO_REQUIRE(bank->count > 0 && tested->count > 0,
                 "%lld training and %lld test images could be read and have a label; kNN needs at least one of each",
                 (long long) bank->count, (long long) tested->count);
    MOCO_TRY(moco_knn_create(&knn, train->context, bank->rows, bank->labels, bank->count, dim,
                             moco_dataset_classes(train), &settings));
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

/* The bank's images: all, or a choice, whose indices are then the caller's to free. */
static moco_status choose_bank(moco_extract_request *known, const moco_knn_measure_config *config, int64_t **indices) {
    moco_dataset *train = known->dataset;
    if (config->bank == 0 || config->bank >= train->count) return MOCO_OK;
    *indices = (int64_t *) moco_allocate(train->context, (size_t) config->bank * sizeof **indices);
    if (*indices == NULL) return MOCO_OUT_OF_MEMORY;
    known->indices = *indices;
    MOCO_TRY(moco_dataset_choose(train, config->bank, config->bank_seed, *indices, &known->count));
    MOCO_REQUIRE(known->count > 0, "none of the %lld training images has a label; kNN needs labels",
                 (long long) train->count);
    return MOCO_OK;
}

/* With both requests checked, before the first image is read. */
static moco_status prepare(moco_extract_request *known, moco_extract_request *tested,
                           const moco_knn_measure_config *config, int64_t **indices, int64_t *dim) {
    int64_t test_dim = 0;
    const moco_knn_config settings = knn_settings(config);
    MOCO_TRY(moco_knn_check_config(&settings));
    MOCO_REQUIRE(config->bank >= 0, "bank is %lld; it must be 0 (all images) or more", (long long) config->bank);
    MOCO_TRY(check_classes(known->dataset, tested->dataset));
    MOCO_TRY(choose_bank(known, config, indices));
    MOCO_TRY(moco_extract_check(known, dim));
    MOCO_TRY(moco_extract_check(tested, &test_dim));
    MOCO_REQUIRE(*dim == test_dim,
                 "the test images have %lld values each, the training images %lld; without an augment both must be "
                 "alike",
                 (long long) test_dim, (long long) *dim);
    return MOCO_OK;
}

static moco_status measure(moco_extract_request *known, moco_extract_request *tested,
                           const moco_knn_measure_config *config, moco_knn_watch *watch, moco_knn_accuracy *measured) {
    int64_t *indices = NULL, dim = 0;
    labelled_rows bank_rows = {.rows = NULL}, test_rows = {.rows = NULL};
    moco_status status = prepare(known, tested, config, &indices, &dim);
    watch->progress.total = known->count + tested->count;
    if (status == MOCO_OK) status = extract(&bank_rows, known, dim);
    if (status == MOCO_OK) status = extract(&test_rows, tested, dim);
    if (status == MOCO_OK) status = evaluate(&bank_rows, &test_rows, dim, known->dataset, config, measured, watch);
    release(&bank_rows, known->dataset->context);
    release(&test_rows, tested->dataset->context);
    moco_deallocate(known->dataset->context, indices);
    return status;
}

moco_status moco_knn_measure(moco_encoder *encoder, moco_dataset *train, moco_dataset *test, moco_augment *augment,
                             const moco_knn_measure_config *config, moco_knn_accuracy *accuracy) {
    MOCO_REQUIRE_POINTER(train);
    MOCO_REQUIRE_POINTER(test);
    MOCO_REQUIRE_POINTER(accuracy);
    MOCO_REQUIRE(accuracy->struct_size >= sizeof *accuracy,
                 "struct_size of moco_knn_accuracy is %u; call moco_knn_accuracy_init first, or set it to "
                 "sizeof(moco_knn_accuracy), at least %zu",
                 accuracy->struct_size, sizeof *accuracy);
    moco_knn_measure_config settings = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_knn_measure_config"));
    }
    moco_knn_accuracy measured = {.struct_size = sizeof measured};
    moco_knn_watch watch = {
        .tell = settings.progress, .user = settings.user, .progress = {.struct_size = sizeof watch.progress}};
    moco_extract_request known = {.encoder = encoder,
                                  .dataset = train,
                                  .augment = augment,
                                  .output = settings.output,
                                  .count = train->count,
                                  .batch_size = settings.batch_size,
                                  .watch = &watch};
    moco_extract_request tested = known;
    tested.dataset = test;
    tested.count = test->count;
    moco_extract_retain(&known);
    moco_extract_retain(&tested);
    const moco_status status = measure(&known, &tested, &settings, &watch, &measured);
    moco_extract_release(&known);
    moco_extract_release(&tested);
    if (status != MOCO_OK) return status;
    return moco_output_write(accuracy, &measured, sizeof measured, sizeof measured, "moco_knn_accuracy");
}
