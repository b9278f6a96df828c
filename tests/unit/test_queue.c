/* The key queue: wrap cases, a naive model under random operations, and what it refuses. */
#include <math.h>
#include <moco.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"

static moco_queue *make_queue(int64_t capacity, int64_t dim, int32_t start, uint64_t seed) {
    moco_context *context = NULL;
    moco_queue *queue = NULL;
    moco_queue_config config;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    assert_int_equal(moco_queue_config_init(&config, sizeof config), MOCO_OK);
    config.capacity = capacity;
    config.dim = dim;
    config.start = start;
    config.seed = seed;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_OK);
    moco_context_destroy(context); /* the queue keeps it alive */
    return queue;
}

/* Key number i, so that a row tells which key it is. */
static void numbered_keys(float *keys, int64_t first, int64_t n, int64_t dim) {
    for (int64_t i = 0; i < n; ++i)
        for (int64_t d = 0; d < dim; ++d) keys[i * dim + d] = (float) (first + i) + (float) d / 64;
}

static void expect_first_values(const moco_queue *queue, const float *expected) {
    const int64_t capacity = moco_queue_capacity(queue), dim = moco_queue_dim(queue);
    float *keys = (float *) malloc((size_t) (capacity * dim) * sizeof *keys);
    assert_int_equal(moco_queue_read(queue, 0, capacity, keys, NULL), MOCO_OK);
    for (int64_t i = 0; i < capacity; ++i) assert_true(keys[i * dim] == expected[i]);
    free(keys);
}

/* --- Start and wrap ----------------------------------------------------------------------------------------------- */

static void random_start_is_unit_rows_from_the_seed(void **state) {
    (void) state;
    moco_queue *queue = make_queue(300, 64, MOCO_QUEUE_START_RANDOM, 7);
    moco_queue *same = make_queue(300, 64, MOCO_QUEUE_START_RANDOM, 7);
    moco_queue *longer = make_queue(9000, 64, MOCO_QUEUE_START_RANDOM, 7);
    moco_queue *other = make_queue(300, 64, MOCO_QUEUE_START_RANDOM, 8);
    assert_int_equal(moco_queue_negatives(queue), 300);
    assert_int_equal(moco_queue_filled(queue), 0);
    static float rows[300 * 64], rows_longer[300 * 64];
    int64_t ids[300];
    assert_int_equal(moco_queue_read(queue, 0, 300, rows, ids), MOCO_OK);
    assert_int_equal(moco_queue_read(longer, 0, 300, rows_longer, NULL), MOCO_OK);
    assert_memory_equal(rows, rows_longer, sizeof rows); /* a row depends on its number only */
    double mean = 0;
    for (int i = 0; i < 300; ++i) {
        double square = 0;
        for (int d = 0; d < 64; ++d) {
            square += (double) rows[i * 64 + d] * (double) rows[i * 64 + d];
            mean += (double) rows[i * 64 + d] / (300 * 64);
        }
        assert_true(fabs(sqrt(square) - 1) < 1e-6);
        assert_true(ids[i] == MOCO_QUEUE_NO_ID);
    }
    assert_true(fabs(mean) < 0.005); /* 0.125 / sqrt(19200) = 0.0009 standard error */
    uint64_t a = 0, b = 0, c = 0;
    moco_queue_checksum(queue, &a);
    moco_queue_checksum(same, &b);
    moco_queue_checksum(other, &c);
    assert_true(a == b && a != c);
    assert_int_equal(moco_queue_reset(other, 7), MOCO_OK);
    moco_queue_checksum(other, &c);
    assert_true(a == c);
    moco_queue_destroy(queue);
    moco_queue_destroy(same);
    moco_queue_destroy(longer);
    moco_queue_destroy(other);
}

