/* Weighted kNN against a plain float64 implementation of its definition, and the order of everything equal. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <moco/evaluation.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"

#define assert_ok(expression)                                                                         \
    do {                                                                                              \
        const moco_status status_ = (expression);                                                     \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #expression, status_, moco_last_error()); \
    } while (0)

static moco_context *open_context(int32_t threads) {
    moco_context_config config;
    moco_context *context = NULL;
    assert_ok(moco_context_config_init(&config, sizeof config));
    config.threads = threads;
    assert_ok(moco_context_create(&context, &config));
    return context;
}

static moco_knn *make_knn(moco_context *context, const float *features, const int32_t *labels, int64_t count,
                          int64_t dim, int64_t classes, int32_t k, double temperature) {
    moco_knn_config config;
    moco_knn *knn = NULL;
    assert_ok(moco_knn_config_init(&config, sizeof config));
    config.k = k;
    config.temperature = temperature;
    assert_ok(moco_knn_create(&knn, context, features, labels, count, dim, classes, &config));
    return knn;
}

/* --- The definition, in float64 --- */

typedef struct scored {
    double score;
    int64_t index;
} scored;

static int compare_scored(const void *a, const void *b) {
    const scored *x = (const scored *) a;
    const scored *y = (const scored *) b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* The library's rows are float32 after normalization; so are these, that ties between them are the same. */
static void normalized(const float *row, int64_t dim, float *out) {
    double square = 0;
    for (int64_t c = 0; c < dim; ++c) square += (double) row[c] * (double) row[c];
    for (int64_t c = 0; c < dim; ++c) {
        out[c] = square > 0 ? (float) ((double) row[c] * (1 / sqrt(square))) : 0;
    }
}

typedef struct problem {
    int64_t count, dim, classes, n;
    int32_t k;
    double temperature;
    float *bank;
    int32_t *labels;
    float *queries;
} problem;

static void naive_ranking(const problem *p, int32_t *ranking, double *least_gap) {
    float *bank = (float *) malloc((size_t) (p->count * p->dim) * sizeof *bank);
    float *query = (float *) malloc((size_t) p->dim * sizeof *query);
    scored *neighbours = (scored *) malloc((size_t) p->count * sizeof *neighbours);
    scored *votes = (scored *) malloc((size_t) p->classes * sizeof *votes);
    assert_true(bank != NULL && query != NULL && neighbours != NULL && votes != NULL);
    for (int64_t i = 0; i < p->count; ++i) normalized(p->bank + i * p->dim, p->dim, bank + i * p->dim);
    *least_gap = INFINITY;
    for (int64_t q = 0; q < p->n; ++q) {
        normalized(p->queries + q * p->dim, p->dim, query);
        for (int64_t i = 0; i < p->count; ++i) {
            double dot = 0;
            for (int64_t c = 0; c < p->dim; ++c) dot += (double) query[c] * (double) bank[i * p->dim + c];
            neighbours[i] = (scored){dot, i};
        }
        qsort(neighbours, (size_t) p->count, sizeof *neighbours, compare_scored);
        for (int64_t c = 0; c < p->classes; ++c) votes[c] = (scored){0, c};
        for (int64_t i = 0; i < p->k && i < p->count; ++i) {
            votes[p->labels[neighbours[i].index]].score += exp(neighbours[i].score / p->temperature);
        }
        qsort(votes, (size_t) p->classes, sizeof *votes, compare_scored);
        for (int64_t c = 0; c < p->classes; ++c) {
            ranking[q * p->classes + c] = (int32_t) votes[c].index;
            if (c > 0 && votes[c].score > 0) {
                *least_gap = fmin(*least_gap, (votes[c - 1].score - votes[c].score) / votes[0].score);
            }
        }
    }
    free(bank);
    free(query);
    free(neighbours);
    free(votes);
}

static problem random_problem(uint64_t number, int64_t count, int64_t dim, int64_t classes, int64_t n, int32_t k,
                              double temperature) {
    problem p = {count, dim, classes, n, k, temperature, NULL, NULL, NULL};
    p.bank = (float *) malloc((size_t) (count * dim) * sizeof *p.bank);
    p.labels = (int32_t *) malloc((size_t) count * sizeof *p.labels);
    p.queries = (float *) malloc((size_t) (n * dim) * sizeof *p.queries);
    assert_true(p.bank != NULL && p.labels != NULL && p.queries != NULL);
    moco_random random;
    moco_random_init(&random, number, MOCO_RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < count; ++i) {
        p.labels[i] = (int32_t) moco_random_below(&random, (uint64_t) classes);
        const double scale = exp(4 * moco_random_normal(&random)); /* lengths must not matter */
        for (int64_t c = 0; c < dim; ++c) {
            /* a cluster per class, so that votes are far from even */
            const double centre = c % classes == p.labels[i] ? 1 : 0;
            p.bank[i * dim + c] = (float) (scale * (centre + moco_random_normal(&random)));
        }
    }
    for (int64_t i = 0; i < n * dim; ++i) p.queries[i] = (float) moco_random_normal(&random);
    return p;
}

static void free_problem(problem *p) {
    free(p->bank);
    free(p->labels);
    free(p->queries);
}

static void rankings_equal_the_definition(void **state) {
    (void) state;
    static const struct {
        int64_t count, dim, classes, n;
        int32_t k;
        double temperature;
    } cases[] = {
        {1, 1, 1, 1, 1, 0.1},          {2, 1, 2, 5, 1, 0.1},         {7, 3, 4, 9, 3, 0.1},
        {50, 5, 3, 20, 50, 0.07},      {50, 5, 3, 20, 49, 1},        {300, 16, 10, 64, 20, 0.1},
        {1000, 64, 10, 300, 200, 0.1}, {997, 33, 100, 31, 200, 0.5}, {40, 4, 5, 10, 1000, 10},
        {3000, 128, 20, 17, 5, 0.1},
    };
    moco_context *context = open_context(2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        problem p = random_problem(i, cases[i].count, cases[i].dim, cases[i].classes, cases[i].n, cases[i].k,
                                   cases[i].temperature);
        const size_t places = (size_t) (p.n * p.classes);
        int32_t *expected = (int32_t *) malloc(places * sizeof *expected);
        int32_t *ranking = (int32_t *) malloc(places * sizeof *ranking);
        double least_gap;
        naive_ranking(&p, expected, &least_gap);
        assert_true(p.classes == 1 || p.n * p.classes < 30 || least_gap > 1e-12); /* no tie decides a case */
        moco_knn *knn = make_knn(context, p.bank, p.labels, p.count, p.dim, p.classes, p.k, p.temperature);
        assert_ok(moco_knn_classify(knn, p.queries, p.n, ranking));
        for (size_t place = 0; place < places; ++place) {
            if (ranking[place] != expected[place]) {
                fail_msg("case %zu: place %zu is class %d instead of %d", i, place, ranking[place], expected[place]);
            }
        }
        moco_knn_destroy(knn);
        free(expected);
        free(ranking);
        free_problem(&p);
    }
    moco_context_destroy(context);
}

static void threads_change_nothing(void **state) {
    (void) state;
    problem p = random_problem(99, 2000, 48, 10, 333, 100, 0.1);
    int32_t rankings[3][333 * 10];
    for (int32_t i = 0; i < 3; ++i) {
        moco_context *context = open_context(1 << i);
        moco_knn *knn = make_knn(context, p.bank, p.labels, p.count, p.dim, p.classes, p.k, p.temperature);
        moco_context_destroy(context); /* the classifier keeps it alive */
        assert_ok(moco_knn_classify(knn, p.queries, p.n, rankings[i]));
        moco_knn_destroy(knn);
    }
    assert_memory_equal(rankings[0], rankings[1], sizeof rankings[0]);
    assert_memory_equal(rankings[0], rankings[2], sizeof rankings[0]);
    free_problem(&p);
}

/* --- Ties --- */

static void of_equal_rows_the_first_are_nearest(void **state) {
    (void) state;
    enum { COUNT = 1000, DIM = 37 };
    static float bank[COUNT * DIM];
    static int32_t labels[COUNT];
    for (int i = 0; i < COUNT; ++i) {
        for (int c = 0; c < DIM; ++c) bank[i * DIM + c] = (float) (c + 1) * 0.1f;
        labels[i] = i < 3 ? 2 : i < 5 ? 0 : 1;
    }
    moco_context *context = open_context(2);
    int32_t ranking[3];
    moco_knn *knn =
        make_knn(context, bank, labels, COUNT, DIM, 3, 4, 0.1); /* rows 0 to 3: three of class 2, one of 0 */
    assert_ok(moco_knn_classify(knn, bank, 1, ranking));
    const int32_t expected[3] = {2, 0, 1};
    assert_memory_equal(ranking, expected, sizeof expected);
    moco_knn_destroy(knn);
    knn = make_knn(context, bank, labels, COUNT, DIM, 3, 2000, 0.1); /* all: most are of class 1 */
    assert_ok(moco_knn_classify(knn, bank, 1, ranking));
    const int32_t by_number[3] = {1, 2, 0};
    assert_memory_equal(ranking, by_number, sizeof by_number);
    moco_knn_destroy(knn);
    moco_context_destroy(context);
}

static void of_equal_votes_the_lower_class_is_first(void **state) {
    (void) state;
    const float bank[] = {1, 0, 0, 1, -1, 0, 0, -1};
    const int32_t labels[] = {3, 1, 0, 2};
    const float query[] = {1, 1};
    int32_t ranking[5];
    moco_context *context = open_context(1);
    moco_knn *knn = make_knn(context, bank, labels, 4, 2, 5, 4, 0.5);
    assert_ok(moco_knn_classify(knn, query, 1, ranking));
    const int32_t expected[5] = {1, 3, 0, 2, 4};
    assert_memory_equal(ranking, expected, sizeof expected);
    moco_knn_destroy(knn);
    moco_context_destroy(context);
}

static void one_class_is_always_right(void **state) {
    (void) state;
    problem p = random_problem(5, 100, 8, 1, 40, 10, 0.1);
    moco_context *context = open_context(2);
    moco_knn *knn = make_knn(context, p.bank, p.labels, p.count, p.dim, 1, p.k, p.temperature);
    const int32_t labels[40] = {0};
    double top1 = 0;
    double top5 = 0;
    assert_ok(moco_knn_evaluate(knn, p.queries, labels, p.n, &top1, &top5));
    assert_true(top1 == 1 && top5 == 1);
    moco_knn_destroy(knn);
    moco_context_destroy(context);
    free_problem(&p);
}

/* mmselfsup's and solo-learn's checks: a bank row finds itself, and top-5 is at least top-1. */
static void accuracies(void **state) {
    (void) state;
    problem p = random_problem(6, 500, 24, 12, 400, 1, 0.1);
    moco_context *context = open_context(2);
    moco_knn *knn = make_knn(context, p.bank, p.labels, p.count, p.dim, p.classes, 1, p.temperature);
    double top1 = 0;
    double top5 = 0;
    assert_ok(moco_knn_evaluate(knn, p.bank, p.labels, p.count, &top1, &top5));
    assert_true(top1 == 1 && top5 == 1);
    moco_knn_destroy(knn);

    knn = make_knn(context, p.bank, p.labels, p.count, p.dim, p.classes, 20, p.temperature);
    int32_t *ranking = (int32_t *) malloc((size_t) (p.n * p.classes) * sizeof *ranking);
    assert_non_null(ranking);
    assert_ok(moco_knn_classify(knn, p.queries, p.n, ranking));
    int64_t first = 0;
    int64_t among_five = 0;
    for (int64_t i = 0; i < p.n; ++i) {
        for (int64_t place = 0; place < 5; ++place) {
            const int32_t hit = ranking[i * p.classes + place] == p.labels[i];
            first += place == 0 && hit;
            among_five += hit;
        }
    }
    assert_ok(moco_knn_evaluate(knn, p.queries, p.labels, p.n, &top1, &top5));
    assert_true(top1 == (double) first / (double) p.n);
    assert_true(top5 == (double) among_five / (double) p.n);
    assert_true(top5 > top1 && top1 > 0);
    assert_ok(moco_knn_evaluate(knn, p.queries, p.labels, p.n, NULL, NULL));
    free(ranking);
    moco_knn_destroy(knn);
    moco_context_destroy(context);
    free_problem(&p);
}

/* Labels that have nothing to do with the rows: with one neighbour there is one answer, and the other classes, which
 * fill the ranking up, are none. */
static void classes_without_a_vote_are_no_answers(void **state) {
    (void) state;
    problem p = random_problem(8, 600, 16, 10, 500, 1, 0.1);
    moco_context *context = open_context(2);
    int32_t *labels = (int32_t *) malloc(500 * sizeof *labels);
    moco_random random;
    double top1[3] = {0}, top5[3] = {0};
    const int32_t ks[3] = {1, 2, 600};
    assert_non_null(labels);
    moco_random_init(&random, 3, MOCO_RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < p.n; ++i) labels[i] = (int32_t) moco_random_below(&random, 10);
    for (int i = 0; i < 3; ++i) {
        moco_knn *knn = make_knn(context, p.bank, p.labels, p.count, p.dim, p.classes, ks[i], 10.0);
        assert_ok(moco_knn_evaluate(knn, p.queries, labels, p.n, &top1[i], &top5[i]));
        moco_knn_destroy(knn);
    }
    assert_true(top1[0] > 0.05 && top1[0] < 0.15 && top5[0] == top1[0]);
    assert_true(top5[1] > top1[1] && top5[1] < 0.27); /* two answers at most: 2 in 10 */
    assert_true(top5[2] > 0.4 && top5[2] < 0.6);      /* all classes: 5 in 10 */
    /* A vote that is too small for a double is one nevertheless. */
    const float bank[] = {1, 0, 0, 1}, query[] = {1, 0};
    const int32_t two[] = {1, 0}, far_label[] = {0};
    moco_knn *knn = make_knn(context, bank, two, 2, 2, 3, 2, 1e-6);
    assert_ok(moco_knn_evaluate(knn, query, far_label, 1, &top1[0], &top5[0]));
    assert_true(top1[0] == 0 && top5[0] == 1);
    int32_t ranking[3];
    assert_ok(moco_knn_classify(knn, query, 1, ranking));
    assert_true(ranking[0] == 1 && ranking[1] == 0 && ranking[2] == 2);
    moco_knn_destroy(knn);
    moco_context_destroy(context);
    free(labels);
    free_problem(&p);
}

/* --- Extremes --- */

static void zero_rows_tiny_temperatures_huge_values(void **state) {
    (void) state;
    const float bank[] = {0, 0, 3e38f, 3e38f, 1e-40f, 0, -1, -1};
    const int32_t labels[] = {0, 1, 2, 3};
    moco_context *context = open_context(1);
    int32_t ranking[4];
    moco_knn *knn = make_knn(context, bank, labels, 4, 2, 4, 4, 1e-6); /* exp(1 / t) is far beyond a double */
    const float diagonal[] = {1e-30f, 1e-30f};
    assert_ok(moco_knn_classify(knn, diagonal, 1, ranking));
    assert_int_equal(ranking[0], 1);
    const float axis[] = {2, 0};
    assert_ok(moco_knn_classify(knn, axis, 1, ranking));
    assert_int_equal(ranking[0], 2);
    const float zero[] = {0, 0};
    assert_ok(moco_knn_classify(knn, zero, 1, ranking)); /* all are equally far */
    const int32_t expected[4] = {0, 1, 2, 3};
    assert_memory_equal(ranking, expected, sizeof expected);
    assert_ok(moco_knn_classify(knn, NULL, 0, NULL));
    moco_knn_destroy(knn);
    moco_context_destroy(context);
}

static void refused(moco_status status, const char *word) {
    assert_int_equal(status, MOCO_INVALID_ARGUMENT);
    if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" does not say %s", moco_last_error(), word);
}

