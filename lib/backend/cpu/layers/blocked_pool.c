/* Max-pool and global average pool on the channel-blocked layout. A task is a (sample, channel block). */
#include "backend/cpu/cpu_backend.h"
#include "core/checked.h"

typedef struct pool_work {
    const blocked_kernels *kernels;
    blocked_pool_shape shape;
    int64_t spatial;
    int64_t in_bytes, out_bytes; /* of a task's activations */
    int64_t out_elements;
    const char *x, *dy;
    char *y, *dx;
    uint8_t *index; /* of each output's maximum within its window; may be NULL in forward */
} pool_work;

static pool_work work_of(const cpu_backend *backend, const image_layer *desc, int64_t out_element_bytes,
                         const moco_layer_args *args) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const int64_t spatial = desc->h * desc->w, out_elements = desc->out_h * desc->out_w * format->block;
    const pool_work work = {
        .kernels = format->kernels,
        .shape = {desc->h, desc->w, desc->out_h, desc->out_w, desc->kernel, desc->stride, desc->padding},
        .spatial = spatial,
        .in_bytes = spatial * format->block * format->kernels->element_bytes,
        .out_bytes = out_elements * out_element_bytes,
        .out_elements = out_elements,
        .x = (const char *) moco_host_address(&args->inputs[MOCO_INPUT]),
        .dy = (const char *) moco_host_address(&args->dy),
        .y = (char *) moco_host_address(&args->y),
        .dx = (char *) moco_host_address(&args->d_inputs[MOCO_INPUT]),
        .index = (uint8_t *) moco_host_address(&args->saved),
    };
    return work;
}

static moco_status run(const cpu_backend *backend, const image_layer *desc, pool_work *work, moco_range_fn function) {
    const int64_t block = moco_cpu_format_of(backend, desc)->block;
    moco_parallel_range(backend->host.context, desc->n * (desc->c / block), moco_cpu_grain(work->spatial * block),
                        function, work);
    return MOCO_OK;
}

/* --- Max-pool --- */

static moco_status max_plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const image_layer *desc = &layer->desc;
    const cpu_format *format = moco_cpu_blocked_input(backend, desc);
    if (format == NULL || desc->kernel > 15) {
        return moco_fail(MOCO_UNSUPPORTED, "a blocked max-pool takes blocked layouts, and windows up to 15 x 15");
    }
    MOCO_TRY(moco_cpu_bytes(format->dtype, desc->n, desc->c, desc->out_h, desc->out_w, &info->output_bytes));
    info->wanted_input_layout = format->layout;
    info->output_layout = format->layout;
    info->output_dtype = format->dtype;
    /* One byte per output: which position of the window won. */
    info->saved_bytes = desc->training ? info->output_bytes / moco_dtype_size(format->dtype) : 0;
    return MOCO_OK;
}

static void max_range(void *argument, int64_t begin, int64_t end) {
    const pool_work *work = (const pool_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        work->kernels->max_pool(work->x + i * work->in_bytes, &work->shape, work->y + i * work->out_bytes,
                                work->index == NULL ? NULL : work->index + i * work->out_elements);
    }
}

static void max_gradient_range(void *argument, int64_t begin, int64_t end) {
    const pool_work *work = (const pool_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        work->kernels->max_pool_gradient(work->dy + i * work->out_bytes, work->index + i * work->out_elements,
                                         &work->shape, work->dx + i * work->in_bytes);
    }
}

static moco_status max_forward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    const int64_t element_bytes = moco_cpu_format_of(backend, &layer->desc)->kernels->element_bytes;
    pool_work work = work_of(backend, &layer->desc, element_bytes, args);
    return run(backend, &layer->desc, &work, max_range);
}

static moco_status max_backward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    const int64_t element_bytes = moco_cpu_format_of(backend, &layer->desc)->kernels->element_bytes;
    pool_work work = work_of(backend, &layer->desc, element_bytes, args);
    return work.dx == NULL ? MOCO_OK : run(backend, &layer->desc, &work, max_gradient_range);
}

const cpu_layer_ops moco_cpu_blocked_max_pool = {
    .kind = MOCO_LAYER_MAX_POOL,
    .plan = max_plan,
    .forward = max_forward,
    .backward = max_backward,
};

/* --- Global average pool: from the blocked layout to PLAIN float32 --- */

static moco_status average_plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const cpu_format *format = moco_cpu_blocked_input(backend, &layer->desc);
    if (format == NULL) return moco_fail(MOCO_UNSUPPORTED, "a blocked average pool takes blocked layouts only");
    info->wanted_input_layout = format->layout;
    return MOCO_OK;
}

static void average_range(void *argument, int64_t begin, int64_t end) {
    const pool_work *work = (const pool_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        work->kernels->average(work->x + i * work->in_bytes, work->spatial,
                               (float *) (void *) (work->y + i * work->out_bytes));
    }
}

static void average_gradient_range(void *argument, int64_t begin, int64_t end) {
    const pool_work *work = (const pool_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        work->kernels->average_gradient((const float *) (const void *) (work->dy + i * work->out_bytes), work->spatial,
                                        work->dx + i * work->in_bytes);
    }
}

static moco_status average_forward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    pool_work work = work_of(backend, &layer->desc, sizeof(float), args);
    return run(backend, &layer->desc, &work, average_range);
}

static moco_status average_backward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    pool_work work = work_of(backend, &layer->desc, sizeof(float), args);
    return work.dx == NULL ? MOCO_OK : run(backend, &layer->desc, &work, average_gradient_range);
}

const cpu_layer_ops moco_cpu_blocked_average_pool = {
    .kind = MOCO_LAYER_AVERAGE_POOL,
    .plan = average_plan,
    .forward = average_forward,
    .backward = average_backward,
};
