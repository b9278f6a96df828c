/* One source for every instruction set. MOCO_RESAMPLE_KERNEL names the table that it defines. */
#include "augment/resample_kernel.h"

#include "augment/vector16.h"
#include "core/lanes.h"

#ifndef MOCO_RESAMPLE_KERNEL
#error "MOCO_RESAMPLE_KERNEL must be the name of the table"
#endif

enum { HIGHEST = 255 * 64 };

V16_INLINE int16_t clamp_intermediate(int32_t value) {
    return (int16_t) (value < 0 ? 0 : value > HIGHEST ? HIGHEST : value);
}

/* --- Across: a pixel is four floats, so that one vector operation does its three channels. Up to MOCO_PIXEL_TAPS taps,
 * all are integers below 2^24, and so exact in any order. --- */

typedef float pixel __attribute__((vector_size(16)));
typedef int32_t pixel_integer __attribute__((vector_size(16)));

V16_INLINE pixel pixel_all(float x) {
    return (pixel){MOCO_LANES(4, x)};
}

V16_INLINE pixel choose(pixel_integer mask, pixel yes, pixel no) {
    return (pixel) ((mask & (pixel_integer) yes) | (~mask & (pixel_integer) no));
}

static void row_of_pixels(const uint8_t *source, const moco_pixel_taps *across, float *buffer, int64_t stride,
                          int16_t *out) {
    const int64_t width = across->last - across->first, taps = across->taps;
    pixel *pixels = (pixel *) (void *) buffer;
    source += 3 * across->first;
    for (int64_t x = 0; x < width; ++x) {
        pixels[x] = (pixel){(float) source[3 * x], (float) source[3 * x + 1], (float) source[3 * x + 2], 0.0f};
    }
    const float *weights = across->weights;
    /* To 64ths of a value: integer weights are of 2^14. */
    const pixel unit = pixel_all(across->integers != NULL ? 1.0f / 256.0f : 64.0f);
    for (int64_t i = 0; i < across->count; ++i, weights += taps) {
        const pixel *from = pixels + (across->start[i] - across->first);
        pixel sum = from[0] * pixel_all(weights[0]);
        for (int64_t t = 1; t < taps; ++t) sum += from[t] * pixel_all(weights[t]);
        sum = sum * unit + 0.5f;
        const pixel zero = {0.0f}, highest = zero + (float) HIGHEST;
        sum = choose(sum > zero, sum, zero);
        sum = choose(sum < highest, sum, highest);
        const pixel_integer rounded = __builtin_convertvector(sum, pixel_integer);
        out[i] = (int16_t) rounded[0];
        out[stride + i] = (int16_t) rounded[1];
        out[2 * stride + i] = (int16_t) rounded[2];
    }
}

#if defined(__AVX512BW__)

/* --- Across, 16 output pixels at once: where their source pixels lie within 64 (a reduction of up to about 3), two
 * registers hold them, and one permutation brings a pair of taps of all 16 into place. --- */

enum { BLOCK = 16, SPAN = 64 };

typedef struct block_plan {
    int32_t begin; /* its first source pixel, from across->first on */
    int32_t pairs;
} block_plan;

typedef struct wide_plan {
    int64_t fits; /* 1: the blocks are usable */
    int64_t blocks, pairs;
} wide_plan;

static size_t padded64(size_t bytes) {
    return (bytes + 63) & ~(size_t) 63;
}

static size_t plan_size(int64_t taps, int64_t count) {
    if (taps > MOCO_PIXEL_TAPS) return 64;
    const int64_t blocks = (count + BLOCK - 1) / BLOCK, pairs = (taps + 1) / 2;
    return 64 + padded64((size_t) blocks * sizeof(block_plan)) +
           (size_t) (blocks * pairs) * 4 * BLOCK * sizeof(int16_t);
}

static block_plan *blocks_of(const void *plan) {
    return (block_plan *) (void *) ((char *) (size_t) plan + 64);
}

