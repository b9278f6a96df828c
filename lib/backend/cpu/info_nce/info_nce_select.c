#include "backend/cpu/info_nce/info_nce_select.h"

#include <stddef.h>

#include "core/cpu_features.h"

extern const moco_nce_kernel moco_nce_kernel_baseline;
#if defined(MOCO_HAVE_ISA_KERNELS)
extern const moco_nce_kernel moco_nce_kernel_avx2, moco_nce_kernel_avx512;
static const moco_nce_kernel *const kernels[] = {&moco_nce_kernel_avx512, &moco_nce_kernel_avx2,
                                                 &moco_nce_kernel_baseline, NULL};
#else
static const moco_nce_kernel *const kernels[] = {&moco_nce_kernel_baseline, NULL};
#endif

const moco_nce_kernel *const *moco_nce_kernel_list(void) {
    return kernels + moco_cpu_first_build();
}

const moco_nce_kernel *moco_nce_kernel_select(void) {
    return moco_nce_kernel_list()[0];
}
