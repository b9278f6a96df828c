/* The loss operator of the conformance suite, against the float64 reference and closed forms. */
#ifndef MOCO_TEST_INFO_NCE_CASES_H
#define MOCO_TEST_INFO_NCE_CASES_H

#include <moco/queue.h>

#include "conformance/layer_check.h"

typedef struct nce_case {
    int64_t n;
    int64_t dim;
    int64_t keys;
    double temperature;
    double *q;
    double *k;
    double *queue;
    int64_t *sample_ids; /* NULL: no masking */
    int64_t *key_ids;
    int32_t narrow; /* the tested backend gets its keys as bfloat16, which they are */
    int32_t exact;  /* float32 has no rounding error in the dot products */
} nce_case;

static nce_case nce_create(int64_t n, int64_t dim, int64_t keys, double temperature) {
    nce_case c = {.n = n, .dim = dim, .keys = keys, .temperature = temperature};
    c.q = (double *) calloc((size_t) (n * dim), sizeof(double));
    c.k = (double *) calloc((size_t) (n * dim), sizeof(double));
    c.queue = (double *) calloc((size_t) (keys * dim) + 1, sizeof(double));
    return c;
}

static void nce_free(nce_case *c) {
    free(c->q);
    free(c->k);
    free(c->queue);
    free(c->sample_ids);
    free(c->key_ids);
}

static void unit_rows(moco_random *random, double *rows, int64_t count, int64_t dim, double size) {
    for (int64_t i = 0; i < count; ++i) {
        double squares = 0.0;
        for (int64_t d = 0; d < dim; ++d) {
            rows[i * dim + d] = moco_random_normal(random);
            squares += rows[i * dim + d] * rows[i * dim + d];
        }
        for (int64_t d = 0; d < dim; ++d) rows[i * dim + d] = (float) (rows[i * dim + d] * size / sqrt(squares));
    }
}

/* q, unit-norm keys, and positives that resemble their queries. */
static void nce_fill(moco_random *random, nce_case *c) {
    unit_rows(random, c->q, c->n, c->dim, 1.0);
    unit_rows(random, c->queue, c->keys, c->dim, 1.0);
    unit_rows(random, c->k, c->n, c->dim, 0.9);
    for (int64_t i = 0; i < c->n * c->dim; ++i) c->k[i] = (float) (0.2 * c->k[i] + 0.8 * c->q[i]);
}

/* Where the gradients go; NULL leaves one out. */
typedef struct nce_gradients {
    double *d_q;    /* n x dim */
    double *d_k;    /* n x dim */
    double *d_keys; /* keys x dim */
} nce_gradients;

static const nce_gradients nce_value_only = {NULL, NULL, NULL};

static nce_gradients nce_gradients_create(const nce_case *c) {
    const nce_gradients gradients = {
        (double *) malloc((size_t) (c->n * c->dim) * sizeof(double)),
        (double *) malloc((size_t) (c->n * c->dim) * sizeof(double)),
        (double *) malloc((size_t) (c->keys * c->dim + 1) * sizeof(double)),
    };
    return gradients;
}

static void nce_gradients_free(nce_gradients *gradients) {
    free(gradients->d_q);
    free(gradients->d_k);
    free(gradients->d_keys);
}

static moco_info_nce_args nce_run(moco_context *context, int32_t dtype, const nce_case *c,
                                  const nce_gradients *gradients) {
    moco_info_nce_args args;
    memset(&args, 0, sizeof args);
    args.q = value_tensor(context, dtype, c->q, c->n * c->dim);
    args.k = value_tensor(context, dtype, c->k, c->n * c->dim);
    args.keys = value_tensor(context, dtype, c->queue, c->keys * c->dim);
    if (gradients->d_q != NULL) args.d_q = nan_tensor(context, dtype, c->n * c->dim, 0);
    if (gradients->d_k != NULL) args.d_k = nan_tensor(context, dtype, c->n * c->dim, 0);
    if (gradients->d_keys != NULL) args.d_keys = nan_tensor(context, dtype, c->keys * c->dim, 0);
    moco_tensor *matrices[] = {&args.q, &args.k, &args.d_q, &args.d_k, &args.keys, &args.d_keys};
    for (int i = 0; i < 6; ++i) {
        if (matrices[i]->buffer == NULL) continue;
        *matrices[i] = moco_tensor_2d(matrices[i]->buffer, 0, dtype, i >= 4 ? c->keys : c->n, c->dim);
    }
    if (c->narrow && dtype == MOCO_DTYPE_F32 && c->keys > 0) {
        moco_tensor keys = nan_tensor(context, MOCO_DTYPE_BF16, c->keys * c->dim, 0);
        keys = moco_tensor_2d(keys.buffer, 0, MOCO_DTYPE_BF16, c->keys, c->dim);
        assert_ok(moco_tensor_convert(context, &keys, &args.keys));
        moco_buffer_destroy(context, args.keys.buffer);
        args.keys = keys;
    }
    args.sample_ids = c->sample_ids;
    args.key_ids = c->key_ids;
    args.temperature = c->temperature;
    assert_ok(moco_info_nce(context, &args));
    if (gradients->d_q != NULL) download_values(context, &args.d_q, gradients->d_q);
    if (gradients->d_k != NULL) download_values(context, &args.d_k, gradients->d_k);
    if (gradients->d_keys != NULL) download_values(context, &args.d_keys, gradients->d_keys);
    for (int i = 0; i < 6; ++i) moco_buffer_destroy(context, matrices[i]->buffer);
    return args;
}

