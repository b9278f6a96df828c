/* What one loop per row or plane does: ReLU, global average pooling, L2 normalization, on PLAIN layout. */
#include <math.h>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"
#include "core/context_internal.h"

#define NORMALIZE_EPS 1e-12 /* torch.nn.functional.normalize */

typedef struct row_work {
    const vector_kernel *kernel;
    int64_t row; /* elements of a row or plane */
    const float *x, *y_kept, *dy;
    float *y, *dx;
} row_work;

static void relu_forward(void *argument, int64_t begin, int64_t end) {
    const row_work *work = (const row_work *) argument;
    work->kernel->relu(work->x + begin, end - begin, work->y + begin);
}

static void relu_backward(void *argument, int64_t begin, int64_t end) {
    const row_work *work = (const row_work *) argument;
    work->kernel->mask(work->dy + begin, work->y_kept + begin, end - begin, work->dx + begin);
}

static void average_forward(void *argument, int64_t begin, int64_t end) {
    const row_work *work = (const row_work *) argument;
    const vector_planes plane = {1, 0, work->row};
    for (int64_t i = begin; i < end; ++i) {
        work->y[i] = (float) (work->kernel->sum(work->x + i * work->row, &plane) / (double) work->row);
    }
}

static void average_backward(void *argument, int64_t begin, int64_t end) {
    const row_work *work = (const row_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        const float share = (float) ((double) work->dy[i] / (double) work->row);
        for (int64_t j = 0; j < work->row; ++j) work->dx[i * work->row + j] = share;
    }
}

static void normalize_forward(void *argument, int64_t begin, int64_t end) {
    const row_work *work = (const row_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        const float *x = work->x + i * work->row;
        float *y = work->y + i * work->row;
        const double norm = fmax(sqrt(work->kernel->dot(x, x, work->row)), NORMALIZE_EPS);
        for (int64_t j = 0; j < work->row; ++j) y[j] = (float) ((double) x[j] / norm);
    }
}

/* dx = (dy - y (y . dy)) / ||x||; below the bound, y is x / eps and dx = dy / eps. */
static void normalize_backward(void *argument, int64_t begin, int64_t end) {
    const row_work *work = (const row_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        const float *x = work->x + i * work->row, *dy = work->dy + i * work->row;
        float *dx = work->dx + i * work->row;
        const double length = sqrt(work->kernel->dot(x, x, work->row)), norm = fmax(length, NORMALIZE_EPS);
        const double along = length < NORMALIZE_EPS ? 0.0 : work->kernel->dot(x, dy, work->row) / norm;
        for (int64_t j = 0; j < work->row; ++j) {
            dx[j] = (float) (((double) dy[j] - (double) x[j] / norm * along) / norm);
        }
    }
}

/* Calls `function` for `count` rows of `row` elements each. */
static moco_status run(cpu_backend *backend, const moco_layer_args *args, int64_t count, int64_t row,
                       moco_range_fn function) {
    row_work work = {.kernel = backend->vector,
                     .row = row,
                     .x = (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
                     .y_kept = (const float *) moco_host_address(&args->y),
                     .dy = (const float *) moco_host_address(&args->dy),
                     .y = (float *) moco_host_address(&args->y),
                     .dx = (float *) moco_host_address(&args->d_inputs[MOCO_INPUT])};
    moco_parallel_range(backend->host.context, count, moco_max_i64(1, CPU_RANGE_VALUES / row), function, &work);
    return MOCO_OK;
}

/* As run, where a gradient of the input is asked for. */
static moco_status run_gradient(cpu_backend *backend, const moco_layer_args *args, int64_t count, int64_t row,
                                moco_range_fn function) {
    return args->d_inputs[MOCO_INPUT].buffer == NULL ? MOCO_OK : run(backend, args, count, row, function);
}

/* --- ReLU --- */

static moco_status relu_plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    (void) backend;
    info->works_in_place = 1;
    info->backward_needs_y = layer->desc.training;
    return MOCO_OK;
}

static int64_t elements_of(const moco_layer *layer) {
    const image_layer *desc = &layer->desc;
    return desc->n * desc->c * desc->h * desc->w;
}

static moco_status relu_run(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    return run(backend, args, elements_of(layer), 1, relu_forward);
}

static moco_status relu_run_gradient(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    return run_gradient(backend, args, elements_of(layer), 1, relu_backward);
}

const cpu_layer_ops moco_cpu_relu = {
    .kind = MOCO_LAYER_RELU,
    .plan = relu_plan,
    .forward = relu_run,
    .backward = relu_run_gradient,
};

/* --- Global average pooling --- */

static moco_status average_plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    (void) backend;
    (void) layer;
    (void) info;
    return MOCO_OK;
}

static moco_status average_run(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    return run(backend, args, desc->n * desc->c, desc->h * desc->w, average_forward);
}

static moco_status average_run_gradient(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    return run_gradient(backend, args, desc->n * desc->c, desc->h * desc->w, average_backward);
}

const cpu_layer_ops moco_cpu_plain_average_pool = {
    .kind = MOCO_LAYER_AVERAGE_POOL,
    .plan = average_plan,
    .forward = average_run,
    .backward = average_run_gradient,
};

/* --- L2 normalization --- */

static moco_status normalize_plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    (void) backend;
    info->backward_needs_inputs = layer->desc.training ? 1 << MOCO_INPUT : 0;
    return MOCO_OK;
}

static moco_status normalize_run(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    return run(backend, args, layer->desc.n, layer->desc.c, normalize_forward);
}

static moco_status normalize_run_gradient(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    return run_gradient(backend, args, layer->desc.n, layer->desc.c, normalize_backward);
}

const cpu_layer_ops moco_cpu_l2_normalize = {
    .kind = MOCO_LAYER_L2_NORMALIZE,
    .plan = normalize_plan,
    .forward = normalize_run,
    .backward = normalize_run_gradient,
};
