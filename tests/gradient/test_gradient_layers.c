/* Every layer kind and option: dx, d_residual, dweight and dbias of the float64 reference against finite differences.
 */
#include "gradient/finite_difference.h"

static moco_context *context;

/* The layer under test and the weights of L = sum of dy * y. */
typedef struct layer_problem {
    image_layer desc;
    layer_data data;
    layer_data scratch;
} layer_problem;

static double layer_loss(void *argument) {
    layer_problem *problem = (layer_problem *) argument;
    const layer_run forward = {.mode = 1};
    image_layer desc = problem->desc;
    desc.training = 0;
    for (int t = X; t <= RUNNING_VAR; ++t) {
        memcpy(problem->scratch.values[t], problem->data.values[t],
               (size_t) problem->data.elements[t] * sizeof(double));
    }
    run_layer(context, &desc, &forward, &problem->scratch);
    double sum = 0.0;
    for (int64_t i = 0; i < problem->data.elements[Y]; ++i)
        sum += problem->data.values[DY][i] * problem->scratch.values[Y][i];
    return sum;
}

/* Moves the inputs until no relu or maximum is near its kink: the argument of the relu, or the gap between the two
 * largest values of a window, is above `margin`. */
static int32_t near_kink(const layer_problem *problem, double margin) {
    if (problem->desc.relu) {
        image_layer linear = problem->desc;
        const layer_run forward = {.mode = 1};
        linear.relu = 0;
        layer_data copy = layer_data_copy(&linear, &problem->data);
        run_layer(context, &linear, &forward, &copy);
        int32_t near = 0;
        for (int64_t i = 0; i < copy.elements[Y]; ++i) near |= fabs(copy.values[Y][i]) < margin;
        layer_data_free(&copy);
        return near;
    }
    const double *x = problem->data.values[X];
    if (problem->desc.kind == MOCO_LAYER_RELU) {
        for (int64_t i = 0; i < problem->data.elements[X]; ++i)
            if (fabs(x[i]) < margin) return 1;
    }
    if (problem->desc.kind == MOCO_LAYER_MAX_POOL) {
        for (int64_t i = 0; i < problem->data.elements[X]; ++i)
            for (int64_t j = 0; j < i; ++j)
                if (fabs(x[i] - x[j]) < margin) return 1;
    }
    return 0;
}

static void check_layer_gradients(image_layer desc, uint64_t seed, double h, double tolerance) {
    moco_random random;
    moco_random_init(&random, seed, MOCO_RANDOM_TEST, 0, 0);
    desc.dtype = MOCO_DTYPE_F64;
    layer_problem problem = {desc, layer_data_create(&desc), layer_data_create(&desc)};
    int32_t tries = 0;
    do {
        assert_true(++tries < 1000);
        layer_data_fill(&random, &problem.data, 0.3, 1.0);
    } while (near_kink(&problem, 20.0 * h));

    const layer_run backward = {.mode = 0};
    run_layer(context, &desc, &backward, &problem.data);
    static const int pairs[][2] = {{X, DX}, {RESIDUAL, D_RESIDUAL}, {WEIGHT, DWEIGHT}, {BIAS, DBIAS}};
    for (int i = 0; i < 4; ++i) {
        const int t = pairs[i][0], gradient = pairs[i][1];
        char what[128];
        snprintf(what, sizeof what, "%s of layer kind %d, seed %llu", layer_tensor_names[gradient], desc.kind,
                 (unsigned long long) seed);
        check_gradient(layer_loss, &problem, problem.data.values[t], problem.data.values[gradient],
                       problem.data.elements[t], h, tolerance, what);
    }
    layer_data_free(&problem.data);
    layer_data_free(&problem.scratch);
}

static void test_convolution(void **state) {
    (void) state;
    /* kernel, stride, padding, groups, h, w */
    static const int32_t shapes[][6] = {{1, 1, 0, 1, 3, 3}, {3, 1, 1, 1, 4, 5}, {3, 2, 1, 2, 5, 7}, {7, 2, 3, 1, 9, 8},
                                        {2, 3, 0, 1, 7, 4}, {1, 2, 0, 4, 5, 5}, {3, 1, 1, 4, 1, 1}, {5, 1, 4, 2, 3, 2}};
    for (uint64_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        image_layer desc = layer_desc(MOCO_LAYER_CONV2D, 2, 4, shapes[i][4], shapes[i][5]);
        desc.out_c = 8;
        desc.groups = shapes[i][3];
        set_window(&desc, shapes[i][0], shapes[i][1], shapes[i][2]);
        check_layer_gradients(desc, i, 1e-3, 1e-9); /* linear in each argument: any h is exact */
    }
}

