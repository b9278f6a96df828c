/* The oracle's own oracle: values of the reference backend worked out by hand or by a second, plain formula, for what
 * finite differences cannot see.
 */
#include "support/layer_harness.h"

static moco_context *context;

static void assert_close(double actual, double expected, const char *what) {
    if (fabs(actual - expected) > 1e-12 * fmax(1.0, fabs(expected))) {
        fail_msg("%s is %.17g, expected %.17g", what, actual, expected);
    }
}

/* Running statistics: the mean over groups of each group's mean and unbiased variance. */
static void check_running_statistics(int32_t strided, int32_t mode) {
    image_layer desc = layer_desc(MOCO_LAYER_BATCH_NORM, 5, 1, 1, 1);
    desc.dtype = MOCO_DTYPE_F64;
    desc.bn_groups = 2;
    desc.bn_strided = strided;
    desc.bn_momentum = 0.25;
    layer_data data = layer_data_create(&desc);
    static const double x[5] = {1.0, 3.0, 4.0, 8.0, 6.0};
    memcpy(data.values[X], x, sizeof x);
    data.values[WEIGHT][0] = 2.0;
    data.values[BIAS][0] = 0.5;
    data.values[RUNNING_MEAN][0] = 100.0;
    data.values[RUNNING_VAR][0] = 10.0;
    const layer_run run = {.mode = mode};
    run_layer(context, &desc, &run, &data);
    /* Contiguous: {1, 3} and {4, 8, 6}. Strided: {1, 4, 6} and {3, 8}. */
    const double means[2][2] = {{2.0, 6.0}, {11.0 / 3.0, 5.5}};
    const double variances[2][2] = {{2.0, 4.0}, {38.0 / 6.0, 12.5}}; /* unbiased */
    const double *mean = means[strided], *variance = variances[strided];
    assert_close(data.values[RUNNING_MEAN][0], 0.75 * 100.0 + 0.25 * (mean[0] + mean[1]) / 2.0, "running mean");
    assert_close(data.values[RUNNING_VAR][0], 0.75 * 10.0 + 0.25 * (variance[0] + variance[1]) / 2.0, "running var");
    static const int32_t group[2][5] = {{0, 0, 1, 1, 1}, {0, 1, 0, 1, 0}};
    static const double size[2][2] = {{2.0, 3.0}, {3.0, 2.0}};
    for (int i = 0; i < 5; ++i) {
        const int32_t g = group[strided][i];
        const double biased = variance[g] * (size[strided][g] - 1.0) / size[strided][g];
        assert_close(data.values[Y][i], 2.0 * (x[i] - mean[g]) / sqrt(biased + 1e-5) + 0.5, "y");
    }
    layer_data_free(&data);
}

static void test_batch_norm_statistics(void **state) {
    (void) state;
    for (int32_t strided = 0; strided <= 1; ++strided)
        for (int32_t mode = 0; mode <= 1; ++mode) check_running_statistics(strided, mode);
}

static void test_batch_norm_evaluation(void **state) {
    (void) state;
    image_layer desc = layer_desc(MOCO_LAYER_BATCH_NORM, 2, 1, 1, 1);
    desc.dtype = MOCO_DTYPE_F64;
    desc.relu = desc.residual = 1;
    layer_data data = layer_data_create(&desc);
    data.values[X][0] = 7.0;
    data.values[X][1] = -7.0;
    data.values[RESIDUAL][0] = 0.25;
    data.values[RESIDUAL][1] = 0.5;
    data.values[WEIGHT][0] = 3.0;
    data.values[BIAS][0] = 1.0;
    data.values[RUNNING_MEAN][0] = 5.0;
    data.values[RUNNING_VAR][0] = 4.0;
    const layer_run run = {.mode = 2};
    run_layer(context, &desc, &run, &data);
    assert_close(data.values[Y][0], 3.0 * 2.0 / sqrt(4.0 + 1e-5) + 1.0 + 0.25, "y");
    assert_close(data.values[Y][1], 0.0, "y below zero");
    layer_data_free(&data);
}

/* Padding never wins, the first of equals does, and a NaN wins over all. */
static void test_max_pool(void **state) {
    (void) state;
    image_layer desc = layer_desc(MOCO_LAYER_MAX_POOL, 1, 1, 3, 3);
    desc.dtype = MOCO_DTYPE_F64;
    set_window(&desc, 3, 2, 1);
    layer_data data = layer_data_create(&desc);
    static const double x[9] = {-1.0, -2.0, -3.0, -4.0, -5.0, -2.0, -7.0, -1.0, -1.0},
                        dy[4] = {1.0, 10.0, 100.0, 1000.0};
    memcpy(data.values[X], x, sizeof x);
    memcpy(data.values[DY], dy, sizeof dy);
    const layer_run run = {.mode = 0};
    run_layer(context, &desc, &run, &data);
    static const double y[4] = {-1.0, -2.0, -1.0, -1.0}, dx[9] = {1.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1100.0, 0.0};
    for (int i = 0; i < 4; ++i) assert_close(data.values[Y][i], y[i], "y");
    for (int i = 0; i < 9; ++i) assert_close(data.values[DX][i], dx[i], "dx");
    data.values[X][4] = NAN;
    run_layer(context, &desc, &run, &data);
    for (int i = 0; i < 4; ++i) assert_true(isnan(data.values[Y][i]));
    layer_data_free(&data);
}

