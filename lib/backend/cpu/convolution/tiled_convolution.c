/* Convolutions: forward and backward-data as passes (conv_plan.h); the weights' gradient as dot products of dy with the
 * forward pass's copy of x, dW[o][tap] = sum over positions of dy[o][position] * copy[position + offset(tap)].
 */
#include <string.h>

#include "backend/cpu/blas/gemm.h"
#include "backend/cpu/convolution/conv_plan.h"

#define GRADIENT_TASKS  16
#define PARTIAL_BUDGET  ((int64_t) 4 << 20) /* floats of partial gradients, if that leaves one of them */
#define POINTWISE_SLICE 128                 /* output channels of a gradient task: a copy of x must pay off */
#define WINDOW_SLICE    64
#define SMALLEST_SLICE  32
#define GEMM_COLUMNS    1024 /* positions of one product of BLAS */

struct tiled_convolution {
    image_layer desc;
    conv_pass forward;
    conv_pass backward; /* phases NULL: dx is never asked for */
    conv_pass gradient; /* phases NULL: no backward will follow */
    int64_t slices;     /* of the output channels in the weights' gradient */
    int64_t slice;      /* output channels of one */
    int64_t chunks;     /* of the units; each sums into a gradient of its own */
    int64_t dy_plane;   /* floats of a plane of dy's copy */
    int64_t gradient_worker_floats;
    int64_t gemm_columns;
};

static void plan_gradient(tiled_convolution *convolution, const plain_backend *backend) {
    const conv_pass *pass = &convolution->gradient;
    const int64_t dot_rows = backend->conv->dot_rows, taps = pass->phases[0].taps;
    int64_t aim = taps == pass->channels ? POINTWISE_SLICE : WINDOW_SLICE;
    while (aim > SMALLEST_SLICE &&
           pass->groups * moco_ceil_divide(pass->out_channels, aim) * pass->units < GRADIENT_TASKS)
        aim /= 2;
    const int64_t weights = pass->groups * pass->out_channels * taps;
    convolution->slices = moco_ceil_divide(pass->out_channels, aim);
    convolution->slice = conv_round_up(moco_ceil_divide(pass->out_channels, convolution->slices), dot_rows);
    convolution->slices = moco_ceil_divide(pass->out_channels, convolution->slice);
    const int64_t tasks = pass->groups * convolution->slices;
    convolution->chunks = moco_min_i64(moco_ceil_divide(GRADIENT_TASKS, tasks), PARTIAL_BUDGET / weights);
    convolution->chunks = moco_max_i64(1, moco_min_i64(convolution->chunks, pass->units));
    convolution->dy_plane = conv_round_up(pass->positions, 16);
    convolution->gradient_worker_floats =
        conv_round_up(pass->copy_floats, 16) + convolution->slice * convolution->dy_plane;
    if (backend->conv_by_gemm) {
        convolution->gemm_columns = conv_round_up(moco_min_i64(pass->positions, GEMM_COLUMNS), 16);
        convolution->gradient_worker_floats += taps / pass->channels * pass->copy_channels * convolution->gemm_columns;
    }
}

static int64_t scratch_floats(const tiled_convolution *convolution, int64_t threads) {
    const conv_pass *forward = &convolution->forward, *backward = &convolution->backward;
    int64_t floats = forward->weight_floats + threads * forward->worker_floats;
    if (backward->phases != NULL) {
        floats = moco_max_i64(floats, backward->weight_floats + threads * backward->worker_floats);
    }
    if (convolution->gradient.phases == NULL) return floats;
    const int64_t weights = forward->groups * forward->out_channels * forward->phases[0].taps;
    return moco_max_i64(floats, conv_round_up(convolution->chunks * weights, 16) +
                                    threads * convolution->gradient_worker_floats);
}

moco_status moco_tiled_convolution_create(tiled_convolution **out, plain_backend *backend, const image_layer *desc,
                                          moco_layer_info *info) {
    moco_context *context = backend->host.context;
    tiled_convolution *convolution = (tiled_convolution *) moco_allocate_zeroed(context, 1, sizeof *convolution);
    if (convolution == NULL) return MOCO_OUT_OF_MEMORY;
    convolution->desc = *desc;
    moco_status status = moco_conv_pass_forward(&convolution->forward, backend, desc);
    if (status == MOCO_OK && desc->training) {
        status = moco_conv_pass_gradient(&convolution->gradient, backend, desc);
    }
    if (status == MOCO_OK && desc->training && !desc->skip_input_gradient) {
        status = moco_conv_pass_backward(&convolution->backward, backend, desc);
    }
    if (status != MOCO_OK) {
        moco_tiled_convolution_destroy(backend, convolution);
        return status;
    }
    if (desc->training) plan_gradient(convolution, backend);
    info->scratch_bytes = (uint64_t) scratch_floats(convolution, context->threads) * sizeof(float);
    info->backward_needs_inputs = desc->training;
    *out = convolution;
    return MOCO_OK;
}

