/* Value, statistics and gradients against the float64 oracle: random shapes, every instruction set's kernels, masks,
 * inputs of any size that float32 holds.
 */
#include <math.h>
#include <moco.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/info_nce/info_nce.h"
#include "backend/cpu/info_nce/info_nce_select.h"
#include "backend/host_memory.h"
#include "support/loss_oracle.h"

typedef struct scenario {
    int64_t n, dim, count;
    double q_length, k_length, key_length; /* of rows; negative: standard deviation of the values, not normalized */
    double temperature;
    int32_t masked;
    uint64_t seed;
} scenario;

static float *floats(int64_t count) {
    return (float *) malloc((size_t) (count > 0 ? count : 1) * sizeof(float));
}

/* One operator call, of a kernel of the cblas backend or (kernel NULL) of the whole chain under `context`. */
static moco_status call(moco_context *context, const moco_nce_kernel *kernel, const scenario *s, float *q, float *k,
                        float *keys, const int64_t *sample_ids, const int64_t *key_ids, moco_loss_result *result,
                        float *d_q, float *d_k, float *d_keys) {
    if (kernel == NULL && d_keys != NULL) {
        moco_loss *loss = oracle_loss(context, s->temperature, 0);
        assert_non_null(loss);
        const moco_status status =
            moco_loss_compute_keys(loss, q, k, s->n, s->dim, keys, s->masked ? key_ids : NULL, s->count,
                                   s->masked ? sample_ids : NULL, result, d_q, d_k, d_keys);
        moco_loss_destroy(loss);
        return status;
    }
    if (kernel == NULL) {
        moco_loss *loss = oracle_loss(context, s->temperature, s->masked);
        moco_queue *queue = oracle_queue(context, keys, key_ids, s->count, s->dim);
        assert_non_null(loss);
        assert_non_null(queue);
        const moco_status status = moco_loss_compute(loss, q, k, s->n, queue, sample_ids, result, d_q);
        moco_queue_destroy(queue);
        moco_loss_destroy(loss);
        return status;
    }
    moco_host_backend self = {context};
    moco_host_buffer buffers[6] = {{(char *) q, 0, 0},   {(char *) k, 0, 0},   {(char *) keys, 0, 0},
                                   {(char *) d_q, 0, 0}, {(char *) d_k, 0, 0}, {(char *) d_keys, 0, 0}};
    const moco_tensor rows = {&buffers[0], 0, MOCO_DTYPE_F32, 2, {s->n, s->dim, 1, 1}, MOCO_LAYOUT_PLAIN};
    moco_info_nce_args args = {.q = rows, .k = rows, .keys = rows, .d_q = rows, .temperature = s->temperature};
    args.k.buffer = &buffers[1];
    args.keys.buffer = &buffers[2];
    args.keys.dims[0] = s->count;
    args.d_k = args.k;
    args.d_keys = args.keys;
    args.d_q.buffer = d_q == NULL ? NULL : &buffers[3];
    args.d_k.buffer = d_k == NULL ? NULL : &buffers[4];
    args.d_keys.buffer = d_keys == NULL ? NULL : &buffers[5];
    args.sample_ids = s->masked ? sample_ids : NULL;
    args.key_ids = s->masked ? key_ids : NULL;
    const moco_status status = moco_cpu_info_nce_with(&self, kernel, &args);
    result->loss = args.loss;
    result->mean_positive_similarity = args.mean_positive_similarity;
    result->mean_negative_similarity = args.mean_negative_similarity;
    result->top1 = (double) args.top1 / (double) s->n;
    result->top5 = (double) args.top5 / (double) s->n;
    result->masked = args.masked;
    return status;
}

static void expect_near(double actual, double expected, double tolerance, const char *what, const scenario *s) {
    if (fabs(actual - expected) <= tolerance) return;
    fail_msg("%s is %.9g, expected %.9g within %.2g (n %lld dim %lld K %lld lengths %g %g %g T %g seed %llu)", what,
             actual, expected, tolerance, (long long) s->n, (long long) s->dim, (long long) s->count, s->q_length,
             s->k_length, s->key_length, s->temperature, (unsigned long long) s->seed);
}

