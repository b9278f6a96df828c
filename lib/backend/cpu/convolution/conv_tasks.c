/* Runs a pass: packs the weights, then each task copies its unit of the source and sums tiles of outputs from it, by
 * our own tiles or by BLAS over columns gathered from the same copy.
 */
#include <string.h>

#include "backend/cpu/blas/gemm.h"
#include "backend/cpu/convolution/conv_plan.h"
#include "core/checked.h"

typedef struct conv_work {
    const cpu_backend *backend;
    const conv_pass *pass;
    const float *source;
    const float *weight;
    float *target;
    float *packed;
    float *workers;
} conv_work;

/* --- Packed weights: [group][block][tap][row of the block]; for BLAS [group][row][tap] --- */

static void pack_block(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const conv_work *work = (const conv_work *) argument;
    const conv_pass *pass = work->pass;
    const int64_t blocks = moco_ceil_divide(pass->out_channels, pass->block);
    const int64_t group = task / blocks, first = task % blocks * pass->block;
    const int64_t rows = moco_min_i64(pass->block, pass->out_channels - first);
    /* Both passes' groups lie one after the other: out_c / groups x c / groups windows each. */
    const int64_t group_weights = pass->out_channels * pass->channels *
                                  (pass->weight_row < pass->weight_channel ? pass->weight_row : pass->weight_channel);
    const float *weight = work->weight + group * group_weights + first * pass->weight_row;
    for (int64_t p = 0; p < pass->phase_count; ++p) {
        const conv_phase *phase = &pass->phases[p];
        const int64_t places = phase->taps / pass->channels;
        float *to = work->packed + phase->weights + task * pass->block * phase->taps;
        for (int64_t c = 0; c < pass->channels; ++c) {
            const float *from = weight + c * pass->weight_channel;
            for (int64_t t = 0; t < places; ++t, to += pass->block) {
                const float *place = from + pass->places[phase->places + t];
                for (int64_t i = 0; i < rows; ++i) to[i] = place[i * pass->weight_row];
                for (int64_t i = rows; i < pass->block; ++i) to[i] = 0.0f;
            }
        }
    }
}

/* --- The copy --- */

void moco_conv_copy_unit(const cpu_backend *backend, const conv_pass *pass, const conv_unit *unit, int64_t channel,
                         int64_t count, const float *source, float *copy) {
    const int64_t phases = pass->in_phases, area = pass->source_h * pass->source_w;
    const int64_t all_channels = pass->groups * pass->channels;
    conv_copy rows = {.source_h = pass->source_h,
                      .source_w = pass->source_w,
                      .step = pass->step_in,
                      .first_row = unit->first_row,
                      .columns = pass->row_stride};
    for (int64_t index = 0; index < count * phases * phases; ++index, copy += pass->plane) {
        const int64_t plane = channel + index / (phases * phases);
        rows.shift_row = index % (phases * phases) / phases - pass->pad;
        rows.shift_column = index % phases - pass->pad;
        float *to = copy;
        for (int64_t i = 0; i < unit->images; ++i) {
            const float *from = source + ((unit->first_image + i) * all_channels + plane) * area;
            rows.rows = i + 1 < unit->images ? pass->image_rows : unit->rows + pass->reach;
            backend->conv->copy(&rows, from, to);
            to += rows.rows * pass->row_stride;
        }
        memset(to, 0, (size_t) (copy + pass->plane - to) * sizeof *to);
    }
}

/* --- Outputs --- */

/* The outputs of a unit in a phase, as runs that are neighbours both in the copy and in the output plane; a run of
 * length 0 ends them. */
static void list_runs(const conv_pass *pass, const conv_phase *phase, const conv_unit *unit, conv_run *runs) {
    const int64_t step = pass->step_out,
                  image_stride = pass->groups * pass->out_channels * pass->target_h * pass->target_w;
    const int64_t left = phase->shift_column < 0 ? moco_ceil_divide(-phase->shift_column, step) : 0;
    const int64_t inside = pass->target_w - phase->shift_column; /* > 0 */
    const int64_t right = moco_min_i64(pass->grid_w, moco_ceil_divide(moco_max_i64(inside, 0), step));
    conv_run *next = runs;
    for (int64_t i = 0; i < unit->images && left < right; ++i) {
        for (int64_t r = 0; r < unit->rows; ++r) {
            const int64_t row = (unit->first_row + r) * step + phase->shift_row;
            if (row < 0 || row >= pass->target_h) continue;
            const conv_run run = {(i * pass->image_rows + r) * pass->row_stride + left,
                                  i * image_stride + row * pass->target_w + left * step + phase->shift_column,
                                  right - left};
            if (step == 1 && next != runs && next[-1].position + next[-1].length == run.position &&
                next[-1].output + next[-1].length == run.output) {
                next[-1].length += run.length;
            } else {
                *next++ = run;
            }
        }
    }
    next->length = 0;
}

