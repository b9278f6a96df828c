/* What one loop per row or plane does: relu, global average pooling, L2 normalisation; and the updates of parameters.
 */
#include <math.h>

#include "backend/backend_chain.h"
#include "backend/cpu/plain_layers.h"

#define GRAIN         16384 /* floats of a task */
#define NORMALIZE_EPS 1e-12 /* torch.nn.functional.normalize */

typedef struct simple_work {
    const vector_kernel *kernel;
    int64_t row; /* elements of a row or plane */
    const float *x, *y_kept, *dy;
    float *y, *dx;
} simple_work;

static void relu_forward(void *argument, int64_t begin, int64_t end) {
    const simple_work *work = (const simple_work *) argument;
    work->kernel->relu(work->x + begin, end - begin, work->y + begin);
}

static void relu_backward(void *argument, int64_t begin, int64_t end) {
    const simple_work *work = (const simple_work *) argument;
    work->kernel->mask(work->dy + begin, work->y_kept + begin, end - begin, work->dx + begin);
}

static void average_forward(void *argument, int64_t begin, int64_t end) {
    const simple_work *work = (const simple_work *) argument;
    const vector_planes plane = {1, 0, work->row};
    for (int64_t i = begin; i < end; ++i) {
        work->y[i] = (float) (work->kernel->sum(work->x + i * work->row, &plane) / (double) work->row);
    }
}

static void average_backward(void *argument, int64_t begin, int64_t end) {
    const simple_work *work = (const simple_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        const float share = (float) ((double) work->dy[i] / (double) work->row);
        for (int64_t j = 0; j < work->row; ++j) work->dx[i * work->row + j] = share;
    }
}

static void normalize_forward(void *argument, int64_t begin, int64_t end) {
    const simple_work *work = (const simple_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        const float *x = work->x + i * work->row;
        float *y = work->y + i * work->row;
        const double norm = fmax(sqrt(work->kernel->dot(x, x, work->row)), NORMALIZE_EPS);
        for (int64_t j = 0; j < work->row; ++j) y[j] = (float) ((double) x[j] / norm);
    }
}

