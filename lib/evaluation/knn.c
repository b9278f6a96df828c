/* The weighted kNN classifier of InstDisc (arXiv 1805.01978, section 3.4). Similarities of a block of queries to the
 * whole bank come from the backend as a linear layer, scores = queries . bank^T; the choice is in knn_select.c.
 */
#include <math.h>
#include <string.h>

#include "backend/host_tensor.h"
#include "backend/planned_layer.h"
#include "core/checked.h"
#include "core/config.h"
#include "evaluation/knn_select.h"
#include "evaluation/knn_watch.h"
#include <moco/evaluation.h>
#include <moco/sys/encoder_ops.h>

#define BLOCK_SCORES  ((int64_t) 8 << 20) /* similarities at once: 32 MiB */
#define BLOCK_QUERIES 256                 /* at most */
#define TOP           5

struct moco_knn {
    moco_context *context;
    float *rows; /* count x dim */
    int32_t *labels;
    moco_knn_bank bank;      /* a view of both */
    moco_host_tensor tensor; /* `rows` for the backend */
};

static const moco_knn_config default_config = MOCO_KNN_CONFIG_INITIALIZER;

moco_status moco_knn_config_init(moco_knn_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_knn_config");
}

moco_status moco_knn_check_config(const moco_knn_config *config) {
    MOCO_REQUIRE(config->k >= 1, "k is %d; it must be at least 1", config->k);
    MOCO_REQUIRE(config->temperature > 0 && isfinite(config->temperature),
                 "temperature is %g; it must be above 0 and finite", config->temperature);
    return MOCO_OK;
}

/* --- Rows of length 1 --- */

static moco_status normalize_rows(const float *source, int64_t n, int64_t dim, const char *what, float *target) {
    for (int64_t i = 0; i < n; ++i, source += dim, target += dim) {
        double square = 0;
        for (int64_t c = 0; c < dim; ++c) square += (double) source[c] * (double) source[c];
        if (!isfinite(square)) { /* float32 squares can't overflow a float64 sum: a value is not finite */
            return moco_fail(MOCO_INVALID_ARGUMENT, "row %lld of %s has a value that is not finite", (long long) i,
                             what);
        }
        const double scale = square > 0 ? 1 / sqrt(square) : 0;
        for (int64_t c = 0; c < dim; ++c) target[c] = (float) (scale * (double) source[c]);
    }
    return MOCO_OK;
}

/* --- Lifetime --- */

static moco_status fill_bank(moco_knn *knn, const float *features, const int32_t *labels) {
    moco_knn_bank *bank = &knn->bank;
    for (int64_t i = 0; i < bank->count; ++i) {
        MOCO_REQUIRE(labels[i] >= 0 && labels[i] < bank->classes, "labels[%lld] is %d; it must be 0 to %lld",
                     (long long) i, labels[i], (long long) bank->classes - 1);
    }
    int64_t elements;
    size_t row_bytes;
    size_t label_bytes;
    MOCO_TRY(moco_checked_multiply(bank->count, bank->dim, "count x dim", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "count x dim", &row_bytes));
    MOCO_TRY(moco_checked_bytes(bank->count, sizeof(int32_t), "count", &label_bytes));
    knn->rows = (float *) moco_allocate(knn->context, row_bytes);
    knn->labels = (int32_t *) moco_allocate(knn->context, label_bytes);
    if (knn->rows == NULL || knn->labels == NULL) return MOCO_OUT_OF_MEMORY;
    bank->rows = knn->rows;
    bank->labels = knn->labels;
    memcpy(knn->labels, labels, label_bytes);
    MOCO_TRY(normalize_rows(features, bank->count, bank->dim, "features", knn->rows));
    return moco_host_matrix_input(&knn->tensor, knn->context, knn->rows, bank->count, bank->dim);
}

