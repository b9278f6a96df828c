/* One source for every instruction set: GCC's vector extensions, sized by the target that this file is compiled for.
 * MOCO_NCE_KERNEL names the table that it defines. -ffp-contract=fast lets products and sums fuse, the same way in all
 * of these functions.
 */
#include "backend/cpu/kernels/info_nce_kernel.h"

#include <moco/queue.h>
#include <string.h>

#include "core/lanes.h"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef MOCO_NCE_KERNEL
#error "MOCO_NCE_KERNEL must be the name of the table"
#endif

/* Lanes, and how many vectors of rows a block may have, so that the register block fits the registers. */
#if defined(__AVX512F__)
#define LANES       16
#define MAX_VECTORS 4
#define WIDE        1 /* 32 vector registers */
#elif defined(__AVX__)
#define LANES       8
#define MAX_VECTORS 2
#define WIDE        0
#elif defined(__aarch64__)
#define LANES       4
#define MAX_VECTORS 4
#define WIDE        1
#else
#define LANES       4
#define MAX_VECTORS 2
#define WIDE        0
#endif

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(LANES * 4)));
typedef float unaligned_vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t int_vector __attribute__((vector_size(LANES * 4)));
typedef uint32_t bit_vector __attribute__((vector_size(LANES * 4)));

INLINE vector load(const float *address) {
    return (vector) * (const unaligned_vector *) address;
}
INLINE void store(float *address, vector value) {
    *(unaligned_vector *) address = (unaligned_vector) value;
}
INLINE vector broadcast(float value) {
    return (vector){MOCO_LANES(LANES, value)};
}

INLINE vector larger(vector a, vector b) {
#if defined(__AVX512F__)
    return (vector) _mm512_max_ps((__m512) a, (__m512) b);
#elif defined(__AVX__)
    return (vector) _mm256_max_ps((__m256) a, (__m256) b);
#elif defined(__SSE2__)
    return (vector) _mm_max_ps((__m128) a, (__m128) b);
#elif defined(__aarch64__)
    return (vector) vmaxq_f32((float32x4_t) a, (float32x4_t) b);
#else
    const int_vector above = a > b;
    return (vector) (((int_vector) a & above) | ((int_vector) b & ~above));
#endif
}

/* --- First product: similarities ---------------------------------------------------------------------------------- */

/* `rows` x `vectors` sums in registers; each step loads `vectors` vectors and broadcasts `rows` keys' values. */
INLINE void similarity_block(const int rows, const int vectors, const float *keys, int64_t dim, const float *q_t,
                             float *S) {
    vector sum[12][4];
    UNROLL for (int i = 0; i < rows; ++i) {
        UNROLL for (int v = 0; v < vectors; ++v) sum[i][v] = (vector){0};
    }
    for (int64_t d = 0; d < dim; ++d) {
        vector q[4];
        UNROLL for (int v = 0; v < vectors; ++v) q[v] = load(q_t + (d * vectors + v) * LANES);
        UNROLL for (int i = 0; i < rows; ++i) {
            const vector key = broadcast(keys[i * dim + d]);
            UNROLL for (int v = 0; v < vectors; ++v) sum[i][v] += key * q[v];
        }
    }
    UNROLL for (int i = 0; i < rows; ++i) {
        UNROLL for (int v = 0; v < vectors; ++v) store(S + (i * vectors + v) * LANES, sum[i][v]);
    }
}

/* --- Second product: the weighted sum of the keys ----------------------------------------------------------------- */

/* `rows` columns d of the keys at once, over all keys of the tile. */
INLINE void accumulate_block(const int rows, const int vectors, const float *keys, int64_t count, int64_t dim,
                             const float *weights, const float *factor, float *sums) {
    vector sum[12][4];
    UNROLL for (int i = 0; i < rows; ++i) {
        UNROLL for (int v = 0; v < vectors; ++v) sum[i][v] = (vector){0};
    }
    for (int64_t j = 0; j < count; ++j) {
        vector weight[4];
        UNROLL for (int v = 0; v < vectors; ++v) weight[v] = load(weights + (j * vectors + v) * LANES);
        UNROLL for (int i = 0; i < rows; ++i) {
            const vector key = broadcast(keys[j * dim + i]);
            UNROLL for (int v = 0; v < vectors; ++v) sum[i][v] += key * weight[v];
        }
    }
    UNROLL for (int i = 0; i < rows; ++i) {
        UNROLL for (int v = 0; v < vectors; ++v) {
            float *at = sums + (i * vectors + v) * LANES;
            store(at, sum[i][v] + load(factor + v * LANES) * load(at));
        }
    }
}

/* Full register blocks, then what is left: 8, 4, 2, 1 at a time. */
#define IN_BLOCKS(full, total, BLOCK)                             \
    do {                                                          \
        int64_t at = 0;                                           \
        for (; at + (full) <= (total); at += (full)) BLOCK(full); \
        if ((full) > 8 && at + 8 <= (total)) {                    \
            BLOCK(8);                                             \
            at += 8;                                              \
        }                                                         \
        if ((full) > 4 && at + 4 <= (total)) {                    \
            BLOCK(4);                                             \
            at += 4;                                              \
        }                                                         \
        if ((full) > 2 && at + 2 <= (total)) {                    \
            BLOCK(2);                                             \
            at += 2;                                              \
        }                                                         \
        if (at < (total)) BLOCK(1);                               \
    } while (0)

