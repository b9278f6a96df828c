/* Inner loops of a convolution as plain sums of products, on activations of B channels side by side: one SIMD register
 * of float32 a pixel. Built for B = 16 (AVX-512) and B = 8 (AVX2). convolution/direct_plan.h says what they are called
 * for.
 */
#ifndef MOCO_DIRECT_KERNELS_H
#define MOCO_DIRECT_KERNELS_H

#include <stdint.h>

/* Results of so many pixels side by side, in some blocks of output channels. A step is B channels of x at one place of
 * the window: steps[i] is how far behind `x` (in floats) the first pixel finds it. */
typedef struct direct_run {
    const float *x; /* pixels follow one another */
    const int64_t *steps;
    int64_t step_count;
    const float *weights; /* [step][B channels of x][blocks][B lanes] */
    float *y;
    int64_t next_block, next_pixel; /* of y, in floats */
    int32_t accumulate;             /* 1: y is added to */
    int32_t streaming;              /* 1: y is better left out of the cache */
} direct_run;

/* Pixels of dy and of x that belong together: rows of some samples. Distances are in floats. */
typedef struct direct_pairs {
    const float *dy, *x;
    int64_t samples, rows, columns;
    int64_t dy_sample, dy_row, x_sample, x_row;
} direct_pairs;

enum {
    DIRECT_VECTORS = 3, /* the most that outer_products() makes side by side */
    DIRECT_WINDOWS = 16 /* that windows() collects at once */
};

typedef struct direct_kernels {
    int64_t block;          /* B */
    int64_t most_pixels[5]; /* that products() takes, by its number of blocks (1, 2 or 4); 0: not so many blocks */
    int64_t outer_rows;     /* channels of dy that outer_products() takes: they divide B */

    /* y[pixels][blocks][B] = sum over steps and channels of x times weights. */
    void (*products)(const direct_run *run, int64_t pixels, int64_t blocks);
    /* dw[outer_rows][vectors][B] += sum over pixels of a channel of dy times B channels of x; vector v of x is found
     * places[v] floats behind. Rows of dw are `row` floats apart. */
    void (*outer_products)(const direct_pairs *pairs, const int64_t *places, int64_t vectors, float *dw, int64_t row);
    /* Weights of B lanes by `channels` (at most B) channels into rows of B lanes, `next_row` floats apart; rows of
     * channels that aren't there are zero. */
    void (*pack)(const float *weights, int64_t next_lane, int64_t next_channel, int64_t channels, float *packed,
                 int64_t next_row);
    /* `count` pixels, each `step` pixels from the last one, side by side. */
    void (*copy)(const float *from, int64_t step, int64_t count, float *to);
    /* `count` windows of a plain image, `runs` runs of `width` (at most B) floats each, as pixels of whole blocks of
     * channels, zeros behind the last run. Run i of the first window is at rows + i * next_row, that of the next window
     * `step` floats behind; B floats can be read from each. Blocks of the result are `next_block` floats apart. `space`
     * has room for DIRECT_WINDOWS windows, and a block more for each. */
    void (*windows)(const float *rows, int64_t next_row, int64_t runs, int64_t width, int64_t step, int64_t count,
                    float *space, float *to, int64_t next_block);
} direct_kernels;

#endif
