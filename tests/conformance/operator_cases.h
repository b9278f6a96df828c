/* The operators of the conformance suite besides layers: memory, (update_cases.h) momentum update and SGD, and
 * (info_nce_cases.h) the loss. */
#ifndef MOCO_TEST_OPERATOR_CASES_H
#define MOCO_TEST_OPERATOR_CASES_H

#include "conformance/info_nce_cases.h"
#include "conformance/update_cases.h"

/* --- Memory --- */

static void check_not_finite(moco_context *context, int32_t dtype, int64_t count, int64_t culprit, double value) {
    double *values = (double *) calloc((size_t) count, sizeof(double));
    int32_t finite = -1;
    int64_t first = -1;
    assert_non_null(values);
    moco_tensor tensor = guarded_tensor(context, dtype, values, count);
    assert_ok(moco_all_finite(context, &tensor, &finite, &first));
    assert_int_equal(finite, 1);
    values[culprit] = value;
    values[count - 1] = value;
    upload_values(context, &tensor, values);
    assert_ok(moco_all_finite(context, &tensor, &finite, &first));
    assert_int_equal(finite, 0);
    assert_int_equal(first, culprit);
    assert_ok(moco_all_finite(context, &tensor, &finite, NULL));
    moco_buffer_destroy(context, tensor.buffer);
    free(values);
}

static void check_not_finite_bf16(moco_context *context) {
    static const uint16_t finite_values[] = {0x0000, 0x8000, 0x7F7F, 0xFF7F, 0x0001, 0x3F80}; /* with the largest */
    static const uint16_t others[] = {0x7F80, 0xFF80, 0x7FC0, 0xFFFF, 0x7F81};                /* infinities and NaNs */
    uint16_t values[301];
    for (size_t i = 0; i < 301; ++i) values[i] = finite_values[i % 6];
    void *buffer = NULL;
    int32_t finite = -1;
    int64_t first = -1;
    assert_ok(moco_buffer_create(context, sizeof values, &buffer));
    const moco_tensor tensor = moco_tensor_1d(buffer, 0, MOCO_DTYPE_BF16, 301);
    assert_ok(moco_tensor_upload(context, &tensor, values));
    assert_ok(moco_all_finite(context, &tensor, &finite, &first));
    assert_int_equal(finite, 1);
    for (size_t i = 0; i < 5; ++i) {
        values[7 + 50 * (4 - i)] = others[i]; /* each before the last one */
        assert_ok(moco_tensor_upload(context, &tensor, values));
        assert_ok(moco_all_finite(context, &tensor, &finite, &first));
        assert_int_equal(finite, 0);
        assert_int_equal(first, 7 + 50 * (4 - i));
    }
    moco_buffer_destroy(context, buffer);
}

static void check_gather_copy_add(int64_t rows, int64_t columns, moco_random *random) {
    moco_context *context = suite.tested_threads;
    const int64_t count = rows * columns, picked = rows + 3;
    double *values = normal_vector(random, count), *others = normal_vector(random, count);
    double *result = normal_vector(random, picked * columns);
    int64_t *order = (int64_t *) malloc((size_t) picked * sizeof *order);
    for (int64_t i = 0; i < picked; ++i) order[i] = random_between(random, 0, rows - 1);

    const moco_tensor flat = value_tensor(context, MOCO_DTYPE_F32, values, count);
    const moco_tensor source = moco_tensor_2d(flat.buffer, 0, MOCO_DTYPE_F32, rows, columns);
    const moco_tensor room = nan_tensor(context, MOCO_DTYPE_F32, picked * columns, 0);
    const moco_tensor target = moco_tensor_2d(room.buffer, 0, MOCO_DTYPE_F32, picked, columns);
    assert_ok(moco_gather_rows(context, &target, &source, order, picked));
    download_values(context, &target, result);
    for (int64_t i = 0; i < picked * columns; ++i) {
        assert_true(result[i] == values[order[i / columns] * columns + i % columns]);
    }

    const moco_tensor other = value_tensor(context, MOCO_DTYPE_F32, others, count);
    assert_ok(moco_tensor_add(context, &flat, &other));
    download_values(context, &flat, result);
    for (int64_t i = 0; i < count; ++i) assert_true(result[i] == (float) values[i] + (float) others[i]);
    assert_ok(moco_tensor_copy(context, &flat, &other));
    assert_ok(moco_tensor_fill_zero(context, &other));
    download_values(context, &flat, result);
    assert_near(result, others, count, 0.0, "copy");
    download_values(context, &other, result);
    for (int64_t i = 0; i < count; ++i) assert_true(result[i] == 0.0);

    moco_buffer_destroy(context, flat.buffer);
    moco_buffer_destroy(context, room.buffer);
    moco_buffer_destroy(context, other.buffer);
    free(order);
    free(values);
    free(others);
    free(result);
}

