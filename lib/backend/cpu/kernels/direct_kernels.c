/* Compiled for blocks of 16 channels with AVX-512 and of 8 with AVX2: each the lanes of a register.
 * MOCO_DIRECT_KERNELS names the table.
 */
#include "backend/cpu/kernels/direct_kernels.h"

#include <immintrin.h>
#include <string.h>

#ifdef MOCO_ISA_AVX2
#define BLOCK 8
#else
#define BLOCK 16
#include "backend/cpu/kernels/register_transpose.h"
#endif

typedef float vec __attribute__((vector_size(4 * BLOCK)));

#if BLOCK == 16
#define BROADCAST(x)     ((vec) _mm512_set1_ps(x))
#define STREAM(y, value) _mm512_stream_ps(y, (__m512) (value))
/* Registers: 28 sums, 2 or 4 weights, a pixel's value. */
#define PIXELS_BY_1 14
#define PIXELS_BY_2 14
#define PIXELS_BY_4 7
#define OUTER_ROWS  8
#else
#define BROADCAST(x)     ((vec) _mm256_set1_ps(x))
#define STREAM(y, value) _mm256_stream_ps(y, (__m256) (value))
/* Registers: 12 sums, 1 or 2 weights, a pixel's value. */
#define PIXELS_BY_1      10
#define PIXELS_BY_2      6
#define PIXELS_BY_4      0
#define OUTER_ROWS       4
#endif

/* Loops whose counts are constant, so that what they index can be registers. */
#ifdef __clang__
#define UNROLLED  _Pragma("clang loop unroll(full)")
#define KEEP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define UNROLLED  _Pragma("GCC unroll 32")
#define KEEP_LOOP _Pragma("GCC unroll 1")
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE vec load(const float *from) {
    vec value;
    memcpy(&value, from, sizeof value);
    return value;
}

ALWAYS_INLINE void put(float *to, vec value) {
    memcpy(to, &value, sizeof value);
}

/* --- y --- */

/* `pixels` and `blocks` are constants where this is inlined, so that all sums are registers. */
ALWAYS_INLINE void products_of(const direct_run *run, const int pixels, const int blocks) {
    vec sum[PIXELS_BY_2 * 2];
    UNROLLED
    for (int i = 0; i < pixels * blocks; ++i) {
        sum[i] =
            run->accumulate ? load(run->y + i / blocks * run->next_pixel + i % blocks * run->next_block) : (vec){0};
    }
    const float *weights = run->weights;
    for (int64_t step = 0; step < run->step_count; ++step) {
        const float *x = run->x + run->steps[step];
        const float *next = run->x + run->steps[step + 1 < run->step_count ? step + 1 : step];
        UNROLLED
        for (int p = 0; p < pixels; ++p) __builtin_prefetch(next + p * BLOCK);
        KEEP_LOOP
        for (int channel = 0; channel < BLOCK; ++channel, ++x, weights += blocks * BLOCK) {
            vec w[4];
            UNROLLED
            for (int b = 0; b < blocks; ++b) w[b] = load(weights + b * BLOCK);
            UNROLLED
            for (int p = 0; p < pixels; ++p) {
                const vec all = BROADCAST(x[p * BLOCK]);
                UNROLLED
                for (int b = 0; b < blocks; ++b) sum[p * blocks + b] += w[b] * all;
            }
        }
    }
    UNROLLED
    for (int i = 0; i < pixels * blocks; ++i) {
        float *y = run->y + i / blocks * run->next_pixel + i % blocks * run->next_block;
        if (run->streaming) {
            STREAM(y, sum[i]);
        } else {
            put(y, sum[i]);
        }
    }
}

/* The case of `p` pixels, if there are registers for so many. */
#define CASE(p, b)                                                                     \
    case p:                                                                            \
        if ((p) <= PIXELS_BY_##b) products_of(run, (p) <= PIXELS_BY_##b ? (p) : 1, b); \
        break;
#define PRODUCTS_BY(b)                                                   \
    static void products_by_##b(const direct_run *run, int64_t pixels) { \
        switch (pixels) {                                                \
            CASE(1, b)                                                   \
            CASE(2, b)                                                   \
            CASE(3, b)                                                   \
            CASE(4, b)                                                   \
            CASE(5, b)                                                   \
            CASE(6, b)                                                   \
            CASE(7, b)                                                   \
            CASE(8, b)                                                   \
            CASE(9, b)                                                   \
            CASE(10, b)                                                  \
            CASE(11, b)                                                  \
            CASE(12, b)                                                  \
            CASE(13, b)                                                  \
            CASE(14, b)                                                  \
        default:                                                         \
            break;                                                       \
        }                                                                \
    }

PRODUCTS_BY(1)
PRODUCTS_BY(2)
#if PIXELS_BY_4 > 0
PRODUCTS_BY(4)
#endif

static void products(const direct_run *run, int64_t pixels, int64_t blocks) {
    if (blocks == 1) products_by_1(run, pixels);
    if (blocks == 2) products_by_2(run, pixels);
#if PIXELS_BY_4 > 0
    if (blocks == 4) products_by_4(run, pixels);
#endif
}

