/* Resizing rows of 8-bit pixels, compiled once per instruction set from resample_kernel.c; all give the same bits.
 *
 * Between the two axes a value v of 0..255 is 64 v as a 16-bit integer, clamped to that range; Pillow rounds it to 8
 * bits there. `stride` is that of the three planes of such a row, a multiple of 32 and at least the row's width.
 */
#ifndef MOCO_RESAMPLE_KERNEL_H
#define MOCO_RESAMPLE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum {
    MOCO_PIXEL_TAPS = 32,     /* up to so many taps, weights are 16-bit integers; beyond, floats */
    MOCO_PIXEL_PADDING = 128, /* elements that a row buffer has beyond its width */
};

/* One axis: output i is the sum of taps from source pixel start[i] on. */
typedef struct moco_pixel_taps {
    int64_t taps, count;
    int64_t first, last; /* source pixels [first, last) are all that is read */
    int32_t *start;      /* count; not ascending where the row is flipped */
    float *weights;      /* count x taps; where taps <= MOCO_PIXEL_TAPS, integers; across, of 2^14 */
    int16_t *integers;   /* the same as integers, or NULL where there are too many taps */
} moco_pixel_taps;

typedef struct moco_resample_kernel {
    /* Bytes that `plan` needs for an axis of such a shape. */
    size_t (*plan_size)(int64_t taps, int64_t count);
    /* Once per view: makes what `row` wants of the taps. */
    void (*plan)(const moco_pixel_taps *across, void *plan);
    /* source: the row's pixels, three bytes each. buffer: 4 * (last - first + MOCO_PIXEL_PADDING) floats. out: three
     * planes, `stride` apart. */
    void (*row)(const uint8_t *source, const moco_pixel_taps *across, const void *plan, float *buffer, int64_t stride,
                int16_t *out);
    /* out[i] = sum over t of weights[t] * rows[t][i], 0..255, for i < n, a multiple of 32. The weights are of 2^(9 +
     * shift). */
    void (*combine)(const int16_t *const *rows, const int16_t *weights, int64_t taps, int32_t shift, int64_t n,
                    uint8_t *out);
    /* The same for any number of taps. sums: n floats. */
    void (*combine_many)(const int16_t *const *rows, const float *weights, int64_t taps, int64_t n, float *sums,
                         uint8_t *out);
} moco_resample_kernel;

#endif
