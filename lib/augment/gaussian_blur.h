/* Gaussian blur of planes in place; beyond the edge the edge pixel goes on. The filter is Pillow's GaussianBlur, which
 * the official recipe uses: three box filters, of real width, with the variance sigma^2 together. */
#ifndef MOCO_GAUSSIAN_BLUR_H
#define MOCO_GAUSSIAN_BLUR_H

#include <stddef.h>
#include <stdint.h>

enum { MOCO_BLUR_SIGMA_MAX = 64, MOCO_BLUR_RADIUS_MAX = 3 * (MOCO_BLUR_SIGMA_MAX + 1) };

/* The three box filters as one: how many pixels it reaches on each side, and weights[0 .. radius], of the middle and of
 * each pair around it; with the pairs together 1. */
int64_t moco_gaussian_blur_radius(double sigma);
void moco_gaussian_blur_weights(double sigma, double *weights);

/* Bytes of scratch memory for an image h x w of sides <= 2^15 and a sigma of at most MOCO_BLUR_SIGMA_MAX. */
size_t moco_gaussian_blur_scratch(int64_t h, int64_t w, double sigma);
/* image[planes x h x w]; sigma > 0. */
void moco_gaussian_blur(float *image, int64_t planes, int64_t h, int64_t w, double sigma, void *scratch);

#endif