static void test_linear(void **state) {
    (void) state;
    for (int32_t relu = 0; relu <= 1; ++relu) {
        image_layer desc = layer_desc(MOCO_LAYER_LINEAR, 3, 5, 1, 1);
        desc.out_c = 4;
        desc.relu = relu;
        check_layer_gradients(desc, 10, 1e-4, 1e-9);
    }
}

static void test_batch_norm(void **state) {
    (void) state;
    static const int64_t shapes[][4] = {{7, 3, 1, 1}, {6, 2, 2, 1}, {5, 1, 3, 2}};
    for (uint64_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        for (int32_t options = 0; options < 16; ++options) {
            image_layer desc =
                layer_desc(MOCO_LAYER_BATCH_NORM, shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
            desc.relu = options & 1;
            desc.residual = options >> 1 & 1;
            desc.bn_strided = options >> 2 & 1;
            desc.bn_groups = options >> 3 & 1 ? 2 + (shapes[i][2] > 1) : 1;
            desc.bn_eps = 1e-2; /* large enough to be seen */
            check_layer_gradients(desc, 100 * i + (uint64_t) options, 1e-5, 1e-7);
        }
    }
}

static void test_relu(void **state) {
    (void) state;
    check_layer_gradients(layer_desc(MOCO_LAYER_RELU, 2, 3, 2, 2), 20, 1e-4, 1e-9);
}

static void test_max_pool(void **state) {
    (void) state;
    static const int32_t windows[][3] = {{3, 2, 1}, {2, 2, 0}, {3, 1, 1}, {2, 3, 1}};
    for (uint64_t i = 0; i < sizeof windows / sizeof *windows; ++i) {
        image_layer desc = layer_desc(MOCO_LAYER_MAX_POOL, 2, 2, 5, 4);
        set_window(&desc, windows[i][0], windows[i][1], windows[i][2]);
        check_layer_gradients(desc, 30 + i, 1e-6, 1e-8);
    }
}

static void test_average_pool(void **state) {
    (void) state;
    check_layer_gradients(layer_desc(MOCO_LAYER_AVERAGE_POOL, 2, 3, 4, 3), 40, 1e-3, 1e-9);
}

static void test_l2_normalize(void **state) {
    (void) state;
    check_layer_gradients(layer_desc(MOCO_LAYER_L2_NORMALIZE, 4, 6, 1, 1), 50, 1e-5, 1e-8);
    check_layer_gradients(layer_desc(MOCO_LAYER_L2_NORMALIZE, 1, 33, 1, 1), 51, 1e-5, 1e-8);
}

static void test_layer_norm(void **state) {
    (void) state;
    static const int64_t rows[][2] = {{1, 1}, {3, 2}, {4, 7}, {2, 33}};
    for (uint64_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        image_layer desc = layer_desc(MOCO_LAYER_LAYER_NORM, rows[i][0], rows[i][1], 1, 1);
        desc.bn_eps = 1e-2; /* large enough to be seen */
        check_layer_gradients(desc, 60 + i, 1e-5, 1e-7);
    }
}

static void test_gelu(void **state) {
    (void) state;
    check_layer_gradients(layer_desc(MOCO_LAYER_GELU, 2, 3, 4, 3), 70, 1e-5, 1e-8);
    check_layer_gradients(layer_desc(MOCO_LAYER_GELU, 5, 7, 1, 1), 71, 1e-5, 1e-8);
}

static void test_add(void **state) {
    (void) state;
    check_layer_gradients(layer_desc(MOCO_LAYER_ADD, 2, 3, 4, 3), 80, 1e-3, 1e-9);
    check_layer_gradients(layer_desc(MOCO_LAYER_ADD, 5, 7, 1, 1), 81, 1e-3, 1e-9);
}

/* Rows shorter than 1e-12 are divided by that: the layer is linear there. */
static void test_l2_normalize_below_bound(void **state) {
    (void) state;
    image_layer desc = layer_desc(MOCO_LAYER_L2_NORMALIZE, 2, 3, 1, 1);
    desc.dtype = MOCO_DTYPE_F64;
    layer_problem problem = {desc, layer_data_create(&desc), layer_data_create(&desc)};
    for (int i = 0; i < 6; ++i) {
        problem.data.values[X][i] = 1e-14 * i;
        problem.data.values[DY][i] = i - 2.5;
    }
    const layer_run backward = {.mode = 0};
    run_layer(context, &desc, &backward, &problem.data);
    check_gradient(layer_loss, &problem, problem.data.values[X], problem.data.values[DX], 6, 1e-14, 1e-9, "dx");
    layer_data_free(&problem.data);
    layer_data_free(&problem.scratch);
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
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_relu),
        cmocka_unit_test(test_max_pool),
        cmocka_unit_test(test_average_pool),
        cmocka_unit_test(test_l2_normalize),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_l2_normalize_below_bound),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
