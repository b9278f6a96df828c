#include "augment/resample.h"

/* Output pixel i is the sum over t < taps of weights[i * taps + t] * source[start[i] + t]; unused weights are 0 and
 * their source pixels exist. */
typedef struct tap_table {
    int64_t taps;
    int64_t *start;
    float *weights;
} tap_table;

static void fill_taps(const moco_resample_axis *axis, tap_table *table) {
    for (int64_t i = 0; i < axis->count; ++i) {
        table->start[i] = moco_resample_weigh(axis, i, table->taps, table->weights + i * table->taps);
    }
}

/* Sizes in bytes of the parts of the scratch memory, in its order. */
enum { HORIZONTAL_STARTS, VERTICAL_STARTS, HORIZONTAL_WEIGHTS, VERTICAL_WEIGHTS, ROWS, PARTS };

static size_t part_sizes(const moco_resample_axis *vertical, const moco_resample_axis *horizontal,
                         size_t sizes[PARTS]) {
    const int64_t elements[PARTS][2] = {{horizontal->count, 1},
                                        {vertical->count, 1},
                                        {horizontal->count, moco_resample_tap_count(horizontal)},
                                        {vertical->count, moco_resample_tap_count(vertical)},
                                        {vertical->in, horizontal->count}};
    size_t total = 0;
    for (int32_t i = 0; i < PARTS; ++i) {
        const size_t element = i <= VERTICAL_STARTS ? sizeof(int64_t) : sizeof(float);
        if (__builtin_mul_overflow((size_t) elements[i][0], (size_t) elements[i][1], &sizes[i]) ||
            __builtin_mul_overflow(sizes[i], element, &sizes[i]) ||
            __builtin_add_overflow(sizes[i], (size_t) 63, &sizes[i])) {
            return 0;
        }
        sizes[i] &= ~(size_t) 63;
        if (__builtin_add_overflow(total, sizes[i], &total)) return 0;
    }
    return total;
}

size_t moco_resample_scratch(const moco_resample_axis *vertical, const moco_resample_axis *horizontal) {
    size_t sizes[PARTS];
    return part_sizes(vertical, horizontal, sizes);
}

static void resample_row(const float *restrict row, const tap_table *table, int64_t count, float *restrict out) {
    const int64_t taps = table->taps;
    const float *weights = table->weights;
    if (taps == 3) { /* enlarging, or the same size: the usual case */
        for (int64_t i = 0; i < count; ++i, weights += 3) {
            const float *source = row + table->start[i];
            out[i] = weights[0] * source[0] + weights[1] * source[1] + weights[2] * source[2];
        }
        return;
    }
    for (int64_t i = 0; i < count; ++i, weights += taps) {
        const float *source = row + table->start[i];
        float sum = 0.0f;
        for (int64_t t = 0; t < taps; ++t) sum += weights[t] * source[t];
        out[i] = sum;
    }
}

static void combine_rows(const float *restrict rows, const float *restrict weights, int64_t taps, int64_t width,
                         float *restrict out) {
    for (int64_t x = 0; x < width; ++x) out[x] = weights[0] * rows[x];
    for (int64_t t = 1; t < taps; ++t) {
        const float weight = weights[t];
        if (weight == 0.0f) continue;
        for (int64_t x = 0; x < width; ++x) out[x] += weight * rows[t * width + x];
    }
}

void moco_resample(const float *image, int64_t stride, int64_t planes, int64_t plane_stride,
                   const moco_resample_axis *vertical, const moco_resample_axis *horizontal, void *scratch,
                   float *out) {
    size_t sizes[PARTS];
    void *parts[PARTS];
    part_sizes(vertical, horizontal, sizes);
    char *at = (char *) scratch;
    for (int32_t i = 0; i < PARTS; ++i) {
        parts[i] = at;
        at += sizes[i];
    }
    tap_table across = {moco_resample_tap_count(horizontal), (int64_t *) parts[HORIZONTAL_STARTS],
                        (float *) parts[HORIZONTAL_WEIGHTS]};
    tap_table down = {moco_resample_tap_count(vertical), (int64_t *) parts[VERTICAL_STARTS],
                      (float *) parts[VERTICAL_WEIGHTS]};
    fill_taps(horizontal, &across);
    fill_taps(vertical, &down);
    float *rows = (float *) parts[ROWS]; /* vertical.in x horizontal.count */
    const int64_t width = horizontal->count;
    const int64_t first_row = down.start[0], last_row = down.start[vertical->count - 1] + down.taps;
    for (int64_t p = 0; p < planes; ++p) {
        for (int64_t y = first_row; y < last_row; ++y) {
            resample_row(image + p * plane_stride + y * stride, &across, width, rows + y * width);
        }
        for (int64_t y = 0; y < vertical->count; ++y) {
            combine_rows(rows + down.start[y] * width, down.weights + y * down.taps, down.taps, width, out);
            out += width;
        }
    }
}
