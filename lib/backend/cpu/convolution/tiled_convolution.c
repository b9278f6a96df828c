/* Convolutions on PLAIN layout: forward and the gradient of the input as passes (conv_plan.h); the weights' gradient as dot
 * products of dy with the forward pass's copy of x, dW[o][tap] = sum over positions of dy[o][position] * copy[position +
 * offset(tap)].
 */
#include <string.h>

#include "backend/cpu/blas/gemm.h"
#include "backend/cpu/convolution/conv_plan.h"
#include "backend/cpu/convolution/convolution_list.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

static int32_t supports(const cpu_backend *backend, const image_layer *desc) {
    (void) backend;
    (void) desc;
    return 1;
}

/* --- Forward, and the gradient of the input --- */

static moco_status plan_pass(cpu_backend *backend, const image_layer *desc, void **plan, cpu_convolution_info *info,
                             moco_status (*fill)(conv_pass *, cpu_backend *, const image_layer *)) {
    moco_context *context = backend->host.context;
    conv_pass *pass = (conv_pass *) moco_allocate_zeroed(context, 1, sizeof *pass);
    if (pass == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = fill(pass, backend, desc);
    if (status != MOCO_OK) {
        moco_conv_pass_release(pass, backend);
        moco_deallocate(context, pass);
        return status;
    }
    info->scratch_bytes = (uint64_t) (pass->weight_floats + context->threads * pass->worker_floats) * sizeof(float);
    *plan = pass;
    return MOCO_OK;
}

static void release_pass(cpu_backend *backend, void *plan) {
    moco_conv_pass_release((conv_pass *) plan, backend);
    moco_deallocate(backend->host.context, plan);
}

static moco_status plan_forward(cpu_backend *backend, const image_layer *desc, void **plan,
                                cpu_convolution_info *info) {
    return plan_pass(backend, desc, plan, info, moco_conv_pass_forward);
}

static moco_status plan_input_gradient(cpu_backend *backend, const image_layer *desc, void **plan,
                                       cpu_convolution_info *info) {
    return plan_pass(backend, desc, plan, info, moco_conv_pass_backward);
}

static moco_status run_pass(cpu_backend *backend, const conv_pass *pass, const moco_tensor *source,
                            const moco_layer_args *args, const moco_tensor *target) {
    moco_conv_pass_run(backend, pass, (const float *) moco_host_address(source),
                       (const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]),
                       (float *) moco_host_address(target), (float *) moco_host_address(&args->scratch));
    return MOCO_OK;
}

static moco_status run_forward(cpu_backend *backend, const image_layer *desc, void *plan, const moco_layer_args *args) {
    (void) desc;
    return run_pass(backend, (const conv_pass *) plan, &args->inputs[MOCO_INPUT], args, &args->y);
}

static moco_status run_input_gradient(cpu_backend *backend, const image_layer *desc, void *plan,
                                      const moco_layer_args *args) {
    (void) desc;
    return run_pass(backend, (const conv_pass *) plan, &args->dy, args, &args->d_inputs[MOCO_INPUT]);
}

/* --- The weights' gradient --- */

typedef struct tiles_gradient {
    conv_pass pass;   /* the forward pass's copy of x */
    int64_t slices;   /* of the output channels */
    int64_t slice;    /* output channels of one */
    int64_t chunks;   /* of the units; each sums into a gradient of its own */
    int64_t dy_plane; /* floats of a plane of dy's copy */
    int64_t worker_floats;
    int64_t gemm_columns;
} tiles_gradient;