/* lightly's cases of tests/models/modules/test_memory_bank.py; theirs truncates on overflow, ours wraps the rest. */
static void wraps_where_others_truncate(void **state) {
    (void) state;
    float keys[16];
    moco_queue *queue = make_queue(9, 1, MOCO_QUEUE_START_EMPTY, 0);
    for (int64_t step = 0; step < 4; ++step) { /* 9 / 3: exact wrap */
        numbered_keys(keys, step * 3, 3, 1);
        assert_int_equal(moco_queue_enqueue(queue, keys, NULL, 3), MOCO_OK);
    }
    expect_first_values(queue, (float[]){9, 10, 11, 3, 4, 5, 6, 7, 8});
    assert_int_equal(moco_queue_position(queue), 3);
    moco_queue_destroy(queue);

    queue = make_queue(10, 1, MOCO_QUEUE_START_EMPTY, 0); /* 10 / 3: the fourth batch crosses the end */
    for (int64_t step = 0; step < 4; ++step) {
        numbered_keys(keys, step * 3, 3, 1);
        assert_int_equal(moco_queue_enqueue(queue, keys, NULL, 3), MOCO_OK);
    }
    expect_first_values(queue, (float[]){10, 11, 2, 3, 4, 5, 6, 7, 8, 9});
    assert_int_equal(moco_queue_position(queue), 2);
    assert_int_equal(moco_queue_filled(queue), 10);
    moco_queue_destroy(queue);

    queue = make_queue(5, 1, MOCO_QUEUE_START_EMPTY, 0); /* the (5, 2) sequence */
    for (int64_t step = 0; step < 3; ++step) {
        numbered_keys(keys, step * 2, 2, 1);
        assert_int_equal(moco_queue_enqueue(queue, keys, NULL, 2), MOCO_OK);
        assert_int_equal(moco_queue_filled(queue), step < 2 ? (step + 1) * 2 : 5);
        assert_int_equal(moco_queue_negatives(queue), step < 2 ? (step + 1) * 2 : 5);
    }
    expect_first_values(queue, (float[]){5, 1, 2, 3, 4});
    assert_int_equal(moco_queue_position(queue), 1);

    numbered_keys(keys, 100, 13, 1); /* more than the capacity: the last five, where all 13 would have put them */
    assert_int_equal(moco_queue_enqueue(queue, keys, NULL, 13), MOCO_OK);
    expect_first_values(queue, (float[]){109, 110, 111, 112, 108});
    assert_int_equal(moco_queue_position(queue), 4);
    moco_queue_destroy(queue);
}

/* --- A naive model ------------------------------------------------------------------------------------------------ */

enum { MODEL_CAPACITY = 13, MODEL_DIM = 3, MODEL_BATCH = 31, OPERATIONS = 100000 };

typedef struct model {
    float keys[MODEL_CAPACITY][MODEL_DIM];
    int64_t ids[MODEL_CAPACITY];
    int64_t position, filled;
    int32_t start;
} model;

/* One key at a time, the plainest ring. */
static void model_enqueue(model *m, const float *keys, const int64_t *ids, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        memcpy(m->keys[m->position], keys + i * MODEL_DIM, sizeof m->keys[0]);
        m->ids[m->position] = ids == NULL ? MOCO_QUEUE_NO_ID : ids[i];
        m->position = (m->position + 1) % MODEL_CAPACITY;
        if (m->filled < MODEL_CAPACITY) m->filled++;
    }
}

static void model_take_over(model *m, const moco_queue *queue) {
    assert_int_equal(moco_queue_read(queue, 0, MODEL_CAPACITY, m->keys[0], m->ids), MOCO_OK);
    for (int i = 0; i < MODEL_CAPACITY; ++i) assert_true(m->ids[i] == MOCO_QUEUE_NO_ID);
    m->position = m->filled = 0;
}

static void expect_model(const model *m, const moco_queue *queue) {
    float keys[MODEL_CAPACITY][MODEL_DIM];
    int64_t ids[MODEL_CAPACITY];
    assert_int_equal(moco_queue_read(queue, 0, MODEL_CAPACITY, keys[0], ids), MOCO_OK);
    assert_memory_equal(keys, m->keys, sizeof keys);
    assert_memory_equal(ids, m->ids, sizeof ids);
    assert_int_equal(moco_queue_position(queue), m->position);
    assert_int_equal(moco_queue_filled(queue), m->filled);
    assert_int_equal(moco_queue_capacity(queue), MODEL_CAPACITY);
    assert_int_equal(moco_queue_dim(queue), MODEL_DIM);
    assert_int_equal(moco_queue_negatives(queue), m->start == MOCO_QUEUE_START_RANDOM ? MODEL_CAPACITY : m->filled);
}