#define DEFINE_PRODUCTS(vectors, full)                                                                              \
    static void similarities_##vectors(const float *keys, int64_t count, int64_t dim, const float *q_t, float *S) { \
        IN_BLOCKS(full, count, SIMILARITY_##vectors);                                                               \
    }                                                                                                               \
    static void accumulate_##vectors(const float *keys, int64_t count, int64_t dim, const float *weights,           \
                                     const float *factor, float *sums) {                                            \
        IN_BLOCKS(full, dim, ACCUMULATE_##vectors);                                                                 \
    }
#define SIMILARITY(rows, vectors) similarity_block(rows, vectors, keys + at * dim, dim, q_t, S + at * (vectors) *LANES)
#define ACCUMULATE(rows, vectors) \
    accumulate_block(rows, vectors, keys + at, count, dim, weights, factor, sums + at * (vectors) *LANES)
#define SIMILARITY_1(rows) SIMILARITY(rows, 1)
#define SIMILARITY_2(rows) SIMILARITY(rows, 2)
#define SIMILARITY_3(rows) SIMILARITY(rows, 3)
#define SIMILARITY_4(rows) SIMILARITY(rows, 4)
#define ACCUMULATE_1(rows) ACCUMULATE(rows, 1)
#define ACCUMULATE_2(rows) ACCUMULATE(rows, 2)
#define ACCUMULATE_3(rows) ACCUMULATE(rows, 3)
#define ACCUMULATE_4(rows) ACCUMULATE(rows, 4)

#if WIDE
DEFINE_PRODUCTS(1, 12)
DEFINE_PRODUCTS(2, 12)
DEFINE_PRODUCTS(3, 8)
DEFINE_PRODUCTS(4, 6)
#else
DEFINE_PRODUCTS(1, 12)
DEFINE_PRODUCTS(2, 6)
#endif

/* --- Between the products ----------------------------------------------------------------------------------------- */

INLINE void survey_block(const int vectors, const float *S, int64_t count, const float *positive, float *largest,
                         float *sum, int32_t *hits) {
    vector most[4], total[4], own[4];
    int_vector above[4];
    UNROLL for (int v = 0; v < vectors; ++v) {
        own[v] = load(positive + v * LANES);
        most[v] = broadcast(-__builtin_inff());
        total[v] = (vector){0};
        above[v] = (int_vector){0};
    }
    for (int64_t j = 0; j < count; ++j) {
        UNROLL for (int v = 0; v < vectors; ++v) {
            const vector s = load(S + (j * vectors + v) * LANES);
            const int_vector unmasked = s >= broadcast(-__FLT_MAX__);
            most[v] = larger(most[v], s);
            total[v] += (vector) ((int_vector) s & unmasked);
            above[v] -= s >= own[v];
        }
    }
    UNROLL for (int v = 0; v < vectors; ++v) {
        store(largest + v * LANES, most[v]);
        store(sum + v * LANES, total[v]);
        memcpy(hits + v * LANES, &above[v], sizeof above[v]);
    }
}

/* 2^x for x <= 0 or a little above, within 2 ulp; 0 below 2^-126 and for -infinity. x = n + f with n an integer and
 * |f| <= 1/2: 1.5 * 2^23 + 127 pushes the fraction of x out of the float, and leaves n + 127 in its lowest bits, where
 * the exponent of 2^n wants it. The polynomial is a minimax fit of 2^f, relative error 2e-8 with rounded coefficients.
 */
INLINE vector exp2_vector(vector x) {
    const vector shift = broadcast(12582912.0f + 127.0f);
    x = larger(x, broadcast(-127.0f));
    const vector shifted = x + shift;
    const vector f = x - (shifted - shift);
    vector p = broadcast(0x1.41fbbcp-13f);
    p = p * f + broadcast(0x1.5f3e54p-10f);
    p = p * f + broadcast(0x1.3b2d4cp-7f);
    p = p * f + broadcast(0x1.c6aee8p-5f);
    p = p * f + broadcast(0x1.ebfbdcp-3f);
    p = p * f + broadcast(0x1.62e43p-1f);
    p = p * f + broadcast(1.0f);
    return p * (vector) ((bit_vector) shifted << 23);
}

INLINE void weigh_block(const int vectors, float *S, int64_t count, const float *reference, float scale, float *sum) {
    const vector scales = broadcast(scale);
    vector total[4], zero[4];
    UNROLL for (int v = 0; v < vectors; ++v) {
        zero[v] = load(reference + v * LANES);
        total[v] = (vector){0};
    }
    for (int64_t j = 0; j < count; ++j) {
        UNROLL for (int v = 0; v < vectors; ++v) {
            float *at = S + (j * vectors + v) * LANES;
            const vector weight = exp2_vector((load(at) - zero[v]) * scales);
            store(at, weight);
            total[v] += weight;
        }
    }
    UNROLL for (int v = 0; v < vectors; ++v) store(sum + v * LANES, total[v]);
}

INLINE void probability_block(const int vectors, float *S, int64_t count, const float *reference, float scale,
                              const float *factor) {
    const vector scales = broadcast(scale);
    for (int64_t j = 0; j < count; ++j) {
        const vector zero = broadcast(reference[j]), share = broadcast(factor[j]);
        UNROLL for (int v = 0; v < vectors; ++v) {
            float *at = S + (j * vectors + v) * LANES;
            store(at, exp2_vector((load(at) - zero) * scales) * share);
        }
    }
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

#if MAX_VECTORS == 4
#define BY_WIDTH(width, CALL)  \
    switch ((width) / LANES) { \
    case 1:                    \
        CALL(1);               \
        break;                 \
    case 2:                    \
        CALL(2);               \
        break;                 \
    case 3:                    \
        CALL(3);               \
        break;                 \
    default:                   \
        CALL(4);               \
        break;                 \
    }
#else
#define BY_WIDTH(width, CALL)  \
    switch ((width) / LANES) { \
    case 1:                    \
        CALL(1);               \
        break;                 \
    default:                   \
        CALL(2);               \
        break;                 \
    }
#endif

static void paired(const float *a_t, const float *b_t, int64_t dim, int32_t width, float *out) {
    for (int32_t r = 0; r < width; r += LANES) {
        vector sum = {0};
        for (int64_t d = 0; d < dim; ++d) sum += load(a_t + d * width + r) * load(b_t + d * width + r);
        store(out + r, sum);
    }
}

static void similarities(const float *keys, int64_t count, int64_t dim, const float *q_t, int32_t width, float *S) {
#define CALL(vectors) similarities_##vectors(keys, count, dim, q_t, S)
    BY_WIDTH(width, CALL)
#undef CALL
}

static int64_t mask(const int64_t *key_ids, int64_t count, const int64_t *row_ids, int32_t width, float *S) {
    int64_t masked = 0;
    for (int64_t j = 0; j < count; ++j) {
        const int64_t id = key_ids[j];
        if (id == MOCO_QUEUE_NO_ID) continue;
        int64_t equal = 0;
        for (int32_t r = 0; r < width; ++r) equal += row_ids[r] == id;
        if (equal == 0) continue;
        for (int32_t r = 0; r < width; ++r)
            if (row_ids[r] == id) S[j * width + r] = -__builtin_inff();
        masked += equal;
    }
    return masked;
}

static void survey(const float *S, int64_t count, int32_t width, const float *positive, float *largest, float *sum,
                   int32_t *hits) {
#define CALL(vectors) survey_block(vectors, S, count, positive, largest, sum, hits)
    BY_WIDTH(width, CALL)
#undef CALL
}

static void weigh(float *S, int64_t count, int32_t width, const float *reference, float scale, float *sum) {
#define CALL(vectors) weigh_block(vectors, S, count, reference, scale, sum)
    BY_WIDTH(width, CALL)
#undef CALL
}

static void probabilities(float *S, int64_t count, int32_t width, const float *reference, float scale,
                          const float *factor) {
#define CALL(vectors) probability_block(vectors, S, count, reference, scale, factor)
    BY_WIDTH(width, CALL)
#undef CALL
}

static void accumulate(const float *keys, int64_t count, int64_t dim, const float *weights, int32_t width,
                       const float *factor, float *sums) {
#define CALL(vectors) accumulate_##vectors(keys, count, dim, weights, factor, sums)
    BY_WIDTH(width, CALL)
#undef CALL
}

/* The largest partial sum of each lane over all keys, then added up: at least as large as any key's whole sum, and
 * without adding across lanes for every key. */
static float largest_square(const float *keys, int64_t count, int64_t dim) {
    vector largest = {0};
    float largest_rest = 0;
    for (int64_t j = 0; j < count; ++j) {
        const float *key = keys + j * dim;
        vector sum = {0};
        float rest = 0;
        int64_t d = 0;
        for (; d + LANES <= dim; d += LANES) sum += load(key + d) * load(key + d);
        for (; d < dim; ++d) rest += key[d] * key[d];
        largest = larger(largest, sum);
        largest_rest = rest > largest_rest ? rest : largest_rest;
    }
    for (int lane = 0; lane < LANES; ++lane) largest_rest += largest[lane];
    return largest_rest;
}

static void widen(const uint16_t *restrict source, int64_t count, float *restrict target) {
    for (int64_t i = 0; i < count; ++i) {
        const uint32_t bits = (uint32_t) source[i] << 16;
        memcpy(target + i, &bits, sizeof bits);
    }
}

extern const moco_nce_kernel MOCO_NCE_KERNEL;
const moco_nce_kernel MOCO_NCE_KERNEL = {
    LANES, LANES *MAX_VECTORS, paired,     similarities,   mask,  survey,
    weigh, probabilities,      accumulate, largest_square, widen,
};
