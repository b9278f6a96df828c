/* Every function of the Winograd kernels against its formula in double, with the matrices of winograd_kernels.h: the
 * convolution suites see only that all of them together give a convolution.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/cpu_backend.h"
#include "core/random.h"

enum { B = 16, H = 7, W = 9, SIDE = 6, MOST_POSITIONS = SIDE * SIDE };

/* Rows of B', G and A' for m = 4 and m = 2. */
static const double bt_4[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                  {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const double g_4[6][3] = {{1 / 4.0, 0, 0},
                                 {-1 / 6.0, -1 / 6.0, -1 / 6.0},
                                 {-1 / 6.0, 1 / 6.0, -1 / 6.0},
                                 {1 / 24.0, 1 / 12.0, 1 / 6.0},
                                 {1 / 24.0, -1 / 12.0, 1 / 6.0},
                                 {0, 0, 1}};
static const double at_4[4][6] = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};
static const double bt_2[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
static const double g_2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const double at_2[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};

typedef struct tested {
    const winograd_kernels *kernels;
    int32_t bf16;
    int side;                  /* m + 2 */
    const double *bt, *g, *at; /* row by row */
    double tolerance;          /* of the largest value: the roundings of factors and activations */
} tested;

static tested under_test;
static moco_random source;

/* result = matrix x matrix', where `matrix` has `rows` x `columns`. */
static void both_sides(const double *matrix, int rows, int columns, const double *x, double *result) {
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < rows; ++j) {
            double sum = 0;
            for (int k = 0; k < columns; ++k) {
                for (int l = 0; l < columns; ++l) {
                    sum += matrix[i * columns + k] * x[k * columns + l] * matrix[j * columns + l];
                }
            }
            result[i * rows + j] = sum;
        }
    }
}

/* result = matrix' x matrix. */
static void both_sides_transposed(const double *matrix, int rows, int columns, const double *x, double *result) {
    double transposed[SIDE * SIDE];
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < columns; ++j) transposed[j * rows + i] = matrix[i * columns + j];
    }
    both_sides(transposed, columns, rows, x, result);
}

/* --- Activations and words, of float32 or of bfloat16 --- */

typedef struct plane {
    _Alignas(64) char bytes[H * W * B * 4];
} plane;

/* A small multiple of 1 / 8, so that bfloat16 holds it. */
static double draw(void) {
    return (double) ((int64_t) moco_random_below(&source, 129) - 64) / 8;
}

static double pixel(const plane *from, int64_t row, int64_t column, int64_t channel) {
    if (row < 0 || row >= H || column < 0 || column >= W) return 0;
    const int64_t at = (row * W + column) * B + channel;
    if (under_test.bf16) return (double) moco_float_of_bf16(((const uint16_t *) (const void *) from->bytes)[at]);
    return (double) ((const float *) (const void *) from->bytes)[at];
}

static void fill_plane(plane *to) {
    for (int64_t i = 0; i < H * W * B; ++i) {
        const float value = (float) draw();
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (under_test.bf16) {
            ((uint16_t *) (void *) to->bytes)[i] = (uint16_t) (bits >> 16);
        } else {
            ((float *) (void *) to->bytes)[i] = value;
        }
    }
}

/* Factor `index` of a run of words. */
static double factor(const uint32_t *words, int64_t index) {
    if (under_test.bf16) return (double) moco_float_of_bf16(((const uint16_t *) (const void *) words)[index]);
    return (double) ((const float *) (const void *) words)[index];
}

static void assert_near(double is, double should_be, double largest, const char *what) {
    if (!(fabs(is - should_be) <= under_test.tolerance * largest)) {
        fail_msg("%s, m = %d: %g instead of %g", what, under_test.side - 2, is, should_be);
    }
}

/* B' d B of the tile at (row, column), or A y A' of its m x m pixels. */
static void transformed(const plane *from, int64_t row, int64_t column, int64_t channel, int32_t gradient,
                        double *result) {
    const int m = under_test.side - 2, size = gradient ? m : under_test.side;
    const int64_t before = gradient ? 0 : 1;
    double d[SIDE * SIDE];
    for (int i = 0; i < size; ++i) {
        for (int j = 0; j < size; ++j) {
            d[i * size + j] = pixel(from, row * m + i - before, column * m + j - before, channel);
        }
    }
    if (gradient) {
        both_sides_transposed(under_test.at, m, under_test.side, d, result);
    } else {
        both_sides(under_test.bt, under_test.side, under_test.side, d, result);
    }
}

/* --- The tests --- */

enum { NEXT_POSITION = 1000, LARGEST_FACTOR = 900 };