static void follows_a_naive_model(void **state) {
    (void) state;
    for (int32_t start = MOCO_QUEUE_START_RANDOM; start <= MOCO_QUEUE_START_EMPTY; ++start) {
        moco_queue *queue = make_queue(MODEL_CAPACITY, MODEL_DIM, start, 1);
        moco_queue *twin = make_queue(MODEL_CAPACITY, MODEL_DIM, start, 2); /* is restored from the model */
        model m = {.start = start};
        model_take_over(&m, queue);
        moco_random random;
        moco_random_init(&random, 3, MOCO_RANDOM_TEST, 0, (uint64_t) start);
        int64_t next = 0;
        for (int i = 0; i < OPERATIONS / 2; ++i) {
            float keys[MODEL_BATCH * MODEL_DIM];
            int64_t ids[MODEL_BATCH];
            uint64_t a = 0, b = 0;
            switch (moco_random_below(&random, 16)) {
            default: {
                const int64_t n = (int64_t) moco_random_below(&random, MODEL_BATCH + 1);
                numbered_keys(keys, next, n, MODEL_DIM);
                for (int64_t j = 0; j < n; ++j) ids[j] = next + j;
                const int64_t *given = moco_random_below(&random, 4) == 0 ? NULL : ids;
                assert_int_equal(moco_queue_enqueue(queue, n == 0 ? NULL : keys, given, n), MOCO_OK);
                model_enqueue(&m, keys, given, n);
                next = (next + n) % 100000;
                break;
            }
            case 0: { /* part of it */
                const int64_t first = (int64_t) moco_random_below(&random, MODEL_CAPACITY + 1);
                const int64_t count = (int64_t) moco_random_below(&random, (uint64_t) (MODEL_CAPACITY - first + 1));
                assert_int_equal(moco_queue_read(queue, first, count, keys, ids), MOCO_OK);
                for (int64_t j = 0; j < count; ++j) {
                    assert_memory_equal(keys + j * MODEL_DIM, m.keys[first + j], sizeof m.keys[0]);
                    assert_true(ids[j] == m.ids[first + j]);
                }
                break;
            }
            case 1: /* the twin, restored from the model, becomes equal and stays so */
                assert_int_equal(moco_queue_restore(twin, m.keys[0], m.ids, m.position, m.filled), MOCO_OK);
                expect_model(&m, twin);
                numbered_keys(keys, next, 4, MODEL_DIM);
                assert_int_equal(moco_queue_enqueue(twin, keys, NULL, 4), MOCO_OK);
                moco_queue_checksum(twin, &a);
                moco_queue_checksum(queue, &b);
                assert_true(a != b);
                assert_int_equal(moco_queue_enqueue(queue, keys, NULL, 4), MOCO_OK);
                model_enqueue(&m, keys, NULL, 4);
                moco_queue_checksum(queue, &b);
                assert_true(a == b);
                break;
            case 2:
                if (moco_random_below(&random, 8) == 0) {
                    assert_int_equal(moco_queue_reset(queue, (uint64_t) i), MOCO_OK);
                    model_take_over(&m, queue);
                }
                break;
            case 3: /* refused: nothing changes */
                numbered_keys(keys, 0, MODEL_BATCH, MODEL_DIM);
                keys[moco_random_below(&random, MODEL_BATCH * MODEL_DIM)] = NAN;
                assert_int_equal(moco_queue_enqueue(queue, keys, NULL, MODEL_BATCH), MOCO_INVALID_ARGUMENT);
                assert_int_equal(moco_queue_restore(queue, m.keys[0], NULL, MODEL_CAPACITY, 0), MOCO_INVALID_ARGUMENT);
                break;
            }
            expect_model(&m, queue);
        }
        moco_queue_destroy(queue);
        moco_queue_destroy(twin);
    }
}