typedef struct conv_outputs {
    const conv_run *runs;
    const float *copy;
    float *target; /* the plane of the group's first output channel in the unit's first image */
    int64_t *at;   /* where whole vectors begin in the copy, and in the output plane */
    int64_t *out_at;
    float *tile;
} conv_outputs;

static int64_t list_vectors(const conv_outputs *outputs, int64_t lanes) {
    int64_t count = 0;
    for (const conv_run *run = outputs->runs; run->length > 0; ++run) {
        for (int64_t i = 0; i < run->length; i += lanes, ++count) {
            const int64_t begin = moco_min_i64(i, run->length - lanes);
            outputs->at[count] = run->position + begin;
            outputs->out_at[count] = run->output + begin;
        }
    }
    return count;
}

/* How many of `left` vectors go into the next tile: threes, but twos rather than three and one. */
static int32_t tile_vectors(int64_t left) {
    return left == 4 || left == 2 ? 2 : left == 1 ? 1 : 3;
}

/* Rows [first, first + rows) of the group's output channels, written in place. */
static void whole_vector_tiles(const conv_work *work, const conv_phase *phase, const conv_outputs *outputs,
                               int64_t count, const float *weights, int64_t first) {
    const conv_pass *pass = work->pass;
    const int64_t area = pass->target_h * pass->target_w;
    for (int64_t v = 0; v < count;) {
        const int32_t vectors = tile_vectors(count - v);
        work->backend->conv->tile(outputs->copy, pass->offsets + phase->offsets, phase->taps, weights, vectors,
                                  outputs->at + v, outputs->target + first * area, area, outputs->out_at + v);
        v += vectors;
    }
}

static void scattered_tiles(const conv_work *work, const conv_phase *phase, const conv_outputs *outputs,
                            const conv_unit *unit, const float *weights, int64_t first, int64_t rows) {
    const conv_pass *pass = work->pass;
    const conv_kernel *kernel = work->backend->conv;
    const int64_t area = pass->target_h * pass->target_w, lanes = kernel->lanes;
    const int64_t stride = CONV_MAX_VECTORS * lanes;
    const int64_t out_at[CONV_MAX_VECTORS] = {0, lanes, 2 * lanes};
    const conv_run *run = outputs->runs;
    for (int64_t p = 0; p < unit->positions;) {
        const int32_t vectors = tile_vectors(moco_ceil_divide(unit->positions - p, lanes));
        const int64_t length = vectors * lanes;
        while (run->length > 0 && run->position + run->length <= p) ++run;
        if (run->length > 0 && run->position < p + length) {
            const int64_t at[CONV_MAX_VECTORS] = {p, p + lanes, p + 2 * lanes};
            kernel->tile(outputs->copy, pass->offsets + phase->offsets, phase->taps, weights, vectors, at,
                         outputs->tile, stride, out_at);
            kernel->scatter(outputs->tile, stride, p, length, run, rows, outputs->target + first * area, area,
                            pass->step_out);
        }
        p += length;
    }
}

