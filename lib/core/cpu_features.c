#include "core/cpu_features.h"

uint32_t moco_cpu_features(void) {
    uint32_t features = 0;
#if defined(MOCO_HAVE_ISA_KERNELS)
    __builtin_cpu_init(); /* idempotent; these builtins also check that the system saves the registers */
    if (__builtin_cpu_supports("avx2")) features |= MOCO_CPU_AVX2;
    if (__builtin_cpu_supports("fma")) features |= MOCO_CPU_FMA;
    if (__builtin_cpu_supports("avx512f")) features |= MOCO_CPU_AVX512F;
    if (__builtin_cpu_supports("avx512bw")) features |= MOCO_CPU_AVX512BW;
    if (__builtin_cpu_supports("avx512dq")) features |= MOCO_CPU_AVX512DQ;
    if (__builtin_cpu_supports("avx512vl")) features |= MOCO_CPU_AVX512VL;
    if (__builtin_cpu_supports("avx512bf16")) features |= MOCO_CPU_AVX512_BF16;
#endif
    return features;
}

int32_t moco_cpu_has(uint32_t features) {
    return (moco_cpu_features() & features) == features;
}

int32_t moco_cpu_first_build(void) {
#if defined(MOCO_HAVE_ISA_KERNELS)
    return moco_cpu_has(MOCO_CPU_BUILD_AVX512) ? 0 : moco_cpu_has(MOCO_CPU_BUILD_AVX2) ? 1 : 2;
#else
    return 0;
#endif
}
