/* The loss: what it refuses, the correlated-embeddings identity, ties, masks, top-5, no negatives. */
#include <math.h>
#include <moco.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/loss_oracle.h"
#include "support/memory_bank.h"

static const char *const backends[] = {"reference", "cblas"};

/* --- As lightly's test_with_correlated_embedding -------------------------------------------------------------- */

/* All embeddings collinear: every logit is equal, and the loss is that of a coin with K + 1 sides. */
static void equal_logits_give_ln_k_plus_1(void **state) {
    (void) state;
    static const int64_t capacities[] = {1, 2, 8, 15, 16, 17}, batches[] = {1, 2, 8, 16};
    static const double temperatures[] = {0.1, 1, 7};
    enum { DIM = 12 };
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        assert_non_null(context);
        for (size_t c = 0; c < 6; ++c) {
            for (size_t batch = 0; batch < 4; ++batch) {
                const int64_t n = batches[batch];
                moco_queue *queue = NULL;
                moco_queue_config config;
                moco_queue_config_init(&config, sizeof config);
                config.capacity = capacities[c];
                config.dim = DIM;
                assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_OK);
                float row[DIM], rows[16 * DIM], d_q[16 * DIM];
                oracle_rows(row, 1, DIM, 1, 5);
                for (int64_t i = 0; i < 16; ++i) memcpy(rows + i * DIM, row, sizeof row);
                while (moco_queue_filled(queue) < moco_queue_capacity(queue))
                    assert_int_equal(moco_queue_enqueue(queue, rows, NULL, n), MOCO_OK);
                for (size_t t = 0; t < 3; ++t) {
                    moco_loss *loss = oracle_loss(context, temperatures[t], 0);
                    moco_loss_result result;
                    moco_loss_result_init(&result, sizeof result);
                    assert_int_equal(moco_loss_compute(loss, rows, rows, n, queue, NULL, &result, d_q), MOCO_OK);
                    const double expected = log((double) capacities[c] + 1);
                    assert_true(fabs(result.loss - expected) < 1e-6);
                    assert_true(result.chance_loss == expected || fabs(result.chance_loss - expected) < 1e-15);
                    assert_true(fabs(result.mean_positive_similarity - 1) < 1e-6);
                    assert_true(fabs(result.mean_negative_similarity - 1) < 1e-6);
                    assert_int_equal(result.negatives, capacities[c]);
                    assert_true(result.top1 == 0); /* a tie counts against the positive */
                    assert_true(result.top5 == (capacities[c] < 5 ? 1 : 0));
                    for (int64_t i = 0; i < n * DIM; ++i) assert_true(fabs((double) d_q[i]) < 1e-6 / temperatures[t]);
                    moco_loss_destroy(loss);
                }
                moco_queue_destroy(queue);
            }
        }
        moco_context_destroy(context);
    }
}

/* --- Counting ----------------------------------------------------------------------------------------------------- */

/* Similarities 0, 1, 2 .. of a query (1, 0): the positive at 10 has exactly `above` + `equal` negatives against it. */
static void top1_and_top5_count_negatives_at_or_above(void **state) {
    (void) state;
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 1);
        moco_loss *loss = oracle_loss(context, 1, 0);
        for (int above = 0; above <= 6; ++above) {
            for (int equal = 0; equal <= 6; ++equal) {
                float keys[40][2] = {{0}};
                for (int j = 0; j < 40; ++j) keys[j][0] = j < above ? 11 : j < above + equal ? 10 : 9;
                moco_queue *queue = oracle_queue(context, keys[0], NULL, 40, 2);
                const float q[2] = {1, 0.5f}, k[2] = {10, 0};
                moco_loss_result result;
                moco_loss_result_init(&result, sizeof result);
                assert_int_equal(moco_loss_compute(loss, q, k, 1, queue, NULL, &result, NULL), MOCO_OK);
                assert_true(result.top1 == (above + equal == 0 ? 1 : 0));
                assert_true(result.top5 == (above + equal < 5 ? 1 : 0));
                moco_queue_destroy(queue);
            }
        }
        moco_loss_destroy(loss);
        moco_context_destroy(context);
    }
}