/* d_k and d_keys are sums of queries, each weighted by a probability that is off by logit_error of itself. */
static void expect_key_gradients(const scenario *s, const float *q, const float *k, const float *keys,
                                 const int64_t *sample_ids, const int64_t *key_ids, const float *d_k,
                                 const float *d_keys, double logit_error) {
    double *p = (double *) malloc((size_t) (s->n * s->count + 1) * sizeof *p);
    double *rests = (double *) malloc((size_t) s->n * sizeof *rests);
    oracle_probabilities(q, k, s->n, s->dim, keys, s->count, s->temperature, sample_ids, key_ids, p, rests);
    const double outer = 1 / ((double) s->n * s->temperature), error = fabs(outer) * (2 * logit_error + 2e-6);
    for (int64_t i = 0; i < s->n * s->dim; ++i) {
        const double value = (double) q[i];
        const double near = error * fabs(value) + FLT_MIN; /* rests are at most 1 */
        expect_near((double) d_k[i], -outer * rests[i / s->dim] * value, near, "a gradient of k", s);
    }
    for (int64_t j = 0; j < s->count; ++j) {
        for (int64_t d = 0; d < s->dim; ++d) {
            double sum = 0, size = 0;
            for (int64_t i = 0; i < s->n; ++i) {
                const double term = p[i * s->count + j] * (double) q[i * s->dim + d];
                sum += term;
                size += fabs(term);
            }
            expect_near((double) d_keys[j * s->dim + d], outer * sum, error * size + FLT_MIN, "a gradient of a key", s);
        }
    }
    free(p);
    free(rests);
}

/* With logits of size L (nats), float32 inputs and sums leave errors near 1e-7 L in a logit, below 1e-5 at the sizes
 * where float32 is used at all; beyond them the library works in double, so the tolerance stops growing. */