moco_status moco_knn_create(moco_knn **out, moco_context *context, const float *features, const int32_t *labels,
                            int64_t count, int64_t dim, int64_t classes, const moco_knn_config *config) {
    moco_knn_config settings = default_config;
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(features);
    MOCO_REQUIRE_POINTER(labels);
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_knn_config"));
    }
    MOCO_REQUIRE(count >= 1 && count <= INT32_MAX, "count is %lld; it must be 1 to %d", (long long) count, INT32_MAX);
    MOCO_REQUIRE(dim >= 1 && dim <= INT32_MAX, "dim is %lld; it must be 1 to %d", (long long) dim, INT32_MAX);
    MOCO_REQUIRE(classes >= 1 && classes <= INT32_MAX, "classes is %lld; it must be 1 to %d", (long long) classes,
                 INT32_MAX);
    MOCO_TRY(moco_knn_check_config(&settings));

    moco_knn *knn = (moco_knn *) moco_allocate_zeroed(context, 1, sizeof *knn);
    if (knn == NULL) return MOCO_OUT_OF_MEMORY;
    knn->context = context;
    moco_context_retain(context);
    knn->bank.count = count;
    knn->bank.dim = dim;
    knn->bank.classes = classes;
    knn->bank.k = moco_min_i64(settings.k, count);
    knn->bank.temperature = settings.temperature;
    const moco_status status = fill_bank(knn, features, labels);
    if (status != MOCO_OK) {
        moco_knn_destroy(knn);
        return status;
    }
    *out = knn;
    return MOCO_OK;
}

void moco_knn_destroy(moco_knn *knn) {
    if (knn == NULL) return;
    moco_context *context = knn->context;
    moco_host_tensor_release(&knn->tensor, context);
    moco_deallocate(context, knn->labels);
    moco_deallocate(context, knn->rows);
    moco_deallocate(context, knn);
    moco_context_destroy(context);
}

/* --- Classification --- */

/* What one call works with. A block always has block_queries rows, so that one planned layer does; in the last one,
 * unused rows hold what was there before. */
typedef struct knn_run {
    const moco_knn *knn;
    int64_t block_queries;
    float *queries; /* block_queries x dim */
    float *scores;  /* block_queries x count */
    moco_planned_layer layer;
    void *layer_scratch;
    int32_t workers;
    moco_knn_scratch *scratch; /* by worker */
    int32_t *ranking;          /* of the block in progress: block_queries x classes */
    int64_t *voted;            /* of the block in progress: how many classes have a vote; NULL: nobody asks */
} knn_run;

static moco_status plan_scores(knn_run *run) {
    const moco_knn_bank *bank = &run->knn->bank;
    const moco_layer_desc desc = {
        .struct_size = sizeof(moco_layer_desc),
        .kind = MOCO_LAYER_LINEAR,
        .dtype = MOCO_DTYPE_F32,
        .input_count = 1,
        .parameter_count = 1, /* no bias */
        .inputs = {{.dtype = MOCO_DTYPE_F32, .rank = 2, .dims = {run->block_queries, bank->dim, 1, 1}}},
        .of.linear.out_c = bank->count,
        .skip_input_gradient = 1,
    };
    MOCO_TRY(moco_layer_plan(run->knn->context, &desc, &run->layer));
    const moco_layer_info *info = &run->layer.info;
    if (info->wanted_input_layout != MOCO_LAYOUT_PLAIN || info->output_layout != MOCO_LAYOUT_PLAIN) {
        return moco_fail(MOCO_INTERNAL, "a backend wants a linear layer of plain rows in a layout of its own");
    }
    if (info->scratch_bytes == 0) return MOCO_OK;
    return moco_buffer_create(run->knn->context, info->scratch_bytes, &run->layer_scratch);
}

