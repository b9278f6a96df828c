#include "augment/pixel_resample.h"

#include <math.h>
#include <moco/augment.h>
#include <string.h>

#include "core/checked.h"

/* The parts of the scratch memory, in its order. */
enum {
    ACROSS_START,
    ACROSS_WEIGHTS,
    ACROSS_INTEGERS,
    DOWN_START,
    DOWN_WEIGHTS,
    DOWN_INTEGERS,
    PLAN,
    ROW_BUFFER,
    RING,      /* the last rows made: as many as the vertical filter reaches */
    RING_ROWS, /* pointers to those of one output row */
    SUMS,
    BYTES,
    PARTS
};

/* A bicubic weight at an edge may be above 1, and needs room above it in 16 bits. */
static int32_t shift_of(const moco_resample_axis *vertical) {
    return vertical->interpolation == MOCO_INTERPOLATION_BICUBIC ? 5 : 6;
}

static int64_t stride_of(const moco_resample_axis *horizontal) {
    return (horizontal->count + 31) & ~(int64_t) 31;
}

/* Where each part begins, and the end of all; 0 if that is more than can be addressed. */
static size_t lay_out(const moco_resample_kernel *kernel, const moco_resample_axis *vertical,
                      const moco_resample_axis *horizontal, size_t begins[PARTS]) {
    const int64_t across = moco_resample_tap_count(horizontal), down = moco_resample_tap_count(vertical);
    const int64_t row = 3 * stride_of(horizontal);
    const int64_t elements[PARTS][3] = {
        [ACROSS_START] = {horizontal->count, 1, sizeof(int32_t)},
        [ACROSS_WEIGHTS] = {horizontal->count, across, sizeof(float)},
        [ACROSS_INTEGERS] = {horizontal->count, across, sizeof(int16_t)},
        [DOWN_START] = {vertical->count, 1, sizeof(int32_t)},
        [DOWN_WEIGHTS] = {vertical->count, down, sizeof(float)},
        [DOWN_INTEGERS] = {vertical->count, down, sizeof(int16_t)},
        [PLAN] = {(int64_t) kernel->plan_size(across, horizontal->count), 1, 1},
        [ROW_BUFFER] = {horizontal->in + MOCO_PIXEL_PADDING, 4, sizeof(float)},
        [RING] = {down, row, sizeof(int16_t)},
        [RING_ROWS] = {down, 1, sizeof(int16_t *)},
        [SUMS] = {row, 1, sizeof(float)},
        [BYTES] = {row, 1, 1},
    };
    size_t total = 0;
    for (int32_t i = 0; i < PARTS; ++i) {
        size_t bytes;
        if (__builtin_mul_overflow((size_t) elements[i][0], (size_t) elements[i][1], &bytes) ||
            __builtin_mul_overflow(bytes, (size_t) elements[i][2], &bytes) ||
            __builtin_add_overflow(bytes, (size_t) 63, &bytes)) {
            return 0;
        }
        begins[i] = total;
        if (__builtin_add_overflow(total, bytes & ~(size_t) 63, &total)) return 0;
    }
    return total;
}

size_t moco_pixel_resample_scratch(const moco_resample_kernel *kernel, const moco_resample_axis *vertical,
                                   const moco_resample_axis *horizontal) {
    size_t begins[PARTS];
    return lay_out(kernel, vertical, horizontal, begins);
}

/* One output's weights as integers that sum to `unit`: what rounding leaves over goes to the largest. */
static void round_weights(float *weights, int64_t taps, int32_t unit, int16_t *integers) {
    int32_t left = unit;
    int64_t largest = 0;
    for (int64_t t = 0; t < taps; ++t) {
        integers[t] = (int16_t) lrintf(weights[t] * (float) unit);
        left -= integers[t];
        if (integers[t] > integers[largest]) largest = t;
    }
    if (left != unit) integers[largest] = (int16_t) (integers[largest] + left); /* all 0: nothing is there to be seen */
    for (int64_t t = 0; t < taps; ++t) weights[t] = (float) integers[t];
}