static void expect_scenario(const scenario *s, moco_context *context, const moco_nce_kernel *kernel) {
    float *q = floats(s->n * s->dim), *k = floats(s->n * s->dim), *d_q = floats(s->n * s->dim);
    float *keys = floats(s->count * s->dim);
    double *gradient = (double *) malloc((size_t) (s->n * s->dim) * sizeof *gradient);
    int64_t *sample_ids = (int64_t *) malloc((size_t) s->n * sizeof *sample_ids);
    int64_t *key_ids = (int64_t *) malloc((size_t) (s->count + 1) * sizeof *key_ids);
    oracle_rows(q, s->n, s->dim, s->q_length, s->seed);
    oracle_rows(k, s->n, s->dim, s->k_length, s->seed + 1);
    oracle_rows(keys, s->count, s->dim, s->key_length, s->seed + 2);
    for (int64_t i = 0; i < s->n; ++i) sample_ids[i] = i % 5;
    for (int64_t j = 0; j < s->count; ++j) key_ids[j] = j % 11 == 0 ? MOCO_QUEUE_NO_ID : j % 9;

    const oracle_result expected = oracle_info_nce(q, k, s->n, s->dim, keys, s->count, s->temperature,
                                                   s->masked ? sample_ids : NULL, key_ids, gradient);
    moco_loss_result result, without_gradient;
    moco_loss_result_init(&result, sizeof result);
    moco_loss_result_init(&without_gradient, sizeof result);
    float *d_k = floats(s->n * s->dim), *d_keys = floats(s->count * s->dim), *alone = floats(s->n * s->dim);
    assert_int_equal(call(context, kernel, s, q, k, keys, sample_ids, key_ids, &result, d_q, d_k, d_keys), MOCO_OK);
    assert_int_equal(call(context, kernel, s, q, k, keys, sample_ids, key_ids, &without_gradient, alone, NULL, NULL),
                     MOCO_OK);
    assert_true(result.loss == without_gradient.loss);
    assert_memory_equal(d_q, alone, (size_t) (s->n * s->dim) * sizeof *d_q);
    assert_int_equal(call(context, kernel, s, q, k, keys, sample_ids, key_ids, &without_gradient, NULL, NULL, NULL),
                     MOCO_OK);
    assert_true(result.loss == without_gradient.loss);

    const double logit_error = fmin(1e-5, 2e-7 * (1 + expected.largest_logit));
    const double similarity_error = 1e-6 * expected.largest_logit * fabs(s->temperature) + FLT_MIN;
    expect_near(result.loss, expected.loss, logit_error + 1e-6 * fabs(expected.loss), "loss", s);
    expect_near(result.mean_positive_similarity, expected.positive, similarity_error, "mean positive", s);
    expect_near(result.mean_negative_similarity, expected.negative, similarity_error, "mean negative", s);
    /* Two values may round to either side of a near tie: allowed to one sample of a large batch. */
    const double near_ties = 1e-9 + (s->n >= 100 ? 1.0 / (double) s->n : 0.0);
    expect_near(result.top1, expected.top1, near_ties, "top1", s);
    expect_near(result.top5, expected.top5, near_ties, "top5", s);
    assert_int_equal(result.masked, expected.masked);
    double scale = 0;
    for (int64_t i = 0; i < s->count * s->dim; ++i) scale = fmax(scale, fabs((double) keys[i]));
    for (int64_t i = 0; i < s->n * s->dim; ++i) scale = fmax(scale, fabs((double) k[i]));
    scale /= (double) s->n * fabs(s->temperature);
    for (int64_t i = 0; i < s->n * s->dim; ++i)
        expect_near((double) d_q[i], gradient[i], scale * (logit_error + 1e-6) + FLT_MIN, "a gradient", s);
    expect_key_gradients(s, q, k, keys, s->masked ? sample_ids : NULL, key_ids, d_k, d_keys, logit_error);
    free(d_k);
    free(d_keys);
    free(alone);
    free(q);
    free(k);
    free(d_q);
    free(keys);
    free(gradient);
    free(sample_ids);
    free(key_ids);
}

/* Under the chain of both backends, and with every kernel that this processor runs. */
static void expect_everywhere(const scenario *s) {
    static const char *const backends[] = {"reference", "cblas"};
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 1);
        assert_non_null(context);
        expect_scenario(s, context, NULL);
        if (b == 1) {
            for (const moco_nce_kernel *const *kernel = moco_nce_kernel_list(); *kernel != NULL; ++kernel)
                expect_scenario(s, context, *kernel);
        }
        moco_context_destroy(context);
    }
}

static void random_shapes(void **state) {
    (void) state;
    static const double temperatures[] = {0.07, 0.2, 1, 7, -0.5, 0.02};
    moco_random random;
    moco_random_init(&random, 11, MOCO_RANDOM_TEST, 0, 0);
    for (int trial = 0; trial < 60; ++trial) {
        scenario s = {
            .n = 1 + (int64_t) moco_random_below(&random, trial % 3 == 0 ? 300 : 40),
            .dim = 1 + (int64_t) moco_random_below(&random, trial % 5 == 0 ? 513 : 70),
            .count = (int64_t) moco_random_below(&random, trial % 7 == 0 ? 5001 : 500),
            .q_length = 1,
            .k_length = 1,
            .key_length = 1,
            .temperature = temperatures[trial % 6],
            .masked = trial % 4 == 0,
            .seed = (uint64_t) trial * 10,
        };
        if (trial % 2 == 1) { /* not normalized */
            s.q_length = -moco_random_uniform(&random, 0.1, 2);
            s.k_length = -moco_random_uniform(&random, 0.1, 2);
            s.key_length = -moco_random_uniform(&random, 0.1, 2);
        }
        while (s.n * s.dim * s.count > 5000000) s.count /= 2; /* keeps the oracle fast */
        expect_everywhere(&s);
    }
}

