/* moco_loss_compute_keys: the in-batch loss, masks, what may be NULL, what is refused. Its values and gradients at large are
 * in test_loss_oracle.c and in the conformance suite.
 */
#include <math.h>
#include <moco.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/loss_oracle.h"

static const char *const backends[] = {"reference", "cblas"};

static moco_loss_result fresh_result(void) {
    moco_loss_result result;
    moco_loss_result_init(&result, sizeof result);
    return result;
}

static void assert_near(double actual, double expected, double tolerance) {
    if (!(fabs(actual - expected) <= tolerance)) fail_msg("%.9g is not %.9g", actual, expected);
}

/* --- End to end --- */

/* The batch as its own dictionary, as the paper's figure 2a: logits q k' / T with the diagonal as labels, the gradient of
 * the n x n cross-entropy written down here. */
static void in_batch_is_a_cross_entropy_over_the_rows(void **state) {
    (void) state;
    enum { N = 37, DIM = 19 };
    static const double temperatures[] = {0.07, 0.5, -0.3};
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        for (size_t t = 0; t < 3; ++t) {
            const double T = temperatures[t];
            float q[N * DIM], k[N * DIM], d_q[N * DIM], d_k[N * DIM], d_keys[N * DIM];
            double expected_q[N * DIM] = {0}, expected_k[N * DIM] = {0}, loss_value = 0;
            int64_t ids[N];
            oracle_rows(q, N, DIM, 1, 1);
            oracle_rows(k, N, DIM, 1, 2);
            for (int64_t i = 0; i < N; ++i) {
                double logits[N], largest = -INFINITY, sum = 0;
                ids[i] = 1000 - i;
                for (int64_t j = 0; j < N; ++j) {
                    logits[j] = oracle_dot(q + i * DIM, k + j * DIM, DIM) / T;
                    largest = fmax(largest, logits[j]);
                }
                for (int64_t j = 0; j < N; ++j) sum += exp(logits[j] - largest);
                loss_value += (largest + log(sum) - logits[i]) / N;
                for (int64_t j = 0; j < N; ++j) {
                    const double d_logit = (exp(logits[j] - largest) / sum - (j == i)) / (N * T);
                    for (int64_t d = 0; d < DIM; ++d) {
                        expected_q[i * DIM + d] += d_logit * (double) k[j * DIM + d];
                        expected_k[j * DIM + d] += d_logit * (double) q[i * DIM + d];
                    }
                }
            }
            moco_loss *loss = oracle_loss(context, T, 0);
            moco_loss_result result = fresh_result();
            assert_int_equal(moco_loss_compute_keys(loss, q, k, N, DIM, k, ids, N, ids, &result, d_q, d_k, d_keys),
                             MOCO_OK);
            assert_near(result.loss, loss_value, 1e-5);
            assert_int_equal(result.negatives, N);
            assert_int_equal(result.masked, N);
            for (int i = 0; i < N * DIM; ++i) {
                assert_near((double) d_q[i], expected_q[i], 1e-5 / fabs(T));
                assert_near((double) d_k[i] + (double) d_keys[i], expected_k[i], 1e-6 / fabs(T));
            }
            moco_loss_destroy(loss);
        }
        moco_context_destroy(context);
    }
}

/* Steps of gradient descent on both sides lower the in-batch loss. */
static void both_sides_can_learn(void **state) {
    (void) state;
    enum { N = 32, DIM = 16 };
    float q[N * DIM], k[N * DIM], d_q[N * DIM], d_k[N * DIM], d_keys[N * DIM];
    int64_t ids[N];
    moco_context *context = oracle_context("cblas", 2);
    moco_loss *loss = oracle_loss(context, 0.2, 1);
    oracle_rows(q, N, DIM, 1, 1);
    oracle_rows(k, N, DIM, 1, 2);
    for (int64_t i = 0; i < N; ++i) ids[i] = i;
    double last = INFINITY;
    for (int step = 0; step < 20; ++step) {
        moco_loss_result result = fresh_result();
        assert_int_equal(moco_loss_compute_keys(loss, q, k, N, DIM, k, ids, N, ids, &result, d_q, d_k, d_keys),
                         MOCO_OK);
        assert_true(result.loss < last);
        last = result.loss;
        for (int i = 0; i < N * DIM; ++i) {
            q[i] -= 0.3f * d_q[i];
            k[i] -= 0.3f * (d_k[i] + d_keys[i]);
        }
    }
    moco_loss_destroy(loss);
    moco_context_destroy(context);
}