/* Every bfloat16 there and back; then floats between two of them go to the nearer one, a tie to the even one. */
static void test_convert(void **state) {
    (void) state;
    enum { ALL = 1 << 16 };
    static float wide[ALL], halves[ALL];
    static uint16_t narrow[ALL], result[ALL];
    moco_context *context = suite.tested_threads;
    const moco_tensor bf16 = nan_tensor(context, MOCO_DTYPE_BF16, ALL, 0);
    const moco_tensor f32 = nan_tensor(context, MOCO_DTYPE_F32, ALL, 0);
    for (int i = 0; i < ALL; ++i) {
        const uint32_t bits = (uint32_t) i << 16;
        narrow[i] = (uint16_t) i;
        memcpy(&wide[i], &bits, sizeof bits);
    }
    assert_ok(moco_tensor_upload(context, &bf16, narrow));
    assert_ok(moco_tensor_convert(context, &f32, &bf16));
    assert_ok(moco_tensor_download(context, &f32, halves));
    assert_memory_equal(halves, wide, sizeof wide);
    for (uint32_t rest = 0; rest < 0x10000; rest += rest < 0x7FFE || rest > 0x8001 ? 0x7FFE : 1) {
        for (int i = 0; i < ALL; ++i) {
            const uint32_t bits = (uint32_t) i << 16 | rest;
            memcpy(&wide[i], &bits, sizeof bits);
        }
        assert_ok(moco_tensor_upload(context, &f32, wide));
        assert_ok(moco_tensor_convert(context, &bf16, &f32));
        assert_ok(moco_tensor_download(context, &bf16, result));
        for (int i = 0; i < ALL; ++i) {
            const int up = rest > 0x8000 || (rest == 0x8000 && i % 2 == 1);
            int expected = i + up;
            if (isnan(wide[i])) {
                assert_true((result[i] & 0x7FFF) > 0x7F80 && result[i] >> 15 == i >> 15);
                continue;
            }
            if (isfinite(wide[i]) && (expected & 0x7FFF) == 0x7F80) expected = i; /* the largest */
            assert_int_equal(result[i], expected);
        }
    }
    const moco_tensor other = moco_tensor_1d(bf16.buffer, 0, MOCO_DTYPE_BF16, 8);
    assert_int_equal(moco_tensor_convert(context, &f32, &other), MOCO_INTERNAL);
    assert_int_equal(moco_tensor_convert(context, &f32, &f32), MOCO_UNSUPPORTED);
    moco_buffer_destroy(context, bf16.buffer);
    moco_buffer_destroy(context, f32.buffer);
}

static void test_memory_operators(void **state) {
    (void) state;
    moco_random random = suite_random(22, 0);
    const double culprits[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; ++i) {
        check_not_finite(suite.tested, MOCO_DTYPE_F32, 10007, 0, culprits[i]);
        check_not_finite(suite.tested, MOCO_DTYPE_F32, 10007, 5001 + i, culprits[i]);
        check_not_finite(suite.tested, MOCO_DTYPE_F64, 17, 16, culprits[i]);
    }
    check_not_finite_bf16(suite.tested);
    check_gather_copy_add(1, 1, &random);
    check_gather_copy_add(5, 3, &random);
    check_gather_copy_add(33, 129, &random);
    check_gather_copy_add(3, 60001, &random);
    /* Neither a row nor a range outside is touched. */
    const moco_tensor small = nan_tensor(suite.tested, MOCO_DTYPE_F32, 4, 0);
    const moco_tensor large = moco_tensor_1d(small.buffer, 8, MOCO_DTYPE_F32, 4);
    const int64_t outside = 4;
    float four[4] = {0};
    const moco_tensor source = moco_tensor_2d(small.buffer, 0, MOCO_DTYPE_F32, 4, 1);
    assert_int_equal(moco_gather_rows(suite.tested, &small, &source, &outside, 1), MOCO_INTERNAL);
    assert_int_equal(moco_tensor_upload(suite.tested, &large, four), MOCO_INTERNAL);
    assert_int_equal(moco_tensor_download(suite.tested, &large, four), MOCO_INTERNAL);
    assert_int_equal(moco_tensor_fill_zero(suite.tested, &large), MOCO_INTERNAL);
    moco_buffer_destroy(suite.tested, small.buffer);
}

#endif
