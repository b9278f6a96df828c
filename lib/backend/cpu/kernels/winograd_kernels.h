/* Inner loops of 3 x 3 convolutions by Winograd's F(m x m, 3 x 3) (Lavin and Gray, arXiv 1509.09308). A tile of m x m
 * results takes (m + 2)^2 multiplications a channel instead of 9 m^2:
 *
 *     Y = A' [sum over input channels of (G g G') (.) (B' d B)] A
 *
 * with d the (m + 2) x (m + 2) pixels around the tile, g the 3 x 3 weights and (.) position by position. The transposed
 * equation gives the gradient of g:
 *
 *     dg = G' [sum over tiles of (A dY A') (.) (B' d B)] G
 *
 * In float32 m is 4, a quarter of the multiplications (points 0, +-1, +-2 and infinity):
 *
 *          | 4  0 -5  0  1  0 |         |  1/4    0     0  |
 *          | 0 -4 -4  1  1  0 |         | -1/6  -1/6  -1/6 |         | 1  1  1  1  1  0 |
 *     B' = | 0  4 -4 -1  1  0 |     G = | -1/6   1/6  -1/6 |    A' = | 0  1 -1  2 -2  0 |
 *          | 0 -2 -1  2  1  0 |         | 1/24  1/12   1/6 |         | 0  1  1  4  4  0 |
 *          | 0  2 -1 -2  1  0 |         | 1/24 -1/12   1/6 |         | 0  1 -1  8 -8  1 |
 *          | 0  4  0 -5  0  1 |         |   0     0     1  |
 *
 * In bfloat16 m is 2, 4 / 9 of the multiplications: the factors U and V are rounded to bfloat16, and larger tiles would
 * enlarge that error (points 0, +-1 and infinity):
 *
 *          | 1  0 -1  0 |         |  1    0    0  |
 *     B' = | 0  1  1  0 |     G = | 1/2  1/2  1/2 |    A' = | 1  1  1  0 |
 *          | 0 -1  1  0 |         | 1/2 -1/2  1/2 |         | 0  1 -1 -1 |
 *          | 0  1  0 -1 |         |  0    0    1  |
 *
 * Transforms and sums are float32 in both. With U = G g G' and V = B' d B, the sum is a product of matrices at each of
 * the (m + 2)^2 positions: of V, tiles x input channels, and U, input channels x output channels.
 *
 *              x: n, c / 16, h, w, 16                        g: out_c, c, 3, 3
 *       transform_pixels |                                          | transform_weights
 *            +---------- v ----------+               +------------- v -------------+
 *   position | V: tiles x channels   | x             | U: channels x NR (a panel)  |
 *   0 .. 35  +-----------------------+               +-----------------------------+
 *                            gemm:  MR tiles x NR channels += MR x k  times  k x NR
 *                        M: tiles, position, NR  -- transform_products -->  y: n, out_c / 16, h, w, 16
 *
 * Which loop is the outer one is a choice of the two files that call these:
 *
 *   winograd_tiles_outer.c     U is made once, V and M of a block of tiles stay in a thread's cache:
 *                              block of tiles > NR output channels > position > MR tiles
 *   winograd_weights_outer.c   U would be the largest thing by far, so it is made where it is used and forgotten:
 *                              block of tiles > NR output channels > 64 input channels (make U) > position > MR tiles
 */
#ifndef MOCO_WINOGRAD_KERNELS_H
#define MOCO_WINOGRAD_KERNELS_H

#include <stdint.h>

/* Tiles [first, first + count) of row `row` of a plane's tiles; tile (i, j) has the results from (m i, m j) on. A plane
 * is h x w pixels of B channels. */
typedef struct winograd_run {
    int64_t h, w;
    int64_t row, first, count;
} winograd_run;

/* As many planes as a word has factors. The second may be missing (NULL): all zero. */
typedef struct winograd_planes {
    const void *of[2];
} winograd_planes;

/* Factors lie in words of 32 bits: a float, or a pair of bfloat16 that the processor multiplies and sums in one step,
 * of two channels, or for the weight gradient of two samples. Distances (next_...) are in words; the same tile's
 * positions are `next_position` apart. */
typedef struct winograd_kernels {
    int64_t tile;                /* m */
    int64_t positions;           /* (m + 2)^2 */
    int64_t per_word;            /* factors in a word: 1 or 2 */
    int64_t block;               /* B: channels of a plane */
    int64_t mr;                  /* tiles that a call of gemm multiplies ... */
    int64_t nr;                  /* ... with so many output channels: a multiple of B */
    int64_t weights_outer_below; /* pixels per input channel: with fewer, U no longer fits beside V, and
                                    winograd_weights_outer.c takes the layer. 0: never */

    /* V = B' d B of `per_word` planes of one sample, whose channels lie side by side. */
    void (*transform_pixels)(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_position,
                             int64_t next_tile);
    /* m[t * next_m + o] = [m[..] +] sum over k < words of v[t * next_tile + k] * u[k * nr + o], for t < mr, o < nr; in
     * bfloat16 each product is the sum of a pair's two. `u` is aligned to B words. */
    void (*gemm)(const uint32_t *v, int64_t next_tile, const uint32_t *u, int64_t words, int32_t accumulate, float *m,
                 int64_t next_m);
    /* Y = [Y +] A' M A of B channels. */
    void (*transform_products)(const float *m, int64_t next_position, int64_t next_tile, const winograd_run *run,
                               int32_t accumulate, void *plane);
    /* U = G g G' of B x B filters: output channel o and input channel k have their nine weights at g + o * next_output +
     * k * next_input, in reverse order if `flipped` (as the gradient of the input takes them). Words of input channels
     * are `next_word` apart. */
    void (*transform_weights)(const float *g, int64_t next_output, int64_t next_input, int32_t flipped, uint32_t *u,
                              int64_t next_position, int64_t next_word);

    /* V, and A dY A', of the same tiles of `per_word` samples, B channels of each. */
    void (*pair_pixels)(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_position);
    void (*pair_gradients)(const winograd_planes *planes, const winograd_run *run, uint32_t *w, int64_t next_position);
    /* dg = [dg +] G' dU G of one output channel and B input channels, whose nine weights lie one after another. dU is
     * the sum of `parts` arrays, `next_part` apart. */
    void (*weight_gradient)(const float *du, int64_t next_position, int64_t parts, int64_t next_part,
                            int32_t accumulate, float *dg);
} winograd_kernels;

#endif
