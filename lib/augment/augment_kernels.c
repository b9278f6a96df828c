#include "augment/augment_kernels.h"

#include "core/cpu_features.h"

#define DECLARE(isa)                                              \
    extern const moco_resample_kernel moco_resample_kernel_##isa; \
    extern const moco_colour_kernel moco_colour_kernel_##isa;     \
    extern const moco_blur_kernel moco_blur_kernel_##isa;
#define SET(isa) \
    { &moco_resample_kernel_##isa, &moco_colour_kernel_##isa, &moco_blur_kernel_##isa }

DECLARE(baseline)
#if defined(MOCO_HAVE_ISA_KERNELS)
DECLARE(avx2)
DECLARE(avx512)
static const moco_augment_kernels sets[] = {SET(avx512), SET(avx2), SET(baseline)};
#else
static const moco_augment_kernels sets[] = {SET(baseline)};
#endif
enum { SETS = sizeof sets / sizeof sets[0] };

const moco_augment_kernels *moco_augment_kernel_sets(int32_t *count) {
    const int32_t first = moco_cpu_first_build();
    *count = SETS - first;
    return sets + first;
}
