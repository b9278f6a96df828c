/* Each operator of the cpu backend on PLAIN layout gives the same bits for 1, 2 and 4 threads, with each kernel that this
 * processor runs: layers forward and backward, convolutions by tiles and by BLAS, the momentum update, SGD and addition. Shapes
 * are large enough for several tasks of each kind.
 */
#include "support/layer_harness.h"

#include "backend/cpu/cpu_backend.h"
#include "support/passive_threads.h"

#define THREAD_COUNTS 3
static const int32_t thread_counts[THREAD_COUNTS] = {1, 2, 4};

typedef struct variant {
    const conv_kernel *conv;
    const vector_kernel *vector;
    int32_t conv_by_gemm;
} variant;

static moco_context *open_variant(const variant *v, int32_t threads) {
    moco_context *context = open_context("cblas", threads);
    const image_layer desc = layer_desc(MOCO_LAYER_RELU, 1, 1, 1, 1);
    moco_planned_layer layer;
    assert_ok(plan_image_layer(context, &desc, &layer));
    assert_string_equal(layer.ops->name, "cblas");
    cpu_backend *backend = (cpu_backend *) layer.backend;
    backend->conv = v->conv;
    backend->vector = v->vector;
    backend->conv_by_gemm = v->conv_by_gemm;
    backend->f32.block = 0; /* no blocked layouts, so that every layer is done by these kernels */
    moco_layer_release(&layer);
    return context;
}

/* Calls `check` for each variant. */
static void for_each_variant(void (*check)(const variant *)) {
    for (int i = 0; moco_cpu_conv_kernels()[i] != NULL; ++i) {
        for (int32_t gemm = 0; gemm < 2; ++gemm) {
            const variant v = {moco_cpu_conv_kernels()[i], moco_cpu_vector_kernels()[i], gemm};
            check(&v);
        }
    }
}

static void check_layer(const variant *v, const image_layer *desc) {
    const layer_run run = {.mode = 0};
    moco_random random;
    moco_random_init(&random, 7, MOCO_RANDOM_TEST, 0, 0);
    layer_data first = layer_data_create(desc);
    layer_data_fill(&random, &first, 0.5, 1.0);
    layer_data inputs = layer_data_copy(desc, &first);
    for (int i = 0; i < THREAD_COUNTS; ++i) {
        layer_data data = layer_data_copy(desc, &inputs);
        moco_context *context = open_variant(v, thread_counts[i]);
        assert_string_equal(run_layer(context, desc, &run, i == 0 ? &first : &data), "cblas");
        moco_context_destroy(context);
        for (int t = 0; i > 0 && t < LAYER_TENSORS; ++t) {
            const size_t bytes = (size_t) first.elements[t] * sizeof(double);
            if (memcmp(first.values[t], data.values[t], bytes) != 0) {
                fail_msg("kind %d, %d lanes, gemm %d: %s differs between 1 and %d threads", desc->kind, v->conv->lanes,
                         v->conv_by_gemm, layer_tensor_names[t], thread_counts[i]);
            }
        }
        layer_data_free(&data);
    }
    layer_data_free(&inputs);
    layer_data_free(&first);
}

static image_layer conv(int64_t n, int64_t c, int64_t size, int64_t out_c, int32_t kernel, int32_t stride,
                        int32_t groups) {
    image_layer desc = layer_desc(MOCO_LAYER_CONV2D, n, c, size, size);
    desc.out_c = out_c;
    desc.groups = groups;
    set_window(&desc, kernel, stride, kernel / 2);
    return desc;
}

static void check_convolutions(const variant *v) {
    const image_layer descs[] = {
        conv(40, 16, 16, 16, 3, 1, 1), /* images stacked, partial gradients */
        conv(4, 48, 40, 32, 3, 1, 1),  /* bands of rows */
        conv(3, 32, 17, 65, 3, 2, 1),  /* stride 2, a channel beyond the last block */
        conv(2, 96, 7, 160, 1, 1, 1),  /* slices of output channels */
        conv(5, 32, 12, 32, 3, 1, 4),  /* groups */
        conv(33, 3, 20, 16, 7, 2, 1),  /* a stem */
    };
    for (size_t i = 0; i < sizeof descs / sizeof *descs; ++i) check_layer(v, &descs[i]);
}