void moco_tiled_convolution_destroy(plain_backend *backend, tiled_convolution *convolution) {
    if (convolution == NULL) return;
    moco_conv_pass_release(&convolution->forward, backend);
    moco_conv_pass_release(&convolution->backward, backend);
    moco_conv_pass_release(&convolution->gradient, backend);
    moco_deallocate(backend->host.context, convolution);
}

void moco_tiled_convolution_forward(plain_backend *backend, const tiled_convolution *convolution,
                                    const moco_layer_args *args) {
    moco_conv_pass_run(backend, &convolution->forward, (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
                       (const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]),
                       (float *) moco_host_address(&args->y), (float *) moco_host_address(&args->scratch));
}

/* --- The weights' gradient --- */

typedef struct gradient_work {
    const plain_backend *backend;
    const tiled_convolution *convolution;
    const float *x;
    const float *dy;
    float *partials; /* [chunk][groups * out_channels][taps] */
    float *workers;
    float *dweight;
    int64_t weights;
    int32_t accumulate;
} gradient_work;

/* dy of channels [first, first + rows), with the rows apart as in the copy of x and 0 in between; whole blocks. */
static void copy_dy(const gradient_work *work, const conv_unit *unit, int64_t first, int64_t rows, float *copy) {
    const tiled_convolution *convolution = work->convolution;
    const conv_pass *pass = &convolution->gradient;
    const int64_t area = pass->target_h * pass->target_w, all = pass->groups * pass->out_channels;
    conv_copy shape = {.source_h = pass->target_h,
                       .source_w = pass->target_w,
                       .step = 1,
                       .first_row = unit->first_row,
                       .columns = pass->row_stride};
    for (int64_t o = 0; o < rows; ++o, copy += convolution->dy_plane) {
        float *to = copy;
        for (int64_t i = 0; i < unit->images; ++i) {
            shape.rows = i + 1 < unit->images ? pass->image_rows : unit->rows;
            work->backend->conv->copy(&shape, work->dy + ((unit->first_image + i) * all + first + o) * area, to);
            to += shape.rows * pass->row_stride;
        }
        memset(to, 0, (size_t) (copy + convolution->dy_plane - to) * sizeof *to);
    }
    const int64_t padding = conv_round_up(rows, work->backend->conv->dot_rows) - rows;
    memset(copy, 0, (size_t) (padding * convolution->dy_plane) * sizeof *copy);
}

static void add_dots(const gradient_work *work, const conv_unit *unit, const float *dy, const float *copy, int64_t rows,
                     int64_t taps, float *partial) {
    const conv_pass *pass = &work->convolution->gradient;
    const conv_kernel *kernel = work->backend->conv;
    const int64_t stride = pass->phases[0].taps, positions = conv_round_up(unit->positions, kernel->lanes);
    float sums[CONV_MAX_DOTS];
    int32_t offsets[CONV_MAX_DOTS];
    for (int64_t t = 0; t < taps; t += kernel->dot_columns) {
        const int64_t columns = moco_min_i64(kernel->dot_columns, taps - t);
        for (int64_t j = 0; j < kernel->dot_columns; ++j) { /* the last ones repeat where there are fewer */
            offsets[j] = pass->offsets[t + moco_min_i64(j, columns - 1)];
        }
        for (int64_t o = 0; o < rows; o += kernel->dot_rows) {
            kernel->dots(dy + o * work->convolution->dy_plane, work->convolution->dy_plane, copy, offsets, positions,
                         sums);
            for (int64_t i = 0; i < moco_min_i64(kernel->dot_rows, rows - o); ++i)
                for (int64_t j = 0; j < columns; ++j)
                    partial[(o + i) * stride + t + j] += sums[i * kernel->dot_columns + j];
        }
    }
}

