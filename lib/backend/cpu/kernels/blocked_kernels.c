/* One source for every block size and element: B = 8 with AVX2, 16 with AVX-512, and with that and its bfloat16
 * conversions 16 elements of bfloat16. Arithmetic is float32 in all of them. MOCO_BLOCKED_KERNELS names the table.
 */
#include "backend/cpu/kernels/blocked_kernels.h"

#include <stddef.h>
#include <string.h>

#include <immintrin.h>

#if defined(MOCO_ISA_AVX512_BF16)
#define BLOCK 16
#define BF16
#elif defined(MOCO_ISA_AVX512)
#define BLOCK 16
#else
#define BLOCK 8
#endif

typedef float vec __attribute__((vector_size(4 * BLOCK)));
typedef int32_t ivec __attribute__((vector_size(4 * BLOCK)));
typedef uint8_t bvec __attribute__((vector_size(BLOCK)));

#define VECTORS(pointer)       ((vec *) (void *) (pointer))
#define CONST_VECTORS(pointer) ((const vec *) (const void *) (pointer))

/* Pixel i of a run of activations: BLOCK elements, as float32. Streaming leaves them out of the cache. */
#ifdef BF16
typedef uint16_t element;

static inline vec load(const void *x, int64_t i) {
    const __m256i narrow = _mm256_load_si256((const __m256i *) x + i);
    return (vec) _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16);
}

/* Rounds to nearest, ties to even. */
static inline void store(void *y, int64_t i, vec value) {
    _mm256_store_si256((__m256i *) y + i, (__m256i) _mm512_cvtneps_pbh((__m512) value));
}

static inline void stream(void *y, int64_t i, vec value) {
    _mm256_stream_si256((__m256i *) y + i, (__m256i) _mm512_cvtneps_pbh((__m512) value));
}
#else
typedef float element;

static inline vec load(const void *x, int64_t i) {
    return CONST_VECTORS(x)[i];
}

static inline void store(void *y, int64_t i, vec value) {
    VECTORS(y)[i] = value;
}

static inline void stream(void *y, int64_t i, vec value) {
#if BLOCK == 16
    _mm512_stream_ps((float *) y + i * BLOCK, (__m512) value);
#else
    _mm256_stream_ps((float *) y + i * BLOCK, (__m256) value);
#endif
}
#endif

/* So many independent sums hide the latency of an addition; the order in which they are combined is fixed. */
#define ACCUMULATORS 4

static inline vec keep_where(ivec mask, vec value) {
    return (vec) (mask & (ivec) value);
}

/* NaN stays NaN, so that a broken run shows in the loss. */
static inline vec rectify(vec z) {
    return keep_where(~(z < (vec){0}), z);
}

/* B bits of one pixel. */
#if BLOCK == 16
typedef uint16_t pixel_bits;

static inline pixel_bits bits_where_positive(vec value) {
    return _mm512_cmp_ps_mask((__m512) value, _mm512_setzero_ps(), _CMP_GT_OQ);
}

static inline vec keep_bits(pixel_bits bits, vec value) {
    return (vec) _mm512_maskz_mov_ps(bits, (__m512) value);
}
#else
typedef uint8_t pixel_bits;

static inline pixel_bits bits_where_positive(vec value) {
    return (pixel_bits) _mm256_movemask_ps(_mm256_cmp_ps((__m256) value, _mm256_setzero_ps(), _CMP_GT_OQ));
}

static inline vec keep_bits(pixel_bits bits, vec value) {
    const ivec lanes = {1, 2, 4, 8, 16, 32, 64, 128};
    return keep_where((lanes & (int32_t) bits) == lanes, value);
}
#endif

/* Where a fused ReLU let the gradient through: everywhere (there is none), where the forward pass noted it, or where
 * the ReLU's input, made again from x, is positive: possible where no residual was added. */
enum { MASK_NONE, MASK_NOTED, MASK_INPUT };

