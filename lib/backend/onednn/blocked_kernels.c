/* Compiled once per block size: -DBLOCK=16 with AVX-512, -DBLOCK=8 with AVX2 (see CMakeLists.txt). */
#include "backend/onednn/blocked_kernels.h"

#include <stddef.h>
#include <string.h>

typedef float vec __attribute__((vector_size(4 * BLOCK)));
typedef int32_t ivec __attribute__((vector_size(4 * BLOCK)));
typedef uint8_t bvec __attribute__((vector_size(BLOCK)));

#define VECTORS(pointer)       ((vec *) (void *) (pointer))
#define CONST_VECTORS(pointer) ((const vec *) (const void *) (pointer))

/* Four sums side by side hide the adder's latency; their order is fixed. */
#define LANES 4

static inline vec keep_where(ivec mask, vec value) {
    return (vec) (mask & (ivec) value);
}

/* NaN stays NaN, so that a broken run shows in the loss. */
static inline vec rectify(vec z) {
    return keep_where(~(z < (vec){0}), z);
}

static inline vec masked_gradient(const float *dy, const float *y, int64_t i) {
    const vec gradient = CONST_VECTORS(dy)[i];
    return y == NULL ? gradient : keep_where(CONST_VECTORS(y)[i] > (vec){0}, gradient);
}

static vec sum_of(const vec partial[LANES]) {
    return (partial[0] + partial[1]) + (partial[2] + partial[3]);
}

static void moments(const float *x, int64_t spatial, float *mean, float *squares) {
    vec sum[LANES] = {{0}};
    int64_t i = 0;
    for (; i + LANES <= spatial; i += LANES)
        for (int lane = 0; lane < LANES; ++lane) sum[lane] += CONST_VECTORS(x)[i + lane];
    for (; i < spatial; ++i) sum[0] += CONST_VECTORS(x)[i];
    const vec center = sum_of(sum) / (float) spatial;

    vec square[LANES] = {{0}};
    for (i = 0; i + LANES <= spatial; i += LANES)
        for (int lane = 0; lane < LANES; ++lane) {
            const vec difference = CONST_VECTORS(x)[i + lane] - center;
            square[lane] += difference * difference;
        }
    for (; i < spatial; ++i) {
        const vec difference = CONST_VECTORS(x)[i] - center;
        square[0] += difference * difference;
    }
    *VECTORS(mean) = center;
    *VECTORS(squares) = sum_of(square);
}

static void normalise(const float *x, const float *residual, int32_t relu, const float *mean, const float *scale,
                      const float *shift, int64_t spatial, float *y) {
    const vec m = *CONST_VECTORS(mean), a = *CONST_VECTORS(scale), b = *CONST_VECTORS(shift);
    if (residual != NULL && relu) {
        for (int64_t i = 0; i < spatial; ++i)
            VECTORS(y)[i] = rectify((CONST_VECTORS(x)[i] - m) * a + b + CONST_VECTORS(residual)[i]);
    } else if (residual != NULL) {
        for (int64_t i = 0; i < spatial; ++i)
            VECTORS(y)[i] = (CONST_VECTORS(x)[i] - m) * a + b + CONST_VECTORS(residual)[i];
    } else if (relu) {
        for (int64_t i = 0; i < spatial; ++i) VECTORS(y)[i] = rectify((CONST_VECTORS(x)[i] - m) * a + b);
    } else {
        for (int64_t i = 0; i < spatial; ++i) VECTORS(y)[i] = (CONST_VECTORS(x)[i] - m) * a + b;
    }
}

static void gradient_sums(const float *dy, const float *y, const float *x, const float *mean, int64_t spatial,
                          float *sum, float *product_sum) {
    const vec m = *CONST_VECTORS(mean);
    vec s[LANES] = {{0}}, p[LANES] = {{0}};
    int64_t i = 0;
    for (; i + LANES <= spatial; i += LANES)
        for (int lane = 0; lane < LANES; ++lane) {
            const vec dz = masked_gradient(dy, y, i + lane);
            s[lane] += dz;
            p[lane] += dz * (CONST_VECTORS(x)[i + lane] - m);
        }
    for (; i < spatial; ++i) {
        const vec dz = masked_gradient(dy, y, i);
        s[0] += dz;
        p[0] += dz * (CONST_VECTORS(x)[i] - m);
    }
    *VECTORS(sum) = sum_of(s);
    *VECTORS(product_sum) = sum_of(p);
}

static void gradient_apply(const float *dy, const float *y, const float *x, const float *mean, const float *scale,
                           const float *offset, const float *slope, int64_t spatial, float *dx, float *d_residual) {
    const vec m = *CONST_VECTORS(mean), a = *CONST_VECTORS(scale), o = *CONST_VECTORS(offset),
              k = *CONST_VECTORS(slope);
    for (int64_t i = 0; i < spatial; ++i) {
        const vec dz = masked_gradient(dy, y, i);
        if (d_residual != NULL) VECTORS(d_residual)[i] = dz;
        if (dx != NULL) VECTORS(dx)[i] = a * (dz - o - (CONST_VECTORS(x)[i] - m) * k);
    }
}