static moco_status prepare_memory(knn_run *run, int64_t n) {
    const moco_knn_bank *bank = &run->knn->bank;
    moco_context *context = run->knn->context;
    run->block_queries = moco_min_i64(n, moco_max_i64(1, moco_min_i64(BLOCK_QUERIES, BLOCK_SCORES / bank->count)));
    int64_t query_elements;
    int64_t score_elements;
    size_t bytes;
    MOCO_TRY(moco_checked_multiply(run->block_queries, bank->dim, "the block of queries", &query_elements));
    MOCO_TRY(moco_checked_multiply(run->block_queries, bank->count, "the block of similarities", &score_elements));
    MOCO_TRY(moco_checked_bytes(query_elements, sizeof(float), "the block of queries", &bytes));
    run->queries = (float *) moco_allocate_zeroed(context, 1, bytes);
    if (run->queries == NULL) return MOCO_OUT_OF_MEMORY;
    MOCO_TRY(moco_checked_bytes(score_elements, sizeof(float), "the block of similarities", &bytes));
    run->scores = (float *) moco_allocate(context, bytes);
    if (run->scores == NULL) return MOCO_OUT_OF_MEMORY;
    run->scratch = (moco_knn_scratch *) moco_allocate_zeroed(context, (size_t) moco_context_threads(context),
                                                             sizeof *run->scratch);
    if (run->scratch == NULL) return MOCO_OUT_OF_MEMORY;
    for (; run->workers < moco_context_threads(context); run->workers++) {
        MOCO_TRY(moco_knn_scratch_create(&run->scratch[run->workers], context, bank));
    }
    return plan_scores(run);
}

/* scores = queries . rows^T */
static moco_status compute_scores(knn_run *run) {
    const moco_knn_bank *bank = &run->knn->bank;
    moco_context *context = run->knn->context;
    const int64_t query_dims[4] = {run->block_queries, bank->dim, 1, 1};
    const int64_t score_dims[4] = {run->block_queries, bank->count, 1, 1};
    moco_host_tensor x;
    moco_host_tensor y;
    MOCO_TRY(moco_host_tensor_input(&x, context, run->queries, query_dims));
    moco_status status = moco_host_tensor_output(&y, context, run->scores, score_dims);
    if (status == MOCO_OK) {
        moco_layer_args args = {
            .struct_size = sizeof args,
            .mode = MOCO_MODE_EVALUATE,
            .weight_version = 1, /* the bank never changes */
            .inputs = {x.tensor},
            .y = y.tensor,
            .parameters = {run->knn->tensor.tensor},
        };
        if (run->layer_scratch != NULL) {
            args.scratch = moco_tensor_1d(run->layer_scratch, 0, MOCO_DTYPE_F32,
                                          (int64_t) (run->layer.info.scratch_bytes / sizeof(float)));
        }
        status = moco_layer_forward(&run->layer, &args);
        if (status == MOCO_OK) status = moco_host_tensor_fetch(&y, context, run->scores);
        moco_host_tensor_release(&y, context);
    }
    moco_host_tensor_release(&x, context);
    return status;
}

static void rank_query(void *argument, int64_t task, int32_t worker) {
    const knn_run *run = (const knn_run *) argument;
    const moco_knn_bank *bank = &run->knn->bank;
    const int64_t voted = moco_knn_select(bank, run->queries + task * bank->dim, run->scores + task * bank->count,
                                          &run->scratch[worker], run->ranking + task * bank->classes);
    if (run->voted != NULL) run->voted[task] = voted;
}

/* ranking: n x classes, n <= block_queries. */
static moco_status classify_block(knn_run *run, const float *features, int64_t n, int32_t *ranking) {
    MOCO_TRY(normalize_rows(features, n, run->knn->bank.dim, "features", run->queries));
    MOCO_TRY(compute_scores(run));
    run->ranking = ranking;
    moco_parallel_for(run->knn->context, n, rank_query, run);
    return MOCO_OK;
}

static void release_run(knn_run *run) {
    moco_context *context = run->knn->context;
    for (int32_t i = 0; i < run->workers; ++i) moco_knn_scratch_release(&run->scratch[i], context);
    moco_deallocate(context, run->scratch);
    moco_deallocate(context, run->scores);
    moco_deallocate(context, run->queries);
    moco_buffer_destroy(context, run->layer_scratch);
    moco_layer_release(&run->layer);
}

/* Whether an array of so many rows and columns can be at all. */
static moco_status check_table(int64_t rows, int64_t columns, size_t element_size, const char *what) {
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_checked_multiply(rows, columns, what, &elements));
    return moco_checked_bytes(elements, element_size, what, &bytes);
}

