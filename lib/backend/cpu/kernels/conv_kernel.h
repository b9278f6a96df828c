/* The inner loops of convolutions, compiled once per instruction set from conv_kernel.c. They work on a padded copy of
 * the input, in which every tap of the window is one fixed offset from an output's position, so that one vector holds
 * that tap for neighbouring outputs.
 */
#ifndef MOCO_CONV_KERNEL_H
#define MOCO_CONV_KERNEL_H

#include <stdint.h>

#define CONV_MAX_LANES   16
#define CONV_MAX_ROWS    8 /* output channels of a tile */
#define CONV_MAX_VECTORS 3 /* vectors of positions of a tile */
#define CONV_MAX_DOTS    32

/* Copies planes, one per channel, of the source with stride `step` into a plane of the padded copy:
 *   target[row][column] = source[(first_row + row) * step + shift_row][column * step + shift_column], 0 outside. */
typedef struct conv_copy {
    int64_t source_h, source_w;
    int64_t step;
    int64_t first_row; /* may lie outside the source */
    int64_t shift_row, shift_column;
    int64_t rows, columns; /* of the target to fill; its rows lie `columns` apart */
} conv_copy;

/* Neighbouring outputs: in the padded copy from `position` on, in the output plane from `output` on. */
typedef struct conv_run {
    int64_t position;
    int64_t output;
    int64_t length;
} conv_run;

typedef struct conv_kernel {
    int32_t lanes;
    int32_t rows;
    int32_t vectors;
    int32_t dot_rows;
    int32_t dot_columns;

    void (*copy)(const conv_copy *copy, const float *source, float *target);

    /* out[i * out_stride + out_at[v] + lane] = sum over t < taps of weights[t * rows + i] * x[offsets[t] + at[v] +
     * lane] for i < rows and v < vectors. */
    void (*tile)(const float *x, const int32_t *offsets, int64_t taps, const float *weights, int32_t vectors,
                 const int64_t *at, float *out, int64_t out_stride, const int64_t *out_at);

    /* sums[i * dot_columns + j] = sum over p < positions of a[i * a_stride + p] * x[offsets[j] + p]; `positions` is a
     * multiple of `lanes`. */
    void (*dots)(const float *a, int64_t a_stride, const float *x, const int32_t *offsets, int64_t positions,
                 float *sums);

    /* Of a tile whose first position is `begin`: what lies in `runs` goes to out[i * out_stride + (output) * out_step],
     * from tile[i * tile_stride + ..], for i < rows. The runs are in ascending order and overlap the tile. */
    void (*scatter)(const float *tile, int64_t tile_stride, int64_t begin, int64_t length, const conv_run *runs,
                    int64_t rows, float *out, int64_t out_stride, int64_t out_step);
} conv_kernel;

#endif
