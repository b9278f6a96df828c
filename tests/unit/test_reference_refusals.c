/* What the reference backend refuses: descriptions that make no sense, sizes that overflow, tensors that do not fit.
 * Each with a sentence that names it.
 */
#include "support/layer_harness.h"

static moco_context *context;

static void refuse(const image_layer *desc, moco_status status, const char *part) {
    moco_planned_layer layer;
    const moco_status actual = plan_image_layer(context, desc, &layer);
    if (actual != status || (status != MOCO_UNSUPPORTED && strstr(moco_last_error(), part) == NULL)) {
        fail_msg("status %d, expected %d; \"%s\" must contain \"%s\"", actual, status, moco_last_error(), part);
    }
    assert_null(layer.layer);
}

static image_layer conv(void) {
    image_layer desc = layer_desc(MOCO_LAYER_CONV2D, 2, 4, 5, 5);
    set_window(&desc, 3, 1, 1);
    return desc;
}

#define REFUSE(start, change, status, part) \
    do {                                    \
        image_layer d = (start);            \
        change;                             \
        refuse(&d, status, part);           \
    } while (0)

static void test_shapes(void **state) {
    (void) state;
    const image_layer relu = layer_desc(MOCO_LAYER_RELU, 2, 3, 4, 5);
    REFUSE(relu, d.n = 0, MOCO_INVALID_ARGUMENT, "0 x 3 x 4 x 5");
    REFUSE(relu, d.c = -1, MOCO_INVALID_ARGUMENT, "2 x -1 x 4 x 5");
    REFUSE(relu, d.n = d.c = d.h = (int64_t) 1 << 31, MOCO_INVALID_ARGUMENT, "overflows");
    REFUSE(relu, d.n = INT64_MAX / 8, MOCO_INVALID_ARGUMENT, "overflows");
    REFUSE(relu, d.kind = 99, MOCO_UNSUPPORTED, "");
    REFUSE(relu, d.kind = -1, MOCO_UNSUPPORTED, "");
    REFUSE(relu, d.kind = MOCO_LAYER_REORDER, MOCO_UNSUPPORTED, "");
    REFUSE(relu, d.dtype = MOCO_DTYPE_BF16, MOCO_UNSUPPORTED, "");
    REFUSE(layer_desc(MOCO_LAYER_LINEAR, 2, 3, 2, 1), (void) d, MOCO_INVALID_ARGUMENT, "must be rows");
    REFUSE(layer_desc(MOCO_LAYER_LINEAR, 2, 3, 1, 1), d.out_c = 0, MOCO_INVALID_ARGUMENT, "out_c is 0");
    REFUSE(layer_desc(MOCO_LAYER_LINEAR, 1, (int64_t) 1 << 31, 1, 1), d.out_c = (int64_t) 1 << 31,
           MOCO_INVALID_ARGUMENT, "weight");
    REFUSE(layer_desc(MOCO_LAYER_L2_NORMALIZE, 2, 3, 1, 2), (void) d, MOCO_INVALID_ARGUMENT, "must be rows");
}

static void test_windows(void **state) {
    (void) state;
    REFUSE(conv(), d.kernel = 0, MOCO_INVALID_ARGUMENT, "kernel is 0");
    REFUSE(conv(), d.stride = 0, MOCO_INVALID_ARGUMENT, "stride 0");
    REFUSE(conv(), d.padding = -1, MOCO_INVALID_ARGUMENT, "padding -1");
    REFUSE(conv(), d.kernel = 8, MOCO_INVALID_ARGUMENT, "8 x 8 window");
    REFUSE(conv(), d.kernel = INT32_MAX, MOCO_INVALID_ARGUMENT, "window");
    REFUSE(conv(), d.padding = INT32_MAX, MOCO_INVALID_ARGUMENT, "output");
    REFUSE(conv(), d.out_c = 0, MOCO_INVALID_ARGUMENT, "out_c is 0");
    REFUSE(conv(), d.groups = 0, MOCO_INVALID_ARGUMENT, "groups is 0");
    REFUSE(conv(), d.groups = 3, MOCO_INVALID_ARGUMENT, "groups is 3");
    REFUSE(conv(), (d.groups = 4, d.out_c = 6), MOCO_INVALID_ARGUMENT, "groups is 4");
    image_layer pool = layer_desc(MOCO_LAYER_MAX_POOL, 2, 4, 5, 5);
    set_window(&pool, 3, 2, 1);
    set_window(&pool, 3, 1, 2); /* a window that lies in the padding alone */
    REFUSE(pool, (void) d, MOCO_INVALID_ARGUMENT, "padding is 2");
}