/* For each block and pair of taps: 32 places, then 32 weights. */
static int16_t *pairs_of(const void *plan, int64_t blocks) {
    return (int16_t *) (void *) ((char *) (size_t) plan + 64 + padded64((size_t) blocks * sizeof(block_plan)));
}

static void make_plan(const moco_pixel_taps *across, void *memory) {
    wide_plan *plan = (wide_plan *) memory;
    plan->fits = 0;
    if (across->integers == NULL) return;
    plan->blocks = (across->count + BLOCK - 1) / BLOCK;
    plan->pairs = (across->taps + 1) / 2;
    block_plan *blocks = blocks_of(memory);
    int16_t *to = pairs_of(memory, plan->blocks);
    for (int64_t b = 0; b < plan->blocks; ++b) {
        const int64_t end = across->count - b * BLOCK < BLOCK ? across->count - b * BLOCK : BLOCK;
        const int32_t *start = across->start + b * BLOCK;
        const int32_t least = start[0] < start[end - 1] ? start[0] : start[end - 1];
        const int32_t most = start[0] < start[end - 1] ? start[end - 1] : start[0];
        if (most - least + across->taps > SPAN) return;
        blocks[b].begin = least - (int32_t) across->first;
        for (int64_t p = 0; p < plan->pairs; ++p, to += 4 * BLOCK) {
            for (int64_t i = 0; i < 2 * BLOCK; ++i) {
                const int64_t output = i / 2, tap = 2 * p + i % 2;
                const int used = output < end && tap < across->taps;
                to[i] = used ? (int16_t) (start[output] - least + tap) : (int16_t) 0;
                to[2 * BLOCK + i] = used ? across->integers[(b * BLOCK + output) * across->taps + tap] : (int16_t) 0;
            }
        }
    }
    plan->fits = 1;
}

/* Three planes of 16-bit integers of interleaved bytes, `stride` apart. */
static void separate(const uint8_t *source, int64_t width, int64_t stride, int16_t *planes) {
    int16_t first[3][32], second[3][32]; /* first choose from words 0..63, then from the chosen and words 64..95 */
    for (int c = 0; c < 3; ++c) {
        for (int i = 0; i < 32; ++i) {
            const int word = 3 * i + c;
            first[c][i] = (int16_t) (word < 64 ? word : 0);
            second[c][i] = (int16_t) (word < 64 ? i : 32 + word - 64);
        }
    }
    __m512i a[3], b[3];
    for (int c = 0; c < 3; ++c) {
        a[c] = _mm512_loadu_si512(first[c]);
        b[c] = _mm512_loadu_si512(second[c]);
    }
    for (int64_t x = 0; x < width; x += 32, source += 96) {
        __m512i words[3];
        const int64_t bytes = 3 * (width - x);
        for (int part = 0; part < 3; ++part) {
            const int64_t left = bytes - 32 * part;
            const __mmask32 mask = left >= 32 ? 0xFFFFFFFFu : left > 0 ? (__mmask32) ((1ull << left) - 1) : 0;
            words[part] = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, source + 32 * part));
        }
        for (int c = 0; c < 3; ++c) {
            const __m512i chosen = _mm512_permutex2var_epi16(words[0], a[c], words[1]);
            _mm512_storeu_si512(planes + c * stride + x, _mm512_permutex2var_epi16(chosen, b[c], words[2]));
        }
    }
}