typedef struct gradient_input {
    const void *dy, *positive, *x;
    vec mean, scale, shift;
} gradient_input;

static inline gradient_input gradient_input_of(const void *dy, const void *positive, const void *x, const float *mean,
                                               const float *scale, const float *shift) {
    const gradient_input in = {dy, positive, x, *CONST_VECTORS(mean), *CONST_VECTORS(scale), *CONST_VECTORS(shift)};
    return in;
}

/* dz and x - mean of pixel i. */
static inline vec masked_gradient(const gradient_input *in, int mask, int64_t i, vec *centered) {
    const vec dy = load(in->dy, i);
    *centered = load(in->x, i) - in->mean;
    if (mask == MASK_NOTED) return keep_bits(((const pixel_bits *) in->positive)[i], dy);
    if (mask == MASK_INPUT) return keep_where(*centered * in->scale + in->shift > (vec){0}, dy);
    return dy;
}

static vec sum_of(const vec partial[ACCUMULATORS]) {
    return (partial[0] + partial[1]) + (partial[2] + partial[3]);
}

static void moments(const void *x, int64_t spatial, float *mean, float *squares) {
    vec sum[ACCUMULATORS] = {{0}};
    int64_t i = 0;
    for (; i + ACCUMULATORS <= spatial; i += ACCUMULATORS)
        for (int a = 0; a < ACCUMULATORS; ++a) sum[a] += load(x, i + a);
    for (; i < spatial; ++i) sum[0] += load(x, i);
    const vec center = sum_of(sum) / (float) spatial;

    vec square[ACCUMULATORS] = {{0}};
    for (i = 0; i + ACCUMULATORS <= spatial; i += ACCUMULATORS)
        for (int a = 0; a < ACCUMULATORS; ++a) {
            const vec difference = load(x, i + a) - center;
            square[a] += difference * difference;
        }
    for (; i < spatial; ++i) {
        const vec difference = load(x, i) - center;
        square[0] += difference * difference;
    }
    *VECTORS(mean) = center;
    *VECTORS(squares) = sum_of(square);
}

typedef void (*store_fn)(void *y, int64_t i, vec value);

static inline void normalize_to(store_fn to, const void *x, const void *residual, int32_t relu, const float *mean,
                                const float *scale, const float *shift, int64_t spatial, void *y,
                                pixel_bits *positive) {
    const vec m = *CONST_VECTORS(mean), a = *CONST_VECTORS(scale), b = *CONST_VECTORS(shift);
    if (residual != NULL && relu && positive != NULL) {
        for (int64_t i = 0; i < spatial; ++i) {
            const vec value = rectify((load(x, i) - m) * a + b + load(residual, i));
            positive[i] = bits_where_positive(value);
            to(y, i, value);
        }
    } else if (residual != NULL && relu) {
        for (int64_t i = 0; i < spatial; ++i) to(y, i, rectify((load(x, i) - m) * a + b + load(residual, i)));
    } else if (residual != NULL) {
        for (int64_t i = 0; i < spatial; ++i) to(y, i, (load(x, i) - m) * a + b + load(residual, i));
    } else if (relu) {
        for (int64_t i = 0; i < spatial; ++i) to(y, i, rectify((load(x, i) - m) * a + b));
    } else {
        for (int64_t i = 0; i < spatial; ++i) to(y, i, (load(x, i) - m) * a + b);
    }
}

static void normalize(const void *x, const void *residual, int32_t relu, const float *mean, const float *scale,
                      const float *shift, int64_t spatial, void *y, void *positive, int32_t streaming) {
    if (streaming) {
        normalize_to(stream, x, residual, relu, mean, scale, shift, spatial, y, (pixel_bits *) positive);
        _mm_sfence();
    } else {
        normalize_to(store, x, residual, relu, mean, scale, shift, spatial, y, (pixel_bits *) positive);
    }
}