static void checksum_sees_every_bit(void **state) {
    (void) state;
    moco_queue *queue = make_queue(4, 2, MOCO_QUEUE_START_RANDOM, 1);
    float keys[8];
    int64_t ids[4] = {1, 2, 3, 4};
    numbered_keys(keys, 1, 4, 2);
    uint64_t reference = 0, changed = 0;
    moco_queue_restore(queue, keys, ids, 0, 4);
    moco_queue_checksum(queue, &reference);
    for (int a = 0; a < 8; ++a) {
        for (int b = a; b < 8; ++b) { /* one sign, or two */
            float other[8];
            memcpy(other, keys, sizeof other);
            other[a] = -other[a];
            if (b != a) other[b] = -other[b];
            moco_queue_restore(queue, other, ids, 0, 4);
            moco_queue_checksum(queue, &changed);
            assert_true(changed != reference);
        }
    }
    ids[3] = 5;
    moco_queue_restore(queue, keys, ids, 0, 4);
    moco_queue_checksum(queue, &changed);
    assert_true(changed != reference);
    ids[3] = 4;
    moco_queue_restore(queue, keys, ids, 1, 4);
    moco_queue_checksum(queue, &changed);
    assert_true(changed != reference);
    moco_queue_restore(queue, keys, ids, 0, 3);
    moco_queue_checksum(queue, &changed);
    assert_true(changed != reference);
    moco_queue_destroy(queue);
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

static void refuses_with_a_sentence(void **state) {
    (void) state;
    moco_context *context = NULL;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    moco_queue *queue = NULL;
    moco_queue_config config;
    moco_queue_config_init(&config, sizeof config);
    assert_int_equal(config.capacity, 65536);
    assert_int_equal(config.dim, 128);
    assert_int_equal(moco_queue_create(NULL, context, &config), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_create(&queue, NULL, &config), MOCO_INVALID_ARGUMENT);
    config.capacity = 0;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "capacity is 0"));
    config.capacity = INT64_MAX / 2;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_INVALID_ARGUMENT);
    config.capacity = 4;
    config.dim = -1;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_INVALID_ARGUMENT);
    config.dim = 2;
    config.start = 2;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_INVALID_ARGUMENT);
    config.start = MOCO_QUEUE_START_EMPTY;
    config.struct_size = 3;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_INVALID_ARGUMENT);
    assert_null(queue);
    config.struct_size = sizeof config;
    assert_int_equal(moco_queue_create(&queue, context, &config), MOCO_OK);

    float keys[16] = {0};
    uint64_t checksum = 0;
    assert_int_equal(moco_queue_enqueue(queue, keys, NULL, -1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_enqueue(queue, NULL, NULL, 1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_enqueue(queue, keys, NULL, INT64_MAX), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_enqueue(NULL, keys, NULL, 1), MOCO_INVALID_ARGUMENT);
    keys[5] = INFINITY;
    assert_int_equal(moco_queue_enqueue(queue, keys, NULL, 3), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "row 2, column 1"));
    assert_int_equal(moco_queue_restore(queue, keys, NULL, 0, 0), MOCO_INVALID_ARGUMENT);
    keys[5] = 0;
    assert_int_equal(moco_queue_restore(queue, keys, NULL, 2, 1), MOCO_INVALID_ARGUMENT); /* a gap */
    assert_int_equal(moco_queue_restore(queue, keys, NULL, 0, 5), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_restore(queue, keys, NULL, -1, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_restore(queue, NULL, NULL, 0, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_read(queue, 3, 2, keys, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_read(queue, -1, 1, keys, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_read(queue, 1, INT64_MAX, keys, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_read(NULL, 0, 0, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_checksum(queue, NULL), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_checksum(NULL, &checksum), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_reset(NULL, 0), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_queue_filled(queue), 0);
    assert_int_equal(moco_queue_capacity(NULL), 0);
    assert_int_equal(moco_queue_negatives(NULL), 0);
    moco_queue_destroy(NULL);
    moco_queue_destroy(queue);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_start_is_unit_rows_from_the_seed),
        cmocka_unit_test(wraps_where_others_truncate),
        cmocka_unit_test(follows_a_naive_model),
        cmocka_unit_test(checksum_sees_every_bit),
        cmocka_unit_test(refuses_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
