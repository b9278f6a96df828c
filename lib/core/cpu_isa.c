#include "core/cpu_isa.h"

moco_cpu_isa moco_cpu_isa_detect(void) {
#if defined(MOCO_HAVE_ISA_KERNELS)
    __builtin_cpu_init(); /* idempotent; these builtins also check that the system saves the registers */
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
        return MOCO_CPU_AVX512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return MOCO_CPU_AVX2;
#endif
    return MOCO_CPU_BASELINE;
}
