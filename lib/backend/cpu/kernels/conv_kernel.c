/* One source for every instruction set: vector extensions, sized by what this file is compiled for. MOCO_CONV_KERNEL
 * names the table that it defines.
 */
#include "backend/cpu/kernels/conv_kernel.h"

#include "core/lanes.h"

#ifndef MOCO_CONV_KERNEL
#error "MOCO_CONV_KERNEL must be the name of the table"
#endif

#if defined(__AVX512F__) /* 32 registers: 24 sums, 3 or 6 operands */
#define LANES       16
#define ROWS        8
#define DOT_ROWS    4
#define DOT_COLUMNS 6
#elif defined(__AVX__) /* 16 registers: 12 sums, 3 operands */
#define LANES       8
#define ROWS        4
#define DOT_ROWS    4
#define DOT_COLUMNS 3
#else
#define LANES       4
#define ROWS        4
#define DOT_ROWS    4
#define DOT_COLUMNS 3
#endif

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(LANES * 4)));
typedef float unaligned_vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

INLINE vector load(const float *address) {
    return (vector) * (const unaligned_vector *) address;
}
INLINE void store(float *address, vector value) {
    *(unaligned_vector *) address = (unaligned_vector) value;
}

/* Lanes for __builtin_shufflevector of two vectors: every second, from 0 or 1 on; and from 0 on where the second vector
 * begins one early. */
#if LANES == 16
#define EVEN   0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD    1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define SPREAD 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31
#elif LANES == 8
#define EVEN   0, 2, 4, 6, 8, 10, 12, 14
#define ODD    1, 3, 5, 7, 9, 11, 13, 15
#define SPREAD 0, 2, 4, 6, 9, 11, 13, 15
#else
#define EVEN   0, 2, 4, 6
#define ODD    1, 3, 5, 7
#define SPREAD 0, 2, 5, 7
#endif

/* Whole vectors, the last one overlapping; short rows element by element. */
INLINE void copy_row(const float *source, int64_t count, float *target) {
    if (count < LANES) {
        for (int64_t i = 0; i < count; ++i) target[i] = source[i];
        return;
    }
    for (int64_t i = 0; i < count - LANES; i += LANES) store(target + i, load(source + i));
    store(target + count - LANES, load(source + count - LANES));
}

/* Every second element: the second vector begins one early, so that nothing beyond the last one is read. */
INLINE void copy_every_second(const float *source, int64_t count, float *target) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        store(target + i, __builtin_shufflevector(load(source + 2 * i), load(source + 2 * i + LANES - 1), SPREAD));
    }
    for (; i < count; ++i) target[i] = source[2 * i];
}

INLINE void clear_row(float *target, int64_t count) {
    for (int64_t i = 0; i < count; ++i) target[i] = 0.0f;
}

static void copy(const conv_copy *copy, const float *source, float *target) {
    /* Columns whose source lies inside the image are [left, right). */
    const int64_t step = copy->step, shift = copy->shift_column, columns = copy->columns;
    int64_t left = shift < 0 ? (-shift + step - 1) / step : 0;
    int64_t right = copy->source_w - shift <= 0 ? 0 : (copy->source_w - shift + step - 1) / step;
    if (left > columns) left = columns;
    if (right > columns) right = columns;
    if (right < left) right = left;
    for (int64_t row = 0; row < copy->rows; ++row, target += columns) {
        const int64_t from = (copy->first_row + row) * step + copy->shift_row;
        if (from < 0 || from >= copy->source_h) {
            clear_row(target, columns);
            continue;
        }
        const float *line = source + from * copy->source_w + left * step + shift;
        clear_row(target, left);
        if (step == 1) {
            copy_row(line, right - left, target + left);
        } else if (step == 2) {
            copy_every_second(line, right - left, target + left);
        } else {
            for (int64_t i = left; i < right; ++i) target[i] = line[(i - left) * step];
        }
        clear_row(target + right, columns - right);
    }
}