/* A key equal to the positive ties with it to the last bit, whatever the rounding: top-1 is 0. */
static void a_copy_of_the_positive_is_a_tie(void **state) {
    (void) state;
    enum { N = 70, DIM = 77 };
    static float q[N * DIM], k[N * DIM], d_q[N * DIM];
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        moco_loss *loss = oracle_loss(context, 0.07, 0);
        oracle_rows(q, N, DIM, 1, 1);
        oracle_rows(k, N, DIM, 1, 2);
        moco_queue *queue = oracle_queue(context, k, NULL, N, DIM);
        moco_loss_result result;
        moco_loss_result_init(&result, sizeof result);
        assert_int_equal(moco_loss_compute(loss, q, k, N, queue, NULL, &result, d_q), MOCO_OK);
        assert_true(result.top1 == 0);
        moco_queue_destroy(queue);
        moco_loss_destroy(loss);
        moco_context_destroy(context);
    }
}

static void without_negatives_there_is_nothing_to_lose(void **state) {
    (void) state;
    enum { N = 3, DIM = 5 };
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        moco_loss *loss = oracle_loss(context, 0.2, 0);
        moco_queue *queue = oracle_queue(context, NULL, NULL, 0, DIM);
        float q[N * DIM], d_q[N * DIM];
        oracle_rows(q, N, DIM, 1, 1);
        memset(d_q, 1, sizeof d_q);
        moco_loss_result result;
        moco_loss_result_init(&result, sizeof result);
        assert_int_equal(moco_loss_compute(loss, q, q, N, queue, NULL, &result, d_q), MOCO_OK);
        assert_true(result.loss == 0 && result.top1 == 1 && result.top5 == 1 && result.chance_loss == 0);
        assert_true(result.mean_negative_similarity == 0 && result.negatives == 0 && result.masked == 0);
        assert_true(fabs(result.mean_positive_similarity - 1) < 1e-6);
        for (int i = 0; i < N * DIM; ++i) assert_true(d_q[i] == 0);
        moco_queue_destroy(queue);
        moco_loss_destroy(loss);
        moco_context_destroy(context);
    }
}

/* A row whose every negative is masked has loss 0 and no gradient; the others are as if nothing were masked. */
static void masks_keys_of_the_same_id(void **state) {
    (void) state;
    enum { N = 3, DIM = 6, K = 300 };
    static float keys[K * DIM];
    static int64_t ids[K];
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        moco_loss *loss = oracle_loss(context, 0.2, 1);
        float q[N * DIM], k[N * DIM], d_q[N * DIM];
        oracle_rows(keys, K, DIM, 1, 1);
        oracle_rows(q, N, DIM, 1, 2);
        oracle_rows(k, N, DIM, 1, 3);
        for (int j = 0; j < K; ++j) ids[j] = 42;
        moco_queue *queue = oracle_queue(context, keys, ids, K, DIM);
        const int64_t samples[N] = {41, 42, MOCO_QUEUE_NO_ID};
        moco_loss_result result;
        moco_loss_result_init(&result, sizeof result);
        assert_int_equal(moco_loss_compute(loss, q, k, N, queue, samples, &result, d_q), MOCO_OK);
        assert_int_equal(result.masked, K);
        assert_int_equal(result.negatives, K);
        double expected[N * DIM];
        const oracle_result oracle = oracle_info_nce(q, k, N, DIM, keys, K, 0.2, samples, ids, expected);
        assert_true(fabs(result.loss - oracle.loss) < 1e-6);
        assert_true(fabs(result.mean_negative_similarity - oracle.negative) < 1e-6);
        for (int d = 0; d < DIM; ++d) assert_true(d_q[DIM + d] == 0);
        for (int i = 0; i < N * DIM; ++i) assert_true(fabs((double) d_q[i] - expected[i]) < 1e-6);
        moco_queue_destroy(queue);

        queue = oracle_queue(context, keys, NULL, K, DIM); /* rows without an id match nothing, not even each other */
        assert_int_equal(moco_loss_compute(loss, q, k, N, queue, samples, &result, d_q), MOCO_OK);
        assert_int_equal(result.masked, 0);
        moco_queue_destroy(queue);
        moco_loss_destroy(loss);
        moco_context_destroy(context);
    }
}

