/* Max pooling, one plane (n, c) per task; saves where in its plane each maximum was found, as int32. */
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/checked.h"

typedef struct pool_work {
    const image_layer *desc;
    const float *x, *dy;
    float *y, *dx;
    int32_t *saved;
} pool_work;

/* The maximum of a window clipped to the image: rows [top, bottom), columns [left, right). The first of equals wins,
 * and a NaN wins over all, as in PyTorch. */
static inline int64_t largest_of(const float *x, int64_t w, int64_t top, int64_t bottom, int64_t left, int64_t right) {
    int64_t best = top * w + left;
    float most = x[best];
    for (int64_t row = top; row < bottom; ++row) {
        for (int64_t i = row * w + left; i < row * w + right; ++i) {
            const int32_t take = !(x[i] <= most);
            most = take ? x[i] : most;
            best = take ? i : best;
        }
    }
    return best;
}

static void forward_plane(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const pool_work *work = (const pool_work *) argument;
    const image_layer *d = work->desc;
    const float *x = work->x + task * d->h * d->w;
    float *y = work->y + task * d->out_h * d->out_w;
    int32_t *saved = work->saved == NULL ? NULL : work->saved + task * d->out_h * d->out_w;
    for (int64_t oy = 0, output = 0; oy < d->out_h; ++oy) {
        const int64_t row = oy * d->stride - d->padding;
        const int64_t top = moco_max_i64(row, 0), bottom = moco_min_i64(row + d->kernel, d->h);
        for (int64_t ox = 0; ox < d->out_w; ++ox, ++output) {
            const int64_t column = ox * d->stride - d->padding;
            const int64_t best =
                largest_of(x, d->w, top, bottom, moco_max_i64(column, 0), moco_min_i64(column + d->kernel, d->w));
            y[output] = x[best];
            if (saved != NULL) saved[output] = (int32_t) best;
        }
    }
}

static void backward_plane(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const pool_work *work = (const pool_work *) argument;
    const image_layer *d = work->desc;
    const int64_t outputs = d->out_h * d->out_w;
    const float *dy = work->dy + task * outputs;
    const int32_t *saved = work->saved + task * outputs;
    float *dx = work->dx + task * d->h * d->w;
    memset(dx, 0, (size_t) (d->h * d->w) * sizeof *dx);
    for (int64_t i = 0; i < outputs; ++i) dx[saved[i]] += dy[i];
}

static moco_status plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    (void) backend;
    if (!desc->training) return MOCO_OK;
    info->saved_bytes = (uint64_t) (desc->n * desc->c * desc->out_h * desc->out_w) * sizeof(int32_t);
    return MOCO_OK;
}

static moco_status forward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    pool_work work = {.desc = desc,
                      .x = (const float *) moco_host_address(&args->inputs[MOCO_INPUT]),
                      .y = (float *) moco_host_address(&args->y),
                      .saved = args->mode == MOCO_MODE_TRAIN ? (int32_t *) moco_host_address(&args->saved) : NULL};
    moco_parallel_for(backend->host.context, desc->n * desc->c, forward_plane, &work);
    return MOCO_OK;
}

static moco_status backward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    const image_layer *desc = &layer->desc;
    pool_work work = {.desc = desc,
                      .dy = (const float *) moco_host_address(&args->dy),
                      .dx = (float *) moco_host_address(&args->d_inputs[MOCO_INPUT]),
                      .saved = (int32_t *) moco_host_address(&args->saved)};
    if (work.dx == NULL) return MOCO_OK;
    moco_parallel_for(backend->host.context, desc->n * desc->c, backward_plane, &work);
    return MOCO_OK;
}

const cpu_layer_ops moco_cpu_plain_max_pool = {
    .kind = MOCO_LAYER_MAX_POOL,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