/* The part of a window that lies inside the image: [*begin, *end) of its `kernel` rows or columns. */
static void clip_window(int64_t out, const blocked_pool_shape *shape, int64_t size, int64_t *begin, int64_t *end) {
    const int64_t first = out * shape->stride - shape->padding;
    *begin = first < 0 ? -first : 0;
    *end = first + shape->kernel > size ? size - first : shape->kernel;
}

static void max_pool(const float *x, const blocked_pool_shape *shape, float *y, uint8_t *index) {
    for (int64_t row = 0; row < shape->out_h; ++row) {
        int64_t top, bottom;
        clip_window(row, shape, shape->h, &top, &bottom);
        for (int64_t column = 0; column < shape->out_w; ++column) {
            int64_t left, right;
            clip_window(column, shape, shape->w, &left, &right);
            vec best = {0};
            ivec best_at = {0};
            int32_t first = 1;
            for (int64_t i = top; i < bottom; ++i) {
                const int64_t in_row = (row * shape->stride - shape->padding + i) * shape->w;
                for (int64_t j = left; j < right; ++j) {
                    const vec value = CONST_VECTORS(x)[in_row + column * shape->stride - shape->padding + j];
                    const ivec here = (ivec){0} + (int32_t) (i * shape->kernel + j);
                    const ivec take =
                        first ? ~(ivec){0} : (value > best) | (value != value); /* NaN wins, as PyTorch's */
                    best = (vec) ((take & (ivec) value) | (~take & (ivec) best));
                    best_at = (take & here) | (~take & best_at);
                    first = 0;
                }
            }
            const int64_t out = row * shape->out_w + column;
            VECTORS(y)[out] = best;
            if (index != NULL) {
                const bvec narrow = __builtin_convertvector(best_at, bvec);
                memcpy(index + out * BLOCK, &narrow, sizeof narrow);
            }
        }
    }
}

static void max_pool_gradient(const float *dy, const uint8_t *index, const blocked_pool_shape *shape, float *dx) {
    memset(dx, 0, (size_t) (shape->h * shape->w) * BLOCK * sizeof *dx);
    for (int64_t row = 0; row < shape->out_h; ++row) {
        int64_t top, bottom;
        clip_window(row, shape, shape->h, &top, &bottom);
        for (int64_t column = 0; column < shape->out_w; ++column) {
            int64_t left, right;
            clip_window(column, shape, shape->w, &left, &right);
            const int64_t out = row * shape->out_w + column;
            const vec gradient = CONST_VECTORS(dy)[out];
            bvec narrow;
            memcpy(&narrow, index + out * BLOCK, sizeof narrow);
            const ivec from = __builtin_convertvector(narrow, ivec);
            for (int64_t i = top; i < bottom; ++i) {
                const int64_t in_row = (row * shape->stride - shape->padding + i) * shape->w;
                for (int64_t j = left; j < right; ++j) {
                    vec *target = &VECTORS(dx)[in_row + column * shape->stride - shape->padding + j];
                    *target += keep_where(from == (int32_t) (i * shape->kernel + j), gradient);
                }
            }
        }
    }
}

static void average(const float *x, int64_t spatial, float *y) {
    vec sum[LANES] = {{0}};
    for (int64_t i = 0; i < spatial; ++i) sum[i % LANES] += CONST_VECTORS(x)[i];
    *VECTORS(y) = sum_of(sum) / (float) spatial;
}

static void average_gradient(const float *dy, int64_t spatial, float *dx) {
    vec gradient;
    memcpy(&gradient, dy, sizeof gradient);
    gradient /= (float) spatial;
    for (int64_t i = 0; i < spatial; ++i) VECTORS(dx)[i] = gradient;
}

static void to_plain(const float *x, int64_t spatial, float *planes) {
    for (int64_t channel = 0; channel < BLOCK; ++channel)
        for (int64_t i = 0; i < spatial; ++i) planes[channel * spatial + i] = x[i * BLOCK + channel];
}

static void from_plain(const float *planes, int64_t spatial, float *x) {
    for (int64_t channel = 0; channel < BLOCK; ++channel)
        for (int64_t i = 0; i < spatial; ++i) x[i * BLOCK + channel] = planes[channel * spatial + i];
}

#define TABLE_NAME_(block) blocked_kernels_##block
#define TABLE_NAME(block)  TABLE_NAME_(block)
const blocked_kernels TABLE_NAME(BLOCK) = {
    .moments = moments,
    .normalise = normalise,
    .gradient_sums = gradient_sums,
    .gradient_apply = gradient_apply,
    .max_pool = max_pool,
    .max_pool_gradient = max_pool_gradient,
    .average = average,
    .average_gradient = average_gradient,
    .to_plain = to_plain,
    .from_plain = from_plain,
};
