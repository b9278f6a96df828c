/* The queue's bfloat16 storage: a float32 queue of the rounded keys, bit for bit, in half the memory. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/loss_oracle.h"

enum { CAPACITY = 37, DIM = 5 };

/* Nearest bfloat16, ties to even, by arithmetic: 8 significant bits, from 2^-133 on. */
static float rounded(float value) {
    int exponent = 0;
    frexp((double) value, &exponent);
    const double unit = ldexp(1.0, (exponent < -125 ? -125 : exponent) - 8);
    const double nearest = nearbyint((double) value / unit) * unit;
    const double largest = 0x1.FEp127;
    return (float) fmax(-largest, fmin(largest, nearest));
}

static moco_queue *make_queue(moco_context *context, int32_t storage, int32_t start, int64_t capacity, int64_t dim) {
    moco_queue *queue = NULL;
    moco_queue_config config;
    assert_int_equal(moco_queue_config_init(&config, sizeof config), MOCO_OK);
    assert_int_equal(config.storage, MOCO_QUEUE_STORAGE_F32);
    config.capacity = capacity;
    config.dim = dim;
    config.start = start;
    config.storage = storage;
    config.seed = 5;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_OK);
    assert_int_equal(moco_queue_storage(queue), storage);
    return queue;
}

static void expect_equal_checksums(const moco_queue *a, const moco_queue *b) {
    uint64_t sums[2] = {0, 1};
    assert_int_equal(moco_queue_checksum(a, &sums[0]), MOCO_OK);
    assert_int_equal(moco_queue_checksum(b, &sums[1]), MOCO_OK);
    assert_true(sums[0] == sums[1]);
}

static void keys_are_rounded_as_they_come_in(void **state) {
    (void) state;
    const char *const backends[] = {"cblas", "reference"};
    for (int b = 0; b < 2; ++b) {
        moco_context *context = oracle_context(backends[b], 2);
        moco_queue *narrow = make_queue(context, MOCO_QUEUE_STORAGE_BF16, MOCO_QUEUE_START_EMPTY, CAPACITY, DIM);
        moco_queue *wide = make_queue(context, MOCO_QUEUE_STORAGE_F32, MOCO_QUEUE_START_EMPTY, CAPACITY, DIM);
        float keys[40 * DIM], expected[40 * DIM], state_keys[CAPACITY * DIM], wide_keys[CAPACITY * DIM];
        int64_t ids[40];
        for (uint64_t step = 0; step < 30; ++step) { /* 1 to 40 keys: wraps, and more than the capacity */
            const int64_t n = (int64_t) (step * 17 % 40 + 1);
            oracle_rows(keys, n, DIM, -1, step);
            for (int64_t i = 0; i < n; ++i) ids[i] = (int64_t) step * 100 + i;
            for (int64_t i = 0; i < n * DIM; ++i) expected[i] = rounded(keys[i]);
            assert_int_equal(moco_queue_enqueue(narrow, keys, ids, n), MOCO_OK);
            assert_int_equal(moco_queue_enqueue(wide, expected, ids, n), MOCO_OK);
            expect_equal_checksums(narrow, wide);
        }
        assert_int_equal(moco_queue_read(narrow, 0, CAPACITY, state_keys, NULL), MOCO_OK);
        assert_int_equal(moco_queue_read(wide, 0, CAPACITY, wide_keys, NULL), MOCO_OK);
        assert_memory_equal(state_keys, wide_keys, sizeof wide_keys);
        assert_int_equal(moco_queue_read(narrow, 7, 3, state_keys, ids), MOCO_OK);
        assert_memory_equal(state_keys, wide_keys + (ptrdiff_t) 7 * DIM, 3 * DIM * sizeof(float));
        moco_queue_destroy(narrow);
        moco_queue_destroy(wide);
        moco_context_destroy(context);
    }
}