static void shapes_around_blocks_and_tiles(void **state) {
    (void) state;
    static const int64_t rows[] = {1, 4, 5, 8, 15, 16, 17, 31, 33, 48, 63, 64, 65, 127, 129, 193};
    static const int64_t keys[] = {1, 2, 5, 6, 7, 11, 13, 95, 96, 97, 1023, 1025, 1, 23, 25, 4097};
    static const int64_t dims[] = {1, 2, 3, 5, 6, 7, 8, 11, 13, 15, 16, 17, 31, 33, 128, 19};
    for (int i = 0; i < 16; ++i) {
        const scenario s = {rows[i], dims[15 - i], keys[i], 1, 1, 1, 0.1, i % 2, (uint64_t) i};
        expect_everywhere(&s);
        const scenario t = {rows[15 - i], dims[i], keys[i], 1, 1, 1, 0.3, i % 2, (uint64_t) i};
        expect_everywhere(&t);
    }
}

static void extreme_but_finite(void **state) {
    (void) state;
    static const scenario scenarios[] = {
        {3, 16, 200, 1e4, 1e4, 1e4, 0.07, 0, 1},      /* logits of 1e9 */
        {3, 16, 200, 1e4, 1e4, 1e4, -0.07, 0, 1},     /* and the smallest one wins */
        {70, 16, 200, 1, 1, 1, 0.01, 0, 2},           /* the brief's: temperature 0.01 */
        {5, 16, 200, 1, 1, 1, 1e-8, 0, 3},            /* the smallest temperature */
        {5, 16, 200, 1, 1, 1, 1e30, 0, 3},            /* and a huge one */
        {4, 1, 1, 1e30, 1e30, 1e30, 0.07, 0, 4},      /* products beyond float32 */
        {4, 8, 1000, 1e30, 1e30, 1e30, 1, 1, 5},      /* the same with masks */
        {4, 8, 100, 1e-30, 1e-30, 1e-30, 0.07, 0, 6}, /* products below float32 */
        {4, 8, 100, 1, 1e30, 1, 0.07, 0, 7},          /* only the positive is huge */
        {4, 8, 100, 1e-30, 1e35, 1e35, 0.07, 0, 8},   /* tiny queries, huge keys, moderate logits */
        {2, 300, 4000, 300, 1, 1, 0.5, 0, 9},         /* a tile on each side of the limit of float32 */
        {1, 1, 1, 1, 1, 1, 0.07, 0, 10},
    };
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; ++i) expect_everywhere(&scenarios[i]);
}

/* Keys so large that two of them overflow a float32 sum, but not their mean, the gradient. */
static void sums_of_the_largest_floats(void **state) {
    (void) state;
    for (const moco_nce_kernel *const *kernel = moco_nce_kernel_list(); *kernel != NULL; ++kernel) {
        moco_context *context = oracle_context("cblas", 1);
        enum { K = 50 };
        float q[2] = {0, 1}, k[2] = {0, 0}, d_q[2] = {0, 0}, keys[K][2];
        for (int j = 0; j < K; ++j) {
            keys[j][0] = 3e38f;
            keys[j][1] = 0;
        }
        const scenario s = {1, 2, K, 0, 0, 0, 1, 0, 0};
        moco_loss_result result;
        assert_int_equal(call(context, *kernel, &s, q, k, keys[0], NULL, NULL, &result, d_q, NULL, NULL), MOCO_OK);
        expect_near(result.loss, log(K + 1.0), 1e-6, "loss", &s);
        expect_near((double) d_q[0] / 3e38, K / (K + 1.0), 1e-5, "gradient", &s);
        moco_context_destroy(context);
    }
}

