/* A key source that is no queue: a memory bank of the host's, addressed by sample id, through moco/sys/key_source_ops.h.
 * And the queue through the same seam.
 */
#include <math.h>
#include <moco.h>
#include <moco/sys/key_source_ops.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keys/queue_internal.h"
#include "support/loss_oracle.h"
#include "support/memory_bank.h"

enum { SAMPLES = 90, DIM = 24, N = 12 };

static const char *const backends[] = {"reference", "cblas"};

static moco_key_source *open_source(moco_context *context, memory_bank *bank) {
    const moco_key_source_ops ops = memory_bank_ops();
    moco_key_source *source = NULL;
    assert_int_equal(moco_key_source_create(&source, context, &ops, bank, bank->dim), MOCO_OK);
    return source;
}

static moco_loss_result fresh_result(void) {
    moco_loss_result result;
    moco_loss_result_init(&result, sizeof result);
    return result;
}

/* Without ids: each sample's loss alone, over a copy of the bank from which its own row was taken out. */
static oracle_result bank_oracle(const memory_bank *bank, const float *q, const float *k, const int64_t *ids,
                                 double temperature, double *d_q) {
    oracle_result total = {0};
    float others[(SAMPLES - 1) * DIM];
    for (int64_t i = 0; i < N; ++i) {
        int64_t count = 0;
        for (int64_t j = 0; j < SAMPLES; ++j) {
            if (j != ids[i]) memcpy(others + DIM * count++, bank->rows + j * DIM, DIM * sizeof(float));
        }
        assert_int_equal(count, SAMPLES - 1);
        const oracle_result one =
            oracle_info_nce(q + i * DIM, k + i * DIM, 1, DIM, others, count, temperature, NULL, NULL, d_q + i * DIM);
        total.loss += one.loss / N;
        total.positive += one.positive / N;
        total.negative += one.negative / N;
        total.top1 += one.top1 / N;
        total.top5 += one.top5 / N;
    }
    for (int64_t i = 0; i < N * DIM; ++i) d_q[i] /= N;
    return total;
}

static void assert_near(double actual, double expected, double tolerance) {
    if (fabs(actual - expected) > tolerance) fail_msg("%.9g is not %.9g", actual, expected);
}

/* Some steps of training on a bank: loss from the old rows, then the batch's keys go in. */
static void a_memory_bank_gives_the_negatives(void **state) {
    (void) state;
    for (size_t b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        memory_bank *bank = memory_bank_create(SAMPLES, DIM, 0.5, 3);
        moco_key_source *source = open_source(context, bank);
        moco_loss *loss = oracle_loss(context, 0.1, 0);
        float q[N * DIM], k[N * DIM], d_q[N * DIM];
        double expected[N * DIM];
        for (uint64_t step = 0; step < 8; ++step) {
            int64_t ids[N];
            for (int64_t i = 0; i < N; ++i) ids[i] = ((int64_t) step * 17 + i * 7) % SAMPLES;
            oracle_rows(k, N, DIM, 1, 100 + step);
            oracle_rows(q, N, DIM, 0.3, 200 + step);
            for (int i = 0; i < N * DIM; ++i) q[i] += 0.5f * k[i];
            moco_loss_result result = fresh_result();
            const oracle_result oracle = bank_oracle(bank, q, k, ids, 0.1, expected);
            assert_int_equal(moco_loss_compute_from(loss, q, k, N, source, ids, &result, d_q), MOCO_OK);
            assert_near(result.loss, oracle.loss, 1e-5);
            assert_near(result.mean_positive_similarity, oracle.positive, 1e-6);
            assert_near(result.mean_negative_similarity, oracle.negative, 1e-6);
            assert_near(result.top1, oracle.top1, 1e-9);
            assert_near(result.top5, oracle.top5, 1e-9);
            assert_int_equal(result.negatives, SAMPLES);
            assert_int_equal(result.masked, N); /* each sample's own row */
            for (int i = 0; i < N * DIM; ++i) assert_near((double) d_q[i], expected[i], 2e-5);
            assert_int_equal(bank->seen_n, N);
            assert_memory_equal(bank->seen_ids, ids, sizeof ids);

            const float before = bank->rows[ids[0] * DIM];
            assert_int_equal(moco_key_source_update(source, k, ids, N), MOCO_OK);
            assert_memory_equal(bank->seen_k, k, sizeof k);
            assert_true(bank->rows[ids[0] * DIM] != before);
        }
        assert_int_equal(bank->views, 8);
        assert_int_equal(bank->updates, 8);
        moco_context_destroy(context); /* in any order */
        moco_key_source_destroy(source);
        assert_int_equal(bank->destroyed, 1);
        moco_loss_destroy(loss);
        memory_bank_free(bank);
    }
}

