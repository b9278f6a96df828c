/* F(2 x 2, 3 x 3) in bfloat16: see winograd_kernels.h. Compiled with AVX-512 and its bfloat16
 * instructions; MOCO_WINOGRAD_KERNELS names the table. */
#include "backend/cpu/kernels/winograd_kernels.h"
#include "backend/cpu/kernels/winograd_weights.h"

#include <immintrin.h>
#include <string.h>

typedef winograd_vec vec;

enum { LANES = WINOGRAD_BLOCK, TILE = 2, POSITIONS = 16, WEIGHTS = WINOGRAD_WEIGHTS };

/* Rows of pixels of two planes, one for each row of a tile. Those outside of the image, and all of a plane that is not
 * there, are zero. */
typedef struct pixel_rows {
    const __m256i *pixels[2][4];
    __mmask16 inside[2][4];
    int64_t w;
} pixel_rows;

static inline pixel_rows rows_of(const winograd_planes *planes, const winograd_run *run, int64_t first, int count) {
    pixel_rows rows = {.w = run->w};
    for (int plane = 0; plane < 2; ++plane) {
        const void *pixels = planes->of[plane] != NULL ? planes->of[plane] : planes->of[0];
        for (int i = 0; i < count; ++i) {
            const int64_t row = first + i;
            const int inside = row >= 0 && row < run->h;
            rows.inside[plane][i] = inside && planes->of[plane] != NULL ? 0xffff : 0;
            rows.pixels[plane][i] = (const __m256i *) pixels + (inside ? row * run->w : 0);
        }
    }
    return rows;
}

static inline vec pixel(const pixel_rows *rows, int plane, int row, int64_t column) {
    if (column < 0 || column >= rows->w) return (vec){0};
    const __m256i narrow = _mm256_load_si256(rows->pixels[plane][row] + column);
    return (vec) _mm512_slli_epi32(_mm512_maskz_cvtepu16_epi32(rows->inside[plane][row], narrow), 16);
}

/* Rounds to nearest, ties to even. The 16 values of the first come before those of the second, or interleaved with them.
 */
static inline void store(uint32_t *target, vec first, vec second, int interleaved) {
    const __m512 low = (__m512) first, high = (__m512) second;
    _mm512_storeu_si512(target, interleaved ? narrow_interleaved(low, high) : (__m512i) _mm512_cvtne2ps_pbh(high, low));
}

/* B' d of one column of a tile. */
static inline void transform_column(const pixel_rows *rows, int plane, int64_t column, vec t[4]) {
    const vec d0 = pixel(rows, plane, 0, column), d1 = pixel(rows, plane, 1, column);
    const vec d2 = pixel(rows, plane, 2, column), d3 = pixel(rows, plane, 3, column);
    t[0] = d0 - d2;
    t[1] = d1 + d2;
    t[2] = d2 - d1;
    t[3] = d1 - d3;
}

/* Neighbours share two of their four columns. */
static inline void transform_tiles(const winograd_planes *planes, const winograd_run *run, int interleaved, uint32_t *v,
                                   int64_t next_position, int64_t next_tile) {
    const pixel_rows rows = rows_of(planes, run, 2 * run->row - 1, 4);
    vec a[2][4], b[2][4], c[2][4], d[2][4];
    for (int plane = 0; plane < 2; ++plane) {
        transform_column(&rows, plane, 2 * run->first - 1, a[plane]);
        transform_column(&rows, plane, 2 * run->first, b[plane]);
    }
    for (int64_t tile = run->first; tile < run->first + run->count; ++tile, v += next_tile) {
        for (int plane = 0; plane < 2; ++plane) {
            transform_column(&rows, plane, 2 * tile + 1, c[plane]);
            transform_column(&rows, plane, 2 * tile + 2, d[plane]);
        }
        for (int i = 0; i < 4; ++i) {
            uint32_t *to = v + 4 * i * next_position;
            store(to, a[0][i] - c[0][i], a[1][i] - c[1][i], interleaved);
            store(to + next_position, b[0][i] + c[0][i], b[1][i] + c[1][i], interleaved);
            store(to + 2 * next_position, c[0][i] - b[0][i], c[1][i] - b[1][i], interleaved);
            store(to + 3 * next_position, b[0][i] - d[0][i], b[1][i] - d[1][i], interleaved);
            for (int plane = 0; plane < 2; ++plane) {
                a[plane][i] = c[plane][i];
                b[plane][i] = d[plane][i];
            }
        }
    }
}

