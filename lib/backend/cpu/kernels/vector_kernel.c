/* One source for every instruction set. MOCO_VECTOR_KERNEL names the table that it defines. */
#include "backend/cpu/kernels/vector_kernel.h"

#include <stddef.h>

#include "core/lanes.h"

#ifndef MOCO_VECTOR_KERNEL
#error "MOCO_VECTOR_KERNEL must be the name of the table"
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

/* Values that one float lane sums before they move to double. */
#define BLOCK (LANES * 4 * 16)

#define UNROLL _Pragma("GCC unroll 4")
#define INLINE static inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(LANES * 4)));
typedef float unaligned_vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t int_vector __attribute__((vector_size(LANES * 4)));
typedef double wide_vector __attribute__((vector_size(LANES * 8)));

INLINE vector load(const float *address) {
    return (vector) * (const unaligned_vector *) address;
}
INLINE void store(float *address, vector value) {
    *(unaligned_vector *) address = (unaligned_vector) value;
}
INLINE vector broadcast(float value) {
    return (vector){MOCO_LANES(LANES, value)};
}
INLINE vector keep_where(int_vector mask, vector value) {
    return (vector) (mask & (int_vector) value);
}
INLINE int64_t minimum(int64_t a, int64_t b) {
    return a < b ? a : b;
}

INLINE double total(const wide_vector *sum) {
    double lanes = 0.0;
    for (int lane = 0; lane < LANES; ++lane) lanes += (*sum)[lane];
    return lanes;
}
INLINE void widen(wide_vector *sum, const vector part[4]) {
    *sum += __builtin_convertvector((part[0] + part[1]) + (part[2] + part[3]), wide_vector);
}

/* Sums TERM(i) (a vector at element i) and SCALAR(i) over [0, area) into `wide` and `rest`: four sums side by side hide
 * the adder's latency, and blocks move to double before a float sum grows long. */
#define SUM_PLANE(area, wide, rest, TERM, SCALAR)                                                 \
    do {                                                                                          \
        int64_t i = 0;                                                                            \
        while (i + LANES <= (area)) {                                                             \
            const int64_t stop = minimum(i + BLOCK, (area));                                      \
            vector part[4] = {{0}};                                                               \
            for (; i + 4 * LANES <= stop; i += 4 * LANES) {                                       \
                UNROLL for (int lane = 0; lane < 4; ++lane) part[lane] += TERM(i + lane * LANES); \
            }                                                                                     \
            for (; i + LANES <= stop; i += LANES) part[0] += TERM(i);                             \
            widen(&(wide), part);                                                                 \
        }                                                                                         \
        for (; i < (area); ++i) (rest) += (double) SCALAR(i);                                     \
    } while (0)

static double sum(const float *x, const vector_planes *shape) {
    wide_vector wide = {0};
    double rest = 0.0;
    for (int64_t plane = 0; plane < shape->planes; ++plane, x += shape->stride) {
#define TERM(i)   load(x + (i))
#define SCALAR(i) x[i]
        SUM_PLANE(shape->area, wide, rest, TERM, SCALAR);
#undef TERM
#undef SCALAR
    }
    return total(&wide) + rest;
}

static double squares(const float *x, float mean, const vector_planes *shape) {
    const vector means = broadcast(mean);
    wide_vector wide = {0};
    double rest = 0.0;
    for (int64_t plane = 0; plane < shape->planes; ++plane, x += shape->stride) {
#define TERM(i)   ((load(x + (i)) - means) * (load(x + (i)) - means))
#define SCALAR(i) ((x[i] - mean) * (x[i] - mean))
        SUM_PLANE(shape->area, wide, rest, TERM, SCALAR);
#undef TERM
#undef SCALAR
    }
    return total(&wide) + rest;
}

/* --- BatchNorm forward --- */

INLINE void normalize_planes(const float *x, const float *residual, const float mean, const float scale,
                             const float shift, const int rectified, const vector_planes *shape, float *y) {
    const vector means = broadcast(mean), scales = broadcast(scale), shifts = broadcast(shift);
    for (int64_t plane = 0; plane < shape->planes; ++plane, x += shape->stride, y += shape->stride) {
        int64_t i = 0;
        for (; i + LANES <= shape->area; i += LANES) {
            vector value = (load(x + i) - means) * scales + shifts;
            if (residual != NULL) value += load(residual + i);
            if (rectified) value = keep_where(~(value < 0.0f), value);
            store(y + i, value);
        }
        for (; i < shape->area; ++i) {
            float value = (x[i] - mean) * scale + shift;
            if (residual != NULL) value += residual[i];
            y[i] = rectified && value < 0.0f ? 0.0f : value;
        }
        if (residual != NULL) residual += shape->stride;
    }
}

