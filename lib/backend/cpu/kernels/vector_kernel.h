/* Elementwise loops and sums, compiled once per instruction set from vector_kernel.c. `planes` runs of `area` floats
 * each, `stride` apart, are the values of one channel in some samples.
 */
#ifndef MOCO_VECTOR_KERNEL_H
#define MOCO_VECTOR_KERNEL_H

#include <moco/sys/backend.h>

typedef struct vector_planes {
    int64_t planes;
    int64_t stride;
    int64_t area;
} vector_planes;

typedef struct vector_kernel {
    /* Sums accumulate in double, after at most a few dozen float additions per lane. */
    double (*sum)(const float *x, const vector_planes *shape);
    double (*squares)(const float *x, float mean, const vector_planes *shape); /* of x - mean */
    /* y = [relu] ((x - mean) * scale + shift [+ residual]); residual may be NULL. NaN stays NaN. */
    void (*normalize)(const float *x, const float *residual, float mean, float scale, float shift, int32_t relu,
                      const vector_planes *shape, float *y);
    /* With dz = dy where y > 0 (everywhere if y is NULL): sums of dz and of dz * (x - mean). */
    void (*gradient_sums)(const float *dy, const float *y, const float *x, float mean, const vector_planes *shape,
                          double *sum, double *product_sum);
    /* dx = scale * (dz - offset - (x - mean) * slope), d_residual = dz; either may be NULL, dx may be dy. */
    void (*gradient_apply)(const float *dy, const float *y, const float *x, float mean, float scale, float offset,
                           float slope, const vector_planes *shape, float *dx, float *d_residual);
    void (*relu)(const float *x, int64_t count, float *y);
    void (*mask)(const float *dy, const float *y, int64_t count, float *dx); /* dy where y > 0, else 0 */
    double (*dot)(const float *a, const float *b, int64_t count);
    void (*lerp)(float *target, const float *source, double m, int64_t count); /* m * target + (1 - m) * source */
    void (*add)(float *target, const float *source, int64_t count);
    /* velocity NULL: none; average NULL: none, else it follows the new parameter as lerp does, with the same bits. */
    void (*sgd)(float *parameter, const float *gradient, float *velocity, float *average, const moco_sgd_args *args,
                double m, int64_t count);
} vector_kernel;

#endif