static void check_other_layers(const variant *v) {
    if (v->conv_by_gemm) return; /* of no matter here */
    image_layer linear = layer_desc(MOCO_LAYER_LINEAR, 300, 200, 1, 1);
    linear.out_c = 260;
    linear.relu = 1;
    image_layer norm = layer_desc(MOCO_LAYER_BATCH_NORM, 12, 9, 21, 21);
    norm.relu = norm.residual = 1;
    norm.bn_groups = 3;
    image_layer pool = layer_desc(MOCO_LAYER_MAX_POOL, 4, 5, 15, 15);
    set_window(&pool, 3, 2, 1);
    const image_layer relu = layer_desc(MOCO_LAYER_RELU, 4, 6, 50, 50);
    const image_layer average = layer_desc(MOCO_LAYER_AVERAGE_POOL, 50, 60, 9, 9);
    const image_layer normalize = layer_desc(MOCO_LAYER_L2_NORMALIZE, 500, 128, 1, 1);
    check_layer(v, &linear);
    check_layer(v, &norm);
    check_layer(v, &pool);
    check_layer(v, &relu);
    check_layer(v, &average);
    check_layer(v, &normalize);
}

/* --- Updates of parameters --- */

#define ELEMENTS 100003

static moco_tensor random_tensor(moco_context *context, int64_t sample) {
    moco_random random;
    moco_random_init(&random, 8, MOCO_RANDOM_TEST, 0, (uint64_t) sample);
    double *values = (double *) malloc(ELEMENTS * sizeof(double));
    assert_non_null(values);
    fill_normal(&random, values, ELEMENTS, 0.0, 1.0);
    const moco_tensor tensor = value_tensor(context, MOCO_DTYPE_F32, values, ELEMENTS);
    free(values);
    return tensor;
}

static void update(moco_context *context, float *k, float *parameter, float *velocity) {
    const moco_tensor key = random_tensor(context, 0), query = random_tensor(context, 1);
    const moco_tensor gradient = random_tensor(context, 2), v = random_tensor(context, 3);
    const moco_sgd_args args = {.parameter = query,
                                .gradient = gradient,
                                .velocity = v,
                                .learning_rate = 0.03,
                                .momentum = 0.9,
                                .weight_decay = 1e-4};
    assert_ok(moco_tensor_add(context, &key, &gradient));
    assert_ok(moco_momentum_update(context, &key, &query, 0.999));
    assert_ok(moco_sgd_update(context, &args));
    assert_ok(moco_tensor_download(context, &key, k));
    assert_ok(moco_tensor_download(context, &query, parameter));
    assert_ok(moco_tensor_download(context, &v, velocity));
    moco_buffer_destroy(context, key.buffer);
    moco_buffer_destroy(context, query.buffer);
    moco_buffer_destroy(context, gradient.buffer);
    moco_buffer_destroy(context, v.buffer);
}

static void check_updates(const variant *v) {
    float *results[2];
    for (int i = 0; i < 2; ++i) assert_non_null(results[i] = (float *) malloc(3 * ELEMENTS * sizeof(float)));
    for (int i = 0; i < THREAD_COUNTS; ++i) {
        float *r = results[i > 0];
        moco_context *context = open_variant(v, thread_counts[i]);
        update(context, r, r + ELEMENTS, r + 2 * ELEMENTS);
        moco_context_destroy(context);
        if (i > 0) assert_memory_equal(results[0], results[1], 3 * ELEMENTS * sizeof(float));
    }
    for (int i = 0; i < 2; ++i) free(results[i]);
}

static void test_convolutions(void **state) {
    (void) state;
    for_each_variant(check_convolutions);
}

static void test_other_layers(void **state) {
    (void) state;
    for_each_variant(check_other_layers);
}

static void test_updates(void **state) {
    (void) state;
    for_each_variant(check_updates);
}

int main(int argc, char **argv) {
    (void) argc;
    let_waiting_threads_sleep(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_other_layers),
        cmocka_unit_test(test_updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