static void test_batch_norm(void **state) {
    (void) state;
    const image_layer norm = layer_desc(MOCO_LAYER_BATCH_NORM, 4, 3, 1, 1);
    REFUSE(norm, d.bn_groups = 0, MOCO_INVALID_ARGUMENT, "groups is 0");
    REFUSE(norm, d.bn_groups = 3, MOCO_INVALID_ARGUMENT, "smallest group 1 value(s)");
    REFUSE(norm, (d.bn_groups = 3, d.bn_strided = 1), MOCO_INVALID_ARGUMENT, "smallest group 1 value(s)");
    REFUSE(norm, d.bn_groups = INT32_MAX, MOCO_INVALID_ARGUMENT, "smallest group 0");
    REFUSE(norm, d.bn_eps = -1.0, MOCO_INVALID_ARGUMENT, "eps is -1");
    REFUSE(norm, d.bn_eps = NAN, MOCO_INVALID_ARGUMENT, "eps is");
    REFUSE(norm, (d.residual = 1, d.residual_layout = 7), MOCO_UNSUPPORTED, "");
    /* In evaluation, groups do not matter; a pass with batch statistics is then refused when it is asked for. */
    image_layer evaluate = norm;
    evaluate.training = 0;
    evaluate.bn_groups = 100;
    moco_random random;
    moco_random_init(&random, 1, MOCO_RANDOM_TEST, 0, 0);
    layer_data data = layer_data_create(&evaluate);
    layer_data_fill(&random, &data, 0.0, 1.0);
    const layer_run run = {.mode = 2};
    run_layer(context, &evaluate, &run, &data);
    live_layer live = live_layer_open(context, &evaluate, &data, &run);
    const moco_layer_args args = forward_args(&live, 1);
    assert_int_equal(moco_layer_forward(&live.layer, &args), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "smallest group 0 value(s)"));
    live_layer_close(&live);
    layer_data_free(&data);
}

/* Tensors that the planner would never pass: caught before anything is read or written. */
static void test_tensors(void **state) {
    (void) state;
    moco_random random;
    moco_random_init(&random, 1, MOCO_RANDOM_TEST, 0, 0);
    const image_layer desc = layer_desc(MOCO_LAYER_BATCH_NORM, 4, 3, 2, 2);
    const layer_run run = {.mode = 0};
    layer_data data = layer_data_create(&desc);
    layer_data_fill(&random, &data, 0.0, 1.0);
    live_layer live = live_layer_open(context, &desc, &data, &run);
    const moco_layer_args good = forward_args(&live, 0);
    moco_layer_args args;
#define REFUSE_ARGS(change, pass, status, part)                                  \
    do {                                                                         \
        args = (pass) == moco_layer_forward ? good : backward_args(&live, &run); \
        change;                                                                  \
        assert_int_equal(pass(&live.layer, &args), status);                      \
        assert_non_null(strstr(moco_last_error(), part));                        \
    } while (0)
    REFUSE_ARGS(args.mode = 3, moco_layer_forward, MOCO_INVALID_ARGUMENT, "mode is 3");
    REFUSE_ARGS(args.inputs[MOCO_INPUT].buffer = NULL, moco_layer_forward, MOCO_INTERNAL, "inputs[0] is absent");
    REFUSE_ARGS(args.y.dims[0] = 5, moco_layer_forward, MOCO_INTERNAL, "y has 60");
    REFUSE_ARGS(args.inputs[MOCO_INPUT].dtype = MOCO_DTYPE_F64, moco_layer_forward, MOCO_INTERNAL,
                "inputs[0] has 48 elements of dtype 1");
    REFUSE_ARGS(args.inputs[MOCO_INPUT].layout = 5, moco_layer_forward, MOCO_INTERNAL, "inputs[0] has layout 5");
    REFUSE_ARGS(args.inputs[MOCO_INPUT].offset = 64, moco_layer_forward, MOCO_INTERNAL, "inputs[0]: bytes 64 + 192");
    REFUSE_ARGS(args.parameters[MOCO_BIAS].buffer = NULL, moco_layer_forward, MOCO_INTERNAL, "parameters[1] is absent");
    REFUSE_ARGS(args.saved.buffer = NULL, moco_layer_forward, MOCO_INTERNAL, "saved is absent");
    REFUSE_ARGS(args.parameters[MOCO_RUNNING_VAR].buffer = NULL, moco_layer_forward, MOCO_INTERNAL,
                "parameters[3] is absent");
    REFUSE_ARGS(args.inputs[MOCO_INPUT].buffer = NULL, moco_layer_backward, MOCO_INTERNAL, "inputs[0] is absent");
    REFUSE_ARGS(args.dy.buffer = NULL, moco_layer_backward, MOCO_INTERNAL, "dy is absent");
    REFUSE_ARGS(args.d_parameters[MOCO_WEIGHT].dims[0] = 4, moco_layer_backward, MOCO_INTERNAL,
                "d_parameters[0] has 4");
    args = good;
    assert_ok(moco_layer_forward(&live.layer, &args));
    live_layer_close(&live);
    layer_data_free(&data);
}

