/* What this processor can do, for kernels that are compiled several times (moco_add_isa_kernels in
 * cmake/isa_kernels.cmake). MOCO_HAVE_ISA_KERNELS is defined where builds other than the baseline's exist.
 */
#ifndef MOCO_CORE_CPU_FEATURES_H
#define MOCO_CORE_CPU_FEATURES_H

#include <stdint.h>

enum {
    MOCO_CPU_AVX2 = 1 << 0,
    MOCO_CPU_FMA = 1 << 1,
    MOCO_CPU_AVX512F = 1 << 2,
    MOCO_CPU_AVX512BW = 1 << 3,
    MOCO_CPU_AVX512DQ = 1 << 4,
    MOCO_CPU_AVX512VL = 1 << 5,
    MOCO_CPU_AVX512_BF16 = 1 << 6,

    /* What the builds of a kernel need; the baseline is what the compiler targets by default and needs nothing. */
    MOCO_CPU_BUILD_AVX2 = MOCO_CPU_AVX2 | MOCO_CPU_FMA,
    MOCO_CPU_BUILD_AVX512 =
        MOCO_CPU_BUILD_AVX2 | MOCO_CPU_AVX512F | MOCO_CPU_AVX512BW | MOCO_CPU_AVX512DQ | MOCO_CPU_AVX512VL,
    MOCO_CPU_BUILD_AVX512_BF16 = MOCO_CPU_BUILD_AVX512 | MOCO_CPU_AVX512_BF16,
};

/* MOCO_CPU_* of all that the processor has and the operating system saves; 0 where no other builds exist. */
uint32_t moco_cpu_features(void);

/* 1 if it has all of these. */
int32_t moco_cpu_has(uint32_t features);

/* Where this processor's kernels begin in a list {AVX-512, AVX2, baseline}: it runs all from there on, best first.
 * Without MOCO_HAVE_ISA_KERNELS the list has the baseline alone, and this is 0. */
int32_t moco_cpu_first_build(void);

#endif