/* dx = (dy - y (y . dy)) / ||x||; below the bound, y is x / eps and dx = dy / eps. */
static void normalize_backward(void *argument, int64_t begin, int64_t end) {
    const simple_work *work = (const simple_work *) argument;
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

static void run(plain_backend *backend, const image_layer *desc, const moco_layer_args *args, moco_range_fn relu,
                moco_range_fn average, moco_range_fn normalize) {
    simple_work work = {.kernel = backend->vector,
                        .row = 1,
                        .x = (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
                        .y_kept = (const float *) moco_host_address(&args->y),
                        .dy = (const float *) moco_host_address(&args->dy),
                        .y = (float *) moco_host_address(&args->y),
                        .dx = (float *) moco_host_address(&args->d_inputs[MOCO_INPUT])};
    moco_range_fn function = relu;
    int64_t count = desc->n * desc->c * desc->h * desc->w;
    if (desc->kind == MOCO_LAYER_AVERAGE_POOL) {
        function = average;
        count = desc->n * desc->c;
        work.row = desc->h * desc->w;
    } else if (desc->kind == MOCO_LAYER_L2_NORMALIZE) {
        function = normalize;
        count = desc->n;
        work.row = desc->c;
    }
    moco_parallel_range(backend->host.context, count, moco_max_i64(1, GRAIN / work.row), function, &work);
}

void moco_row_layer_forward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    run(backend, desc, args, relu_forward, average_forward, normalize_forward);
}

void moco_row_layer_backward(plain_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    if (args->d_inputs[MOCO_INPUT].buffer == NULL) return;
    run(backend, desc, args, relu_backward, average_backward, normalize_backward);
}

/* --- Updates --- */

typedef struct update_work {
    const vector_kernel *kernel;
    const moco_sgd_args *args;
    float *target, *velocity, *average;
    const float *source;
    double m;
} update_work;

static void lerp_range(void *argument, int64_t begin, int64_t end) {
    const update_work *work = (const update_work *) argument;
    work->kernel->lerp(work->target + begin, work->source + begin, work->m, end - begin);
}

static void add_range(void *argument, int64_t begin, int64_t end) {
    const update_work *work = (const update_work *) argument;
    work->kernel->add(work->target + begin, work->source + begin, end - begin);
}

static void sgd_range(void *argument, int64_t begin, int64_t end) {
    const update_work *work = (const update_work *) argument;
    work->kernel->sgd(work->target + begin, work->source + begin,
                      work->velocity == NULL ? NULL : work->velocity + begin,
                      work->average == NULL ? NULL : work->average + begin, work->args, work->m, end - begin);
}

moco_status moco_cpu_momentum_update(void *self, const moco_tensor *target, const moco_tensor *source, double m) {
    plain_backend *backend = (plain_backend *) self;
    const int64_t elements = moco_tensor_elements(target);
    if (target->dtype != MOCO_DTYPE_F32) return moco_fail(MOCO_UNSUPPORTED, "the cblas backend takes float32");
    MOCO_TRY(moco_cpu_check_tensor(target, "target", elements));
    MOCO_TRY(moco_cpu_check_tensor(source, "source", elements));
    update_work work = {.kernel = backend->vector,
                        .target = (float *) moco_host_address(target),
                        .source = (const float *) moco_host_address(source),
                        .m = m};
    moco_parallel_range(backend->host.context, elements, GRAIN, lerp_range, &work);
    return MOCO_OK;
}

moco_status moco_cpu_add(void *self, const moco_tensor *target, const moco_tensor *source) {
    plain_backend *backend = (plain_backend *) self;
    const int64_t elements = moco_tensor_elements(target);
    if (target->dtype != MOCO_DTYPE_F32) return moco_host_add(self, target, source);
    MOCO_TRY(moco_cpu_check_tensor(target, "target", elements));
    MOCO_TRY(moco_cpu_check_tensor(source, "source", elements));
    update_work work = {.kernel = backend->vector,
                        .target = (float *) moco_host_address(target),
                        .source = (const float *) moco_host_address(source)};
    moco_parallel_range(backend->host.context, elements, GRAIN, add_range, &work);
    return MOCO_OK;
}

moco_status moco_cpu_sgd_momentum_update(void *self, const moco_sgd_args *args, const moco_tensor *average, double m) {
    plain_backend *backend = (plain_backend *) self;
    const int64_t elements = moco_tensor_elements(&args->parameter);
    if (args->parameter.dtype != MOCO_DTYPE_F32) {
        return moco_fail(MOCO_UNSUPPORTED, "the cblas backend takes float32");
    }
    MOCO_TRY(moco_cpu_check_tensor(&args->parameter, "parameter", elements));
    MOCO_TRY(moco_cpu_check_tensor(&args->gradient, "gradient", elements));
    if (args->momentum != 0.0) MOCO_TRY(moco_cpu_check_tensor(&args->velocity, "velocity", elements));
    if (average != NULL) MOCO_TRY(moco_cpu_check_tensor(average, "average", elements));
    update_work work = {
        .kernel = backend->vector,
        .args = args,
        .target = (float *) moco_host_address(&args->parameter),
        .source = (const float *) moco_host_address(&args->gradient),
        .velocity = args->momentum != 0.0 ? (float *) moco_host_address(&args->velocity) : NULL,
        .average = average != NULL ? (float *) moco_host_address(average) : NULL,
        .m = m,
    };
    moco_parallel_range(backend->host.context, elements, GRAIN, sgd_range, &work);
    return MOCO_OK;
}

moco_status moco_cpu_sgd_update(void *self, const moco_sgd_args *args) {
    return moco_cpu_sgd_momentum_update(self, args, NULL, 0.0);
}
