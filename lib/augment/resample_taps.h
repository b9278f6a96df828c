/* Which source pixels an output pixel of a resized image is made of, and how much of each: the antialiased filters of
 * Pillow. Bilinear is a triangle, bicubic Keys' kernel with a = -1/2; both are widened by the factor of reduction.
 */
#ifndef MOCO_RESAMPLE_TAPS_H
#define MOCO_RESAMPLE_TAPS_H

#include <stdint.h>

/* One axis: the window [origin, origin + extent) of a row of `in` source pixels becomes `out` pixels, of which [first,
 * first + count) are made. Nothing outside the window counts: it is as if it were cut out first. */
typedef struct moco_resample_axis {
    double origin, extent;
    int64_t in;
    int64_t out;
    int64_t first, count;
    int32_t interpolation; /* MOCO_INTERPOLATION_* */
} moco_resample_axis;

/* Source pixels for each output pixel, at most. */
int64_t moco_resample_tap_count(const moco_resample_axis *axis);
/* Output pixel `first + i` is the sum over t < taps of weights[t] * source[start + t], for `taps` as
 * moco_resample_tap_count says. Unused weights are 0 and their source pixels exist. Returns the start. */
int64_t moco_resample_weigh(const moco_resample_axis *axis, int64_t i, int64_t taps, float *weights);

#endif
