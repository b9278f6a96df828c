/* What this machine and this BLAS make of the choices: kernels by instruction set, and BLAS's own threads. */
#include <stddef.h>

#include "backend/cpu/plain_layers.h"
#include "core/cpu_isa.h"

extern const conv_kernel moco_conv_kernel_baseline;
extern const vector_kernel moco_vector_kernel_baseline;
#if defined(MOCO_HAVE_ISA_KERNELS)
extern const conv_kernel moco_conv_kernel_avx2, moco_conv_kernel_avx512;
extern const vector_kernel moco_vector_kernel_avx2, moco_vector_kernel_avx512;

/* Best first: a processor runs a tail of these. */
static const conv_kernel *const conv_kernels[] = {&moco_conv_kernel_avx512, &moco_conv_kernel_avx2,
                                                  &moco_conv_kernel_baseline, NULL};
static const vector_kernel *const vector_kernels[] = {&moco_vector_kernel_avx512, &moco_vector_kernel_avx2,
                                                      &moco_vector_kernel_baseline, NULL};

static int32_t first_kernel(void) {
    return MOCO_CPU_AVX512 - (int32_t) moco_cpu_isa_detect();
}
#else
static const conv_kernel *const conv_kernels[] = {&moco_conv_kernel_baseline, NULL};
static const vector_kernel *const vector_kernels[] = {&moco_vector_kernel_baseline, NULL};

static int32_t first_kernel(void) {
    return 0;
}
#endif

const conv_kernel *const *moco_cpu_conv_kernels(void) {
    return conv_kernels + first_kernel();
}

const vector_kernel *const *moco_cpu_vector_kernels(void) {
    return vector_kernels + first_kernel();
}

/* OpenBLAS's own functions, if that is the BLAS; absent otherwise. get_parallel: 0 no threads, 1 its own, 2 OpenMP's.
 */
extern int openblas_get_parallel(void) __attribute__((weak));
extern int openblas_get_num_threads(void) __attribute__((weak));
extern void openblas_set_num_threads(int threads) __attribute__((weak));

int32_t moco_blas_enter(void) {
    if (&openblas_get_parallel == NULL || &openblas_get_num_threads == NULL || &openblas_set_num_threads == NULL ||
        openblas_get_parallel() != 1) {
        return 0;
    }
    const int32_t threads = (int32_t) openblas_get_num_threads();
    if (threads <= 1) return 0;
    openblas_set_num_threads(1);
    return threads;
}

void moco_blas_leave(int32_t threads) {
    if (threads > 1) openblas_set_num_threads(threads);
}
