/* The weight gradients' part of blocked_kernels.c, which includes it for B = 16: vec, load and the rest are there. */
#ifndef MOCO_BLOCKED_PRODUCTS_INC_H
#define MOCO_BLOCKED_PRODUCTS_INC_H

enum { PIXELS_PER_WORD = 4 / sizeof(element) };

/* --- The weight gradient of 1 x 1 convolutions --- */

static int64_t source_pixel(int64_t out, int64_t out_w, int64_t w, int64_t stride) {
    return stride == 1 ? out : out / out_w * stride * w + out % out_w * stride;
}

#ifdef BF16
/* Pixel `first` in the low halves, `second` in the high ones, as vdpbf16ps takes them. */
static inline vec pair_of(__m256i first, __m256i second) {
    return (vec) _mm512_or_si512(_mm512_cvtepu16_epi32(first), _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16));
}

static void pack(const void *x, int64_t first, int64_t count, int64_t out_w, int64_t w, int64_t stride, float *packed) {
    const __m256i *pixels = (const __m256i *) x;
    for (int64_t i = 0; i < count; i += 2) {
        const __m256i low = _mm256_load_si256(pixels + source_pixel(first + i, out_w, w, stride));
        const __m256i high = i + 1 < count ? _mm256_load_si256(pixels + source_pixel(first + i + 1, out_w, w, stride))
                                           : _mm256_setzero_si256();
        VECTORS(packed)[i / 2] = pair_of(low, high);
    }
}
#else
static void pack(const void *x, int64_t first, int64_t count, int64_t out_w, int64_t w, int64_t stride, float *packed) {
    for (int64_t i = 0; i < count; ++i) VECTORS(packed)[i] = load(x, source_pixel(first + i, out_w, w, stride));
}
#endif

/* --- Products of a weight gradient --- */

static inline vec multiply_add(vec sum, vec x, vec dy) {
#ifdef BF16
    return (vec) _mm512_dpbf16_ps((__m512) sum, (__m512bh) x, (__m512bh) dy);
#else
    return sum + x * dy;
#endif
}

/* MR x NR sums take 16 registers, leaving room for the additions of several words to be under way. */
enum { OUTER_ROWS = 8, OUTER_BLOCKS = 2 };

static void outer_products(const float *dy, int64_t lane, const float *x, int64_t x_next, int64_t words, float *dw,
                           int64_t row) {
    vec sum[OUTER_ROWS][OUTER_BLOCKS];
    for (int r = 0; r < OUTER_ROWS; ++r) {
        memcpy(&sum[r][0], dw + r * row, sizeof(vec));
        memcpy(&sum[r][1], dw + r * row + BLOCK, sizeof(vec));
    }
    dy += lane;
    for (int64_t i = 0; i < words; ++i) {
        const vec x0 = CONST_VECTORS(x)[i], x1 = CONST_VECTORS(x + x_next)[i];
        for (int r = 0; r < OUTER_ROWS; ++r) {
            const vec all = (vec) _mm512_set1_ps(dy[i * BLOCK + r]);
            sum[r][0] = multiply_add(sum[r][0], x0, all);
            sum[r][1] = multiply_add(sum[r][1], x1, all);
        }
    }
    for (int r = 0; r < OUTER_ROWS; ++r) {
        memcpy(dw + r * row, &sum[r][0], sizeof(vec));
        memcpy(dw + r * row + BLOCK, &sum[r][1], sizeof(vec));
    }
}

#endif