/* --- dw --- */

ALWAYS_INLINE void outer_products_of(const direct_pairs *pairs, const int64_t *places, const int vectors, float *dw,
                                     int64_t row) {
    vec sum[OUTER_ROWS][DIRECT_VECTORS];
    UNROLLED
    for (int r = 0; r < OUTER_ROWS; ++r) {
        UNROLLED
        for (int v = 0; v < vectors; ++v) sum[r][v] = load(dw + r * row + v * BLOCK);
    }
    const int64_t first = places[0], second = places[vectors > 1 ? 1 : 0], third = places[vectors > 2 ? 2 : 0];
    for (int64_t sample = 0; sample < pairs->samples; ++sample) {
        for (int64_t line = 0; line < pairs->rows; ++line) {
            const float *dy = pairs->dy + sample * pairs->dy_sample + line * pairs->dy_row;
            const float *x = pairs->x + sample * pairs->x_sample + line * pairs->x_row;
            for (int64_t i = 0; i < pairs->columns; ++i, dy += BLOCK, x += BLOCK) {
                const vec of[DIRECT_VECTORS] = {load(x + first), load(x + second), load(x + third)};
                UNROLLED
                for (int r = 0; r < OUTER_ROWS; ++r) {
                    const vec all = BROADCAST(dy[r]);
                    UNROLLED
                    for (int v = 0; v < vectors; ++v) sum[r][v] += of[v] * all;
                }
            }
        }
    }
    UNROLLED
    for (int r = 0; r < OUTER_ROWS; ++r) {
        UNROLLED
        for (int v = 0; v < vectors; ++v) put(dw + r * row + v * BLOCK, sum[r][v]);
    }
}

static void outer_products(const direct_pairs *pairs, const int64_t *places, int64_t vectors, float *dw, int64_t row) {
    if (vectors == 1) outer_products_of(pairs, places, 1, dw, row);
    if (vectors == 2) outer_products_of(pairs, places, 2, dw, row);
    if (vectors == 3) outer_products_of(pairs, places, 3, dw, row);
}

/* --- Copies --- */

static void pack(const float *weights, int64_t next_lane, int64_t next_channel, int64_t channels, float *packed,
                 int64_t next_row) {
#if BLOCK == 16
    if (next_channel == 1 && channels == BLOCK) {
        __m512 rows[BLOCK], columns[BLOCK];
        for (int i = 0; i < BLOCK; ++i) rows[i] = _mm512_loadu_ps(weights + i * next_lane);
        transpose_16x16(rows, columns);
        for (int i = 0; i < BLOCK; ++i) _mm512_storeu_ps(packed + i * next_row, columns[i]);
        return;
    }
#endif
    for (int64_t k = 0; k < BLOCK; ++k, weights += next_channel, packed += next_row) {
        vec row = {0};
        if (k < channels && next_lane == 1) {
            row = load(weights);
        } else if (k < channels) {
            for (int lane = 0; lane < BLOCK; ++lane) row[lane] = weights[lane * next_lane];
        }
        put(packed, row);
    }
}

static void copy(const float *from, int64_t step, int64_t count, float *to) {
    for (int64_t i = 0; i < count; ++i) put(to + i * BLOCK, load(from + i * step * BLOCK));
}

/* Runs are written one over the other's end; only when some windows are complete they are read again, since a load of
 * what several stores in flight make up would have to wait for them. */
static void windows(const float *rows, int64_t next_row, int64_t runs, int64_t width, int64_t step, int64_t count,
                    float *space, float *to, int64_t next_block) {
    const int64_t blocks = (runs * width + BLOCK - 1) / BLOCK, size = (blocks + 1) * BLOCK;
    for (int64_t first = 0; first < count; first += DIRECT_WINDOWS) {
        const int64_t some = count - first < DIRECT_WINDOWS ? count - first : DIRECT_WINDOWS;
        for (int64_t i = 0; i < some; ++i) {
            const float *from = rows + (first + i) * step;
            float *window = space + i * size;
            for (int64_t run = 0; run < runs; ++run) put(window + run * width, load(from + run * next_row));
            put(window + runs * width, (vec){0});
        }
        for (int64_t b = 0; b < blocks; ++b) {
            float *target = to + b * next_block + first * BLOCK;
            for (int64_t i = 0; i < some; ++i) put(target + i * BLOCK, load(space + i * size + b * BLOCK));
        }
    }
}

extern const direct_kernels MOCO_DIRECT_KERNELS;
const direct_kernels MOCO_DIRECT_KERNELS = {
    .block = BLOCK,
    .most_pixels = {0, PIXELS_BY_1, PIXELS_BY_2, 0, PIXELS_BY_4},
    .outer_rows = OUTER_ROWS,
    .products = products,
    .outer_products = outer_products,
    .pack = pack,
    .copy = copy,
    .windows = windows,
};