/* One huge key among ordinary ones, early or late: some tiles in float32, some in double, joined rightly. */
static void one_huge_key(void **state) {
    (void) state;
    enum { N = 70, DIM = 32, K = 2500 };
    static float q[N * DIM], k[N * DIM], keys[K * DIM], d_q[N * DIM];
    static double gradient[N * DIM];
    static const int64_t places[] = {0, 100, 1100, K - 1};
    for (size_t p = 0; p < 4; ++p) {
        for (const moco_nce_kernel *const *kernel = moco_nce_kernel_list(); *kernel != NULL; ++kernel) {
            moco_context *context = oracle_context("cblas", 2);
            oracle_rows(q, N, DIM, 1, 1);
            oracle_rows(k, N, DIM, 1, 2);
            oracle_rows(keys, K, DIM, 1, 3);
            for (int d = 0; d < DIM; ++d) keys[places[p] * DIM + d] *= 200;
            const scenario s = {N, DIM, K, 0, 0, 0, 0.3, 0, 0};
            const oracle_result expected = oracle_info_nce(q, k, N, DIM, keys, K, 0.3, NULL, NULL, gradient);
            moco_loss_result result;
            assert_int_equal(call(context, *kernel, &s, q, k, keys, NULL, NULL, &result, d_q, NULL, NULL), MOCO_OK);
            expect_near(result.loss, expected.loss, 1e-5, "loss", &s);
            expect_near(result.top1, expected.top1, 0.02, "top1", &s);
            for (int i = 0; i < N * DIM; ++i)
                expect_near((double) d_q[i], gradient[i], 1e-5 * 200 / (N * 0.3), "a gradient", &s);
            moco_context_destroy(context);
        }
    }
}

/* The gradient is the derivative of the value: central differences of the oracle and of the library's own loss. */
static void finite_differences(void **state) {
    (void) state;
    enum { N = 5, DIM = 9, K = 40 };
    float q[N * DIM], k[N * DIM], keys[K * DIM], d_q[N * DIM];
    static const double temperatures[] = {0.1, 1, -0.5};
    for (size_t t = 0; t < 3; ++t) {
        moco_context *context = oracle_context("cblas", 1);
        oracle_rows(q, N, DIM, 1, 21);
        oracle_rows(k, N, DIM, 1, 22);
        oracle_rows(keys, K, DIM, 1, 23);
        const scenario s = {N, DIM, K, 0, 0, 0, temperatures[t], 0, 0};
        moco_loss_result result, high, low;
        assert_int_equal(call(context, moco_nce_kernel_select(), &s, q, k, keys, NULL, NULL, &result, d_q, NULL, NULL),
                         MOCO_OK);
        for (int i = 0; i < N * DIM; ++i) {
            const float kept = q[i], step = 1.0f / 512;
            q[i] = kept + step;
            const double upper = (double) q[i];
            const double oracle_high = oracle_info_nce(q, k, N, DIM, keys, K, s.temperature, NULL, NULL, NULL).loss;
            call(context, moco_nce_kernel_select(), &s, q, k, keys, NULL, NULL, &high, NULL, NULL, NULL);
            q[i] = kept - step;
            const double width = upper - (double) q[i];
            const double oracle_low = oracle_info_nce(q, k, N, DIM, keys, K, s.temperature, NULL, NULL, NULL).loss;
            call(context, moco_nce_kernel_select(), &s, q, k, keys, NULL, NULL, &low, NULL, NULL, NULL);
            q[i] = kept;
            const double truncation = 1e-6 / pow(fabs(s.temperature), 3);
            expect_near((double) d_q[i], (oracle_high - oracle_low) / width, truncation, "a difference", &s);
            expect_near((double) d_q[i], (high.loss - low.loss) / width, truncation + 1e-3, "a difference", &s);
        }
        moco_context_destroy(context);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_shapes),      cmocka_unit_test(shapes_around_blocks_and_tiles),
        cmocka_unit_test(extreme_but_finite), cmocka_unit_test(sums_of_the_largest_floats),
        cmocka_unit_test(one_huge_key),       cmocka_unit_test(finite_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
