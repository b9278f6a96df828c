/* F(4 x 4, 3 x 3) in float32: see winograd_kernels.h. Compiled with AVX-512; MOCO_WINOGRAD_KERNELS names the table. */
#include "backend/cpu/kernels/winograd_kernels.h"
#include "backend/cpu/kernels/winograd_weights.h"

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

typedef winograd_vec vec;

enum { LANES = WINOGRAD_BLOCK, TILE = 4, SIDE = 6, POSITIONS = SIDE * SIDE, WEIGHTS = WINOGRAD_WEIGHTS };

static inline vec load(const void *from, int64_t i) {
    return ((const vec *) from)[i];
}

static inline void store(void *to, vec value) {
    memcpy(to, &value, sizeof value);
}

/* Rows of pixels, one for each row of a tile. NULL: outside of the image, all zero. */
typedef struct pixel_rows {
    const vec *pixels[SIDE];
    int64_t w;
} pixel_rows;

static inline pixel_rows rows_of(const void *plane, const winograd_run *run, int64_t first, int count) {
    pixel_rows rows = {.w = run->w};
    for (int i = 0; i < count; ++i) {
        const int64_t row = first + i;
        if (row >= 0 && row < run->h) rows.pixels[i] = (const vec *) plane + row * run->w;
    }
    return rows;
}

static inline vec pixel(const pixel_rows *rows, int row, int64_t column) {
    const int inside = rows->pixels[row] != NULL && column >= 0 && column < rows->w;
    return inside ? rows->pixels[row][column] : (vec){0};
}