static void add_gemm(const gradient_work *work, const conv_unit *unit, const float *dy, const float *copy, int64_t rows,
                     int64_t taps, float *gathered, float *partial) {
    const conv_pass *pass = &work->convolution->gradient;
    const int64_t columns = work->convolution->gemm_columns;
    for (int64_t p = 0; p < unit->positions; p += columns) {
        const int64_t length = moco_min_i64(columns, unit->positions - p);
        for (int64_t t = 0; t < taps; ++t) {
            memcpy(gathered + t * columns, copy + pass->offsets[t] + p, (size_t) length * sizeof *gathered);
        }
        const gemm_factor by_row = {dy + p, work->convolution->dy_plane, GEMM_PLAIN};
        const gemm_factor by_tap = {gathered, columns, GEMM_TRANSPOSED};
        moco_gemm(rows, taps, length, by_row, by_tap, 1.0f, partial, pass->phases[0].taps);
    }
}

static void gradient_task(void *argument, int64_t task, int32_t worker) {
    const gradient_work *work = (const gradient_work *) argument;
    const tiled_convolution *convolution = work->convolution;
    const conv_pass *pass = &convolution->gradient;
    const int64_t slices = convolution->slices, taps = pass->phases[0].taps;
    const int64_t places = taps / pass->channels;
    const int64_t slice = task % slices, group = task / slices % pass->groups, chunk = task / (slices * pass->groups);
    const int64_t within = slice * convolution->slice, first = group * pass->out_channels + within;
    const int64_t rows = moco_min_i64(convolution->slice, pass->out_channels - within);
    const int64_t begin = chunk * pass->units / convolution->chunks;
    const int64_t end = (chunk + 1) * pass->units / convolution->chunks;
    float *copy = work->workers + worker * convolution->gradient_worker_floats;
    float *dy = copy + conv_round_up(pass->copy_floats, 16);
    float *partial = work->partials + chunk * work->weights + first * taps;
    memset(partial, 0, (size_t) (rows * taps) * sizeof *partial);
    for (int64_t index = begin; index < end; ++index) {
        const conv_unit unit = moco_conv_unit_of(pass, index);
        copy_dy(work, &unit, first, rows, dy);
        for (int64_t c = 0; c < pass->channels; c += pass->copy_channels) {
            const int64_t channels = moco_min_i64(pass->copy_channels, pass->channels - c);
            float *sums = partial + c * places;
            moco_conv_copy_unit(work->backend, pass, &unit, group * pass->channels + c, channels, work->x, copy);
            if (convolution->gemm_columns > 0) {
                float *gathered = dy + convolution->slice * convolution->dy_plane;
                add_gemm(work, &unit, dy, copy, rows, channels * places, gathered, sums);
            } else {
                add_dots(work, &unit, dy, copy, rows, channels * places, sums);
            }
        }
    }
}

/* In the order of the chunks. */
static void combine_partials(void *argument, int64_t begin, int64_t end) {
    const gradient_work *work = (const gradient_work *) argument;
    int64_t chunk = 0;
    if (!work->accumulate) {
        memcpy(work->dweight + begin, work->partials + begin, (size_t) (end - begin) * sizeof(float));
        chunk = 1;
    }
    for (; chunk < work->convolution->chunks; ++chunk) {
        work->backend->vector->add(work->dweight + begin, work->partials + chunk * work->weights + begin, end - begin);
    }
}

void moco_tiled_convolution_backward(plain_backend *backend, const tiled_convolution *convolution,
                                     const moco_layer_args *args) {
    moco_context *context = backend->host.context;
    const conv_pass *pass = &convolution->gradient;
    float *scratch = (float *) moco_host_address(&args->scratch);
    if (args->d_parameters[MOCO_WEIGHT].buffer != NULL) {
        gradient_work work = {.backend = backend,
                              .convolution = convolution,
                              .x = (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
                              .dy = (const float *) moco_host_address(&args->dy),
                              .partials = scratch,
                              .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
                              .weights = pass->groups * pass->out_channels * pass->phases[0].taps,
                              .accumulate = args->accumulate};
        work.workers = scratch + conv_round_up(convolution->chunks * work.weights, 16);
        const int32_t threads = convolution->gemm_columns > 0 ? moco_blas_enter() : 0;
        moco_parallel_for(context, convolution->chunks * pass->groups * convolution->slices, gradient_task, &work);
        if (convolution->gemm_columns > 0) moco_blas_leave(threads);
        moco_parallel_range(context, work.weights, 16384, combine_partials, &work);
    }
    if (args->d_inputs[MOCO_INPUT].buffer != NULL) {
        moco_conv_pass_run(backend, &convolution->backward, (const float *) moco_host_address(&args->dy),
                           (const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]),
                           (float *) moco_host_address(&args->d_inputs[MOCO_INPUT]), scratch);
    }
}