static void fill_taps(const moco_resample_axis *axis, int32_t unit, int32_t flip, moco_pixel_taps *table) {
    table->first = axis->in;
    table->last = 0;
    for (int64_t i = 0; i < axis->count; ++i) {
        const int64_t at = flip ? axis->count - 1 - i : i;
        float *weights = table->weights + at * table->taps;
        const int64_t start = moco_resample_weigh(axis, i, table->taps, weights);
        table->start[at] = (int32_t) start;
        table->first = moco_min_i64(table->first, start);
        table->last = moco_max_i64(table->last, start + table->taps);
        if (table->integers != NULL) {
            round_weights(weights, table->taps, unit, table->integers + at * table->taps);
        }
    }
}

/* The rows of the ring that output row y is made of, without those that count for nothing. */
static int64_t gather_rows(const moco_pixel_taps *down, int64_t y, const int16_t *ring, int64_t row,
                           const int16_t **rows, int64_t *first) {
    const float *weights = down->weights + y * down->taps;
    int64_t begin = 0, end = down->taps;
    while (end > begin + 1 && weights[end - 1] == 0.0f) --end;
    while (begin + 1 < end && weights[begin] == 0.0f) ++begin;
    for (int64_t t = begin; t < end; ++t) rows[t - begin] = ring + (down->start[y] + t) % down->taps * row;
    *first = begin;
    return end - begin;
}

void moco_pixel_resample(const moco_resample_kernel *kernel, const uint8_t *pixels, const moco_resample_axis *vertical,
                         const moco_resample_axis *horizontal, int32_t flip, void *scratch, uint8_t *out) {
    size_t begins[PARTS];
    lay_out(kernel, vertical, horizontal, begins);
    char *memory = (char *) scratch;
    moco_pixel_taps across = {.taps = moco_resample_tap_count(horizontal),
                              .count = horizontal->count,
                              .start = (int32_t *) (void *) (memory + begins[ACROSS_START]),
                              .weights = (float *) (void *) (memory + begins[ACROSS_WEIGHTS])};
    moco_pixel_taps down = {.taps = moco_resample_tap_count(vertical),
                            .count = vertical->count,
                            .start = (int32_t *) (void *) (memory + begins[DOWN_START]),
                            .weights = (float *) (void *) (memory + begins[DOWN_WEIGHTS])};
    if (across.taps <= MOCO_PIXEL_TAPS) across.integers = (int16_t *) (void *) (memory + begins[ACROSS_INTEGERS]);
    if (down.taps <= MOCO_PIXEL_TAPS) down.integers = (int16_t *) (void *) (memory + begins[DOWN_INTEGERS]);
    fill_taps(horizontal, 1 << 14, flip, &across);
    const int32_t shift = shift_of(vertical);
    fill_taps(vertical, shift == 6 ? INT16_MAX : 1 << 14, 0, &down);
    void *plan = memory + begins[PLAN];
    kernel->plan(&across, plan);

    int16_t *ring = (int16_t *) (void *) (memory + begins[RING]);
    const int16_t **rows = (const int16_t **) (void *) (memory + begins[RING_ROWS]);
    uint8_t *bytes = (uint8_t *) (memory + begins[BYTES]);
    const int64_t stride = stride_of(horizontal), row = 3 * stride, width = horizontal->count;
    int64_t made = 0; /* source rows before this one are in the ring, or no longer needed */
    for (int64_t y = 0; y < vertical->count; ++y) {
        int64_t first = 0;
        const int64_t taps = gather_rows(&down, y, ring, row, rows, &first);
        const int64_t end = down.start[y] + first + taps;
        for (made = moco_max_i64(made, down.start[y]); made < end; ++made) {
            kernel->row(pixels + made * horizontal->in * 3, &across, plan,
                        (float *) (void *) (memory + begins[ROW_BUFFER]), stride, ring + made % down.taps * row);
        }
        if (down.integers != NULL) {
            kernel->combine(rows, down.integers + y * down.taps + first, taps, shift, row, bytes);
        } else {
            kernel->combine_many(rows, down.weights + y * down.taps + first, taps, row,
                                 (float *) (void *) (memory + begins[SUMS]), bytes);
        }
        for (int64_t c = 0; c < 3; ++c) {
            memcpy(out + (c * vertical->count + y) * width, bytes + c * stride, (size_t) width);
        }
    }
}