static void cut_gradient(tiles_gradient *gradient, const cpu_backend *backend) {
    const conv_pass *pass = &gradient->pass;
    const int64_t dot_rows = backend->conv->dot_rows, taps = pass->phases[0].taps;
    int64_t aim = taps == pass->channels ? CPU_TILES_POINTWISE_SLICE : CPU_TILES_WINDOW_SLICE;
    while (aim > CPU_TILES_SMALLEST_SLICE &&
           pass->groups * moco_ceil_divide(pass->out_channels, aim) * pass->units < CPU_TILES_TASKS)
        aim /= 2;
    const int64_t weights = pass->groups * pass->out_channels * taps;
    gradient->slices = moco_ceil_divide(pass->out_channels, aim);
    gradient->slice = conv_round_up(moco_ceil_divide(pass->out_channels, gradient->slices), dot_rows);
    gradient->slices = moco_ceil_divide(pass->out_channels, gradient->slice);
    const int64_t tasks = pass->groups * gradient->slices;
    gradient->chunks = moco_min_i64(moco_ceil_divide(CPU_TILES_TASKS, tasks), CPU_TILES_PARTIAL_FLOATS / weights);
    gradient->chunks = moco_max_i64(1, moco_min_i64(gradient->chunks, pass->units));
    gradient->dy_plane = conv_round_up(pass->positions, 16);
    gradient->worker_floats = conv_round_up(pass->copy_floats, 16) + gradient->slice * gradient->dy_plane;
    if (backend->conv_by_gemm) {
        gradient->gemm_columns = conv_round_up(moco_min_i64(pass->positions, CPU_TILES_GEMM_COLUMNS), 16);
        gradient->worker_floats += taps / pass->channels * pass->copy_channels * gradient->gemm_columns;
    }
}

static int64_t weight_count(const tiles_gradient *gradient) {
    const conv_pass *pass = &gradient->pass;
    return pass->groups * pass->out_channels * pass->phases[0].taps;
}

static void release_gradient(cpu_backend *backend, void *plan) {
    moco_conv_pass_release(&((tiles_gradient *) plan)->pass, backend);
    moco_deallocate(backend->host.context, plan);
}

static moco_status plan_gradient(cpu_backend *backend, const image_layer *desc, void **plan,
                                 cpu_convolution_info *info) {
    moco_context *context = backend->host.context;
    tiles_gradient *gradient = (tiles_gradient *) moco_allocate_zeroed(context, 1, sizeof *gradient);
    if (gradient == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = moco_conv_pass_gradient(&gradient->pass, backend, desc);
    if (status != MOCO_OK) {
        release_gradient(backend, gradient);
        return status;
    }
    cut_gradient(gradient, backend);
    info->scratch_bytes = (uint64_t) (conv_round_up(gradient->chunks * weight_count(gradient), 16) +
                                      context->threads * gradient->worker_floats) *
                          sizeof(float);
    *plan = gradient;
    return MOCO_OK;
}

typedef struct gradient_work {
    const cpu_backend *backend;
    const tiles_gradient *plan;
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
    const tiles_gradient *plan = work->plan;
    const conv_pass *pass = &plan->pass;
    const int64_t area = pass->target_h * pass->target_w, all = pass->groups * pass->out_channels;
    conv_copy shape = {.source_h = pass->target_h,
                       .source_w = pass->target_w,
                       .step = 1,
                       .first_row = unit->first_row,
                       .columns = pass->row_stride};
    for (int64_t o = 0; o < rows; ++o, copy += plan->dy_plane) {
        float *to = copy;
        for (int64_t i = 0; i < unit->images; ++i) {
            shape.rows = i + 1 < unit->images ? pass->image_rows : unit->rows;
            work->backend->conv->copy(&shape, work->dy + ((unit->first_image + i) * all + first + o) * area, to);
            to += shape.rows * pass->row_stride;
        }
        memset(to, 0, (size_t) (copy + plan->dy_plane - to) * sizeof *to);
    }
    const int64_t padding = conv_round_up(rows, work->backend->conv->dot_rows) - rows;
    memset(copy, 0, (size_t) (padding * plan->dy_plane) * sizeof *copy);
}

static void add_dots(const gradient_work *work, const conv_unit *unit, const float *dy, const float *copy, int64_t rows,
                     int64_t taps, float *partial) {
    const conv_pass *pass = &work->plan->pass;
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
            kernel->dots(dy + o * work->plan->dy_plane, work->plan->dy_plane, copy, offsets, positions, sums);
            for (int64_t i = 0; i < moco_min_i64(kernel->dot_rows, rows - o); ++i)
                for (int64_t j = 0; j < columns; ++j)
                    partial[(o + i) * stride + t + j] += sums[i * kernel->dot_columns + j];
        }
    }
}