static double greatest_norm(const double *rows, int64_t count, int64_t dim) {
    double result = 0.0;
    for (int64_t i = 0; i < count; ++i) {
        double squares = 0.0;
        for (int64_t d = 0; d < dim; ++d) squares += rows[i * dim + d] * rows[i * dim + d];
        result = fmax(result, sqrt(squares));
    }
    return result;
}

static double nce_dot(const double *a, const double *b, int64_t dim) {
    double sum = 0.0;
    for (int64_t d = 0; d < dim; ++d) sum += a[d] * b[d];
    return sum;
}

/* The sum over the samples of each key's probability: how much of them a key's gradient has. */
static double *nce_masses(const nce_case *c) {
    double *mass = (double *) calloc((size_t) c->keys + 1, sizeof(double));
    double *weights = (double *) malloc(((size_t) c->keys + 1) * sizeof(double));
    for (int64_t i = 0; i < c->n; ++i) {
        const double *q = c->q + i * c->dim;
        const double positive = nce_dot(q, c->k + i * c->dim, c->dim) / c->temperature;
        double greatest = positive;
        for (int64_t j = 0; j < c->keys; ++j) {
            const int32_t masked =
                c->sample_ids != NULL && c->sample_ids[i] == c->key_ids[j] && c->key_ids[j] != MOCO_QUEUE_NO_ID;
            weights[j] = masked ? -INFINITY : nce_dot(q, c->queue + j * c->dim, c->dim) / c->temperature;
            greatest = fmax(greatest, weights[j]);
        }
        double sum = exp(positive - greatest);
        for (int64_t j = 0; j < c->keys; ++j) sum += weights[j] = exp(weights[j] - greatest);
        for (int64_t j = 0; j < c->keys; ++j) mass[j] += weights[j] / sum;
    }
    free(weights);
    return mass;
}

/* Samples with a negative so near their positive that float32 may order them otherwise. */
static int64_t nce_near_ties(const nce_case *c, double margin) {
    int64_t ties = 0;
    for (int64_t i = 0; i < c->n; ++i) {
        const double positive = nce_dot(c->q + i * c->dim, c->k + i * c->dim, c->dim);
        int32_t tie = 0;
        for (int64_t j = 0; j < c->keys; ++j) {
            tie |= fabs(nce_dot(c->q + i * c->dim, c->queue + j * c->dim, c->dim) - positive) < margin;
        }
        ties += tie;
    }
    return ties;
}

static void nce_assert(double actual, double expected, double tolerance, const nce_case *c, const char *what) {
    if (fabs(actual - expected) <= tolerance) return;
    fail_msg(
        "%s is %.12g, the reference has %.12g, at most %.3g apart is allowed; n %lld dim %lld K %lld T %g masked %d",
        what, actual, expected, tolerance, (long long) c->n, (long long) c->dim, (long long) c->keys, c->temperature,
        c->sample_ids != NULL);
}

