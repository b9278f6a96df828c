/* Inner loops over one (sample, channel block): `spatial` pixels of B channels each, one SIMD register of float32 a
 * pixel. Built for B = 16 (AVX-512) and B = 8 (AVX2) with float32 activations, and for B = 16 with bfloat16 ones, which
 * are widened at each load and rounded at each store. The formulas hold for each of the B channels by itself.
 * blocked_norm.c, blocked_pool.c and pointwise_gradient.c share the work out and combine partial results.
 */
#ifndef MOCO_BLOCKED_KERNELS_H
#define MOCO_BLOCKED_KERNELS_H

#include <stdint.h>

typedef struct blocked_pool_shape {
    int64_t h, w, out_h, out_w;
    int64_t kernel, stride, padding;
} blocked_pool_shape;

/* Activations (x, y, residual and their gradients; void here) have element_bytes each and are aligned to a pixel's B
 * elements; all else is float32: mean, scale and the like have B entries. */
typedef struct blocked_kernels {
    int64_t element_bytes;

    /* mean[c] = (sum over i < spatial of x[i][c]) / spatial; squares[c] = sum over i of (x[i][c] - mean[c])^2. */
    void (*moments)(const void *x, int64_t spatial, float *mean, float *squares);

    /* y = (x - mean) * scale + shift [+ residual]; with `relu` 0 where that is negative (NaN stays NaN). residual may be NULL. `positive` (may be
     * NULL; with residual and relu only): B bits a pixel, where y > 0. `streaming`: y bypasses the cache. */
    void (*normalize)(const void *x, const void *residual, int32_t relu, const float *mean, const float *scale,
                      const float *shift, int64_t spatial, void *y, void *positive, int32_t streaming);

    /* Both gradients know dz, the gradient behind the relu: dz = dy where `positive` says so, or where that is NULL,
     * where (x - mean) * scale + shift > 0, and 0 elsewhere; without relu dz = dy.
     *     sum = sum over i of dz[i],  product_sum = sum over i of dz[i] * (x[i] - mean) */
    void (*gradient_sums)(const void *dy, const void *positive, const void *x, int32_t relu, const float *mean,
                          const float *scale, const float *shift, int64_t spatial, float *sum, float *product_sum);

    /* dx = scale * (dz - offset - (x - mean) * slope), d_residual = dz; either may be NULL. dx may be dy.
     * `streaming`: d_residual bypasses the cache. */
    void (*gradient_apply)(const void *dy, const void *positive, const void *x, int32_t relu, const float *mean,
                           const float *scale, const float *shift, const float *offset, const float *slope,
                           int64_t spatial, void *dx, void *d_residual, int32_t streaming);

    /* y[out] = max over the window of x; index (may be NULL)[out] = row of the window * kernel + column of where. */
    void (*max_pool)(const void *x, const blocked_pool_shape *shape, void *y, uint8_t *index);
    void (*max_pool_gradient)(const void *dy, const uint8_t *index, const blocked_pool_shape *shape, void *dx);
    /* y = (sum over i of x[i]) / spatial, and dx[i] = dy / spatial. */
    void (*average)(const void *x, int64_t spatial, float *y);
    void (*average_gradient)(const float *dy, int64_t spatial, void *dx);
    /* planes[c][i] = x[i][c], and back: B planes of `spatial` floats. */
    void (*to_plain)(const void *x, int64_t spatial, float *planes);
    void (*from_plain)(const float *planes, int64_t spatial, void *x);
    /* target = source, and target += source, of `runs` times B elements. */
    void (*from_float)(const float *source, int64_t runs, void *target);
    void (*add)(void *target, const void *source, int64_t runs);

    /* Weight gradients; NULL and 0 for B = 8. A word is 32 bits: a float, or a pair of bfloat16 whose products the
     * processor sums in one step.
     *
     *     dw[r * row + b * B + c] += sum over s < words of dy[s * B + lane + r] * x[b * x_next + s * B + c]
     *
     * for r < outer_rows, b < outer_blocks, c < B. */
    int64_t outer_rows;   /* MR: output channels of a call */
    int64_t outer_blocks; /* NR / B: blocks of input channels of a call */
    void (*outer_products)(const float *dy, int64_t lane, const float *x, int64_t x_next, int64_t words, float *dw,
                           int64_t row);

    /* The operands of outer_products of a 1 x 1 convolution: output pixels [first, first + count) of a run of rows of
     * out_w, each pixel `stride` apart in rows of w. Output pixel p goes to word p / pixels_per_word; zeros fill the
     * last word. */
    int64_t pixels_per_word; /* 1; in bfloat16 2 */
    void (*pack)(const void *x, int64_t first, int64_t count, int64_t out_w, int64_t w, int64_t stride, float *packed);
} blocked_kernels;

#endif