static void add_gemm(const gradient_work *work, const conv_unit *unit, const float *dy, const float *copy, int64_t rows,
                     int64_t taps, float *gathered, float *partial) {
    const conv_pass *pass = &work->plan->pass;
    const int64_t columns = work->plan->gemm_columns;
    for (int64_t p = 0; p < unit->positions; p += columns) {
        const int64_t length = moco_min_i64(columns, unit->positions - p);
        for (int64_t t = 0; t < taps; ++t) {
            memcpy(gathered + t * columns, copy + pass->offsets[t] + p, (size_t) length * sizeof *gathered);
        }
        const gemm_factor by_row = {dy + p, work->plan->dy_plane, GEMM_PLAIN};
        const gemm_factor by_tap = {gathered, columns, GEMM_TRANSPOSED};
        moco_gemm(rows, taps, length, by_row, by_tap, 1.0f, partial, pass->phases[0].taps);
    }
}

static void gradient_task(void *argument, int64_t task, int32_t worker) {
    const gradient_work *work = (const gradient_work *) argument;
    const tiles_gradient *plan = work->plan;
    const conv_pass *pass = &plan->pass;
    const int64_t slices = plan->slices, taps = pass->phases[0].taps;
    const int64_t places = taps / pass->channels;
    const int64_t slice = task % slices, group = task / slices % pass->groups, chunk = task / (slices * pass->groups);
    const int64_t within = slice * plan->slice, first = group * pass->out_channels + within;
    const int64_t rows = moco_min_i64(plan->slice, pass->out_channels - within);
    const int64_t begin = chunk * pass->units / plan->chunks;
    const int64_t end = (chunk + 1) * pass->units / plan->chunks;
    float *copy = work->workers + worker * plan->worker_floats;
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
            if (plan->gemm_columns > 0) {
                float *gathered = dy + plan->slice * plan->dy_plane;
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
    for (; chunk < work->plan->chunks; ++chunk) {
        work->backend->vector->add(work->dweight + begin, work->partials + chunk * work->weights + begin, end - begin);
    }
}

static moco_status run_weight_gradient(cpu_backend *backend, const image_layer *desc, void *self,
                                       const moco_layer_args *args) {
    moco_context *context = backend->host.context;
    const tiles_gradient *plan = (const tiles_gradient *) self;
    float *scratch = (float *) moco_host_address(&args->scratch);
    (void) desc;
    gradient_work work = {.backend = backend,
                          .plan = plan,
                          .x = (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
                          .dy = (const float *) moco_host_address(&args->dy),
                          .partials = scratch,
                          .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
                          .weights = weight_count(plan),
                          .accumulate = args->accumulate};
    work.workers = scratch + conv_round_up(plan->chunks * work.weights, 16);
    if (plan->gemm_columns > 0) moco_blas_enter();
    moco_parallel_for(context, plan->chunks * plan->pass.groups * plan->slices, gradient_task, &work);
    if (plan->gemm_columns > 0) moco_blas_leave();
    moco_parallel_range(context, work.weights, CPU_RANGE_VALUES, combine_partials, &work);
    return MOCO_OK;
}

const cpu_convolution moco_tiles_forward = {
    .name = "tiles",
    .supports = supports,
    .plan = plan_forward,
    .run = run_forward,
    .release = release_pass,
};

const cpu_convolution moco_tiles_input_gradient = {
    .name = "tiles",
    .supports = supports,
    .plan = plan_input_gradient,
    .run = run_input_gradient,
    .release = release_pass,
};

const cpu_convolution moco_tiles_weight_gradient = {
    .name = "tiles",
    .supports = supports,
    .plan = plan_gradient,
    .run = run_weight_gradient,
    .release = release_gradient,
};
