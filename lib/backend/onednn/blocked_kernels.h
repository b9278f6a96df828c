/* Inner loops over one (sample, channel block): `spatial` pixels of B channels each, one SIMD register a pixel. Built
 * for B = 16 (AVX-512) and B = 8 (AVX2); onednn_norm.c and onednn_pool.c share the work out and combine partial
 * results.
 */
#ifndef MOCO_ONEDNN_BLOCKED_KERNELS_H
#define MOCO_ONEDNN_BLOCKED_KERNELS_H

#include <stdint.h>

typedef struct blocked_pool_shape {
    int64_t h, w, out_h, out_w;
    int64_t kernel, stride, padding;
} blocked_pool_shape;

/* All pointers are aligned to B floats; mean, scale and the like have B entries. */
typedef struct blocked_kernels {
    /* mean and sum of squared differences from it. */
    void (*moments)(const float *x, int64_t spatial, float *mean, float *squares);
    /* y = (x - mean) * scale + shift [+ residual] [, then at least 0]; residual may be NULL. */
    void (*normalise)(const float *x, const float *residual, int32_t relu, const float *mean, const float *scale,
                      const float *shift, int64_t spatial, float *y);
    /* With dz = dy where y > 0 (y NULL: everywhere): sums of dz and of dz * (x - mean). */
    void (*gradient_sums)(const float *dy, const float *y, const float *x, const float *mean, int64_t spatial,
                          float *sum, float *product_sum);
    /* dx = scale * (dz - offset - (x - mean) * slope); d_residual = dz; either may be NULL. dx may be dy. */
    void (*gradient_apply)(const float *dy, const float *y, const float *x, const float *mean, const float *scale,
                           const float *offset, const float *slope, int64_t spatial, float *dx, float *d_residual);
    /* index (may be NULL): position within the window of each maximum. */
    void (*max_pool)(const float *x, const blocked_pool_shape *shape, float *y, uint8_t *index);
    void (*max_pool_gradient)(const float *dy, const uint8_t *index, const blocked_pool_shape *shape, float *dx);
    void (*average)(const float *x, int64_t spatial, float *y);
    void (*average_gradient)(const float *dy, int64_t spatial, float *dx);
    /* B planes of `spatial` floats. */
    void (*to_plain)(const float *x, int64_t spatial, float *planes);
    void (*from_plain)(const float *planes, int64_t spatial, float *x);
} blocked_kernels;

extern const blocked_kernels blocked_kernels_16;
extern const blocked_kernels blocked_kernels_8;

#endif