static void test_operators(void **state) {
    (void) state;
    const double values[6] = {0};
    const moco_tensor six = value_tensor(context, MOCO_DTYPE_F32, values, 6);
    const moco_tensor five = moco_tensor_1d(six.buffer, 0, MOCO_DTYPE_F32, 5);
    const moco_tensor beyond = moco_tensor_1d(six.buffer, 4, MOCO_DTYPE_F32, 6);
    const moco_tensor half = moco_tensor_1d(six.buffer, 0, MOCO_DTYPE_BF16, 6);
    assert_int_equal(moco_momentum_update(context, &six, &five, 0.5), MOCO_INTERNAL);
    assert_int_equal(moco_momentum_update(context, &six, &beyond, 0.5), MOCO_INTERNAL);
    assert_int_equal(moco_momentum_update(context, &half, &half, 0.5), MOCO_UNSUPPORTED);
    moco_sgd_args sgd = {.parameter = six, .gradient = six, .velocity = five, .momentum = 0.9};
    assert_int_equal(moco_sgd_update(context, &sgd), MOCO_INTERNAL);
    sgd.gradient = five;
    assert_int_equal(moco_sgd_update(context, &sgd), MOCO_INTERNAL);

    const moco_tensor rows = moco_tensor_2d(six.buffer, 0, MOCO_DTYPE_F32, 2, 3);
    const int64_t ids[2] = {1, 2};
    moco_info_nce_args nce = {.q = rows, .k = rows, .keys = rows, .temperature = 0.0};
    assert_int_equal(moco_info_nce(context, &nce), MOCO_INVALID_ARGUMENT);
    nce.temperature = 1.0;
    nce.sample_ids = ids;
    assert_int_equal(moco_info_nce(context, &nce), MOCO_INVALID_ARGUMENT);
    nce.sample_ids = NULL;
    nce.k = moco_tensor_2d(six.buffer, 0, MOCO_DTYPE_F32, 1, 3);
    assert_int_equal(moco_info_nce(context, &nce), MOCO_INTERNAL);
    nce.k = rows;
    nce.q.dims[0] = 0;
    assert_int_equal(moco_info_nce(context, &nce), MOCO_INVALID_ARGUMENT);
    nce.q.dims[0] = INT64_MAX;
    assert_int_equal(moco_info_nce(context, &nce), MOCO_INVALID_ARGUMENT);
    moco_buffer_destroy(context, six.buffer);
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
        cmocka_unit_test(test_shapes),  cmocka_unit_test(test_windows),   cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_operators),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