/* What enters as NaN does not leave as a number. */
static void test_nan_passes(void **state) {
    (void) state;
    image_layer desc = layer_desc(MOCO_LAYER_RELU, 1, 2, 1, 1);
    desc.dtype = MOCO_DTYPE_F64;
    layer_data data = layer_data_create(&desc);
    data.values[X][0] = NAN;
    data.values[X][1] = -1.0;
    const layer_run run = {.mode = 0};
    run_layer(context, &desc, &run, &data);
    assert_true(isnan(data.values[Y][0]) && data.values[Y][1] == 0.0);
    layer_data_free(&data);
}

static void test_convolution(void **state) {
    (void) state;
    image_layer desc = layer_desc(MOCO_LAYER_CONV2D, 1, 2, 2, 2);
    desc.dtype = MOCO_DTYPE_F64;
    desc.groups = 2;
    set_window(&desc, 2, 1, 1);
    layer_data data = layer_data_create(&desc);
    for (int i = 0; i < 8; ++i) data.values[X][i] = i + 1;
    static const double weight[8] = {1.0, 10.0, 100.0, 1000.0, 2.0, 0.0, 0.0, 0.0};
    memcpy(data.values[WEIGHT], weight, sizeof weight);
    const layer_run run = {.mode = 0};
    run_layer(context, &desc, &run, &data);
    /* Cross-correlation, as PyTorch's: the kernel is not flipped. */
    static const double y[18] = {1000.0, 2100.0, 200.0, 3010.0, 4321.0, 402.0, 30.0, 43.0, 4.0,
                                 0.0,    0.0,    0.0,   0.0,    10.0,   12.0,  0.0,  14.0, 16.0};
    for (int i = 0; i < 18; ++i) assert_close(data.values[Y][i], y[i], "y");
    layer_data_free(&data);
}

/* --- Operators: torch.optim.SGD by hand, two steps of one number --- */

typedef struct sgd_numbers {
    double parameter;
    double velocity;
} sgd_numbers;

static sgd_numbers two_steps(const moco_sgd_args *settings) {
    const double start = 2.0, gradient = 3.0, garbage = NAN;
    sgd_numbers result;
    moco_sgd_args args = *settings;
    args.parameter = value_tensor(context, MOCO_DTYPE_F64, &start, 1);
    args.gradient = value_tensor(context, MOCO_DTYPE_F64, &gradient, 1);
    args.velocity = value_tensor(context, MOCO_DTYPE_F64, &garbage, 1);
    args.first_step = 1;
    assert_ok(moco_sgd_update(context, &args));
    args.first_step = 0;
    assert_ok(moco_sgd_update(context, &args));
    download_values(context, &args.parameter, &result.parameter);
    download_values(context, &args.velocity, &result.velocity);
    moco_buffer_destroy(context, args.parameter.buffer);
    moco_buffer_destroy(context, args.gradient.buffer);
    moco_buffer_destroy(context, args.velocity.buffer);
    return result;
}

static void test_sgd(void **state) {
    (void) state;
    /* Step 1: v = g = 3, p = 2 - 0.1 * 3 = 1.7. Step 2: v = 0.5 * 3 + 3 = 4.5, p = 1.7 - 0.45 = 1.25. */
    const moco_sgd_args momentum = {.learning_rate = 0.1, .momentum = 0.5};
    assert_close(two_steps(&momentum).parameter, 1.25, "parameter");
    assert_close(two_steps(&momentum).velocity, 4.5, "velocity");
    /* Nesterov: p = 2 - 0.1 * (3 + 1.5) = 1.55, then v = 4.5, p = 1.55 - 0.1 * (3 + 2.25) = 1.025. */
    const moco_sgd_args nesterov = {.learning_rate = 0.1, .momentum = 0.5, .nesterov = 1};
    assert_close(two_steps(&nesterov).parameter, 1.025, "Nesterov parameter");
    assert_close(two_steps(&nesterov).velocity, 4.5, "Nesterov velocity");
    /* Dampening spares the first step: v = 3, p = 1.7; v = 1.5 + 0.75 * 3 = 3.75, p = 1.325. */
    const moco_sgd_args dampening = {.learning_rate = 0.1, .momentum = 0.5, .dampening = 0.25};
    assert_close(two_steps(&dampening).parameter, 1.325, "dampened parameter");
    /* Weight decay: g = 3 + 0.5 * 2 = 4, p = 1.6; g = 3.8, p = 1.22. */
    const moco_sgd_args decay = {.learning_rate = 0.1, .weight_decay = 0.5};
    assert_close(two_steps(&decay).parameter, 1.22, "decayed parameter");
    assert_true(isnan(two_steps(&decay).velocity)); /* not used without momentum */
}

static void test_momentum_update(void **state) {
    (void) state;
    const double k = 8.0, q = 4.0;
    double result = 0.0;
    const moco_tensor target = value_tensor(context, MOCO_DTYPE_F64, &k, 1);
    const moco_tensor source = value_tensor(context, MOCO_DTYPE_F64, &q, 1);
    assert_ok(moco_momentum_update(context, &target, &source, 0.75));
    download_values(context, &target, &result);
    assert_close(result, 7.0, "target");
    moco_buffer_destroy(context, target.buffer);
    moco_buffer_destroy(context, source.buffer);
}

static int open_all(void **state) {
    (void) state;
    context = open_context("reference", 1);
    return 0;
}

static int close_all(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_norm_statistics),
        cmocka_unit_test(test_batch_norm_evaluation),
        cmocka_unit_test(test_max_pool),
        cmocka_unit_test(test_nan_passes),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_sgd),
        cmocka_unit_test(test_momentum_update),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