/* --- Edges --- */

/* The keys of a queue, given with the call, have the bits of moco_loss_compute, whichever gradients come along. */
static void equals_the_loss_over_a_queue(void **state) {
    (void) state;
    enum { N = 70, DIM = 33, K = 1200 };
    static float q[N * DIM], k[N * DIM], keys[K * DIM], d_q[N * DIM], same[N * DIM], d_k[N * DIM], d_keys[K * DIM];
    static int64_t ids[K];
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        oracle_rows(q, N, DIM, 1, 1);
        oracle_rows(k, N, DIM, 1, 2);
        oracle_rows(keys, K, DIM, 1, 3);
        for (int64_t j = 0; j < K; ++j) ids[j] = j % 50;
        moco_queue *queue = oracle_queue(context, keys, ids, K, DIM);
        for (int32_t masks = 0; masks <= 1; ++masks) {
            moco_loss *loss = oracle_loss(context, 0.1, masks);
            moco_loss_result expected = fresh_result(), result = fresh_result();
            const int64_t *key_ids = masks ? ids : NULL;
            assert_int_equal(moco_loss_compute(loss, q, k, N, queue, key_ids, &expected, d_q), MOCO_OK);
            for (int wanted = 0; wanted < 8; ++wanted) {
                memset(same, 0, sizeof same);
                assert_int_equal(moco_loss_compute_keys(loss, q, k, N, DIM, keys, key_ids, K, key_ids, &result,
                                                        wanted & 1 ? same : NULL, wanted & 2 ? d_k : NULL,
                                                        wanted & 4 ? d_keys : NULL),
                                 MOCO_OK);
                assert_memory_equal(&result, &expected, sizeof result);
                if (wanted & 1) assert_memory_equal(same, d_q, sizeof same);
            }
            moco_loss_destroy(loss);
        }
        moco_queue_destroy(queue);
        moco_context_destroy(context);
    }
}

static void without_keys_there_is_nothing_to_lose(void **state) {
    (void) state;
    enum { N = 3, DIM = 5 };
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        moco_loss *loss = oracle_loss(context, 0.2, 0);
        float q[N * DIM], d_q[N * DIM], d_k[N * DIM], d_keys[1] = {5};
        oracle_rows(q, N, DIM, 1, 1);
        memset(d_q, 1, sizeof d_q);
        memset(d_k, 1, sizeof d_k);
        moco_loss_result result = fresh_result();
        assert_int_equal(moco_loss_compute_keys(loss, q, q, N, DIM, NULL, NULL, 0, NULL, &result, d_q, d_k, d_keys),
                         MOCO_OK);
        assert_true(result.loss == 0 && result.top1 == 1 && result.negatives == 0 && result.chance_loss == 0);
        for (int i = 0; i < N * DIM; ++i) assert_true(d_q[i] == 0 && d_k[i] == 0);
        assert_true(d_keys[0] == 5); /* of no size: not touched */
        moco_loss_destroy(loss);
        moco_context_destroy(context);
    }
}