static void nce_check(const nce_case *c) {
    const size_t bytes = (size_t) (c->n * c->dim) * sizeof(double);
    const size_t key_bytes = (size_t) (c->keys * c->dim) * sizeof(double);
    nce_gradients wanted = nce_gradients_create(c), made = nce_gradients_create(c);
    nce_gradients by_threads = nce_gradients_create(c), alone = nce_gradients_create(c);
    const moco_info_nce_args expected = nce_run(suite.oracle, MOCO_DTYPE_F64, c, &wanted);
    const moco_info_nce_args actual = nce_run(suite.tested, MOCO_DTYPE_F32, c, &made);
    const moco_info_nce_args threads = nce_run(suite.tested_threads, MOCO_DTYPE_F32, c, &by_threads);
    const moco_info_nce_args value_only = nce_run(suite.tested, MOCO_DTYPE_F32, c, &nce_value_only);
    const double key = fmax(greatest_norm(c->k, c->n, c->dim), greatest_norm(c->queue, c->keys, c->dim));
    const double dot = greatest_norm(c->q, c->n, c->dim) * key; /* the largest possible */
    const double dot_error = c->exact ? 0.0 : 1e-6 * dot, logit_error = dot_error / fabs(c->temperature);

    nce_assert(actual.loss, expected.loss, logit_error + 1e-6 * fabs(expected.loss) + 1e-12, c, "loss");
    nce_assert(actual.mean_positive_similarity, expected.mean_positive_similarity, 1e-6 * dot, c, "positive");
    nce_assert(actual.mean_negative_similarity, expected.mean_negative_similarity, 1e-6 * dot, c, "negative");
    const double ties = c->exact ? 0.0 : (double) nce_near_ties(c, 2.0 * dot_error);
    nce_assert((double) actual.top1, (double) expected.top1, ties, c, "top1");
    nce_assert((double) actual.top5, (double) expected.top5, ties, c, "top5");
    nce_assert((double) actual.masked, (double) expected.masked, 0.0, c, "masked");
    const double scale = key / fabs(c->temperature) / (double) c->n;
    const double query_scale = scale * greatest_norm(c->q, c->n, c->dim) / key; /* d_k and d_keys are sums of queries */
    for (int64_t i = 0; i < c->n * c->dim; ++i) {
        nce_assert(made.d_q[i], wanted.d_q[i], scale * (2e-6 + 2.0 * logit_error) + 1e-37, c, "d_q");
        nce_assert(made.d_k[i], wanted.d_k[i], query_scale * (2e-6 + 2.0 * logit_error) + 1e-37, c, "d_k");
    }
    double *mass = nce_masses(c);
    for (int64_t j = 0; j < c->keys; ++j) {
        const double error = query_scale * mass[j] * (2e-6 + 2.0 * logit_error) + 1e-37;
        for (int64_t d = j * c->dim; d < (j + 1) * c->dim; ++d)
            nce_assert(made.d_keys[d], wanted.d_keys[d], error, c, "d_keys");
    }
    free(mass);
    assert_memory_equal(made.d_q, by_threads.d_q, bytes);
    assert_memory_equal(made.d_k, by_threads.d_k, bytes);
    assert_memory_equal(made.d_keys, by_threads.d_keys, key_bytes);
    /* Each gradient has the same bits whichever others are asked for. */
    nce_run(suite.tested, MOCO_DTYPE_F32, c, &(nce_gradients){.d_q = alone.d_q});
    nce_run(suite.tested, MOCO_DTYPE_F32, c, &(nce_gradients){.d_k = alone.d_k});
    nce_run(suite.tested, MOCO_DTYPE_F32, c, &(nce_gradients){.d_keys = alone.d_keys});
    assert_memory_equal(made.d_k, alone.d_k, bytes);
    assert_memory_equal(made.d_q, alone.d_q, bytes);
    assert_memory_equal(made.d_keys, alone.d_keys, key_bytes);
    assert_true(actual.loss == threads.loss && actual.loss == value_only.loss);
    assert_true(actual.mean_positive_similarity == threads.mean_positive_similarity);
    assert_true(actual.mean_negative_similarity == threads.mean_negative_similarity);
    assert_true(actual.top1 == threads.top1 && actual.top5 == threads.top5 && actual.top1 == value_only.top1);
    nce_gradients_free(&wanted);
    nce_gradients_free(&made);
    nce_gradients_free(&by_threads);
    nce_gradients_free(&alone);
}

static void test_info_nce(void **state) {
    (void) state;
    static const int64_t shapes[][3] = {
        {1, 1, 0},  {1, 1, 1},       {3, 5, 0},     {1, 128, 1},    {2, 7, 5},
        {5, 3, 33}, {17, 128, 1000}, {33, 64, 515}, {64, 130, 257},
    };
    static const double temperatures[] = {0.07, 0.2, 1.0, -0.2, 0.01};
    for (int64_t seed = 0; seed < suite.seeds; ++seed) {
        moco_random random = suite_random(30, seed);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes + 10; ++i) {
            const int64_t drawn[3] = {random_between(&random, 1, 70), random_between(&random, 1, 200),
                                      random_between(&random, 0, 600)};
            const int64_t *shape = i < sizeof shapes / sizeof *shapes ? shapes[i] : drawn;
            nce_case c = nce_create(shape[0], shape[1], shape[2], temperatures[i % 5]);
            nce_fill(&random, &c);
            nce_check(&c);
            nce_free(&c);
        }
    }
}