/* The same by BLAS: the taps of `gemm_columns` positions gathered as a matrix. */
static void gemm_tiles(const conv_work *work, const conv_phase *phase, const conv_outputs *outputs,
                       const conv_unit *unit, const float *weights, int64_t first, int64_t rows) {
    const conv_pass *pass = work->pass;
    const int64_t area = pass->target_h * pass->target_w, columns = pass->gemm_columns;
    float *gathered = outputs->tile, *product = gathered + phase->taps * columns;
    const conv_run *run = outputs->runs;
    for (int64_t p = 0; p < unit->positions; p += columns) {
        const int64_t length = moco_min_i64(columns, unit->positions - p);
        while (run->length > 0 && run->position + run->length <= p) ++run;
        if (run->length == 0 || run->position >= p + length) continue;
        if (phase->taps == 0) {
            memset(product, 0, (size_t) (rows * columns) * sizeof *product);
        } else {
            for (int64_t t = 0; t < phase->taps; ++t) {
                memcpy(gathered + t * columns, outputs->copy + pass->offsets[phase->offsets + t] + p,
                       (size_t) length * sizeof *gathered);
            }
            const gemm_factor by_row = {weights, phase->taps, GEMM_PLAIN}, by_tap = {gathered, columns, GEMM_PLAIN};
            moco_gemm(rows, length, phase->taps, by_row, by_tap, 0.0f, product, columns);
        }
        work->backend->conv->scatter(product, columns, p, length, run, rows, outputs->target + first * area, area,
                                     pass->step_out);
    }
}

static void run_phase(const conv_work *work, const conv_phase *phase, const conv_outputs *outputs,
                      const conv_unit *unit, int64_t group, int64_t slice) {
    const conv_pass *pass = work->pass;
    const int64_t blocks = moco_ceil_divide(pass->out_channels, pass->block);
    const int64_t begin = slice * blocks / pass->slices, end = (slice + 1) * blocks / pass->slices;
    const float *weights = work->packed + phase->weights + group * blocks * pass->block * phase->taps;
    if (pass->gemm_columns > 0) {
        gemm_tiles(work, phase, outputs, unit, weights + begin * phase->taps, begin, end - begin);
        return;
    }
    const int64_t vectors = pass->whole_rows ? list_vectors(outputs, work->backend->conv->lanes) : 0;
    for (int64_t block = begin; block < end; ++block) {
        const int64_t first = block * pass->block;
        const int64_t rows = moco_min_i64(pass->block, pass->out_channels - first);
        const float *block_weights = weights + first * phase->taps;
        if (pass->whole_rows && rows == pass->block) {
            whole_vector_tiles(work, phase, outputs, vectors, block_weights, first);
        } else {
            scattered_tiles(work, phase, outputs, unit, block_weights, first, rows);
        }
    }
}

static void run_task(void *argument, int64_t task, int32_t worker) {
    const conv_work *work = (const conv_work *) argument;
    const conv_pass *pass = work->pass;
    const int64_t slice = task % pass->slices, group = task / pass->slices % pass->groups;
    const conv_unit unit = moco_conv_unit_of(pass, task / (pass->slices * pass->groups));
    const int64_t lanes = work->backend->conv->lanes;
    const int64_t runs_floats = (pass->images * pass->rows + 1) * (int64_t) (sizeof(conv_run) / sizeof(float));
    const int64_t vectors = pass->images * pass->rows * moco_ceil_divide(pass->grid_w, lanes) + 1;
    float *copy = work->workers + worker * pass->worker_floats;
    float *lists = copy + conv_round_up(pass->copy_floats, 16);
    conv_run *runs = (conv_run *) (void *) lists;
    int64_t *at = (int64_t *) (void *) (lists + conv_round_up(runs_floats, 16));
    const conv_outputs outputs = {
        .runs = runs,
        .copy = copy,
        .target = work->target +
                  (unit.first_image * pass->groups + group) * pass->out_channels * pass->target_h * pass->target_w,
        .at = at,
        .out_at = at + vectors,
        .tile = (float *) (void *) at + conv_round_up(4 * vectors, 16),
    };
    moco_conv_copy_unit(work->backend, pass, &unit, group * pass->channels, pass->channels, work->source, copy);
    for (int64_t p = 0; p < pass->phase_count; ++p) {
        list_runs(pass, &pass->phases[p], &unit, runs);
        run_phase(work, &pass->phases[p], &outputs, &unit, group, slice);
    }
}

void moco_conv_pass_run(cpu_backend *backend, const conv_pass *pass, const float *source, const float *weight,
                        float *target, float *scratch) {
    moco_context *context = backend->host.context;
    conv_work work = {backend, pass, source, weight, target, scratch, scratch + pass->weight_floats};
    moco_parallel_for(context, pass->groups * moco_ceil_divide(pass->out_channels, pass->block), pack_block, &work);
    if (pass->gemm_columns > 0) moco_blas_enter();
    moco_parallel_for(context, pass->units * pass->groups * pass->slices, run_task, &work);
    if (pass->gemm_columns > 0) moco_blas_leave();
}