/* B' d: six values become six. */
static inline void transform_six(const vec d[SIDE], vec t[SIDE]) {
    const vec even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const vec far = d[4] - d[2], half = 2.0f * (d[3] - d[1]);
    t[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = far + half;
    t[4] = far - half;
    t[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
}

static inline void transform_column(const pixel_rows *rows, int64_t column, vec t[SIDE]) {
    vec d[SIDE];
    for (int i = 0; i < SIDE; ++i) d[i] = pixel(rows, i, column);
    transform_six(d, t);
}

/* Neighbours share two of their six columns. */
static void transform_pixels(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_position,
                             int64_t next_tile) {
    const pixel_rows rows = rows_of(planes->of[0], run, TILE * run->row - 1, SIDE);
    vec columns[SIDE][SIDE];
    transform_column(&rows, TILE * run->first - 1, columns[0]);
    transform_column(&rows, TILE * run->first, columns[1]);
    for (int64_t tile = run->first; tile < run->first + run->count; ++tile, v += next_tile) {
        for (int j = 2; j < SIDE; ++j) transform_column(&rows, TILE * tile - 1 + j, columns[j]);
        for (int i = 0; i < SIDE; ++i) {
            vec d[SIDE], t[SIDE];
            for (int j = 0; j < SIDE; ++j) d[j] = columns[j][i];
            transform_six(d, t);
            for (int j = 0; j < SIDE; ++j) store(v + (SIDE * i + j) * next_position, t[j]);
        }
        for (int i = 0; i < SIDE; ++i) {
            columns[0][i] = columns[TILE][i];
            columns[1][i] = columns[TILE + 1][i];
        }
    }
}

static void pair_pixels(const winograd_planes *planes, const winograd_run *run, uint32_t *v, int64_t next_position) {
    transform_pixels(planes, run, v, next_position, LANES);
}

/* A y: four values become six. */
static inline void spread(const vec y[TILE], vec t[SIDE]) {
    const vec even = y[0] + y[2], odd = y[1] + y[3];
    const vec far = y[0] + 4.0f * y[2], half = 2.0f * y[1] + 8.0f * y[3];
    t[0] = y[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = far + half;
    t[4] = far - half;
    t[5] = y[3];
}

static void pair_gradients(const winograd_planes *planes, const winograd_run *run, uint32_t *w, int64_t next_position) {
    const pixel_rows rows = rows_of(planes->of[0], run, TILE * run->row, TILE);
    for (int64_t tile = run->first; tile < run->first + run->count; ++tile, w += LANES) {
        vec columns[TILE][SIDE];
        for (int j = 0; j < TILE; ++j) {
            vec y[TILE];
            for (int i = 0; i < TILE; ++i) y[i] = pixel(&rows, i, TILE * tile + j);
            spread(y, columns[j]);
        }
        for (int i = 0; i < SIDE; ++i) {
            vec y[TILE], t[SIDE];
            for (int j = 0; j < TILE; ++j) y[j] = columns[j][i];
            spread(y, t);
            for (int j = 0; j < SIDE; ++j) store(w + (SIDE * i + j) * next_position, t[j]);
        }
    }
}

/* MR x NR sums take 24 of the 32 registers, a word's weights 4, the pixel 1. */
enum { MR = 6, NR = 64, VECTORS = NR / LANES };

static void gemm(const uint32_t *v, int64_t next_tile, const uint32_t *u, int64_t words, int32_t accumulate, float *m,
                 int64_t next_m) {
    const float *pixels = (const float *) (const void *) v;
    const void *weights = u;
    vec sum[MR][VECTORS] = {{{0}}};
    for (int t = 0; accumulate && t < MR; ++t)
        for (int b = 0; b < VECTORS; ++b) memcpy(&sum[t][b], m + t * next_m + b * LANES, sizeof(vec));
    for (int64_t k = 0; k < words; ++k, ++pixels) {
        vec w[VECTORS];
        for (int b = 0; b < VECTORS; ++b) w[b] = load(weights, k * VECTORS + b);
        for (int t = 0; t < MR; ++t) {
            const vec all = (vec) _mm512_set1_ps(pixels[t * next_tile]);
            for (int b = 0; b < VECTORS; ++b) sum[t][b] += w[b] * all;
        }
    }
    for (int t = 0; t < MR; ++t)
        for (int b = 0; b < VECTORS; ++b) store(m + t * next_m + b * LANES, sum[t][b]);
}

/* A' m: six values become four. */
static inline void gather(const vec m[SIDE], vec y[TILE]) {
    const vec near = m[1] + m[2], far = m[3] + m[4];
    const vec near_odd = m[1] - m[2], far_odd = m[3] - m[4];
    y[0] = m[0] + near + far;
    y[1] = near_odd + 2.0f * far_odd;
    y[2] = near + 4.0f * far;
    y[3] = near_odd + 8.0f * far_odd + m[5];
}

static void transform_products(const float *m, int64_t next_position, int64_t next_tile, const winograd_run *run,
                               int32_t accumulate, void *plane) {
    const int64_t first_row = TILE * run->row;
    const int rows = run->h - first_row < TILE ? (int) (run->h - first_row) : TILE;
    vec *top = (vec *) plane + first_row * run->w;
    for (int64_t tile = run->first; tile < run->first + run->count; ++tile, m += next_tile) {
        vec columns[SIDE][TILE];
        for (int j = 0; j < SIDE; ++j) {
            vec column[SIDE];
            for (int i = 0; i < SIDE; ++i) memcpy(&column[i], m + (SIDE * i + j) * next_position, sizeof(vec));
            gather(column, columns[j]);
        }
        const int64_t left = TILE * tile;
        const int width = run->w - left < TILE ? (int) (run->w - left) : TILE;
        for (int i = 0; i < rows; ++i) {
            vec row[SIDE], y[TILE];
            for (int j = 0; j < SIDE; ++j) row[j] = columns[j][i];
            gather(row, y);
            vec *to = top + i * run->w + left;
            for (int j = 0; j < width; ++j) to[j] = accumulate ? to[j] + y[j] : y[j];
        }
    }
}

/* G g: three values become six. */
static inline void transform_three(vec g0, vec g1, vec g2, vec u[SIDE]) {
    const vec near = (g0 + g2) * (-1.0f / 6), odd = g1 * (1.0f / 6);
    const vec far = g0 * (1.0f / 24) + g2 * (1.0f / 6), half = g1 * (1.0f / 12);
    u[0] = g0 * 0.25f;
    u[1] = near - odd;
    u[2] = near + odd;
    u[3] = far + half;
    u[4] = far - half;
    u[5] = g2;
}

static void transform_weights(const float *g, int64_t next_output, int64_t next_input, int32_t flipped, uint32_t *u,
                              int64_t next_position, int64_t next_word) {
    for (int k = 0; k < LANES; ++k, g += next_input, u += next_word) {
        vec weights[WEIGHTS], columns[3][SIDE], row[SIDE];
        winograd_load_filters(g, next_output, flipped, weights);
        for (int j = 0; j < 3; ++j) transform_three(weights[j], weights[3 + j], weights[6 + j], columns[j]);
        for (int i = 0; i < SIDE; ++i) {
            transform_three(columns[0][i], columns[1][i], columns[2][i], row);
            for (int j = 0; j < SIDE; ++j) store(u + (SIDE * i + j) * next_position, row[j]);
        }
    }
}

/* G' u: six values become three. */
static inline void gather_three(const vec u[SIDE], vec g[3]) {
    const vec near = u[1] + u[2], far = u[3] + u[4];
    g[0] = u[0] * 0.25f - near * (1.0f / 6) + far * (1.0f / 24);
    g[1] = (u[2] - u[1]) * (1.0f / 6) + (u[3] - u[4]) * (1.0f / 12);
    g[2] = (far - near) * (1.0f / 6) + u[5];
}

static void weight_gradient(const float *du, int64_t next_position, int64_t parts, int64_t next_part,
                            int32_t accumulate, float *dg) {
    vec rows[SIDE][3], result[3], weights[WEIGHTS];
    for (int i = 0; i < SIDE; ++i) {
        vec u[SIDE] = {{0}};
        for (int j = 0; j < SIDE; ++j) {
            for (int64_t part = 0; part < parts; ++part) {
                vec more;
                memcpy(&more, du + part * next_part + (SIDE * i + j) * next_position, sizeof more);
                u[j] += more;
            }
        }
        gather_three(u, rows[i]);
    }
    for (int j = 0; j < 3; ++j) {
        vec column[SIDE];
        for (int i = 0; i < SIDE; ++i) column[i] = rows[i][j];
        gather_three(column, result);
        for (int i = 0; i < 3; ++i) weights[3 * i + j] = result[i];
    }
    winograd_store_filters(weights, accumulate, dg);
}

extern const winograd_kernels MOCO_WINOGRAD_KERNELS;
const winograd_kernels MOCO_WINOGRAD_KERNELS = {
    .tile = TILE,
    .positions = POSITIONS,
    .per_word = 1,
    .block = LANES,
    .mr = MR,
    .nr = NR,
    .weights_outer_below = 4,
    .transform_pixels = transform_pixels,
    .gemm = gemm,
    .transform_products = transform_products,
    .transform_weights = transform_weights,
    .pair_pixels = pair_pixels,
    .pair_gradients = pair_gradients,
    .weight_gradient = weight_gradient,
};
