/* The conformance suite's layers and updates with each of the cpu backend's kernels for PLAIN layout that this processor
 * runs, convolutions once by tiles and once by BLAS; test_backend_cblas has only the best ones, and the blocked layouts.
 */
#include "conformance/layer_cases.h"
#include "conformance/update_cases.h"

#include "backend/cpu/cpu_backend.h"
#include "support/passive_threads.h"

static struct {
    const conv_kernel *conv;
    const vector_kernel *vector;
    int32_t conv_by_gemm;
} variant;

/* The backend behind a context, found by a layer that it plans. */
static void use_variant(moco_context *context) {
    const image_layer desc = layer_desc(MOCO_LAYER_RELU, 1, 1, 1, 1);
    moco_planned_layer layer;
    assert_ok(plan_image_layer(context, &desc, &layer));
    assert_string_equal(layer.ops->name, "cblas");
    cpu_backend *backend = (cpu_backend *) layer.backend;
    backend->conv = variant.conv;
    backend->vector = variant.vector;
    backend->conv_by_gemm = variant.conv_by_gemm;
    backend->f32.block = 0; /* no blocked layouts, so that every layer is done by these kernels */
    moco_layer_release(&layer);
}

static int open_suite(void **state) {
    (void) state;
    suite.name = "cblas";
    suite.seeds = 1;
    suite.tested = open_context("cblas", 1);
    suite.tested_threads = open_context("cblas", 3);
    suite.oracle = open_context("reference", 2);
    use_variant(suite.tested);
    use_variant(suite.tested_threads);
    return 0;
}

static int close_suite(void **state) {
    (void) state;
    moco_context_destroy(suite.tested);
    moco_context_destroy(suite.tested_threads);
    moco_context_destroy(suite.oracle);
    return 0;
}

int main(int argc, char **argv) {
    (void) argc;
    let_waiting_threads_sleep(argv);
    const struct CMUnitTest convolutions[] = {cmocka_unit_test(test_convolution)};
    const struct CMUnitTest layers[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_batch_norm_far_from_zero),
        cmocka_unit_test(test_relu),
        cmocka_unit_test(test_max_pool),
        cmocka_unit_test(test_average_pool),
        cmocka_unit_test(test_l2_normalize),
        cmocka_unit_test(test_later_kinds),
        cmocka_unit_test(test_blocked_layers),
        cmocka_unit_test(test_small_groups_refused),
        cmocka_unit_test(test_float64_layers),
        cmocka_unit_test(test_momentum_update),
        cmocka_unit_test(test_sgd_update),
        cmocka_unit_test(test_sgd_momentum_update),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_norms),
    };
    int failed = 0;
    for (int i = 0; moco_cpu_conv_kernels()[i] != NULL; ++i) {
        variant.conv = moco_cpu_conv_kernels()[i];
        variant.vector = moco_cpu_vector_kernels()[i];
        print_message("kernels of %d lanes\n", variant.conv->lanes);
        for (variant.conv_by_gemm = 0; variant.conv_by_gemm < 2; ++variant.conv_by_gemm) {
            failed += cmocka_run_group_tests_name("convolutions", convolutions, open_suite, close_suite);
        }
        failed += cmocka_run_group_tests_name("other layers and updates", layers, open_suite, close_suite);
    }
    return failed;
}
