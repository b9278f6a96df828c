/* Inner loops of a 3 x 3 convolution by Winograd's F(2 x 2, 3 x 3) (Lavin and Gray, arXiv 1509.09308) in bfloat16: a
 * tile of 2 x 2 results takes 16 multiplications a channel instead of 36,
 *
 *     Y = A' [sum over channels of (G g G') (.) (B' d B)] A,
 *
 * with d the 4 x 4 pixels around the tile, g the 3 x 3 weights and (.) element by element. Transforms are float32,
 * their results, the factors of the products, bfloat16 (U of the weights, V of the pixels), sums float32. The
 * transposed equation gives the gradient of g:
 *
 *     dg = G' [sum over tiles of (A dY A') (.) (B' d B)] G.
 *
 * Activations are n x (c / 16) x h x w x 16; every function here takes one plane of that, h x w pixels of 16 channels.
 */
#ifndef MOCO_WINOGRAD_KERNELS_H
#define MOCO_WINOGRAD_KERNELS_H

#include <stdint.h>

enum {
    WINOGRAD_ELEMENTS = 16, /* of a transformed tile */
    WINOGRAD_LANES = 16,    /* channels of a plane */
    WINOGRAD_TILES = 6,     /* that products() takes at once, */
    WINOGRAD_CHANNELS = 64, /* for so many channels of the result */
};

/* Tiles [first, first + count) of row `row` of a plane's tiles; tile (i, j) has results (2 i, 2 j) to (2 i + 1, 2 j +
 * 1). */
typedef struct winograd_run {
    int64_t h, w;
    int64_t row, first, count;
} winograd_run;

/* Two planes at a time. The second may be missing (NULL): all zero. */
typedef struct winograd_planes {
    const uint16_t *of[2];
} winograd_planes;

/* Factors of products lie in pairs, as the processor's bfloat16 instruction sums them: of two channels, or for the
 * weight gradient of two tiles. Distances (next_...) are in pairs, or floats. The 16 elements of a tile are
 * `next_element` apart. */
typedef struct winograd_kernels {
    /* V = B' d B of two planes of one sample: 32 channels of each tile side by side. */
    void (*transform_pixels)(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_element,
                             int64_t next_tile);
    /* m[6 tiles][64 channels] = sum over `pairs` pairs of channels of V times U. */
    void (*products)(const uint32_t *v, int64_t next_tile, const uint32_t *u, int64_t pairs, float *m, int64_t next_m);
    /* Y = A' M A of 16 channels. */
    void (*transform_products)(const float *m, int64_t next_element, int64_t next_tile, const winograd_run *run,
                               uint16_t *plane);
    /* U = G g G' of 16 x 16 filters: lane l and channel k have their nine weights at g + l * next_lane + k *
     * next_channel, turned by half a circle if `turned`. Pairs of channels are `next_pair` apart. */
    void (*transform_weights)(const float *g, int64_t next_lane, int64_t next_channel, int32_t turned, uint32_t *u,
                              int64_t next_element, int64_t next_pair);

    /* Pairs of the same tile of two samples, 16 channels of each: V, and A dY A'. */
    void (*pair_pixels)(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_element);
    void (*pair_gradients)(const winograd_planes *planes, const winograd_run *run, uint32_t *w, int64_t next_element);
    /* dg = G' dU G [added to dg] of one output channel and 16 input channels, whose nine weights lie one after another.
     * dU is the sum of so many parts. */
    void (*weight_gradient)(const float *du, int64_t next_element, int64_t parts, int64_t next_part, int32_t accumulate,
                            float *dg);
} winograd_kernels;

extern const winograd_kernels winograd_kernels_bf16;

#endif