static void transform_pixels(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_position,
                             int64_t next_tile) {
    transform_tiles(planes, run, 0, v, next_position, next_tile);
}

static void pair_pixels(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_position) {
    transform_tiles(planes, run, 1, v, next_position, LANES);
}

/* A y: two values become four. */
static inline void spread(vec y0, vec y1, vec t[4]) {
    t[0] = y0;
    t[1] = y0 + y1;
    t[2] = y0 - y1;
    t[3] = -y1;
}

static void pair_gradients(const winograd_planes *planes, const winograd_run *run, uint32_t *w, int64_t next_position) {
    const pixel_rows rows = rows_of(planes, run, 2 * run->row, 2);
    for (int64_t tile = run->first; tile < run->first + run->count; ++tile, w += LANES) {
        vec left[2][4], right[2][4], t[2][4];
        for (int plane = 0; plane < 2; ++plane) {
            spread(pixel(&rows, plane, 0, 2 * tile), pixel(&rows, plane, 1, 2 * tile), left[plane]);
            spread(pixel(&rows, plane, 0, 2 * tile + 1), pixel(&rows, plane, 1, 2 * tile + 1), right[plane]);
        }
        for (int i = 0; i < 4; ++i) {
            for (int plane = 0; plane < 2; ++plane) spread(left[plane][i], right[plane][i], t[plane]);
            for (int j = 0; j < 4; ++j) store(w + (4 * i + j) * next_position, t[0][j], t[1][j], 1);
        }
    }
}

/* MR x NR sums take 24 of the 32 registers, a word's weights 4, the pixels 1. */
enum { MR = 6, NR = 64, VECTORS = NR / LANES };

static void gemm(const uint32_t *v, int64_t next_tile, const uint32_t *u, int64_t words, int32_t accumulate, float *m,
                 int64_t next_m) {
    __m512 sum[MR][VECTORS];
    for (int t = 0; t < MR; ++t)
        for (int b = 0; b < VECTORS; ++b)
            sum[t][b] = accumulate ? _mm512_loadu_ps(m + t * next_m + b * LANES) : _mm512_setzero_ps();
    for (int64_t k = 0; k < words; ++k, u += NR, ++v) {
        __m512bh weights[VECTORS];
        for (int b = 0; b < VECTORS; ++b) weights[b] = (__m512bh) _mm512_loadu_si512(u + b * LANES);
        for (int t = 0; t < MR; ++t) {
            const __m512bh all = (__m512bh) _mm512_set1_epi32((int32_t) v[t * next_tile]);
            for (int b = 0; b < VECTORS; ++b) sum[t][b] = _mm512_dpbf16_ps(sum[t][b], weights[b], all);
        }
    }
    for (int t = 0; t < MR; ++t)
        for (int b = 0; b < VECTORS; ++b) _mm512_storeu_ps(m + t * next_m + b * LANES, sum[t][b]);
}

/* A' m: four values become two. */
static inline void gather(const vec m[4], vec *y0, vec *y1) {
    *y0 = m[0] + m[1] + m[2];
    *y1 = m[1] - m[2] - m[3];
}

/* A pixel, or its sum with what is there; rounds to nearest, ties to even. */
static inline void store_pixel(__m256i *pixel, vec value, int32_t accumulate) {
    if (accumulate) value += (vec) _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_load_si256(pixel)), 16);
    _mm256_store_si256(pixel, (__m256i) _mm512_cvtneps_pbh((__m512) value));
}

