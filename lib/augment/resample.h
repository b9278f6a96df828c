/* Resizing planes of floats, one axis at a time. */
#ifndef MOCO_RESAMPLE_H
#define MOCO_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "augment/resample_taps.h"

/* Bytes of scratch memory for one call of moco_resample; sizes are at most 2^31 each. 0 if that overflows. */
size_t moco_resample_scratch(const moco_resample_axis *vertical, const moco_resample_axis *horizontal);

/* image: the first pixel of the window in a plane of rows `stride` apart; out[vertical.count x horizontal.count], for
 * each of `planes` planes, `plane_stride` apart in the image. `scratch` is 64-byte aligned. */
void moco_resample(const float *image, int64_t stride, int64_t planes, int64_t plane_stride,
                   const moco_resample_axis *vertical, const moco_resample_axis *horizontal, void *scratch, float *out);

#endif
