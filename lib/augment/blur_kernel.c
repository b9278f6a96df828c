/* One source for every instruction set. MOCO_BLUR_KERNEL names the table that it defines.
 *
 * A value v is 128 v in between, a pair of them 16 bits at most; a product keeps its upper 16 bits.
 */
#include "augment/colour_kernel.h"
#include "augment/vector16.h"

#ifndef MOCO_BLUR_KERNEL
#error "MOCO_BLUR_KERNEL must be the name of the table"
#endif

V16_INLINE v16u load(const uint16_t *from) {
    v16u value;
    memcpy(&value, from, sizeof value);
    return value;
}
V16_INLINE v16u all(uint16_t x) {
    return (v16u){0} + x;
}

/* Cutting the products off loses half a unit in each: `bias` gives that back. */
V16_INLINE v16u blurred(const uint16_t *middle, int64_t step_before, int64_t step_after, const uint16_t *weights,
                        int64_t radius, v16u bias) {
    v16u sum = bias + v16_high(load(middle), all(weights[0]));
    for (int64_t i = 1; i <= radius; ++i) {
        sum += v16_high(load(middle - i * step_before) + load(middle + i * step_after), all(weights[i]));
    }
    return sum;
}

/* The sides' replicated pixels, then every pixel times 128. */
static void pad_row(const uint8_t *row, int64_t w, int64_t radius, uint16_t *padded) {
    for (int64_t i = 0; i < radius; ++i) {
        padded[i] = (uint16_t) (row[0] << 7);
        padded[radius + w + i] = (uint16_t) (row[w - 1] << 7);
    }
    for (int64_t i = 0; i < w; ++i) padded[radius + i] = (uint16_t) (row[i] << 7);
}

static void blur_row(const uint16_t *padded, int64_t w, const uint16_t *weights, int64_t radius, uint16_t *out) {
    const uint16_t bias = (uint16_t) ((radius + 1) / 2);
    int64_t x = 0;
    for (; x + V16_LANES <= w; x += V16_LANES) {
        const v16u sum = blurred(padded + radius + x, 1, 1, weights, radius, all(bias));
        memcpy(out + x, &sum, sizeof sum);
    }
    for (; x < w; ++x) {
        const uint16_t *middle = padded + radius + x;
        uint32_t sum = bias + ((uint32_t) middle[0] * weights[0] >> 16);
        for (int64_t i = 1; i <= radius; ++i) sum += ((uint32_t) middle[-i] + middle[i]) * weights[i] >> 16;
        out[x] = (uint16_t) sum;
    }
}

static void blur_column(const uint16_t *rows, int64_t y, int64_t h, int64_t w, const uint16_t *weights, int64_t radius,
                        uint8_t *out) {
    const uint16_t bias = (uint16_t) ((radius + 1) / 2 + 64);
    const uint16_t *middle = rows + y * w;
    int64_t x = 0;
    for (; x + V16_LANES <= w; x += V16_LANES) {
        v16u sum = all(bias) + v16_high(load(middle + x), all(weights[0]));
        for (int64_t i = 1; i <= radius; ++i) {
            const uint16_t *before = rows + (y > i ? y - i : 0) * w, *after = rows + (y + i < h ? y + i : h - 1) * w;
            sum += v16_high(load(before + x) + load(after + x), all(weights[i]));
        }
        v16_store_bytes(out + x, (v16) (sum >> 7));
    }
    for (; x < w; ++x) {
        uint32_t sum = bias + ((uint32_t) middle[x] * weights[0] >> 16);
        for (int64_t i = 1; i <= radius; ++i) {
            const uint16_t *before = rows + (y > i ? y - i : 0) * w, *after = rows + (y + i < h ? y + i : h - 1) * w;
            sum += ((uint32_t) before[x] + after[x]) * weights[i] >> 16;
        }
        out[x] = (uint8_t) (sum >> 7 > 255 ? 255 : sum >> 7);
    }
}

static void blur(uint8_t *planes, int64_t count, int64_t h, int64_t w, const uint16_t *weights, int64_t radius,
                 uint16_t *scratch) {
    uint16_t *rows = scratch, *padded = scratch + h * w;
    for (int64_t p = 0; p < count; ++p, planes += h * w) {
        for (int64_t y = 0; y < h; ++y) {
            pad_row(planes + y * w, w, radius, padded);
            blur_row(padded, w, weights, radius, rows + y * w);
        }
        for (int64_t y = 0; y < h; ++y) blur_column(rows, y, h, w, weights, radius, planes + y * w);
    }
}

extern const moco_blur_kernel MOCO_BLUR_KERNEL;
const moco_blur_kernel MOCO_BLUR_KERNEL = {blur};