static void check_pixels(int64_t row, int64_t first, int64_t count, int32_t second_missing) {
    const winograd_kernels *kernels = under_test.kernels;
    static plane planes[2];
    static _Alignas(64) uint32_t v[MOST_POSITIONS * NEXT_POSITION];
    const winograd_run run = {H, W, row, first, count};
    for (int p = 0; p < 2; ++p) fill_plane(&planes[p]);
    const int64_t next_tile = B + 3, factors = B * kernels->per_word;
    const winograd_planes both = {{planes[0].bytes, second_missing ? NULL : planes[1].bytes}};
    double expected[MOST_POSITIONS];

    kernels->transform_pixels(&both, &run, v, NEXT_POSITION, next_tile);
    for (int64_t tile = 0; tile < count; ++tile) {
        for (int64_t channel = 0; channel < factors; ++channel) {
            const int32_t zero = channel >= B && second_missing;
            transformed(&planes[channel / B], row, first + tile, channel % B, 0, expected);
            for (int64_t e = 0; e < kernels->positions; ++e) {
                assert_near(factor(v + e * NEXT_POSITION + tile * next_tile, channel), zero ? 0 : expected[e],
                            LARGEST_FACTOR, "transform_pixels");
            }
        }
    }
    for (int32_t gradient = 0; gradient < 2; ++gradient) {
        (gradient ? kernels->pair_gradients : kernels->pair_pixels)(&both, &run, v, NEXT_POSITION);
        for (int64_t tile = 0; tile < count; ++tile) {
            for (int64_t i = 0; i < factors; ++i) {
                const int64_t channel = i / kernels->per_word, sample = i % kernels->per_word;
                const int32_t zero = sample == 1 && second_missing;
                transformed(&planes[sample], row, first + tile, channel, gradient, expected);
                for (int64_t e = 0; e < kernels->positions; ++e) {
                    assert_near(factor(v + e * NEXT_POSITION + tile * B, i), zero ? 0 : expected[e], LARGEST_FACTOR,
                                gradient ? "pair_gradients" : "pair_pixels");
                }
            }
        }
    }
}

static void test_pixels(void **state) {
    (void) state;
    const int64_t m = under_test.side - 2, rows = (H + m - 1) / m, columns = (W + m - 1) / m;
    for (int64_t row = 0; row < rows; ++row) {
        check_pixels(row, 0, columns, 0);
        check_pixels(row, columns - 1, 1, 1);
    }
}

static void check_weights(int32_t flipped) {
    const winograd_kernels *kernels = under_test.kernels;
    enum { NEXT_OUTPUT = B * 9 + 9, NEXT_INPUT = 9, NEXT_WORD = 2 * B };
    static float g[B * NEXT_OUTPUT];
    static uint32_t u[MOST_POSITIONS * NEXT_POSITION];
    for (int64_t i = 0; i < B * NEXT_OUTPUT; ++i) g[i] = (float) draw();
    kernels->transform_weights(g, NEXT_OUTPUT, NEXT_INPUT, flipped, u, NEXT_POSITION, NEXT_WORD);
    for (int64_t output = 0; output < B; ++output) {
        for (int64_t input = 0; input < B; ++input) {
            double filter[9], expected[MOST_POSITIONS];
            for (int i = 0; i < 9; ++i) {
                filter[i] = (double) g[output * NEXT_OUTPUT + input * NEXT_INPUT + (flipped ? 8 - i : i)];
            }
            both_sides(under_test.g, under_test.side, 3, filter, expected);
            const int64_t word = input / kernels->per_word,
                          index = output * kernels->per_word + input % kernels->per_word;
            for (int64_t e = 0; e < kernels->positions; ++e) {
                assert_near(factor(u + e * NEXT_POSITION + word * NEXT_WORD, index), expected[e], 20,
                            "transform_weights");
            }
        }
    }
}

static void test_weights(void **state) {
    (void) state;
    check_weights(0);
    check_weights(1);
}

static void test_gemm(void **state) {
    (void) state;
    const winograd_kernels *kernels = under_test.kernels;
    enum { WORDS = 5, NEXT_TILE = 7 };
    const int64_t nr = kernels->nr, next_m = nr + 16, per_word = kernels->per_word;
    uint32_t *v = malloc((size_t) (kernels->mr * NEXT_TILE) * sizeof *v);
    uint32_t *u = aligned_alloc(64, (size_t) (WORDS * nr) * sizeof *u);
    float *m = malloc((size_t) (kernels->mr * next_m) * sizeof *m);
    static plane values; /* words of numbers that are exact in both dtypes */
    fill_plane(&values);
    for (int64_t i = 0; i < kernels->mr * NEXT_TILE; ++i) memcpy(&v[i], values.bytes + 4 * i, 4);
    for (int64_t i = 0; i < WORDS * nr; ++i) memcpy(&u[i], values.bytes + 4 * (i + 50), 4);
    for (int32_t accumulate = 0; accumulate < 2; ++accumulate) {
        for (int64_t i = 0; i < kernels->mr * next_m; ++i) m[i] = accumulate ? (float) (i % 100) : NAN;
        kernels->gemm(v, NEXT_TILE, u, WORDS, accumulate, m, next_m);
        for (int64_t t = 0; t < kernels->mr; ++t) {
            for (int64_t o = 0; o < nr; ++o) {
                double sum = accumulate ? (double) ((t * next_m + o) % 100) : 0;
                for (int64_t k = 0; k < WORDS; ++k) {
                    for (int64_t i = 0; i < per_word; ++i) {
                        sum += factor(v + t * NEXT_TILE + k, i) * factor(u + k * nr + o, i);
                    }
                }
                assert_near((double) m[t * next_m + o], sum, 100, "gemm");
            }
        }
    }
    free(v);
    free(u);
    free(m);
}

