/* How a convolution on a blocked layout becomes plain sums of products. Forward and the gradient of the input are the
 * same kind of work, a "pass": each result at a grid position is a sum over steps, a step being a block of channels at
 * one place (ky, kx) of the window.
 *
 *   forward:  y[r][q] = sum over blocks, ky, kx of w[ky][kx] x[s r + ky - p][s q + kx - p]
 *             A unit's rows of x are copied as s x s interleaved planes with their padding, so that neighbouring results
 *             read neighbouring pixels. 1 x 1 windows without stride and padding read x where it lies.
 *   backward: dx[i][j] = sum over blocks, and all ky = i + p (mod s) .., of w'[ky][kx] dy[(i + p - ky) / s][..]
 *             The s x s remainders (i + p) mod s are phases with places of their own over one copy of dy.
 *
 * The gradient of the weights goes through the same copies of x as forward, beside dy where it lies.
 *
 * Groups of fewer channels than a block share one: as one group, with weights of zero between them.
 *
 * A PLAIN image of a few channels is copied as windows: one pixel holds all values of its window, in blocks, so that
 * what follows is a 1 x 1 convolution.
 *
 * A unit of work is some rows of a sample, or some small samples: enough pixels for each weight that is fetched, few
 * enough to stay in a second-level cache. All cuts depend on the shape only.
 */
#ifndef MOCO_DIRECT_PLAN_H
#define MOCO_DIRECT_PLAN_H

#include "backend/cpu/cpu_backend.h"

typedef struct direct_pass {
    const direct_kernels *kernels;
    int64_t n, groups;
    int64_t in_blocks, out_blocks; /* of one group: summed over, and of the result */
    int64_t channels;              /* of one group of the source, which may fill the last block only in part */
    int64_t seen;                  /* of these, by one result: fewer where groups share a block */
    int64_t source_h, source_w, target_h, target_w;
    int64_t kernel;            /* 1 for an image, whose windows are pixels */
    int64_t step_in, step_out; /* forward's stride, backward's */
    int64_t pad;               /* source row of the copy's row r: r * step_in + its phase - pad */
    int64_t reach;             /* rows (columns) that a window spans in the copy, less one */
    int64_t in_phases;         /* interleaved planes per axis */
    int64_t grid_h, grid_w;
    int64_t lead;     /* target row of the grid's row r: r * step_out + its phase - lead */
    int32_t copied;   /* 0: the source is read where it lies */
    int32_t backward; /* the phases are the target's */

    int64_t samples, rows; /* of a unit: some samples, or rows of one */
    int64_t bands;         /* units in a sample's height */
    int64_t units;
    int64_t copy_blocks; /* of the source that are copied and summed up at a time */
    int64_t row_stride;  /* of the copy, in pixels */
    int64_t plane;       /* floats of one of the copy's planes: [block][phase][sample][row][column][B] */
    int64_t copy_floats;
    int64_t space_floats; /* behind the copy: for windows of an image */

    /* A PLAIN image. */
    int64_t image_channels; /* 0: the source is in blocks */
    int64_t image_kernel, image_stride, image_padding;

    int64_t weight_lane, weight_channel; /* from one to the next in the caller's weights, in floats */
} direct_pass;

/* 1 if there is a pass of this kind; `kind` is CPU_FORWARD, ... of convolution_list.h. */
int32_t moco_direct_plans(const cpu_backend *backend, const image_layer *desc, int kind);
void moco_direct_plan(direct_pass *pass, const cpu_backend *backend, const image_layer *desc, int kind);

/* A unit, resolved. */
typedef struct direct_unit {
    int64_t sample, samples, row, rows;
} direct_unit;

direct_unit moco_direct_unit_of(const direct_pass *pass, int64_t unit);

/* Where the pixels of a unit's blocks are: distances in floats. */
typedef struct direct_view {
    const float *at;
    int64_t next_block, next_phase, next_sample, next_row;
} direct_view;

/* `count` blocks of a group from `block` on, in `copy` if the pass copies. */
direct_view moco_direct_view(const direct_pass *pass, const direct_unit *unit, int64_t group, int64_t block,
                             int64_t count, const float *source, float *copy);

/* The places ky = first_y, first_y + step, .. and kx = first_x, .. of the window, in turns for each of `count` blocks:
 * how far behind a result's first pixel the view has them. Returns how many. */
int64_t moco_direct_steps(const direct_pass *pass, const direct_view *view, int64_t phase, int64_t count,
                          int64_t *steps);

/* How many places phase `phase` of the target has (forward's only one: all of them), and the i-th, ky * kernel + kx. */
int64_t moco_direct_places(const direct_pass *pass, int64_t phase);
int64_t moco_direct_place(const direct_pass *pass, int64_t phase, int64_t i);

static inline int64_t direct_phases(const direct_pass *pass) {
    return pass->step_out * pass->step_out;
}

/* 1: rows have no padding between them in the view, nor steps in the target, and are one run of pixels. */
static inline int32_t direct_is_flat(const direct_pass *pass) {
    return pass->step_out == 1 && (!pass->copied || pass->row_stride == pass->grid_w);
}

#endif