static inline void sums_with(const gradient_input *in, int mask, int64_t spatial, float *sum, float *product_sum) {
    vec s[ACCUMULATORS] = {{0}}, p[ACCUMULATORS] = {{0}}, centered;
    int64_t i = 0;
    for (; i + ACCUMULATORS <= spatial; i += ACCUMULATORS)
        for (int a = 0; a < ACCUMULATORS; ++a) {
            const vec dz = masked_gradient(in, mask, i + a, &centered);
            s[a] += dz;
            p[a] += dz * centered;
        }
    for (; i < spatial; ++i) {
        const vec dz = masked_gradient(in, mask, i, &centered);
        s[0] += dz;
        p[0] += dz * centered;
    }
    *VECTORS(sum) = sum_of(s);
    *VECTORS(product_sum) = sum_of(p);
}

static void gradient_sums(const void *dy, const void *positive, const void *x, int32_t relu, const float *mean,
                          const float *scale, const float *shift, int64_t spatial, float *sum, float *product_sum) {
    const gradient_input in = gradient_input_of(dy, positive, x, mean, scale, shift);
    if (!relu) {
        sums_with(&in, MASK_NONE, spatial, sum, product_sum);
    } else if (positive != NULL) {
        sums_with(&in, MASK_NOTED, spatial, sum, product_sum);
    } else {
        sums_with(&in, MASK_INPUT, spatial, sum, product_sum);
    }
}

static inline void apply_with(const gradient_input *in, int mask, vec offset, vec slope, int64_t spatial, void *dx,
                              void *d_residual, int32_t streaming) {
    vec centered;
    for (int64_t i = 0; i < spatial; ++i) {
        const vec dz = masked_gradient(in, mask, i, &centered);
        if (d_residual != NULL && streaming) {
            stream(d_residual, i, dz);
        } else if (d_residual != NULL) {
            store(d_residual, i, dz);
        }
        if (dx != NULL) store(dx, i, in->scale * (dz - offset - centered * slope));
    }
}

static void gradient_apply(const void *dy, const void *positive, const void *x, int32_t relu, const float *mean,
                           const float *scale, const float *shift, const float *offset, const float *slope,
                           int64_t spatial, void *dx, void *d_residual, int32_t streaming) {
    const gradient_input in = gradient_input_of(dy, positive, x, mean, scale, shift);
    const vec o = *CONST_VECTORS(offset), k = *CONST_VECTORS(slope);
    if (!relu) {
        apply_with(&in, MASK_NONE, o, k, spatial, dx, d_residual, streaming);
    } else if (positive != NULL) {
        apply_with(&in, MASK_NOTED, o, k, spatial, dx, d_residual, streaming);
    } else {
        apply_with(&in, MASK_INPUT, o, k, spatial, dx, d_residual, streaming);
    }
    if (streaming) _mm_sfence();
}

/* The part of a window that lies inside the image: [*begin, *end) of its `kernel` rows or columns. */
static void clip_window(int64_t out, const blocked_pool_shape *shape, int64_t size, int64_t *begin, int64_t *end) {
    const int64_t first = out * shape->stride - shape->padding;
    *begin = first < 0 ? -first : 0;
    *end = first + shape->kernel > size ? size - first : shape->kernel;
}

static void max_pool(const void *x, const blocked_pool_shape *shape, void *y, uint8_t *index) {
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
                    const vec value = load(x, in_row + column * shape->stride - shape->padding + j);
                    const ivec here = (ivec){0} + (int32_t) (i * shape->kernel + j);
                    const ivec take =
                        first ? ~(ivec){0} : (value > best) | (value != value); /* NaN wins, as PyTorch's */
                    best = (vec) ((take & (ivec) value) | (~take & (ivec) best));
                    best_at = (take & here) | (~take & best_at);
                    first = 0;
                }
            }
            const int64_t out = row * shape->out_w + column;
            store(y, out, best);
            if (index != NULL) {
                const bvec narrow = __builtin_convertvector(best_at, bvec);
                memcpy(index + out * BLOCK, &narrow, sizeof narrow);
            }
        }
    }
}