static void normalize(const float *x, const float *residual, float mean, float scale, float shift, int32_t rectified,
                      const vector_planes *shape, float *y) {
    if (residual != NULL && rectified) {
        normalize_planes(x, residual, mean, scale, shift, 1, shape, y);
    } else if (residual != NULL) {
        normalize_planes(x, residual, mean, scale, shift, 0, shape, y);
    } else if (rectified) {
        normalize_planes(x, NULL, mean, scale, shift, 1, shape, y);
    } else {
        normalize_planes(x, NULL, mean, scale, shift, 0, shape, y);
    }
}

/* --- BatchNorm backward --- */

INLINE vector masked(const float *dy, const float *y, int64_t i) {
    const vector gradient = load(dy + i);
    return y == NULL ? gradient : keep_where(load(y + i) > 0.0f, gradient);
}
INLINE float masked_one(const float *dy, const float *y, int64_t i) {
    return y == NULL || y[i] > 0.0f ? dy[i] : 0.0f;
}

INLINE void gradient_sums_of(const float *dy, const float *y, const float *x, const float mean,
                             const vector_planes *shape, double *sum_out, double *product_out) {
    const vector means = broadcast(mean);
    wide_vector sums = {0}, products = {0};
    double rest = 0.0, product_rest = 0.0;
    for (int64_t plane = 0; plane < shape->planes; ++plane, x += shape->stride, dy += shape->stride) {
        int64_t i = 0;
        while (i + LANES <= shape->area) {
            const int64_t stop = minimum(i + BLOCK, shape->area);
            vector s[4] = {{0}}, p[4] = {{0}};
            for (; i + 4 * LANES <= stop; i += 4 * LANES) {
                UNROLL for (int lane = 0; lane < 4; ++lane) {
                    const vector dz = masked(dy, y, i + lane * LANES);
                    s[lane] += dz;
                    p[lane] += dz * (load(x + i + lane * LANES) - means);
                }
            }
            for (; i + LANES <= stop; i += LANES) {
                const vector dz = masked(dy, y, i);
                s[0] += dz;
                p[0] += dz * (load(x + i) - means);
            }
            widen(&sums, s);
            widen(&products, p);
        }
        for (; i < shape->area; ++i) {
            const float dz = masked_one(dy, y, i);
            rest += (double) dz;
            product_rest += (double) (dz * (x[i] - mean));
        }
        if (y != NULL) y += shape->stride;
    }
    *sum_out = total(&sums) + rest;
    *product_out = total(&products) + product_rest;
}

static void gradient_sums(const float *dy, const float *y, const float *x, float mean, const vector_planes *shape,
                          double *sum_out, double *product_out) {
    if (y != NULL) {
        gradient_sums_of(dy, y, x, mean, shape, sum_out, product_out);
    } else {
        gradient_sums_of(dy, NULL, x, mean, shape, sum_out, product_out);
    }
}

INLINE void gradient_apply_to(const float *dy, const float *y, const float *x, const float mean, const float scale,
                              const float offset, const float slope, const vector_planes *shape, float *dx,
                              float *d_residual) {
    const vector means = broadcast(mean), scales = broadcast(scale), offsets = broadcast(offset);
    const vector slopes = broadcast(slope);
    for (int64_t plane = 0; plane < shape->planes; ++plane, x += shape->stride, dy += shape->stride) {
        int64_t i = 0;
        for (; i + LANES <= shape->area; i += LANES) {
            const vector dz = masked(dy, y, i);
            if (d_residual != NULL) store(d_residual + i, dz);
            if (dx != NULL) store(dx + i, (dz - offsets - (load(x + i) - means) * slopes) * scales);
        }
        for (; i < shape->area; ++i) {
            const float dz = masked_one(dy, y, i);
            if (d_residual != NULL) d_residual[i] = dz;
            if (dx != NULL) dx[i] = (dz - offset - (x[i] - mean) * slope) * scale;
        }
        if (y != NULL) y += shape->stride;
        if (dx != NULL) dx += shape->stride;
        if (d_residual != NULL) d_residual += shape->stride;
    }
}