/* The queue through the seam: the bits of moco_loss_compute, and its update is an enqueue. */
static void the_queue_is_a_key_source(void **state) {
    (void) state;
    moco_context *context = oracle_context("cblas", 2);
    float keys[40 * DIM], q[N * DIM], k[N * DIM], d_q[N * DIM], through[N * DIM];
    int64_t ids[40];
    oracle_rows(keys, 40, DIM, 1, 1);
    oracle_rows(q, N, DIM, 1, 2);
    oracle_rows(k, N, DIM, 1, 3);
    for (int64_t i = 0; i < 40; ++i) ids[i] = i % 9;
    for (int32_t masks = 0; masks <= 1; ++masks) {
        moco_queue *queue = oracle_queue(context, keys, ids, 40, DIM);
        moco_loss *loss = oracle_loss(context, 0.2, masks);
        moco_loss_result result = fresh_result(), same = fresh_result();
        assert_int_equal(moco_loss_compute(loss, q, k, N, queue, ids, &result, d_q), MOCO_OK);
        assert_int_equal(moco_loss_compute_from(loss, q, k, N, moco_queue_source(queue), ids, &same, through), MOCO_OK);
        assert_memory_equal(&result, &same, sizeof result);
        assert_memory_equal(d_q, through, sizeof d_q);
        assert_true(masks == (result.masked > 0)); /* the loss's choice, not the queue's */

        assert_int_equal(moco_key_source_update(moco_queue_source(queue), k, ids, N), MOCO_OK);
        assert_int_equal(moco_queue_position(queue), N);
        float read[N * DIM];
        assert_int_equal(moco_queue_read(queue, 0, N, read, NULL), MOCO_OK);
        assert_memory_equal(read, k, sizeof k);
        moco_key_source_retain(moco_queue_source(queue));
        moco_queue_destroy(queue);
        moco_key_source_release(moco_queue_source(queue));
        moco_loss_destroy(loss);
    }
    moco_context_destroy(context);
}