static void max_pool_gradient(const void *dy, const uint8_t *index, const blocked_pool_shape *shape, void *dx) {
    memset(dx, 0, (size_t) (shape->h * shape->w) * BLOCK * sizeof(element));
    for (int64_t row = 0; row < shape->out_h; ++row) {
        int64_t top, bottom;
        clip_window(row, shape, shape->h, &top, &bottom);
        for (int64_t column = 0; column < shape->out_w; ++column) {
            int64_t left, right;
            clip_window(column, shape, shape->w, &left, &right);
            const int64_t out = row * shape->out_w + column;
            const vec gradient = load(dy, out);
            bvec narrow;
            memcpy(&narrow, index + out * BLOCK, sizeof narrow);
            const ivec from = __builtin_convertvector(narrow, ivec);
            for (int64_t i = top; i < bottom; ++i) {
                const int64_t in_row = (row * shape->stride - shape->padding + i) * shape->w;
                for (int64_t j = left; j < right; ++j) {
                    const int64_t at = in_row + column * shape->stride - shape->padding + j;
                    const vec mine = keep_where(from == (int32_t) (i * shape->kernel + j), gradient);
                    store(dx, at, load(dx, at) + mine);
                }
            }
        }
    }
}

static void average(const void *x, int64_t spatial, float *y) {
    vec sum[ACCUMULATORS] = {{0}};
    for (int64_t i = 0; i < spatial; ++i) sum[i % ACCUMULATORS] += load(x, i);
    *VECTORS(y) = sum_of(sum) / (float) spatial;
}

static void average_gradient(const float *dy, int64_t spatial, void *dx) {
    vec gradient;
    memcpy(&gradient, dy, sizeof gradient);
    gradient /= (float) spatial;
    for (int64_t i = 0; i < spatial; ++i) store(dx, i, gradient);
}

static void to_plain(const void *x, int64_t spatial, float *planes) {
    for (int64_t i = 0; i < spatial; ++i) {
        const vec value = load(x, i);
        for (int64_t channel = 0; channel < BLOCK; ++channel) planes[channel * spatial + i] = value[channel];
    }
}

static void from_plain(const float *planes, int64_t spatial, void *x) {
    for (int64_t i = 0; i < spatial; ++i) {
        vec value = {0};
        for (int64_t channel = 0; channel < BLOCK; ++channel) value[channel] = planes[channel * spatial + i];
        store(x, i, value);
    }
}

static void from_float(const float *source, int64_t runs, void *target) {
    for (int64_t i = 0; i < runs; ++i) {
        vec value;
        memcpy(&value, source + i * BLOCK, sizeof value);
        store(target, i, value);
    }
}

static void add(void *target, const void *source, int64_t runs) {
    for (int64_t i = 0; i < runs; ++i) store(target, i, load(target, i) + load(source, i));
}

#if BLOCK == 16
#include "backend/cpu/kernels/blocked_products.inc.h"
#endif

extern const blocked_kernels MOCO_BLOCKED_KERNELS;
const blocked_kernels MOCO_BLOCKED_KERNELS = {
    .element_bytes = sizeof(element),
    .moments = moments,
    .normalize = normalize,
    .gradient_sums = gradient_sums,
    .gradient_apply = gradient_apply,
    .max_pool = max_pool,
    .max_pool_gradient = max_pool_gradient,
    .average = average,
    .average_gradient = average_gradient,
    .to_plain = to_plain,
    .from_plain = from_plain,
    .from_float = from_float,
    .add = add,
#if BLOCK == 16
    .outer_rows = OUTER_ROWS,
    .outer_blocks = OUTER_BLOCKS,
    .outer_products = outer_products,
    .pixels_per_word = PIXELS_PER_WORD,
    .pack = pack,
#endif
};