static void gradient_apply(const float *dy, const float *y, const float *x, float mean, float scale, float offset,
                           float slope, const vector_planes *shape, float *dx, float *d_residual) {
    if (d_residual != NULL) {
        gradient_apply_to(dy, y, x, mean, scale, offset, slope, shape, dx, d_residual);
    } else if (y != NULL) {
        gradient_apply_to(dy, y, x, mean, scale, offset, slope, shape, dx, NULL);
    } else {
        gradient_apply_to(dy, NULL, x, mean, scale, offset, slope, shape, dx, NULL);
    }
}

/* --- Vectors --- */

static void relu(const float *x, int64_t count, float *y) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        const vector value = load(x + i);
        store(y + i, keep_where(~(value < 0.0f), value));
    }
    for (; i < count; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

static void mask(const float *dy, const float *y, int64_t count, float *dx) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) store(dx + i, masked(dy, y, i));
    for (; i < count; ++i) dx[i] = masked_one(dy, y, i);
}

static double dot(const float *a, const float *b, int64_t count) {
    wide_vector wide = {0};
    double rest = 0.0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        wide += __builtin_convertvector(load(a + i), wide_vector) * __builtin_convertvector(load(b + i), wide_vector);
    }
    for (; i < count; ++i) rest += (double) a[i] * (double) b[i];
    return total(&wide) + rest;
}

/* a * b + c, rounded once where the processor can, so that every loop below has the same bits whatever it fuses. */
INLINE double multiply_add(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

/* In double and rounded once, as thousands of these steps follow each other; memory is the limit all the same. */
INLINE float lerp_one(float target, float source, double m) {
    return (float) multiply_add(m, (double) target, (1.0 - m) * (double) source);
}

static void lerp(float *restrict target, const float *restrict source, double m, int64_t count) {
    for (int64_t i = 0; i < count; ++i) target[i] = lerp_one(target[i], source[i], m);
}

static void add(float *restrict target, const float *restrict source, int64_t count) {
    for (int64_t i = 0; i < count; ++i) target[i] += source[i];
}

INLINE void sgd_steps(float *restrict parameter, const float *restrict gradient, float *restrict velocity,
                      float *restrict average, const moco_sgd_args *args, const int first_step, const int nesterov,
                      const double m, int64_t count) {
    const double rate = args->learning_rate, momentum = args->momentum, decay = args->weight_decay;
    const double rest = 1.0 - args->dampening;
    for (int64_t i = 0; i < count; ++i) {
        double step = multiply_add(decay, (double) parameter[i], (double) gradient[i]);
        if (velocity != NULL) {
            const double v = first_step ? step : multiply_add(momentum, (double) velocity[i], rest * step);
            velocity[i] = (float) v;
            step = nesterov ? multiply_add(momentum, v, step) : v;
        }
        parameter[i] = (float) multiply_add(-rate, step, (double) parameter[i]);
        if (average != NULL) average[i] = lerp_one(average[i], parameter[i], m);
    }
}

INLINE void sgd_by_kind(float *parameter, const float *gradient, float *velocity, float *average,
                        const moco_sgd_args *args, double m, int64_t count) {
    if (velocity == NULL) {
        sgd_steps(parameter, gradient, NULL, average, args, 0, 0, m, count);
    } else if (args->first_step) {
        sgd_steps(parameter, gradient, velocity, average, args, 1, args->nesterov != 0, m, count);
    } else if (args->nesterov) {
        sgd_steps(parameter, gradient, velocity, average, args, 0, 1, m, count);
    } else {
        sgd_steps(parameter, gradient, velocity, average, args, 0, 0, m, count);
    }
}

static void sgd(float *parameter, const float *gradient, float *velocity, float *average, const moco_sgd_args *args,
                double m, int64_t count) {
    if (average == NULL) {
        sgd_by_kind(parameter, gradient, velocity, NULL, args, m, count);
    } else {
        sgd_by_kind(parameter, gradient, velocity, average, args, m, count);
    }
}

extern const vector_kernel MOCO_VECTOR_KERNEL;
const vector_kernel MOCO_VECTOR_KERNEL = {
    sum, squares, normalize, gradient_sums, gradient_apply, relu, mask, dot, lerp, add, sgd,
};