static void transform_products(const float *m, int64_t next_position, int64_t next_tile, const winograd_run *run,
                               int32_t accumulate, void *plane) {
    __m256i *top = (__m256i *) plane + 2 * run->row * run->w;
    __m256i *bottom = 2 * run->row + 1 < run->h ? top + run->w : NULL;
    for (int64_t tile = run->first; tile < run->first + run->count; ++tile, m += next_tile) {
        vec upper[4], lower[4], y[4];
        for (int j = 0; j < 4; ++j) {
            vec column[4];
            for (int i = 0; i < 4; ++i) memcpy(&column[i], m + (4 * i + j) * next_position, sizeof(vec));
            gather(column, &upper[j], &lower[j]);
        }
        gather(upper, &y[0], &y[1]);
        gather(lower, &y[2], &y[3]);
        const int64_t x = 2 * tile;
        store_pixel(top + x, y[0], accumulate);
        if (x + 1 < run->w) store_pixel(top + x + 1, y[1], accumulate);
        if (bottom == NULL) continue;
        store_pixel(bottom + x, y[2], accumulate);
        if (x + 1 < run->w) store_pixel(bottom + x + 1, y[3], accumulate);
    }
}

/* G g: three values become four. */
static inline void transform_three(vec g0, vec g1, vec g2, vec u[4]) {
    const vec even = (g0 + g2) * 0.5f, odd = g1 * 0.5f;
    u[0] = g0;
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g2;
}

static inline void transform_filters(const vec g[WEIGHTS], vec u[POSITIONS]) {
    vec columns[3][4];
    for (int j = 0; j < 3; ++j) transform_three(g[j], g[3 + j], g[6 + j], columns[j]);
    for (int i = 0; i < 4; ++i) transform_three(columns[0][i], columns[1][i], columns[2][i], u + 4 * i);
}

static void transform_weights(const float *g, int64_t next_output, int64_t next_input, int32_t flipped, uint32_t *u,
                              int64_t next_position, int64_t next_word) {
    for (int k = 0; k < LANES; k += 2, g += 2 * next_input, u += next_word) {
        vec weights[WEIGHTS], low[POSITIONS], high[POSITIONS];
        winograd_load_filters(g, next_output, flipped, weights);
        transform_filters(weights, low);
        winograd_load_filters(g + next_input, next_output, flipped, weights);
        transform_filters(weights, high);
        for (int e = 0; e < POSITIONS; ++e) store(u + e * next_position, low[e], high[e], 1);
    }
}

/* G' u: four values become three. */
static inline void gather_three(vec u0, vec u1, vec u2, vec u3, vec g[3]) {
    const vec sum = (u1 + u2) * 0.5f;
    g[0] = u0 + sum;
    g[1] = (u1 - u2) * 0.5f;
    g[2] = sum + u3;
}

static void weight_gradient(const float *du, int64_t next_position, int64_t parts, int64_t next_part,
                            int32_t accumulate, float *dg) {
    vec u[POSITIONS], rows[4][3], result[3], weights[WEIGHTS];
    for (int e = 0; e < POSITIONS; ++e) {
        u[e] = (vec){0};
        for (int64_t part = 0; part < parts; ++part) {
            u[e] += (vec) _mm512_loadu_ps(du + part * next_part + e * next_position);
        }
    }
    for (int i = 0; i < 4; ++i) gather_three(u[4 * i], u[4 * i + 1], u[4 * i + 2], u[4 * i + 3], rows[i]);
    for (int j = 0; j < 3; ++j) {
        gather_three(rows[0][j], rows[1][j], rows[2][j], rows[3][j], result);
        for (int i = 0; i < 3; ++i) weights[3 * i + j] = result[i];
    }
    winograd_store_filters(weights, accumulate, dg);
}

extern const winograd_kernels MOCO_WINOGRAD_KERNELS;
const winograd_kernels MOCO_WINOGRAD_KERNELS = {
    .tile = TILE,
    .positions = POSITIONS,
    .per_word = 2,
    .block = LANES,
    .mr = MR,
    .nr = NR,
    .weights_outer_below = 0,
    .transform_pixels = transform_pixels,
    .gemm = gemm,
    .transform_products = transform_products,
    .transform_weights = transform_weights,
    .pair_pixels = pair_pixels,
    .pair_gradients = pair_gradients,
    .weight_gradient = weight_gradient,
};
