#include "backend/cblas/cpu_isa.h"

int32_t moco_cpu_isa(void) {
#ifdef MOCO_HAVE_X86_KERNELS
    /* The compiler's run time asks the processor once; these read what it found. */
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
        return MOCO_ISA_AVX512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return MOCO_ISA_AVX2;
#endif
    return MOCO_ISA_BASELINE;
}
