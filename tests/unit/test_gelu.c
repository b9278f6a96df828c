/* The exact GELU against the definition of its distribution: the integral of the normal density. */
#include "support/layer_harness.h"

#define COUNT 161

static moco_context *context;

/* Phi(x) by Simpson's rule from 0, where it is a half. */
static double distribution(double x) {
    const int steps = 4000;
    double sum = 0.0;
    for (int i = 0; i <= steps; ++i) {
        const double t = x * i / steps, weight = i == 0 || i == steps ? 1.0 : i % 2 ? 4.0 : 2.0;
        sum += weight * exp(-0.5 * t * t);
    }
    return 0.5 + sum * x / (3.0 * steps) / sqrt(2.0 * 3.14159265358979323846);
}

static void run_gelu(int32_t dtype, const double *x, double *y, int64_t count) {
    image_layer desc = layer_desc(MOCO_LAYER_GELU, 1, count, 1, 1);
    desc.dtype = dtype;
    layer_data data = layer_data_create(&desc);
    memcpy(data.values[X], x, (size_t) count * sizeof *x);
    const layer_run run = {.mode = MOCO_MODE_EVALUATE};
    run_layer(context, &desc, &run, &data);
    memcpy(y, data.values[Y], (size_t) count * sizeof *y);
    layer_data_free(&data);
}

static void test_values(void **state) {
    (void) state;
    double x[COUNT], y[COUNT];
    for (int i = 0; i < COUNT; ++i) x[i] = -8.0 + 0.1 * i;
    run_gelu(MOCO_DTYPE_F64, x, y, COUNT);
    for (int i = 0; i < COUNT; ++i) {
        const double want = x[i] * distribution(x[i]);
        if (!(fabs(y[i] - want) < 1e-12)) fail_msg("gelu(%g) is %.15g, expected %.15g", x[i], y[i], want);
    }
}

/* Far out it is 0 or x itself, and never below its minimum near -0.7518. */
static void test_ends(void **state) {
    (void) state;
    const double x[6] = {-1e30, -40.0, 0.0, 40.0, 1e30, -0.7517915};
    double y[6];
    for (int32_t dtype = MOCO_DTYPE_F32; dtype <= MOCO_DTYPE_F64; ++dtype) {
        run_gelu(dtype, x, y, 6);
        assert_true(y[0] == 0.0 && fabs(y[1]) < 1e-30 && y[2] == 0.0 && y[3] == 40.0);
        assert_true(fabs(y[4] / 1e30 - 1.0) < 1e-7 && fabs(y[5] + 0.16997120747) < 1e-7);
    }
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
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