static void arguments_are_checked(void **state) {
    (void) state;
    const float bank[] = {1, 0, 0, 1};
    const float bad[] = {1, 0, NAN, 1};
    const float infinite[] = {1, 0, 0, INFINITY};
    const int32_t labels[] = {0, 1};
    const int32_t negative[] = {0, -1};
    const int32_t beyond[] = {0, 2};
    moco_context *context = open_context(1);
    moco_knn *knn = NULL;
    moco_knn_config config;
    refused(moco_knn_config_init(NULL, sizeof config), "moco_knn_config");
    /* Nothing is read of arrays that can't be. */
    int32_t place = 7;
    assert_ok(moco_knn_create(&knn, context, bank, labels, 2, 2, INT32_MAX, NULL));
    refused(moco_knn_classify(knn, bank, INT64_MAX, &place), "n is 9223372036854775807; it must be 0 to 2147483647");
    refused(moco_knn_classify(knn, bank, (int64_t) 1 << 40, &place), "n is 1099511627776");
    refused(moco_knn_classify(knn, bank, INT32_MAX, &place),
            sizeof(size_t) < sizeof(int64_t) ? "more than this machine can address" : "n x classes of the ranking");
    refused(moco_knn_evaluate(knn, bank, labels, (int64_t) 1 << 31, NULL, NULL), "n is 2147483648; it must be 1 to");
    assert_int_equal(place, 7);
    moco_knn_destroy(knn);
    knn = NULL;
    refused(moco_knn_config_init(&config, 3), "struct_size");
    assert_ok(moco_knn_config_init(&config, sizeof config));
    assert_int_equal(config.k, 200);
    assert_true(config.temperature == 0.1);
    refused(moco_knn_create(NULL, context, bank, labels, 2, 2, 2, &config), "out");
    refused(moco_knn_create(&knn, NULL, bank, labels, 2, 2, 2, &config), "context");
    refused(moco_knn_create(&knn, context, NULL, labels, 2, 2, 2, &config), "features");
    refused(moco_knn_create(&knn, context, bank, NULL, 2, 2, 2, &config), "labels");
    refused(moco_knn_create(&knn, context, bank, labels, 0, 2, 2, &config), "count");
    refused(moco_knn_create(&knn, context, bank, labels, INT64_MAX, 2, 2, &config), "count");
    refused(moco_knn_create(&knn, context, bank, labels, 2, 0, 2, &config), "dim");
    refused(moco_knn_create(&knn, context, bank, labels, 2, 2, 0, &config), "classes");
    refused(moco_knn_create(&knn, context, bank, negative, 2, 2, 2, &config), "labels[1] is -1");
    refused(moco_knn_create(&knn, context, bank, beyond, 2, 2, 2, &config), "labels[1] is 2");
    refused(moco_knn_create(&knn, context, bad, labels, 2, 2, 2, &config), "row 1");
    refused(moco_knn_create(&knn, context, infinite, labels, 2, 2, 2, &config), "row 1");
    config.k = 0;
    refused(moco_knn_create(&knn, context, bank, labels, 2, 2, 2, &config), "k is 0");
    config.k = 1;
    const double temperatures[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < 4; ++i) {
        config.temperature = temperatures[i];
        refused(moco_knn_create(&knn, context, bank, labels, 2, 2, 2, &config), "temperature");
    }
    assert_null(knn);
    assert_ok(moco_knn_create(&knn, context, bank, labels, 2, 2, 2, NULL));
    int32_t ranking[4];
    double top1;
    refused(moco_knn_classify(NULL, bank, 1, ranking), "knn");
    refused(moco_knn_classify(knn, NULL, 1, ranking), "features");
    refused(moco_knn_classify(knn, bank, 1, NULL), "ranking");
    refused(moco_knn_classify(knn, bank, -1, ranking), "n is -1");
    refused(moco_knn_classify(knn, bad, 2, ranking), "row 1");
    refused(moco_knn_evaluate(NULL, bank, labels, 2, &top1, NULL), "knn");
    refused(moco_knn_evaluate(knn, bank, labels, 0, &top1, NULL), "n is 0");
    refused(moco_knn_evaluate(knn, bank, beyond, 2, &top1, NULL), "labels[1]");
    refused(moco_knn_evaluate(knn, bank, negative, 2, &top1, NULL), "labels[1]");
    refused(moco_knn_evaluate(knn, bad, labels, 2, &top1, NULL), "row 1");
    moco_knn_destroy(knn);
    moco_knn_destroy(NULL);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rankings_equal_the_definition),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(of_equal_rows_the_first_are_nearest),
        cmocka_unit_test(of_equal_votes_the_lower_class_is_first),
        cmocka_unit_test(one_class_is_always_right),
        cmocka_unit_test(accuracies),
        cmocka_unit_test(classes_without_a_vote_are_no_answers),
        cmocka_unit_test(zero_rows_tiny_temperatures_huge_values),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