/* 20 gradient steps on q lower the loss, as solo-learn's test_mocov2plus. */
static void gradient_steps_lower_the_loss(void **state) {
    (void) state;
    enum { N = 32, DIM = 128, K = 1500 };
    static float q[N * DIM], k[N * DIM], d_q[N * DIM], keys[K * DIM];
    moco_context *context = oracle_context("cblas", 2);
    moco_loss *loss = oracle_loss(context, 0.1, 0);
    oracle_rows(q, N, DIM, 1, 1);
    oracle_rows(k, N, DIM, 1, 2);
    oracle_rows(keys, K, DIM, 1, 3);
    moco_queue *queue = oracle_queue(context, keys, NULL, K, DIM);
    double last = INFINITY;
    for (int step = 0; step < 20; ++step) {
        moco_loss_result result;
        moco_loss_result_init(&result, sizeof result);
        assert_int_equal(moco_loss_compute(loss, q, k, N, queue, NULL, &result, d_q), MOCO_OK);
        assert_true(result.loss < last);
        last = result.loss;
        for (int i = 0; i < N * DIM; ++i) q[i] -= 0.3f * d_q[i];
    }
    moco_queue_destroy(queue);
    moco_loss_destroy(loss);
    moco_context_destroy(context);
}

/* --- Memory that runs out ------------------------------------------------------------------------------------------
 */

typedef struct failing_allocator {
    int64_t left; /* allocations until the one that fails; negative: none does */
    int64_t live;
} failing_allocator;

static void *allocate_or_fail(uint64_t size, uint64_t alignment, void *user) {
    failing_allocator *allocator = (failing_allocator *) user;
    if (allocator->left-- == 0) return NULL;
    allocator->live++;
    return aligned_alloc((size_t) alignment, (size_t) ((size + alignment - 1) / alignment * alignment));
}

static void release(void *memory, void *user) {
    ((failing_allocator *) user)->live--;
    free(memory);
}

/* Each allocation of creation, enqueue, losses, key source and checksum fails once: OUT_OF_MEMORY, nothing leaked, nothing changed.
 */