moco_status moco_knn_classify(const moco_knn *knn, const float *features, int64_t n, int32_t *ranking) {
    MOCO_REQUIRE_POINTER(knn);
    MOCO_REQUIRE(n >= 0 && n <= INT32_MAX, "n is %lld; it must be 0 to %d", (long long) n, INT32_MAX);
    if (n == 0) return MOCO_OK;
    MOCO_REQUIRE_POINTER(features);
    MOCO_REQUIRE_POINTER(ranking);
    MOCO_TRY(check_table(n, knn->bank.dim, sizeof *features, "n x dim of the features"));
    MOCO_TRY(check_table(n, knn->bank.classes, sizeof *ranking, "n x classes of the ranking"));
    knn_run run = {.knn = knn};
    moco_status status = prepare_memory(&run, n);
    for (int64_t done = 0; done < n && status == MOCO_OK; done += run.block_queries) {
        status = classify_block(&run, features + done * knn->bank.dim, moco_min_i64(run.block_queries, n - done),
                                ranking + done * knn->bank.classes);
    }
    release_run(&run);
    return status;
}

/* --- Accuracy --- */

/* Of n queries; a class that nobody voted for is no answer. */
static void count_hits(const int32_t *ranking, const int64_t *voted, const int32_t *labels, int64_t n, int64_t classes,
                       int64_t *first, int64_t *among_top) {
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t place = 0; place < moco_min_i64(TOP, voted[i]); ++place) {
            if (ranking[i * classes + place] != labels[i]) continue;
            *first += place == 0;
            *among_top += 1;
        }
    }
}

static moco_status evaluate_blocks(knn_run *run, const float *features, const int32_t *labels, int64_t n,
                                   int64_t *first, int64_t *among_top, moco_knn_watch *watch) {
    const moco_knn_bank *bank = &run->knn->bank;
    int64_t elements;
    size_t bytes;
    MOCO_TRY(prepare_memory(run, n));
    MOCO_TRY(moco_checked_multiply(run->block_queries, bank->classes, "the block's ranking", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(int32_t), "the block's ranking", &bytes));
    int32_t *ranking = (int32_t *) moco_allocate(run->knn->context, bytes);
    run->voted = (int64_t *) moco_allocate_zeroed(run->knn->context, (size_t) run->block_queries, sizeof *run->voted);
    moco_status status = ranking == NULL || run->voted == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    for (int64_t done = 0; done < n && status == MOCO_OK; done += run->block_queries) {
        const int64_t block = moco_min_i64(run->block_queries, n - done);
        status = classify_block(run, features + done * bank->dim, block, ranking);
        if (status == MOCO_OK) {
            count_hits(ranking, run->voted, labels + done, block, bank->classes, first, among_top);
            status = moco_knn_watch_add(watch, block);
        }
    }
    moco_deallocate(run->knn->context, run->voted);
    moco_deallocate(run->knn->context, ranking);
    return status;
}

moco_status moco_knn_evaluate(const moco_knn *knn, const float *features, const int32_t *labels, int64_t n,
                              double *top1, double *top5) {
    return moco_knn_evaluate_watched(knn, features, labels, n, top1, top5, NULL);
}

moco_status moco_knn_evaluate_watched(const moco_knn *knn, const float *features, const int32_t *labels, int64_t n,
                                      double *top1, double *top5, moco_knn_watch *watch) {
    MOCO_REQUIRE_POINTER(knn);
    MOCO_REQUIRE(n >= 1 && n <= INT32_MAX, "n is %lld; it must be 1 to %d", (long long) n, INT32_MAX);
    MOCO_REQUIRE_POINTER(features);
    MOCO_REQUIRE_POINTER(labels);
    MOCO_TRY(check_table(n, knn->bank.dim, sizeof *features, "n x dim of the features"));
    for (int64_t i = 0; i < n; ++i) {
        MOCO_REQUIRE(labels[i] >= 0 && labels[i] < knn->bank.classes, "labels[%lld] is %d; it must be 0 to %lld",
                     (long long) i, labels[i], (long long) knn->bank.classes - 1);
    }
    int64_t first = 0;
    int64_t among_top = 0;
    knn_run run = {.knn = knn};
    const moco_status status = evaluate_blocks(&run, features, labels, n, &first, &among_top, watch);
    release_run(&run);
    if (status != MOCO_OK) return status;
    if (top1 != NULL) *top1 = (double) first / (double) n;
    if (top5 != NULL) *top5 = (double) among_top / (double) n;
    return MOCO_OK;
}
