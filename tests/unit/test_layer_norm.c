/* LayerNorm against its formula, written here in another way, and in what a row is: n x c or n x t x c. */
#include "support/layer_harness.h"

#define EPS 1e-5

static moco_context *context;

static moco_layer_desc norm_of(int32_t rank, const int64_t dims[4]) {
    moco_layer_desc desc = {.struct_size = sizeof desc,
                            .kind = MOCO_LAYER_LAYER_NORM,
                            .dtype = MOCO_DTYPE_F64,
                            .input_count = 1,
                            .parameter_count = 2,
                            .inputs = {{.dtype = MOCO_DTYPE_F64, .rank = rank}},
                            .of.layer_norm.eps = EPS};
    memcpy(desc.inputs[0].dims, dims, sizeof desc.inputs[0].dims);
    return desc;
}

/* The variance as half the mean square of all differences, which needs no mean. */
static double expected(const double *row, int64_t size, int64_t i, double weight, double bias) {
    double pairs = 0.0, above = 0.0;
    for (int64_t a = 0; a < size; ++a) {
        above += (row[i] - row[a]) / (double) size; /* x - mean */
        for (int64_t b = 0; b < size; ++b) pairs += (row[a] - row[b]) * (row[a] - row[b]);
    }
    return above / sqrt(pairs / (2.0 * (double) (size * size)) + EPS) * weight + bias;
}

static void check(int32_t rank, int64_t d0, int64_t d1, int64_t d2) {
    const int64_t dims[4] = {d0, d1, d2, 1}, size = rank == 2 ? d1 : d2, rows = d0 * d1 * d2 / size;
    const moco_layer_desc desc = norm_of(rank, dims);
    double x[64], weight[16], bias[16], y[64];
    moco_planned_layer layer;
    assert_ok(moco_layer_plan(context, &desc, &layer));
    assert_int_equal(layer.desc.output.rank, rank);
    assert_memory_equal(layer.desc.output.dims, dims, sizeof dims);
    for (int64_t i = 0; i < rows * size; ++i) x[i] = sin(3.0 * (double) i) + 0.5 * (double) (i % 3);
    for (int64_t i = 0; i < size; ++i) weight[i] = 1.0 + 0.25 * (double) i;
    for (int64_t i = 0; i < size; ++i) bias[i] = 0.5 - (double) i;
    moco_layer_args args = {.struct_size = sizeof args, .mode = MOCO_MODE_EVALUATE};
    args.inputs[0] = value_tensor(context, MOCO_DTYPE_F64, x, rows * size);
    args.parameters[MOCO_WEIGHT] = value_tensor(context, MOCO_DTYPE_F64, weight, size);
    args.parameters[MOCO_BIAS] = value_tensor(context, MOCO_DTYPE_F64, bias, size);
    args.y = nan_tensor(context, MOCO_DTYPE_F64, rows * size, 0);
    assert_ok(moco_layer_forward(&layer, &args));
    download_values(context, &args.y, y);
    for (int64_t i = 0; i < rows * size; ++i) {
        const double want = expected(x + i / size * size, size, i % size, weight[i % size], bias[i % size]);
        if (!(fabs(y[i] - want) < 1e-11)) fail_msg("y[%lld] is %.15g, expected %.15g", (long long) i, y[i], want);
    }
    moco_buffer_destroy(context, args.inputs[0].buffer);
    moco_buffer_destroy(context, args.parameters[MOCO_WEIGHT].buffer);
    moco_buffer_destroy(context, args.parameters[MOCO_BIAS].buffer);
    moco_buffer_destroy(context, args.y.buffer);
    moco_layer_release(&layer);
}

static void test_rows(void **state) {
    (void) state;
    check(2, 3, 7, 1);
    check(2, 5, 1, 1); /* nothing but the bias is left of a row of one */
    check(3, 2, 3, 5);
    check(3, 1, 4, 16);
}

static void test_refusals(void **state) {
    (void) state;
    static const int64_t images[4] = {2, 3, 4, 4}, rows[4] = {2, 3, 1, 1};
    moco_planned_layer layer;
    moco_layer_desc desc = norm_of(4, images);
    assert_int_equal(moco_layer_plan(context, &desc, &layer), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "input 0 of a LayerNorm has rank 4"));
    desc = norm_of(2, rows);
    desc.of.layer_norm.eps = -1.0;
    assert_int_equal(moco_layer_plan(context, &desc, &layer), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "eps is -1"));
    desc = norm_of(2, rows);
    desc.parameter_count = 1;
    assert_int_equal(moco_layer_plan(context, &desc, &layer), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "parameter_count of a LayerNorm is 1; it must be 2"));
    desc = norm_of(2, rows);
    desc.epilogue = MOCO_EPILOGUE_RELU;
    assert_int_equal(moco_layer_plan(context, &desc, &layer), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "epilogue of a LayerNorm is 1"));
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
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
