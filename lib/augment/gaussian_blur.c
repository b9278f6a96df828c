#include "augment/gaussian_blur.h"

#include <math.h>
#include <string.h>

#define SIGMAS     4.0 /* the filter's radius; what is cut off weighs less than 1e-4 */
#define MAX_RADIUS ((int64_t) (SIGMAS * MOCO_BLUR_SIGMA_MAX) + 1)

static int64_t radius_of(double sigma) {
    return (int64_t) ceil(SIGMAS * sigma);
}

size_t moco_gaussian_blur_scratch(int64_t h, int64_t w, double sigma) {
    return (size_t) ((h + 1) * w + 2 * radius_of(sigma)) * sizeof(float);
}

/* weights[0 .. radius], of the middle and of each pair around it; together 1. */
static void fill_weights(double sigma, int64_t radius, float *weights) {
    double sum = 1.0;
    for (int64_t i = 1; i <= radius; ++i) sum += 2.0 * exp(-0.5 * (double) (i * i) / (sigma * sigma));
    for (int64_t i = 0; i <= radius; ++i) {
        weights[i] = (float) (exp(-0.5 * (double) (i * i) / (sigma * sigma)) / sum);
    }
}

static void blur_row(const float *restrict padded, const float *restrict weights, int64_t radius, int64_t w,
                     float *restrict out) {
    const float *middle = padded + radius;
    for (int64_t x = 0; x < w; ++x) out[x] = weights[0] * middle[x];
    for (int64_t i = 1; i <= radius; ++i) {
        const float weight = weights[i];
        const float *before = middle - i, *after = middle + i;
        for (int64_t x = 0; x < w; ++x) out[x] += weight * (before[x] + after[x]);
    }
}

static void blur_column(const float *restrict rows, int64_t y, const float *restrict weights, int64_t radius, int64_t h,
                        int64_t w, float *restrict out) {
    for (int64_t x = 0; x < w; ++x) out[x] = weights[0] * rows[y * w + x];
    for (int64_t i = 1; i <= radius; ++i) {
        const float weight = weights[i];
        const float *before = rows + (y > i ? y - i : 0) * w, *after = rows + (y + i < h ? y + i : h - 1) * w;
        for (int64_t x = 0; x < w; ++x) out[x] += weight * (before[x] + after[x]);
    }
}

void moco_gaussian_blur(float *image, int64_t planes, int64_t h, int64_t w, double sigma, void *scratch) {
    float weights[MAX_RADIUS + 1];
    const int64_t radius = radius_of(sigma);
    fill_weights(sigma, radius, weights);
    float *rows = (float *) scratch, *padded = rows + h * w;
    for (int64_t p = 0; p < planes; ++p, image += h * w) {
        for (int64_t y = 0; y < h; ++y) {
            const float *row = image + y * w;
            for (int64_t i = 0; i < radius; ++i) {
                padded[i] = row[0];
                padded[radius + w + i] = row[w - 1];
            }
            memcpy(padded + radius, row, (size_t) w * sizeof *row);
            blur_row(padded, weights, radius, w, rows + y * w);
        }
        for (int64_t y = 0; y < h; ++y) blur_column(rows, y, weights, radius, h, w, image + y * w);
    }
}
