/* Resizing part of an interleaved 8-bit image into three 8-bit planes, row by row, with the rows between the two axes
 * in the nearest cache.
 */
#ifndef MOCO_PIXEL_RESAMPLE_H
#define MOCO_PIXEL_RESAMPLE_H

#include <stddef.h>

#include "augment/resample_kernel.h"
#include "augment/resample_taps.h"

/* Bytes of scratch memory; 0 if that is more than can be addressed. */
size_t moco_pixel_resample_scratch(const moco_resample_kernel *kernel, const moco_resample_axis *vertical,
                                   const moco_resample_axis *horizontal);
/* pixels: rows of horizontal->in pixels. out[3 x vertical->count x horizontal->count]; `flip`: left and right change
 * places. `scratch` is 64-byte aligned. */
void moco_pixel_resample(const moco_resample_kernel *kernel, const uint8_t *pixels, const moco_resample_axis *vertical,
                         const moco_resample_axis *horizontal, int32_t flip, void *scratch, uint8_t *out);

#endif
