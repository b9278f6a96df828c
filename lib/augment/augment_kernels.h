/* The kernels of this processor's instruction set. */
#ifndef MOCO_AUGMENT_KERNELS_H
#define MOCO_AUGMENT_KERNELS_H

#include "augment/augment_internal.h"
#include "augment/colour_kernel.h"
#include "augment/resample_kernel.h"

typedef struct moco_augment_kernels {
    const moco_resample_kernel *resample;
    const moco_colour_kernel *colour;
    const moco_blur_kernel *blur;
} moco_augment_kernels;

/* Best first, `count` of them: all that this processor runs. They give the same bits. */
const moco_augment_kernels *moco_augment_kernel_sets(int32_t *count);

/* moco_augment_render_pixels by the kernels given. */
moco_status moco_augment_render_with(const moco_augment *augment, const moco_augment_kernels *kernels,
                                     const moco_image_part *image, const moco_view_draw *draw,
                                     moco_augment_scratch *scratch, int32_t pixels, void *out);

#endif