static void check_results(int64_t row, int32_t accumulate) {
    const winograd_kernels *kernels = under_test.kernels;
    const int m = under_test.side - 2;
    const int64_t columns = (W + m - 1) / m, next_position = B + 16, next_tile = next_position * kernels->positions;
    const winograd_run run = {H, W, row, 0, columns};
    static float products[8 * MOST_POSITIONS * (B + 16)];
    static plane before, after;
    for (int64_t i = 0; i < columns * next_tile; ++i) products[i] = (float) draw();
    fill_plane(&before);
    after = before;
    kernels->transform_products(products, next_position, next_tile, &run, accumulate, after.bytes);
    for (int64_t y = 0; y < H; ++y) {
        for (int64_t x = 0; x < W; ++x) {
            for (int64_t channel = 0; channel < B; ++channel) {
                double position[MOST_POSITIONS], result[SIDE * SIDE], expected = pixel(&before, y, x, channel);
                if (y / m == row) {
                    for (int64_t e = 0; e < kernels->positions; ++e) {
                        position[e] = (double) products[x / m * next_tile + e * next_position + channel];
                    }
                    both_sides(under_test.at, m, under_test.side, position, result);
                    expected = result[y % m * m + x % m] + (accumulate ? expected : 0);
                }
                assert_near(pixel(&after, y, x, channel), expected, 2000, "transform_products");
            }
        }
    }
}

static void test_results(void **state) {
    (void) state;
    const int64_t m = under_test.side - 2;
    for (int64_t row = 0; row < (H + m - 1) / m; ++row) {
        check_results(row, 0);
        check_results(row, 1);
    }
}

static void test_weight_gradient(void **state) {
    (void) state;
    const winograd_kernels *kernels = under_test.kernels;
    enum { PARTS = 3, NEXT = B + 4 };
    static float du[PARTS * MOST_POSITIONS * NEXT], dg[B * 9];
    for (int64_t i = 0; i < PARTS * MOST_POSITIONS * NEXT; ++i) du[i] = (float) draw();
    for (int32_t accumulate = 0; accumulate < 2; ++accumulate) {
        for (int64_t i = 0; i < B * 9; ++i) dg[i] = accumulate ? (float) i : NAN;
        kernels->weight_gradient(du, NEXT, PARTS, MOST_POSITIONS * NEXT, accumulate, dg);
        for (int64_t channel = 0; channel < B; ++channel) {
            double sum[MOST_POSITIONS], expected[9];
            for (int64_t e = 0; e < kernels->positions; ++e) {
                sum[e] = 0;
                for (int64_t part = 0; part < PARTS; ++part) {
                    sum[e] += (double) du[part * MOST_POSITIONS * NEXT + e * NEXT + channel];
                }
            }
            both_sides_transposed(under_test.g, under_test.side, 3, sum, expected);
            for (int64_t i = 0; i < 9; ++i) {
                const double base = accumulate ? (double) (channel * 9 + i) : 0;
                assert_true(fabs((double) dg[channel * 9 + i] - base - expected[i]) <= 1e-3); /* float32 in both */
            }
        }
    }
}

static int run_suite(const cpu_format *format, const char *name) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels),  cmocka_unit_test(test_weights),         cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_results), cmocka_unit_test(test_weight_gradient),
    };
    under_test.kernels = format->winograd;
    under_test.bf16 = format->dtype == MOCO_DTYPE_BF16;
    under_test.side = (int) format->winograd->tile + 2;
    const int large = format->winograd->tile == 4;
    under_test.bt = large ? &bt_4[0][0] : &bt_2[0][0];
    under_test.g = large ? &g_4[0][0] : &g_2[0][0];
    under_test.at = large ? &at_4[0][0] : &at_2[0][0];
    under_test.tolerance = under_test.bf16 ? 1.0 / 256 : 1e-6;
    moco_random_init(&source, 5, MOCO_RANDOM_TEST, 0, (uint64_t) under_test.bf16);
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void) {
    cpu_backend backend;
    memset(&backend, 0, sizeof backend);
    moco_cpu_choose_kernels(&backend);
    if (backend.f32.winograd == NULL) {
        puts("left out: this processor has no Winograd kernels");
        return 77;
    }
    int failed = run_suite(&backend.f32, "float32");
    if (backend.bf16.block != 0) failed += run_suite(&backend.bf16, "bfloat16");
    return failed;
}
