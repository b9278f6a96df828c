/* Which kernels this processor runs: the one place where builds for an instruction set are chosen. */
#include <stddef.h>

#include "backend/cpu/cpu_backend.h"
#include "core/cpu_features.h"

extern const conv_kernel moco_conv_kernel_baseline;
extern const vector_kernel moco_vector_kernel_baseline;
#if defined(MOCO_HAVE_ISA_KERNELS)
extern const conv_kernel moco_conv_kernel_avx2, moco_conv_kernel_avx512;
extern const vector_kernel moco_vector_kernel_avx2, moco_vector_kernel_avx512;

/* Best first: a processor runs all from moco_cpu_first_build() on. */
static const conv_kernel *const conv_kernels[] = {&moco_conv_kernel_avx512, &moco_conv_kernel_avx2,
                                                  &moco_conv_kernel_baseline, NULL};
static const vector_kernel *const vector_kernels[] = {&moco_vector_kernel_avx512, &moco_vector_kernel_avx2,
                                                      &moco_vector_kernel_baseline, NULL};

extern const blocked_kernels moco_blocked_kernels_avx2, moco_blocked_kernels_avx512, moco_blocked_kernels_avx512_bf16;
extern const direct_kernels moco_direct_kernels_avx2, moco_direct_kernels_avx512;
extern const weight_kernels moco_weight_kernels_avx512, moco_weight_kernels_avx512_bf16;
extern const winograd_kernels moco_winograd_kernels_avx512, moco_winograd_kernels_avx512_bf16;

static const direct_kernels *const all_direct_kernels[] = {&moco_direct_kernels_avx512, &moco_direct_kernels_avx2,
                                                           NULL};

static const cpu_format f32_16 = {CPU_LAYOUT_BLOCKED_16,
                                  16,
                                  MOCO_DTYPE_F32,
                                  &moco_blocked_kernels_avx512,
                                  &moco_winograd_kernels_avx512,
                                  &moco_weight_kernels_avx512,
                                  &moco_direct_kernels_avx512};
static const cpu_format f32_8 = {CPU_LAYOUT_BLOCKED_8,     8, MOCO_DTYPE_F32, &moco_blocked_kernels_avx2, NULL, NULL,
                                 &moco_direct_kernels_avx2};
static const cpu_format bf16_16 = {CPU_LAYOUT_BLOCKED_16_BF16,
                                   16,
                                   MOCO_DTYPE_BF16,
                                   &moco_blocked_kernels_avx512_bf16,
                                   &moco_winograd_kernels_avx512_bf16,
                                   &moco_weight_kernels_avx512_bf16,
                                   NULL};

static void choose_formats(cpu_backend *backend) {
    if (moco_cpu_has(MOCO_CPU_BUILD_AVX512)) {
        backend->f32 = f32_16;
        if (moco_cpu_has(MOCO_CPU_BUILD_AVX512_BF16)) backend->bf16 = bf16_16;
    } else if (moco_cpu_has(MOCO_CPU_BUILD_AVX2)) {
        backend->f32 = f32_8;
    }
}
#else
static const conv_kernel *const conv_kernels[] = {&moco_conv_kernel_baseline, NULL};
static const vector_kernel *const vector_kernels[] = {&moco_vector_kernel_baseline, NULL};
static const direct_kernels *const all_direct_kernels[] = {NULL};

static void choose_formats(cpu_backend *backend) {
    (void) backend;
}
#endif

const conv_kernel *const *moco_cpu_conv_kernels(void) {
    return conv_kernels + moco_cpu_first_build();
}

const vector_kernel *const *moco_cpu_vector_kernels(void) {
    return vector_kernels + moco_cpu_first_build();
}

const direct_kernels *const *moco_cpu_direct_kernels(void) {
    return all_direct_kernels + moco_cpu_first_build();
}

void moco_cpu_choose_kernels(cpu_backend *backend) {
    backend->vector = moco_cpu_vector_kernels()[0];
    backend->conv = moco_cpu_conv_kernels()[0];
    backend->conv_by_gemm = moco_cpu_conv_kernels()[1] == NULL; /* only the baseline is left */
    choose_formats(backend);
}