/* One row against one key: a logistic loss. And a masked key has no gradient, though its row has. */
static void one_row_and_masked_keys(void **state) {
    (void) state;
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 1);
        moco_loss *loss = oracle_loss(context, 0.5, 0);
        const float q[2] = {1, 0.5f}, k[2] = {0.25f, 1}, keys[4] = {-1, 2, 8, 8};
        float d_q[2], d_k[2], d_keys[4];
        const int64_t ids[2] = {6, 7}, sample = 7;
        moco_loss_result result = fresh_result();
        assert_int_equal(moco_loss_compute_keys(loss, q, k, 1, 2, keys, ids, 2, &sample, &result, d_q, d_k, d_keys),
                         MOCO_OK);
        const double p = 1 / (1 + exp((0.75 - 0.0) / 0.5)); /* of the first key; the second is masked */
        assert_near(result.loss, -log(1 - p), 1e-6);
        assert_int_equal(result.masked, 1);
        for (int d = 0; d < 2; ++d) {
            assert_near((double) d_q[d], p * ((double) keys[d] - (double) k[d]) / 0.5, 1e-6);
            assert_near((double) d_k[d], -p * (double) q[d] / 0.5, 1e-6);
            assert_near((double) d_keys[d], p * (double) q[d] / 0.5, 1e-6);
            assert_true(d_keys[2 + d] == 0);
        }
        moco_loss_destroy(loss);
        moco_context_destroy(context);
    }
}

/* Queries near the largest float: their sum overflows float32, but not their mean, the gradient of a key. */
static void sums_of_the_largest_floats(void **state) {
    (void) state;
    for (size_t b = 0; b < 2; ++b) {
        for (int moderate = 0; moderate <= 1;
             ++moderate) { /* 1: products that float32 holds, only the sum is too large */
            const float size = moderate ? 3e37f : 3e38f, temperature = moderate ? 1e34f : 1.0f;
            moco_context *context = oracle_context(backends[b], 2);
            moco_loss *loss = oracle_loss(context, (double) temperature, 0);
            enum { N = 50 };
            float q[N][2], k[N][2], d_keys[2];
            const float key[2] = {0, moderate ? 1e-3f : 1.0f};
            for (int i = 0; i < N; ++i) {
                q[i][0] = size;
                q[i][1] = 0;
                k[i][0] = k[i][1] = 0;
            }
            moco_loss_result result = fresh_result();
            assert_int_equal(
                moco_loss_compute_keys(loss, q[0], k[0], N, 2, key, NULL, 1, NULL, &result, NULL, NULL, d_keys),
                MOCO_OK);
            assert_near(result.loss, log(2), 1e-6);
            assert_near((double) d_keys[0] / (double) (size / temperature), 0.5, 1e-5);
            assert_true(d_keys[1] == 0);
            moco_loss_destroy(loss);
            moco_context_destroy(context);
        }
    }
}

/* --- Refusals --- */

static void expect_refused(moco_status status, const char *sentence) {
    assert_int_equal(status, MOCO_INVALID_ARGUMENT);
    if (strstr(moco_last_error(), sentence) == NULL) fail_msg("'%s' does not say '%s'", moco_last_error(), sentence);
}

