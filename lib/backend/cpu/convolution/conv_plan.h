/* How a convolution becomes sums over a padded copy. Forward and backward-data are the same kind of work, a "pass":
 * each output at a grid position is a sum over taps (channel x place in the window), and a tap is one offset into the
 * copy.
 *
 *     forward:   y[o][r][q] = sum over c, ky, kx of w[o][c][ky][kx] * x[c][s r + ky - p][s q + kx - p]
 *                x is copied as s x s interleaved planes, so that neighbouring outputs read neighbouring values; there is
 *                one phase.
 *     backward:  dx[c][i][j] = sum over o and all ky = i + p (mod s), kx = j + p (mod s) of
 *                              w[o][c][ky][kx] * dy[o][(i + p - ky) / s][(j + p - kx) / s]
 *                the s x s remainders of i + p and j + p are phases with windows of their own over one copy of dy.
 *
 * A unit of work is `images` whole images, stacked in one tall plane per channel, or a band of rows of one image: as
 * much as stays in the cache. All cuts depend on the shape only.
 */
#ifndef MOCO_CONV_PLAN_H
#define MOCO_CONV_PLAN_H

#include "backend/cpu/cpu_backend.h"

typedef struct conv_phase {
    int64_t taps;      /* channels * places in the window */
    int64_t places;    /* ky * k + kx of each in conv_pass.places, from this index on */
    int64_t offsets;   /* this phase's first in conv_pass.offsets */
    int64_t weights;   /* this phase's first in the packed weights, in floats */
    int64_t shift_row; /* output row = grid row * step_out + shift_row */
    int64_t shift_column;
} conv_phase;

typedef struct conv_pass {
    int64_t n, groups;
    int64_t channels, out_channels; /* of one group */
    int64_t source_h, source_w, target_h, target_w;
    int64_t step_in, step_out;
    int64_t pad;       /* source row of the copy's row r: r * step_in - pad */
    int64_t reach;     /* rows (columns) that a window spans in the copy, less one */
    int64_t in_phases; /* interleaved planes per axis */
    int64_t grid_h, grid_w;

    int64_t images, rows;  /* of a unit: whole images, or rows of one */
    int64_t units, bands;  /* units = ceil(n / images) * bands */
    int64_t row_stride;    /* of the copy: rows share their padding where they can */
    int64_t image_rows;    /* rows from one stacked image to the next */
    int64_t plane;         /* floats of one plane of the copy */
    int64_t positions;     /* grid positions of a unit, padding between them included, in whole vectors */
    int64_t copy_channels; /* of a group that are copied at a time: all, but for the gradient */
    int64_t copy_floats;

    int64_t block;        /* output channels that packed weights hold side by side */
    int64_t slices;       /* tasks that share a unit's output channels */
    int32_t whole_rows;   /* tiles can write whole vectors into the output */
    int64_t gemm_columns; /* positions of one product of BLAS; 0: tiles */

    int64_t phase_count;
    conv_phase *phases;
    int64_t *places;
    int32_t *offsets;
    int64_t weight_floats;              /* packed */
    int64_t worker_floats;              /* scratch of one worker */
    int64_t weight_row, weight_channel; /* strides in the weight tensor, of an output channel and of a channel */
} conv_pass;

/* A unit, resolved. */
typedef struct conv_unit {
    int64_t first_image, images;
    int64_t first_row, rows;
    int64_t positions;
} conv_unit;

moco_status moco_conv_pass_forward(conv_pass *pass, cpu_backend *backend, const image_layer *desc);
/* The forward pass's copy, cut for the weights' gradient: as many positions in a unit as pay for adding up vectors'
 * lanes, and a few channels at a time. Never run. */
moco_status moco_conv_pass_gradient(conv_pass *pass, cpu_backend *backend, const image_layer *desc);
moco_status moco_conv_pass_backward(conv_pass *pass, cpu_backend *backend, const image_layer *desc);
void moco_conv_pass_release(conv_pass *pass, cpu_backend *backend);

conv_unit moco_conv_unit_of(const conv_pass *pass, int64_t unit);

/* --- conv_tasks.c: the work itself --- */

/* target = pass(source, weight); scratch: weight_floats, then worker_floats per thread. */
void moco_conv_pass_run(cpu_backend *backend, const conv_pass *pass, const float *source, const float *weight,
                        float *target, float *scratch);

/* Copies a unit's planes of channels [channel, channel + count) of all groups' into `copy`. */
void moco_conv_copy_unit(const cpu_backend *backend, const conv_pass *pass, const conv_unit *unit, int64_t channel,
                         int64_t count, const float *source, float *copy);

static inline int64_t conv_round_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

#endif
