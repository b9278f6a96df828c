#include "backend/cblas/info_nce_select.h"

#include <stddef.h>

#include "backend/cblas/cpu_isa.h"

extern const moco_nce_kernel moco_nce_kernel;
#ifdef MOCO_HAVE_X86_KERNELS
extern const moco_nce_kernel moco_nce_kernel_avx2;
extern const moco_nce_kernel moco_nce_kernel_avx512;

/* Best first: a processor runs a tail of this list. */
static const moco_nce_kernel *const kernels[] = {&moco_nce_kernel_avx512, &moco_nce_kernel_avx2, &moco_nce_kernel,
                                                 NULL};
#else
static const moco_nce_kernel *const kernels[] = {&moco_nce_kernel, NULL};
#endif

const moco_nce_kernel *const *moco_nce_kernel_list(void) {
#ifdef MOCO_HAVE_X86_KERNELS
    return kernels + (MOCO_ISA_AVX512 - moco_cpu_isa());
#else
    return kernels;
#endif
}

const moco_nce_kernel *moco_nce_kernel_select(void) {
    return moco_nce_kernel_list()[0];
}
