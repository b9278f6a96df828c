/* With the argument "bf16": the same in bfloat16. */
#include "conformance/backend_suite.h"

/* The layout of what a convolution on an image makes: layers behind it are offered their inputs in it. */
static int find_own_layout(void) {
    moco_context_config config;
    moco_context *context = NULL;
    moco_planned_layer layer;
    if (moco_context_config_init(&config, sizeof config) != MOCO_OK) return 0;
    config.backend = "onednn";
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

static int32_t has_avx512(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#else
    return 0;
#endif
}

/* oneDNN cuts the sums of a weight gradient by the number of threads; those that are our own, Winograd's and of large 1
 * x 1 weights, have the same bits for any. */
static int32_t bits_by_threads(const image_layer *desc) {
    const int32_t pointwise = desc->kernel == 1 && desc->c % 32 == 0 && desc->c * desc->out_c > 1 << 19;
    return desc->kind == MOCO_LAYER_CONV2D && !(has_avx512() && (may_be_winograd(desc) || pointwise));
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "bf16") == 0) offered_compute_dtype = MOCO_DTYPE_BF16;
    if (!find_own_layout()) {
        print_message("left out: %s\n", moco_last_error());
        return 77; /* CTest's SKIP_RETURN_CODE */
    }
    suite.bits_by_threads = bits_by_threads;
    return run_backend_suite("onednn");
}
