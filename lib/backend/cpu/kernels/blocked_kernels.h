/* Inner loops over one (sample, channel block): `spatial` pixels of B channels each, one SIMD register of float32 a
 * pixel. Built for B = 16 (AVX-512) and B = 8 (AVX2) with float32 activations, and for B = 16 with bfloat16 ones, which
 * are widened at each load and rounded at each store. blocked_norm.c and blocked_pool.c share the work out and combine
 * partial results.
 */
#ifndef MOCO_BLOCKED_KERNELS_H
#define MOCO_BLOCKED_KERNELS_H

#include <stdint.h>

typedef struct blocked_pool_shape {
    int64_t h, w, out_h, out_w;
    int64_t kernel, stride, padding;
} blocked_pool_shape;

/* What outer_products() makes at once. */
enum { PRODUCT_ROWS = 8, PRODUCT_BLOCKS = 2 };

/* Activations (x, y, residual and their gradients; void here) have element_bytes each and are aligned to a pixel's B
 * elements; all else is float32: mean, scale and the like have B entries. */
typedef struct blocked_kernels {
    int64_t element_bytes;
    /* mean and sum of squared differences from it. */
    void (*moments)(const void *x, int64_t spatial, float *mean, float *squares);
    /* y = (x - mean) * scale + shift [+ residual] [, then at least 0]; residual may be NULL. `positive` (may be NULL;
     * with residual and relu only): B bits a pixel, where y > 0. `streaming`: y is better left out of the cache. */
    void (*normalise)(const void *x, const void *residual, int32_t relu, const float *mean, const float *scale,
                      const float *shift, int64_t spatial, void *y, void *positive, int32_t streaming);
    /* With relu, dz = dy where `positive`, or where that is NULL, where (x - mean) * scale + shift > 0; else dz = dy.
     * The sums of dz and of dz * (x - mean). */
    void (*gradient_sums)(const void *dy, const void *positive, const void *x, int32_t relu, const float *mean,
                          const float *scale, const float *shift, int64_t spatial, float *sum, float *product_sum);
    /* dx = scale * (dz - offset - (x - mean) * slope); d_residual = dz; either may be NULL. dx may be dy.
     * `streaming`: d_residual is better left out of the cache. */
    void (*gradient_apply)(const void *dy, const void *positive, const void *x, int32_t relu, const float *mean,
                           const float *scale, const float *shift, const float *offset, const float *slope,
                           int64_t spatial, void *dx, void *d_residual, int32_t streaming);
    /* index (may be NULL): position within the window of each maximum. */
    void (*max_pool)(const void *x, const blocked_pool_shape *shape, void *y, uint8_t *index);
    void (*max_pool_gradient)(const void *dy, const uint8_t *index, const blocked_pool_shape *shape, void *dx);
    void (*average)(const void *x, int64_t spatial, float *y);
    void (*average_gradient)(const float *dy, int64_t spatial, void *dx);
    /* B planes of `spatial` floats. */
    void (*to_plain)(const void *x, int64_t spatial, float *planes);
    void (*from_plain)(const float *planes, int64_t spatial, void *x);
    /* `runs` times B elements: target = source, and target += source. */
    void (*from_float)(const float *source, int64_t runs, void *target);
    void (*add)(void *target, const void *source, int64_t runs);

    /* dw[PRODUCT_ROWS x PRODUCT_BLOCKS B] += over `steps` packed steps of 8 channels of dy, from lane `lane`, and of
     * two blocks of x, `x_next` floats apart. Rows of dw are `row` floats apart. A step is B floats, or B pairs of
     * bfloat16 in their room. NULL for B = 8. */
    void (*outer_products)(const float *dy, int64_t lane, const float *x, int64_t x_next, int64_t steps, float *dw,
                           int64_t row);
    /* For the weight gradient of a 1 x 1 convolution: output pixels [first, first + count) of a run of out_w columns,
     * each `stride` apart in rows of w, packed into whole steps, zeros behind the last pixel. A step takes one pixel,
     * in bfloat16 two. NULL for B = 8. */
    int64_t pixels_per_step;
    void (*pack)(const void *x, int64_t first, int64_t count, int64_t out_w, int64_t w, int64_t stride, float *packed);
} blocked_kernels;

#endif