/* Keys in bfloat16, against float64 keys of the same values. */
static void test_info_nce_narrow(void **state) {
    (void) state;
    moco_random random = suite_random(34, 0);
    for (int i = 0; i < 17; ++i) {
        const int32_t wide = i == 16; /* rows so long that a tile has fewer keys than a block */
        nce_case c =
            nce_create(wide ? 3 : random_between(&random, 1, 70), wide ? 1500 : random_between(&random, 1, 200),
                       wide ? 1100 : random_between(&random, 0, 600), i % 2 ? 0.07 : -0.2);
        nce_fill(&random, &c);
        c.narrow = 1;
        const double size = i % 4 == 3 ? 1e3 : 1.0; /* logits too large for float32 */
        for (int64_t j = 0; j < c.keys * c.dim; ++j) c.queue[j] = ldexp(nearbyint(ldexp(c.queue[j], 7)), -7) * size;
        c.exact = 0;
        if (size > 1.0) {
            for (int64_t j = 0; j < c.keys * c.dim; ++j) c.queue[j] = c.queue[j] > 0 ? 1024.0 : -512.0;
        }
        nce_check(&c);
        nce_free(&c);
    }
}

/* Rows of norm 1e4 at T = 0.01, so logits up to 1e10, along the axes: the dot products are 0 or +-1e8. */
static void test_info_nce_huge(void **state) {
    (void) state;
    moco_random random = suite_random(31, 0);
    for (int i = 0; i < 12; ++i) {
        nce_case c = nce_create(random_between(&random, 1, 40), random_between(&random, 1, 20),
                                random_between(&random, 1, 300), 0.01);
        double *parts[] = {c.q, c.k, c.queue};
        c.exact = 1;
        for (int part = 0; part < 3; ++part) {
            for (int64_t row = 0; row < (part == 2 ? c.keys : c.n); ++row) {
                parts[part][row * c.dim + random_between(&random, 0, c.dim - 1)] =
                    moco_random_below(&random, 2) ? 1e4 : -1e4;
            }
        }
        nce_check(&c);
        nce_free(&c);
    }
}

/* A collapsed encoder: every row is the same. All logits are equal, and equal ones count against the positive. */
static void test_info_nce_collapsed(void **state) {
    (void) state;
    moco_random random = suite_random(32, 0);
    for (int i = 0; i < 12; ++i) {
        nce_case c = nce_create(random_between(&random, 1, 40), random_between(&random, 1, 140),
                                random_between(&random, 1, i < 6 ? 8 : 300), 0.07);
        double *d_q = (double *) malloc((size_t) (c.n * c.dim) * sizeof(double));
        unit_rows(&random, c.queue, 1, c.dim, 1.0);
        for (int64_t j = 0; j < c.n * c.dim; ++j) c.q[j] = c.k[j] = c.queue[j % c.dim];
        for (int64_t j = 0; j < c.keys * c.dim; ++j) c.queue[j] = c.queue[j % c.dim];
        const moco_info_nce_args result = nce_run(suite.tested, MOCO_DTYPE_F32, &c, &(nce_gradients){.d_q = d_q});
        /* Float32 logits of 1 / T, each half a unit in the last place off. */
        nce_assert(result.loss, log((double) c.keys + 1.0), 2e-7 / c.temperature, &c, "loss of equal rows");
        nce_assert((double) result.top1, 0.0, 0.0, &c, "top1 of equal rows");
        nce_assert((double) result.top5, c.keys < 5 ? (double) c.n : 0.0, 0.0, &c, "top5 of equal rows");
        for (int64_t j = 0; j < c.n * c.dim; ++j) nce_assert(d_q[j], 0.0, 1e-5, &c, "d_q of equal rows");
        free(d_q);
        nce_free(&c);
    }
}

static void test_info_nce_masked(void **state) {
    (void) state;
    moco_random random = suite_random(33, 0);
    for (int i = 0; i < 12; ++i) {
        nce_case c = nce_create(random_between(&random, 1, 40), random_between(&random, 1, 140),
                                random_between(&random, 1, 300), i % 2 ? 0.07 : -0.2);
        nce_fill(&random, &c);
        c.sample_ids = (int64_t *) malloc((size_t) c.n * sizeof(int64_t));
        c.key_ids = (int64_t *) malloc((size_t) c.keys * sizeof(int64_t));
        const int64_t ids = i == 0 ? 1 : random_between(&random, 1, 30); /* one id: no negative is left */
        for (int64_t j = 0; j < c.n; ++j) c.sample_ids[j] = random_between(&random, 0, ids - 1) - 3;
        for (int64_t j = 0; j < c.keys; ++j) c.key_ids[j] = random_between(&random, 0, ids - 1) - 3;
        if (i % 3 == 0) c.sample_ids[0] = c.key_ids[0] = MOCO_QUEUE_NO_ID; /* equal, but no id: not masked */
        nce_check(&c);
        int64_t masked = 0;
        for (int64_t j = 0; j < c.n * c.keys; ++j) {
            const int64_t id = c.key_ids[j % c.keys];
            masked += id != MOCO_QUEUE_NO_ID && id == c.sample_ids[j / c.keys];
        }
        assert_int_equal(nce_run(suite.oracle, MOCO_DTYPE_F64, &c, &nce_value_only).masked, masked);
        nce_free(&c);
    }
}

#endif
