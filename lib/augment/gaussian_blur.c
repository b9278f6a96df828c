#include "augment/gaussian_blur.h"

#include <math.h>
#include <string.h>

enum { PASSES = 3 };

/* A box filter of real radius whole + edge: weights 1 within `whole` pixels of the middle, `edge` on the two beyond. */
typedef struct box {
    int64_t whole;
    double edge;
} box;

/* The box of which PASSES together have the variance sigma^2. */
static box box_of(double sigma) {
    const double variance = sigma * sigma / PASSES;
    const double whole = floor((sqrt(12.0 * variance + 1.0) - 1.0) / 2.0);
    const double edge = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance) /
                        (6.0 * (variance - (whole + 1.0) * (whole + 1.0)));
    return (box){(int64_t) whole, edge};
}

int64_t moco_gaussian_blur_radius(double sigma) {
    return PASSES * (box_of(sigma).whole + 1);
}

size_t moco_gaussian_blur_scratch(int64_t h, int64_t w, double sigma) {
    return (size_t) ((h + 1) * w + 2 * moco_gaussian_blur_radius(sigma)) * sizeof(float);
}

void moco_gaussian_blur_weights(double sigma, double *weights) {
    const int64_t radius = moco_gaussian_blur_radius(sigma);
    const box b = box_of(sigma);
    double kernel[2 * MOCO_BLUR_RADIUS_MAX + 1] = {0.0}, next[2 * MOCO_BLUR_RADIUS_MAX + 1];
    kernel[radius] = 1.0;
    for (int32_t pass = 0; pass < PASSES; ++pass) {
        for (int64_t i = 0; i <= 2 * radius; ++i) {
            double sum = 0.0;
            for (int64_t j = -b.whole - 1; j <= b.whole + 1; ++j) {
                if (i + j < 0 || i + j > 2 * radius) continue;
                sum += kernel[i + j] * (j >= -b.whole && j <= b.whole ? 1.0 : b.edge);
            }
            next[i] = sum / ((double) (2 * b.whole + 1) + 2.0 * b.edge);
        }
        memcpy(kernel, next, (size_t) (2 * radius + 1) * sizeof *kernel);
    }
    for (int64_t i = 0; i <= radius; ++i) weights[i] = kernel[radius + i];
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
    double exact[MOCO_BLUR_RADIUS_MAX + 1];
    float weights[MOCO_BLUR_RADIUS_MAX + 1];
    const int64_t radius = moco_gaussian_blur_radius(sigma);
    moco_gaussian_blur_weights(sigma, exact);
    for (int64_t i = 0; i <= radius; ++i) weights[i] = (float) exact[i];
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