static void special_values_keep_their_meaning(void **state) {
    (void) state;
    moco_context *context = oracle_context("cblas", 1);
    moco_queue *queue = make_queue(context, MOCO_QUEUE_STORAGE_BF16, MOCO_QUEUE_START_EMPTY, 4, 4);
    const float keys[16] = {0.0f,
                            -0.0f,
                            1.0f,
                            1.00390625f /* a tie, to even: 1 */,
                            1.01171875f /* a tie, to 1.015625 */,
                            FLT_MAX,
                            -FLT_MAX,
                            FLT_MIN,
                            0x1p-133f,
                            0x1p-134f /* a tie, to 0 */,
                            0x1.8p-134f,
                            0x1p-149f,
                            0x1.FEp127f,
                            0x1.FEFFFEp127f,
                            -0x1.FFp127f,
                            3.0f};
    float read[16];
    assert_int_equal(moco_queue_enqueue(queue, keys, NULL, 4), MOCO_OK);
    assert_int_equal(moco_queue_read(queue, 0, 4, read, NULL), MOCO_OK);
    for (int i = 0; i < 16; ++i) {
        assert_true(read[i] == rounded(keys[i]));
        assert_true(signbit(read[i]) == signbit(keys[i]));
        assert_true(isfinite(read[i]));
    }
    assert_true(read[3] == 1.0f && read[4] == 1.015625f && read[5] == 0x1.FEp127f);
    float bad[4] = {1, NAN, 2, 3};
    assert_int_equal(moco_queue_enqueue(queue, bad, NULL, 1), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "row 0, column 1"));
    assert_int_equal(moco_queue_position(queue), 0);
    moco_queue_destroy(queue);
    moco_context_destroy(context);
}

static void starts_resets_and_restores_as_float32_rounded(void **state) {
    (void) state;
    moco_context *context = oracle_context("cblas", 2);
    enum { LARGE = 3000, WIDE_DIM = 96 }; /* more than one chunk of drawn rows */
    moco_queue *narrow = make_queue(context, MOCO_QUEUE_STORAGE_BF16, MOCO_QUEUE_START_RANDOM, LARGE, WIDE_DIM);
    moco_queue *wide = make_queue(context, MOCO_QUEUE_STORAGE_F32, MOCO_QUEUE_START_RANDOM, LARGE, WIDE_DIM);
    static float keys[LARGE * WIDE_DIM], expected[LARGE * WIDE_DIM], read[LARGE * WIDE_DIM];
    for (uint64_t seed = 5; seed < 7; ++seed) {
        assert_int_equal(moco_queue_read(wide, 0, LARGE, keys, NULL), MOCO_OK);
        for (int i = 0; i < LARGE * WIDE_DIM; ++i) expected[i] = rounded(keys[i]);
        assert_int_equal(moco_queue_read(narrow, 0, LARGE, read, NULL), MOCO_OK);
        assert_memory_equal(read, expected, sizeof expected);
        assert_int_equal(moco_queue_reset(wide, seed + 1), MOCO_OK);
        assert_int_equal(moco_queue_reset(narrow, seed + 1), MOCO_OK);
    }
    /* A float32 state comes in rounded; its own state comes back as it was. */
    assert_int_equal(moco_queue_restore(narrow, keys, NULL, 11, LARGE), MOCO_OK);
    assert_int_equal(moco_queue_restore(wide, expected, NULL, 11, LARGE), MOCO_OK);
    expect_equal_checksums(narrow, wide);
    assert_int_equal(moco_queue_read(narrow, 0, LARGE, read, NULL), MOCO_OK);
    assert_int_equal(moco_queue_reset(narrow, 1), MOCO_OK);
    assert_int_equal(moco_queue_restore(narrow, read, NULL, 11, LARGE), MOCO_OK);
    expect_equal_checksums(narrow, wide);
    moco_queue_destroy(narrow);
    moco_queue_destroy(wide);
    moco_context_destroy(context);
}

