#include "backend/cpu/info_nce/info_nce_select.h"

#include <stddef.h>

#include "core/cpu_isa.h"

extern const moco_nce_kernel moco_nce_kernel_baseline;
#if defined(MOCO_HAVE_ISA_KERNELS)
extern const moco_nce_kernel moco_nce_kernel_avx2;
extern const moco_nce_kernel moco_nce_kernel_avx512;

/* Best first: a processor runs a tail of this list. */
static const moco_nce_kernel *const kernels[] = {&moco_nce_kernel_avx512, &moco_nce_kernel_avx2,
                                                 &moco_nce_kernel_baseline, NULL};
#else
static const moco_nce_kernel *const kernels[] = {&moco_nce_kernel_baseline, NULL};
#endif

const moco_nce_kernel *const *moco_nce_kernel_list(void) {
#if defined(MOCO_HAVE_ISA_KERNELS)
    return kernels + (MOCO_CPU_AVX512 - moco_cpu_isa_detect());
#else
    return kernels;
#endif
}

const moco_nce_kernel *moco_nce_kernel_select(void) {
    return moco_nce_kernel_list()[0];
}
