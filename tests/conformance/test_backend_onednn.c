/* With the argument "bf16": the same in bfloat16. */
#include "conformance/backend_suite.h"

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
    if (!offer_own_layout("onednn")) {
        print_message("left out: %s\n", moco_last_error());
        return 77; /* CTest's SKIP_RETURN_CODE */
    }
    suite.bits_by_threads = bits_by_threads;
    return run_backend_suite("onednn");
}