/* Value, statistics and gradient at several thread counts, in float and in double tiles, masked and not. */
static void the_loss_is_that_of_the_rounded_keys(void **state) {
    (void) state;
    static const int64_t shapes[][3] = {{70, 33, 2500}, {1, 128, 5}, {130, 7, 700}, {3, 3000, 90}, {2, 4, 0}};
    static const char *const backends[] = {"cblas", "reference"};
    for (int round = 0; round < 20; ++round) {
        const int64_t *shape = shapes[round % 5];
        const int64_t n = shape[0], dim = shape[1], count = shape[2];
        const size_t bytes = (size_t) (n * dim) * sizeof(float), key_bytes = (size_t) (count * dim + 1) * sizeof(float);
        float *q = (float *) malloc(bytes), *k = (float *) malloc(bytes), *keys = (float *) malloc(key_bytes);
        float *even = (float *) malloc(key_bytes), *gradients[2] = {(float *) malloc(bytes), (float *) malloc(bytes)};
        int64_t *ids = (int64_t *) malloc(((size_t) (n + count) + 1) * sizeof *ids);
        oracle_rows(q, n, dim, round % 4 == 1 ? 200 : 1, 1); /* at 200 tiles are computed in double */
        oracle_rows(k, n, dim, 1, 2);
        oracle_rows(keys, count, dim, 1, 3);
        for (int64_t i = 0; i < count * dim; ++i) even[i] = rounded(keys[i]);
        for (int64_t i = 0; i < n + count; ++i) ids[i] = i % 9;
        moco_context *context = oracle_context(backends[round / 10], 1 + round % 3);
        moco_loss *loss = oracle_loss(context, round % 2 ? 0.07 : -0.2, round % 2);
        moco_loss_result results[2];
        memset(results, 0, sizeof results);
        for (int wide = 0; wide < 2; ++wide) {
            moco_queue *queue = make_queue(context, wide ? MOCO_QUEUE_STORAGE_F32 : MOCO_QUEUE_STORAGE_BF16,
                                           MOCO_QUEUE_START_EMPTY, count > 0 ? count : 1, dim);
            assert_int_equal(moco_queue_enqueue(queue, wide ? even : keys, ids + n, count), MOCO_OK);
            moco_loss_result_init(&results[wide], sizeof results[wide]);
            assert_int_equal(moco_loss_compute(loss, q, k, n, queue, ids, &results[wide], gradients[wide]), MOCO_OK);
            moco_queue_destroy(queue);
        }
        assert_memory_equal(&results[0], &results[1], sizeof results[0]);
        assert_memory_equal(gradients[0], gradients[1], bytes);
        moco_loss_destroy(loss);
        moco_context_destroy(context);
        free(q);
        free(k);
        free(keys);
        free(even);
        free(gradients[0]);
        free(gradients[1]);
        free(ids);
    }
}

/* --- Memory, configuration ---------------------------------------------------------------------------------------- */

static uint64_t allocated;

static void *adding_allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
    allocated += size;
    return aligned_alloc((size_t) alignment, (size_t) ((size + alignment - 1) / alignment * alignment));
}

static void plain_deallocate(void *memory, void *user) {
    (void) user;
    free(memory);
}

static void takes_half_the_memory(void **state) {
    (void) state;
    moco_context_config config;
    moco_context *context = NULL;
    uint64_t taken[2];
    moco_context_config_init(&config, sizeof config);
    config.allocate = adding_allocate;
    config.deallocate = plain_deallocate;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    for (int32_t storage = MOCO_QUEUE_STORAGE_F32; storage <= MOCO_QUEUE_STORAGE_BF16; ++storage) {
        const uint64_t before = allocated;
        moco_queue_destroy(make_queue(context, storage, MOCO_QUEUE_START_EMPTY, 10000, 128));
        taken[storage] = allocated - before;
    }
    assert_true(taken[0] - taken[1] == 10000 * 128 * 2);
    moco_context_destroy(context);
}

static void configurations_of_older_programs_still_work(void **state) {
    (void) state;
    moco_context *context = oracle_context("cblas", 1);
    moco_queue *queue = NULL;
    moco_queue_config config;
    const uint32_t older = (uint32_t) offsetof(moco_queue_config, storage);
    memset(&config, 0x5A, sizeof config);
    assert_int_equal(moco_queue_config_init(&config, older), MOCO_OK);
    assert_int_equal(config.storage, 0x5A5A5A5A); /* not theirs: left alone */
    config.capacity = 4;
    config.dim = 2;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_OK);
    assert_int_equal(moco_queue_storage(queue), MOCO_QUEUE_STORAGE_F32);
    moco_queue_destroy(queue);
    queue = NULL;
    moco_queue_config_init(&config, sizeof config);
    config.storage = 2;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "storage is 2"));
    config.storage = -1;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_config_init(&config, older - 1), MOCO_INVALID_ARGUMENT);
    assert_null(queue);
    assert_int_equal(moco_queue_storage(NULL), 0);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_rounded_as_they_come_in),
        cmocka_unit_test(special_values_keep_their_meaning),
        cmocka_unit_test(starts_resets_and_restores_as_float32_rounded),
        cmocka_unit_test(the_loss_is_that_of_the_rounded_keys),
        cmocka_unit_test(takes_half_the_memory),
        cmocka_unit_test(configurations_of_older_programs_still_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
