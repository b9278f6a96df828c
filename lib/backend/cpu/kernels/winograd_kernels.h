/* Inner loops of a 3 x 3 convolution by Winograd's F(m x m, 3 x 3) (Lavin and Gray, arXiv 1509.09308): a tile of m x m
 * results takes (m + 2)^2 multiplications a channel instead of 9 m^2,
 *
 *     Y = A' [sum over channels of (G g G') (.) (B' d B)] A,
 *
 * with d the (m + 2) x (m + 2) pixels around the tile, g the 3 x 3 weights and (.) element by element. The transposed
 * equation gives the gradient of g:
 *
 *     dg = G' [sum over tiles of (A dY A') (.) (B' d B)] G.
 *
 * In float32 m is 4, a quarter of the multiplications. In bfloat16 m is 2, 4 / 9 of them: the factors of the products
 * (U of the weights, V of the pixels) are rounded to bfloat16, and larger tiles would enlarge that error. Transforms
 * and sums are float32 in both.
 *
 * Activations are n x (c / 16) x h x w x 16; a plane is h x w pixels of 16 channels of that.
 */
#ifndef MOCO_WINOGRAD_KERNELS_H
#define MOCO_WINOGRAD_KERNELS_H

#include <stdint.h>

enum {
    WINOGRAD_LANES = 16,    /* channels of a plane */
    WINOGRAD_TILES = 6,     /* that products() takes at once, */
    WINOGRAD_CHANNELS = 64, /* for so many channels of the result */
};

/* Tiles [first, first + count) of row `row` of a plane's tiles; tile (i, j) has the results from (m i, m j) on. */
typedef struct winograd_run {
    int64_t h, w;
    int64_t row, first, count;
} winograd_run;

/* As many planes as a step has factors. The second may be missing (NULL): all zero. */
typedef struct winograd_planes {
    const void *of[2];
} winograd_planes;

/* Factors lie in units of 32 bits: a float, or a pair of bfloat16 that the processor multiplies and sums in one step,
 * of two channels, or for the weight gradient of two tiles. Distances (next_...) are in such units; the elements of a
 * tile are `next_element` apart. */
typedef struct winograd_kernels {
    int64_t tile;        /* m */
    int64_t elements;    /* (m + 2)^2 */
    int64_t per_step;    /* factors in a unit: 1 or 2 */
    int64_t wide_pixels; /* for each channel: with fewer, it is better to go through the weights once, not the tiles */

    /* V = B' d B of `per_step` planes of one sample, whose channels lie side by side. */
    void (*transform_pixels)(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_element,
                             int64_t next_tile);
    /* m[6 tiles][64 channels] = sum over `steps` units of V times U [added to m]. */
    void (*products)(const uint32_t *v, int64_t next_tile, const uint32_t *u, int64_t steps, int32_t accumulate,
                     float *m, int64_t next_m);
    /* Y = A' M A [added to Y] of 16 channels. */
    void (*transform_products)(const float *m, int64_t next_element, int64_t next_tile, const winograd_run *run,
                               int32_t accumulate, void *plane);
    /* U = G g G' of 16 x 16 filters: lane l and channel k have their nine weights at g + l * next_lane + k *
     * next_channel, turned by half a circle if `turned`. Units of channels are `next_step` apart. */
    void (*transform_weights)(const float *g, int64_t next_lane, int64_t next_channel, int32_t turned, uint32_t *u,
                              int64_t next_element, int64_t next_step);

    /* V, and A dY A', of the same tiles of `per_step` samples, 16 channels of each. */
    void (*pair_pixels)(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_element);
    void (*pair_gradients)(const winograd_planes *planes, const winograd_run *run, uint32_t *w, int64_t next_element);
    /* dg = G' dU G [added to dg] of one output channel and 16 input channels, whose nine weights lie one after another.
     * dU is the sum of so many parts. */
    void (*weight_gradient)(const float *du, int64_t next_element, int64_t parts, int64_t next_part, int32_t accumulate,
                            float *dg);
} winograd_kernels;

#endif