static void row(const uint8_t *source, const moco_pixel_taps *across, const void *memory, float *buffer, int64_t stride,
                int16_t *out) {
    const wide_plan *plan = (const wide_plan *) memory;
    if (!plan->fits) {
        row_of_pixels(source, across, buffer, stride, out);
        return;
    }
    const int64_t width = across->last - across->first, plane = (width + MOCO_PIXEL_PADDING) & ~(int64_t) 31;
    int16_t *planes = (int16_t *) (void *) buffer;
    separate(source + 3 * across->first, width, plane, planes);
    const block_plan *blocks = blocks_of(memory);
    const int16_t *pairs = pairs_of(memory, plan->blocks);
    const __m512i half = _mm512_set1_epi32(128), zero = _mm512_setzero_si512(), highest = _mm512_set1_epi32(HIGHEST);
    for (int64_t b = 0; b < plan->blocks; ++b, pairs += plan->pairs * 4 * BLOCK) {
        for (int c = 0; c < 3; ++c) {
            const int16_t *from = planes + c * plane + blocks[b].begin;
            const __m512i low = _mm512_loadu_si512(from), high = _mm512_loadu_si512(from + 32);
            __m512i sum = half;
            for (int64_t p = 0; p < plan->pairs; ++p) {
                const __m512i places = _mm512_loadu_si512(pairs + p * 4 * BLOCK);
                const __m512i weights = _mm512_loadu_si512(pairs + p * 4 * BLOCK + 2 * BLOCK);
                const __m512i values = _mm512_permutex2var_epi16(low, places, high);
                sum = _mm512_add_epi32(sum, _mm512_madd_epi16(values, weights));
            }
            sum = _mm512_min_epi32(_mm512_max_epi32(_mm512_srai_epi32(sum, 8), zero), highest);
            _mm256_storeu_si256((__m256i *) (void *) (out + c * stride + b * BLOCK), _mm512_cvtepi32_epi16(sum));
        }
    }
}

#else

static size_t plan_size(int64_t taps, int64_t count) {
    (void) taps;
    (void) count;
    return 0;
}

static void make_plan(const moco_pixel_taps *across, void *plan) {
    (void) across;
    (void) plan;
}

static void row(const uint8_t *source, const moco_pixel_taps *across, const void *plan, float *buffer, int64_t stride,
                int16_t *out) {
    (void) plan;
    row_of_pixels(source, across, buffer, stride, out);
}

#endif

/* --- Down --- */

V16_INLINE void combine_taps(const int16_t *const *rows, const int16_t *weights, const int64_t taps, int32_t shift,
                             int64_t n, uint8_t *out) {
    const v16 half = v16_all((int16_t) (1 << (shift - 1)));
    for (int64_t x = 0; x < n; x += V16_LANES) {
        v16 sum = half + v16_scale(v16_load(rows[0] + x), v16_all(weights[0]));
        for (int64_t t = 1; t < taps; ++t) sum += v16_scale(v16_load(rows[t] + x), v16_all(weights[t]));
        v16_store_bytes(out + x, sum >> shift);
    }
}

static void combine(const int16_t *const *rows, const int16_t *weights, int64_t taps, int32_t shift, int64_t n,
                    uint8_t *out) {
    switch (taps) {
    case 1:
        combine_taps(rows, weights, 1, shift, n, out);
        break;
    case 2: /* enlarging */
        combine_taps(rows, weights, 2, shift, n, out);
        break;
    case 3:
        combine_taps(rows, weights, 3, shift, n, out);
        break;
    case 4:
        combine_taps(rows, weights, 4, shift, n, out);
        break;
    default:
        combine_taps(rows, weights, taps, shift, n, out);
        break;
    }
}

static void combine_many(const int16_t *const *rows, const float *weights, int64_t taps, int64_t n, float *sums,
                         uint8_t *out) {
    for (int64_t x = 0; x < n; ++x) sums[x] = 32.0f;
    for (int64_t t = 0; t < taps; ++t) {
        const int16_t *from = rows[t];
        const float weight = weights[t];
        for (int64_t x = 0; x < n; ++x) sums[x] += weight * (float) from[x];
    }
    for (int64_t x = 0; x < n; ++x) out[x] = (uint8_t) (clamp_intermediate((int32_t) sums[x]) >> 6);
}

extern const moco_resample_kernel MOCO_RESAMPLE_KERNEL;
const moco_resample_kernel MOCO_RESAMPLE_KERNEL = {plan_size, make_plan, row, combine, combine_many};