static void every_allocation_may_fail(void **state) {
    (void) state;
    enum { N = 3, DIM = 4, K = 8 };
    float q[N * DIM], d_q[N * DIM], d_k[N * DIM], d_keys[N * DIM];
    const int64_t ids[N] = {0, 3, 5};
    oracle_rows(q, N, DIM, 1, 1);
    for (int64_t fail = 0;; ++fail) {
        failing_allocator allocator = {-1, 0};
        moco_context_config config;
        moco_context *context = NULL;
        moco_queue *queue = NULL;
        moco_loss *loss = NULL;
        moco_key_source *source = NULL;
        memory_bank *bank = memory_bank_create(K, DIM, 0.5, 1);
        const moco_key_source_ops ops = memory_bank_ops();
        moco_loss_result result;
        moco_queue_config queue_config;
        uint64_t before = 0, after = 0;
        moco_context_config_init(&config, sizeof config);
        moco_queue_config_init(&queue_config, sizeof queue_config);
        moco_loss_result_init(&result, sizeof result);
        queue_config.capacity = K;
        queue_config.dim = DIM;
        config.allocate = allocate_or_fail;
        config.deallocate = release;
        config.allocator_user = &allocator;
        assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
        allocator.left = fail;
        moco_status status = moco_queue_create(&queue, context, &queue_config);
        if (status == MOCO_OK) status = moco_loss_create(&loss, context, NULL);
        if (status == MOCO_OK) status = moco_queue_checksum(queue, &before);
        if (status == MOCO_OK) status = moco_loss_compute(loss, q, q, N, queue, NULL, &result, d_q);
        if (status == MOCO_OK)
            status = moco_loss_compute_keys(loss, q, q, N, DIM, q, NULL, N, NULL, &result, d_q, d_k, d_keys);
        if (status == MOCO_OK) status = moco_key_source_create(&source, context, &ops, bank, DIM);
        if (status == MOCO_OK) status = moco_loss_compute_from(loss, q, q, N, source, ids, &result, d_q);
        if (status == MOCO_OK) status = moco_key_source_update(source, q, ids, N);
        if (status == MOCO_OK) {
            status = moco_queue_enqueue(queue, q, NULL, N);
            if (status != MOCO_OK) {
                allocator.left = -1;
                assert_int_equal(moco_queue_position(queue), 0);
                assert_int_equal(moco_queue_checksum(queue, &after), MOCO_OK);
                assert_true(before == after);
            }
        }
        const int32_t none_failed = allocator.left >= 0;
        assert_int_equal(status, none_failed ? MOCO_OK : MOCO_OUT_OF_MEMORY);
        moco_key_source_destroy(source);
        assert_int_equal(bank->destroyed, source != NULL);
        memory_bank_free(bank);
        moco_loss_destroy(loss);
        moco_queue_destroy(queue);
        moco_context_destroy(context);
        assert_int_equal(allocator.live, 0);
        if (none_failed) {
            assert_true(fail > 6);
            return;
        }
    }
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

static void refuses_with_a_sentence(void **state) {
    (void) state;
    moco_context *context = oracle_context(NULL, 1), *stranger = oracle_context(NULL, 1);
    moco_loss *loss = NULL;
    moco_loss_config config;
    moco_loss_config_init(&config, sizeof config);
    assert_true(config.temperature == 0.07 && config.mask_same_id == 0);
    static const double bad[] = {0, 1e-9, -1e-9, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        config.temperature = bad[i];
        assert_int_equal(moco_loss_create(&loss, context, &config), MOCO_INVALID_ARGUMENT);
    }
    config.temperature = -1;
    config.mask_same_id = 2;
    assert_int_equal(moco_loss_create(&loss, context, &config), MOCO_INVALID_ARGUMENT);
    assert_null(loss);
    config.mask_same_id = 1;
    assert_int_equal(moco_loss_create(NULL, context, &config), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_create(&loss, NULL, &config), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_create(&loss, context, &config), MOCO_OK);
    assert_int_equal(moco_loss_set_temperature(loss, 0), MOCO_INVALID_ARGUMENT);
    assert_true(moco_loss_temperature(loss) == -1);
    assert_int_equal(moco_loss_set_temperature(loss, 0.2), MOCO_OK);
    assert_int_equal(moco_loss_set_temperature(NULL, 0.2), MOCO_INVALID_ARGUMENT);
    assert_true(moco_loss_temperature(loss) == 0.2 && moco_loss_temperature(NULL) == 0);

    float q[4] = {1, 2, 3, 4}, k[4] = {4, 3, 2, 1}, d_q[4] = {9, 9, 9, 9};
    const int64_t ids[2] = {1, 2};
    moco_queue *queue = oracle_queue(context, q, ids, 2, 2), *foreign = oracle_queue(stranger, q, ids, 2, 2);
    moco_loss_result result;
    moco_loss_result_init(&result, sizeof result);
    result.loss = 77;
    assert_int_equal(moco_loss_compute(NULL, q, k, 2, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, NULL, k, 2, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, NULL, 2, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, k, 0, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, k, -5, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, k, INT64_MAX, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, k, 2, queue, ids, &result, q), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "d_q overlaps q"));
    assert_int_equal(moco_loss_compute(loss, q, k, 2, queue, ids, &result, k), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "d_q overlaps k"));
    float both[6] = {1, 2, 3, 4, 0, 0}; /* the last half of q is the first of d_q */
    assert_int_equal(moco_loss_compute(loss, both, k, 2, queue, ids, &result, both + 2), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, k, 2, NULL, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, k, 2, foreign, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, k, 2, queue, NULL, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_loss_compute(loss, q, k, 2, queue, ids, NULL, d_q), MOCO_INVALID_ARGUMENT);
    q[3] = NAN;
    assert_int_equal(moco_loss_compute(loss, q, k, 2, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "q holds a NaN or an infinity in row 1, column 1"));
    q[3] = 4;
    k[0] = -INFINITY;
    assert_int_equal(moco_loss_compute(loss, q, k, 2, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "k holds a NaN or an infinity in row 0, column 0"));
    k[0] = 4;
    result.struct_size = 8;
    assert_int_equal(moco_loss_compute(loss, q, k, 2, queue, ids, &result, d_q), MOCO_INVALID_ARGUMENT);
    result.struct_size = sizeof result;
    assert_true(result.loss == 77);
    for (int i = 0; i < 4; ++i) assert_true(d_q[i] == 9); /* refusals leave the outputs alone */

    moco_context_destroy(context); /* any destroy order */
    assert_int_equal(moco_loss_compute(loss, q, k, 2, queue, ids, &result, d_q), MOCO_OK);
    moco_loss_destroy(NULL);
    moco_loss_destroy(loss);
    moco_queue_destroy(queue);
    moco_queue_destroy(foreign);
    moco_context_destroy(stranger);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_logits_give_ln_k_plus_1),   cmocka_unit_test(top1_and_top5_count_negatives_at_or_above),
        cmocka_unit_test(a_copy_of_the_positive_is_a_tie), cmocka_unit_test(without_negatives_there_is_nothing_to_lose),
        cmocka_unit_test(masks_keys_of_the_same_id),       cmocka_unit_test(gradient_steps_lower_the_loss),
        cmocka_unit_test(every_allocation_may_fail),       cmocka_unit_test(refuses_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