INLINE void tile_of(const int vectors, const float *x, const int32_t *offsets, int64_t taps, const float *weights,
                    const int64_t *at, float *out, int64_t out_stride, const int64_t *out_at) {
    vector sum[ROWS][CONV_MAX_VECTORS];
    UNROLL for (int i = 0; i < ROWS; ++i) {
        UNROLL for (int v = 0; v < vectors; ++v) sum[i][v] = (vector){0};
    }
    const float *base[CONV_MAX_VECTORS];
    UNROLL for (int v = 0; v < vectors; ++v) base[v] = x + at[v];
    for (int64_t t = 0; t < taps; ++t, weights += ROWS) {
        const int64_t offset = offsets[t];
        vector value[CONV_MAX_VECTORS];
        UNROLL for (int v = 0; v < vectors; ++v) value[v] = load(base[v] + offset);
        UNROLL for (int i = 0; i < ROWS; ++i) {
            const vector weight = (vector){MOCO_LANES(LANES, weights[i])};
            UNROLL for (int v = 0; v < vectors; ++v) sum[i][v] += weight * value[v];
        }
    }
    UNROLL for (int i = 0; i < ROWS; ++i) {
        UNROLL for (int v = 0; v < vectors; ++v) store(out + i * out_stride + out_at[v], sum[i][v]);
    }
}

static void tile(const float *x, const int32_t *offsets, int64_t taps, const float *weights, int32_t vectors,
                 const int64_t *at, float *out, int64_t out_stride, const int64_t *out_at) {
    switch (vectors) {
    case 1:
        tile_of(1, x, offsets, taps, weights, at, out, out_stride, out_at);
        break;
    case 2:
        tile_of(2, x, offsets, taps, weights, at, out, out_stride, out_at);
        break;
    default:
        tile_of(3, x, offsets, taps, weights, at, out, out_stride, out_at);
        break;
    }
}

/* Lane i of the result is the sum of v[i]'s lanes, pairs first: log2(LANES) rounds, each halving the vectors. */
INLINE vector totals(vector *v) {
    UNROLL for (int width = LANES / 2; width > 0; width /= 2) {
        UNROLL for (int i = 0; i < width; ++i) {
            v[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], EVEN) +
                   __builtin_shufflevector(v[2 * i], v[2 * i + 1], ODD);
        }
    }
    return v[0];
}

static void dots(const float *a, int64_t a_stride, const float *x, const int32_t *offsets, int64_t positions,
                 float *sums) {
    vector sum[DOT_ROWS][DOT_COLUMNS];
    const float *column[DOT_COLUMNS];
    UNROLL for (int j = 0; j < DOT_COLUMNS; ++j) {
        column[j] = x + offsets[j];
        UNROLL for (int i = 0; i < DOT_ROWS; ++i) sum[i][j] = (vector){0};
    }
    for (int64_t p = 0; p < positions; p += LANES) {
        vector left[DOT_ROWS];
        UNROLL for (int i = 0; i < DOT_ROWS; ++i) left[i] = load(a + i * a_stride + p);
        UNROLL for (int j = 0; j < DOT_COLUMNS; ++j) {
            const vector value = load(column[j] + p);
            UNROLL for (int i = 0; i < DOT_ROWS; ++i) sum[i][j] += left[i] * value;
        }
    }
    vector all[(DOT_ROWS * DOT_COLUMNS + LANES - 1) / LANES * LANES];
    UNROLL for (int i = 0; i < DOT_ROWS; ++i) {
        UNROLL for (int j = 0; j < DOT_COLUMNS; ++j) all[i * DOT_COLUMNS + j] = sum[i][j];
    }
    UNROLL for (int i = DOT_ROWS * DOT_COLUMNS; i < (int) (sizeof all / sizeof *all); ++i) all[i] = (vector){0};
    for (int i = 0; i < DOT_ROWS * DOT_COLUMNS; i += LANES) store(sums + i, totals(all + i));
}

static void scatter(const float *from, int64_t tile_stride, int64_t begin, int64_t length, const conv_run *runs,
                    int64_t rows, float *out, int64_t out_stride, int64_t out_step) {
    const int64_t end = begin + length;
    for (const conv_run *run = runs; run->length > 0 && run->position < end; ++run) {
        const int64_t first = run->position > begin ? run->position : begin;
        const int64_t last = run->position + run->length < end ? run->position + run->length : end;
        const int64_t output = run->output + (first - run->position) * out_step;
        for (int64_t i = 0; i < rows; ++i) {
            const float *source = from + i * tile_stride + first - begin;
            float *target = out + i * out_stride + output;
            if (out_step == 1) {
                copy_row(source, last - first, target);
            } else {
                for (int64_t j = 0; j < last - first; ++j) target[j * out_step] = source[j];
            }
        }
    }
}

extern const conv_kernel MOCO_CONV_KERNEL;
const conv_kernel MOCO_CONV_KERNEL = {
    LANES, ROWS, CONV_MAX_VECTORS, DOT_ROWS, DOT_COLUMNS, copy, tile, dots, scatter,
};