static void an_empty_source_leaves_nothing_to_lose(void **state) {
    (void) state;
    moco_context *context = oracle_context(NULL, 1);
    memory_bank *bank = memory_bank_create(2, DIM, 0.5, 3);
    moco_key_source *source = open_source(context, bank);
    moco_loss *loss = oracle_loss(context, 0.1, 1);
    float q[DIM], d_q[DIM];
    const int64_t id = 0;
    oracle_rows(q, 1, DIM, 1, 1);
    bank->spoiled.struct_size = sizeof bank->spoiled; /* all zero: no rows */
    moco_loss_result result = fresh_result();
    assert_int_equal(moco_loss_compute_from(loss, q, q, 1, source, &id, &result, d_q), MOCO_OK);
    assert_true(result.loss == 0 && result.negatives == 0 && result.masked == 0 && result.top1 == 1);
    for (int d = 0; d < DIM; ++d) assert_true(d_q[d] == 0);
    moco_key_source_destroy(source);
    moco_loss_destroy(loss);
    moco_context_destroy(context);
    memory_bank_free(bank);
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

static void expect_refused(moco_status actual, moco_status expected, const char *sentence) {
    assert_int_equal(actual, expected);
    if (strstr(moco_last_error(), sentence) == NULL) fail_msg("'%s' does not say '%s'", moco_last_error(), sentence);
}

static void what_a_source_answers_is_checked(void **state) {
    (void) state;
    moco_context *context = oracle_context(NULL, 1), *stranger = oracle_context(NULL, 1);
    memory_bank *bank = memory_bank_create(SAMPLES, DIM, 0.5, 3);
    moco_key_source *source = open_source(context, bank);
    moco_loss *loss = oracle_loss(context, 0.1, 0), *masking = oracle_loss(context, 0.1, 1);
    moco_loss *foreign = oracle_loss(stranger, 0.1, 0);
    float q[N * DIM], k[N * DIM], d_q[N * DIM], untouched[N * DIM];
    int64_t ids[N];
    oracle_rows(q, N, DIM, 1, 1);
    oracle_rows(k, N, DIM, 1, 2);
    for (int64_t i = 0; i < N; ++i) ids[i] = i;
    memset(d_q, 7, sizeof d_q);
    memcpy(untouched, d_q, sizeof d_q);
    moco_loss_result result = fresh_result();
    result.loss = 77;
#define COMPUTE(loss, ids) moco_loss_compute_from(loss, q, k, N, source, ids, &result, d_q)
    expect_refused(COMPUTE(loss, NULL), MOCO_INVALID_ARGUMENT, "sample_ids is NULL");
    expect_refused(COMPUTE(foreign, ids), MOCO_INVALID_ARGUMENT, "another context");
    expect_refused(moco_loss_compute_from(loss, q, k, N, NULL, ids, &result, d_q), MOCO_INVALID_ARGUMENT, "source");
    expect_refused(moco_loss_compute_from(loss, q, k, 0, source, ids, &result, d_q), MOCO_INVALID_ARGUMENT, "n is 0");
    expect_refused(moco_loss_compute_from(loss, q, k, N, source, ids, &result, q), MOCO_INVALID_ARGUMENT,
                   "d_q overlaps q");
    bank->fail_next = 1;
    expect_refused(COMPUTE(loss, ids), MOCO_CALLBACK, "view returned non-zero");
    expect_refused(moco_key_source_update(source, k, ids, N), MOCO_CALLBACK, "update returned non-zero");
    bank->fail_next = 0;

    const float kept = bank->rows[5 * DIM + 3];
    bank->rows[5 * DIM + 3] = NAN;
    expect_refused(COMPUTE(loss, ids), MOCO_INVALID_ARGUMENT, "row 5, column 3");
    bank->rows[5 * DIM + 3] = kept;
    const moco_key_rows good = {sizeof good, 1, bank->rows, bank->ids, SAMPLES};
    bank->spoiled = good;
    bank->spoiled.count = -1;
    expect_refused(COMPUTE(loss, ids), MOCO_INVALID_ARGUMENT, "count -1");
    bank->spoiled.count = INT64_MAX / 4;
    expect_refused(COMPUTE(loss, ids), MOCO_INVALID_ARGUMENT, "rows * dim");
    bank->spoiled = good;
    bank->spoiled.keys = NULL;
    expect_refused(COMPUTE(loss, ids), MOCO_INVALID_ARGUMENT, "keys is NULL");
    bank->spoiled = good;
    bank->spoiled.ids = NULL;
    expect_refused(COMPUTE(loss, ids), MOCO_INVALID_ARGUMENT, "ids is NULL");
    bank->spoiled.skip_same_id = 0; /* rows without ids: good for a loss that does not mask, and for no other */
    expect_refused(COMPUTE(masking, ids), MOCO_INVALID_ARGUMENT, "the keys have no ids");
    bank->spoiled.skip_same_id = 2;
    expect_refused(COMPUTE(loss, ids), MOCO_INVALID_ARGUMENT, "skip_same_id 2");
    assert_true(result.loss == 77);
    assert_memory_equal(d_q, untouched, sizeof d_q);
    bank->spoiled.skip_same_id = 0;
    assert_int_equal(COMPUTE(loss, NULL), MOCO_OK);
    assert_int_equal(result.masked, 0);
#undef COMPUTE

    const int32_t updates = bank->updates;
    k[DIM] = INFINITY;
    expect_refused(moco_key_source_update(source, k, ids, N), MOCO_INVALID_ARGUMENT, "row 1, column 0");
    expect_refused(moco_key_source_update(source, k, ids, -1), MOCO_INVALID_ARGUMENT, "n is -1");
    expect_refused(moco_key_source_update(source, NULL, ids, N), MOCO_INVALID_ARGUMENT, "k is NULL");
    expect_refused(moco_key_source_update(NULL, k, ids, N), MOCO_INVALID_ARGUMENT, "source");
    assert_int_equal(moco_key_source_update(source, NULL, NULL, 0), MOCO_OK);
    assert_int_equal(bank->updates, updates);
    moco_key_source_destroy(source);
    moco_loss_destroy(loss);
    moco_loss_destroy(masking);
    moco_loss_destroy(foreign);
    moco_context_destroy(context);
    moco_context_destroy(stranger);
    memory_bank_free(bank);
}

static void creation_is_checked(void **state) {
    (void) state;
    moco_context *context = oracle_context(NULL, 1);
    memory_bank *bank = memory_bank_create(2, DIM, 0.5, 3);
    moco_key_source *source = NULL;
    moco_key_source_ops ops = memory_bank_ops();
    expect_refused(moco_key_source_create(NULL, context, &ops, bank, DIM), MOCO_INVALID_ARGUMENT, "out");
    expect_refused(moco_key_source_create(&source, NULL, &ops, bank, DIM), MOCO_INVALID_ARGUMENT, "context");
    expect_refused(moco_key_source_create(&source, context, NULL, bank, DIM), MOCO_INVALID_ARGUMENT, "ops");
    expect_refused(moco_key_source_create(&source, context, &ops, bank, 0), MOCO_INVALID_ARGUMENT, "dim is 0");
    ops.abi_version = 2;
    expect_refused(moco_key_source_create(&source, context, &ops, bank, DIM), MOCO_UNSUPPORTED, "abi_version");
    for (int member = 0; member < 3; ++member) {
        ops = memory_bank_ops();
        if (member == 0) ops.view = NULL;
        if (member == 1) ops.update = NULL;
        if (member == 2) ops.destroy = NULL;
        expect_refused(moco_key_source_create(&source, context, &ops, bank, DIM), MOCO_INVALID_ARGUMENT, "required");
    }
    assert_null(source);
    assert_int_equal(bank->destroyed, 0); /* still the caller's */
    moco_key_source_destroy(NULL);
    moco_context_destroy(context);
    memory_bank_free(bank);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_memory_bank_gives_the_negatives),
        cmocka_unit_test(the_queue_is_a_key_source),
        cmocka_unit_test(an_empty_source_leaves_nothing_to_lose),
        cmocka_unit_test(what_a_source_answers_is_checked),
        cmocka_unit_test(creation_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
