/* The conformance suite that every backend runs: each layer and operator against the float64 reference, on shapes that
 * are odd in every way. A backend's driver is one file: #include this, and main() { return run_backend_suite("name");
 * }. What the backend declines runs on the next one of its chain; it is counted and printed, not failed.
 *
 * MOCO_CONFORMANCE_SEEDS=N runs N seeds of random shapes instead of 1.
 */
#ifndef MOCO_TEST_BACKEND_SUITE_H
#define MOCO_TEST_BACKEND_SUITE_H

#include "conformance/large_convolution_cases.h"
#include "conformance/layer_cases.h"
#include "conformance/operator_cases.h"

/* Layers are offered their inputs in the layout of what a convolution on an image makes. 0: there is no such backend
 * here, or it doesn't compute in the dtype that is offered. */
static inline int offer_own_layout(const char *backend) {
    moco_context_config config;
    moco_context *context = NULL;
    moco_planned_layer layer;
    if (moco_context_config_init(&config, sizeof config) != MOCO_OK) return 0;
    config.backend = backend;
    if (moco_context_create(&context, &config) != MOCO_OK) return 0;
    image_layer desc = layer_desc(MOCO_LAYER_CONV2D, 1, 3, 8, 8);
    desc.out_c = 64;
    desc.skip_input_gradient = 1;
    desc.compute_dtype = offered_compute_dtype;
    set_window(&desc, 3, 1, 1);
    if (plan_image_layer(context, &desc, &layer) == MOCO_OK) {
        offered_layout = layer.info.output_layout;
        moco_layer_release(&layer);
    }
    const int32_t found = moco_backends_compute(context, offered_compute_dtype);
    moco_context_destroy(context);
    return found || moco_fail(MOCO_UNSUPPORTED, "this processor has no bfloat16") == MOCO_OK;
}

static int suite_setup(void **state) {
    suite.tested = open_context(suite.name, 1);
    suite.tested_threads = open_context(suite.name, 3);
    suite.oracle = open_context("reference", 2);
    const char *seeds = getenv("MOCO_CONFORMANCE_SEEDS");
    suite.seeds = seeds == NULL ? 1 : (int64_t) strtoll(seeds, NULL, 10);
    assert_true(suite.seeds >= 1);
    (void) state;
    return 0;
}

static int suite_teardown(void **state) {
    for (int kind = 0; kind < moco_layer_kind_count(); ++kind) {
        if (kind == MOCO_LAYER_REORDER) continue; /* runs with every layer of an opaque layout */
        assert_true(suite.cases[kind] > 0);
        print_message("%s: %s: %lld cases, %lld of them declined\n", suite.name, moco_layer_kind_of(kind)->name,
                      (long long) suite.cases[kind], (long long) suite.declined[kind]);
    }
    moco_context_destroy(suite.tested);
    moco_context_destroy(suite.tested_threads);
    moco_context_destroy(suite.oracle);
    (void) state;
    return 0;
}

static int run_backend_suite(const char *name) {
    suite.name = name;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_batch_norm_far_from_zero),
        cmocka_unit_test(test_relu),
        cmocka_unit_test(test_max_pool),
        cmocka_unit_test(test_average_pool),
        cmocka_unit_test(test_l2_normalize),
        cmocka_unit_test(test_later_kinds),
        cmocka_unit_test(test_blocked_layers),
        cmocka_unit_test(test_large_convolutions),
        cmocka_unit_test(test_small_groups_refused),
        cmocka_unit_test(test_float64_layers),
        cmocka_unit_test(test_momentum_update),
        cmocka_unit_test(test_sgd_update),
        cmocka_unit_test(test_sgd_momentum_update),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_info_nce),
        cmocka_unit_test(test_info_nce_narrow),
        cmocka_unit_test(test_info_nce_huge),
        cmocka_unit_test(test_info_nce_collapsed),
        cmocka_unit_test(test_info_nce_masked),
        cmocka_unit_test(test_memory_operators),
        cmocka_unit_test(test_convert),
    };
    return cmocka_run_group_tests(tests, suite_setup, suite_teardown);
}

#endif