static void refuses_with_a_sentence(void **state) {
    (void) state;
    moco_context *context = oracle_context(NULL, 1);
    moco_loss *loss = oracle_loss(context, 0.2, 0), *masking = oracle_loss(context, 0.2, 1);
    float q[4] = {1, 2, 3, 4}, k[4] = {4, 3, 2, 1}, keys[6] = {1, 0, 0, 1, 1, 1};
    float d_q[4] = {9, 9, 9, 9}, d_k[4] = {9, 9, 9, 9}, d_keys[6] = {9, 9, 9, 9, 9, 9};
    const int64_t ids[2] = {1, 2}, key_ids[3] = {1, 2, 3};
    moco_loss_result result = fresh_result();
    result.loss = 77;
#define COMPUTE(loss, q, k, n, dim, keys, key_ids, count, ids, result, d_q, d_k, d_keys) \
    moco_loss_compute_keys(loss, q, k, n, dim, keys, key_ids, count, ids, result, d_q, d_k, d_keys)
    expect_refused(COMPUTE(NULL, q, k, 2, 2, keys, NULL, 3, NULL, &result, d_q, d_k, d_keys), "loss is NULL");
    expect_refused(COMPUTE(loss, NULL, k, 2, 2, keys, NULL, 3, NULL, &result, d_q, d_k, d_keys), "q is NULL");
    expect_refused(COMPUTE(loss, q, NULL, 2, 2, keys, NULL, 3, NULL, &result, d_q, d_k, d_keys), "k is NULL");
    expect_refused(COMPUTE(loss, q, k, 2, 2, NULL, NULL, 3, NULL, &result, d_q, d_k, d_keys), "keys is NULL");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 3, NULL, NULL, d_q, d_k, d_keys), "result is NULL");
    expect_refused(COMPUTE(loss, q, k, 0, 2, keys, NULL, 3, NULL, &result, d_q, d_k, d_keys), "n is 0");
    expect_refused(COMPUTE(loss, q, k, 2, 0, keys, NULL, 3, NULL, &result, d_q, d_k, d_keys), "dim is 0");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, -1, NULL, &result, d_q, d_k, d_keys), "key_count is -1");
    expect_refused(COMPUTE(loss, q, k, 2, INT64_MAX, keys, NULL, 3, NULL, &result, d_q, d_k, d_keys), "n * dim");
    expect_refused(COMPUTE(loss, q, k, 1, INT64_MAX / 8, keys, NULL, 9, NULL, &result, d_q, d_k, d_keys),
                   sizeof(size_t) < sizeof(int64_t) ? "more than this machine can address" : "dim");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, INT64_MAX, NULL, &result, d_q, d_k, d_keys),
                   "key_count * dim");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, key_ids, 3, NULL, &result, d_q, d_k, d_keys), "sample_ids is NULL");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 3, ids, &result, d_q, d_k, d_keys), "key_ids is NULL");
    expect_refused(COMPUTE(masking, q, k, 2, 2, keys, NULL, 3, NULL, &result, d_q, d_k, d_keys), "sample_ids is NULL");
    /* Outputs overlap nothing; inputs may be one. */
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 3, NULL, &result, q, d_k, d_keys), "d_q overlaps q");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 3, NULL, &result, keys + 2, d_k, d_keys), "d_q overlaps keys");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 3, NULL, &result, d_q, k, d_keys), "d_k overlaps k");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 3, NULL, &result, d_q, d_q, d_keys), "d_k overlaps d_q");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 3, NULL, &result, d_q, d_k, keys), "d_keys overlaps keys");
    expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 2, NULL, &result, d_q, d_keys + 2, d_keys),
                   "d_keys overlaps d_k");
    float *const values[] = {q + 3, k, keys + 5};
    const char *const places[] = {"q holds a NaN or an infinity in row 1, column 1",
                                  "k holds a NaN or an infinity in row 0, column 0",
                                  "keys holds a NaN or an infinity in row 2, column 1"};
    for (int i = 0; i < 3; ++i) {
        const float kept = *values[i];
        *values[i] = i == 1 ? -INFINITY : NAN;
        expect_refused(COMPUTE(loss, q, k, 2, 2, keys, NULL, 3, NULL, &result, d_q, d_k, d_keys), places[i]);
        *values[i] = kept;
    }
    assert_true(result.loss == 77);
    for (int i = 0; i < 4; ++i) assert_true(d_q[i] == 9 && d_k[i] == 9 && d_keys[i] == 9);
    assert_int_equal(COMPUTE(masking, k, k, 2, 2, k, ids, 2, ids, &result, d_q, d_k, d_keys), MOCO_OK);
#undef COMPUTE
    moco_loss_destroy(loss);
    moco_loss_destroy(masking);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_batch_is_a_cross_entropy_over_the_rows),
        cmocka_unit_test(both_sides_can_learn),
        cmocka_unit_test(equals_the_loss_over_a_queue),
        cmocka_unit_test(without_keys_there_is_nothing_to_lose),
        cmocka_unit_test(one_row_and_masked_keys),
        cmocka_unit_test(sums_of_the_largest_floats),
        cmocka_unit_test(refuses_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
