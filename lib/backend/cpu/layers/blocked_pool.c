/* Max-pool, global average pool, and the reorder back to PLAIN, on the channel-blocked layout. */
#include <string.h>

#include "backend/cpu/cpu_backend.h"

moco_status moco_blocked_pool_plan(const cpu_backend *backend, const image_layer *desc, moco_layer_info *info) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const int32_t keeps_format = desc->kind == MOCO_LAYER_MAX_POOL;
    if (desc->input_layout != format->layout || desc->c % format->block != 0) {
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend's pooling takes its blocked layout only");
    }
    if (desc->kind == MOCO_LAYER_MAX_POOL && desc->kernel > 15) {
        return moco_fail(MOCO_UNSUPPORTED, "the oneDNN backend's max-pool takes windows up to 15 x 15");
    }
    info->output_dtype = keeps_format ? format->dtype : MOCO_DTYPE_F32;
    MOCO_TRY(moco_cpu_bytes(info->output_dtype, desc->n, desc->out_c, desc->out_h, desc->out_w, &info->output_bytes));
    info->wanted_input_layout = format->layout;
    info->output_layout = keeps_format ? format->layout : MOCO_LAYOUT_PLAIN;
    /* One byte per output: which position of the window won. */
    info->saved_bytes = keeps_format && desc->training ? info->output_bytes / moco_dtype_size(format->dtype) : 0;
    return MOCO_OK;
}

typedef struct pool_work {
    const cpu_format *format;
    const image_layer *desc;
    blocked_pool_shape shape;
    int64_t spatial;
    int64_t in_bytes, out_bytes; /* per (sample, channel block) */
    int64_t out_size;            /* elements of the same */
    const char *from;
    char *to;
    const uint8_t *index;
    uint8_t *index_out;
} pool_work;

static pool_work work_of(const cpu_backend *backend, const image_layer *desc) {
    pool_work work;
    memset(&work, 0, sizeof work);
    work.format = moco_cpu_format_of(backend, desc);
    work.desc = desc;
    work.shape =
        (blocked_pool_shape){desc->h, desc->w, desc->out_h, desc->out_w, desc->kernel, desc->stride, desc->padding};
    work.spatial = desc->h * desc->w;
    work.out_size = desc->out_h * desc->out_w * work.format->block;
    work.in_bytes = work.spatial * work.format->block * work.format->kernels->element_bytes;
    work.out_bytes = work.out_size * (desc->kind == MOCO_LAYER_MAX_POOL ? work.format->kernels->element_bytes
                                                                        : (int64_t) sizeof(float));
    return work;
}

static void forward_range(void *argument, int64_t begin, int64_t end) {
    const pool_work *work = (const pool_work *) argument;
    const blocked_kernels *kernels = work->format->kernels;
    for (int64_t i = begin; i < end; ++i) {
        const void *x = work->from + i * work->in_bytes;
        void *y = work->to + i * work->out_bytes;
        if (work->desc->kind == MOCO_LAYER_MAX_POOL) {
            kernels->max_pool(x, &work->shape, y,
                              work->index_out == NULL ? NULL : work->index_out + i * work->out_size);
        } else if (work->desc->kind == MOCO_LAYER_AVERAGE_POOL) {
            kernels->average(x, work->spatial, (float *) y);
        } else {
            kernels->to_plain(x, work->spatial, (float *) y);
        }
    }
}

static void backward_range(void *argument, int64_t begin, int64_t end) {
    const pool_work *work = (const pool_work *) argument;
    const blocked_kernels *kernels = work->format->kernels;
    for (int64_t i = begin; i < end; ++i) {
        const void *dy = work->from + i * work->out_bytes;
        void *dx = work->to + i * work->in_bytes;
        if (work->desc->kind == MOCO_LAYER_MAX_POOL) {
            kernels->max_pool_gradient(dy, work->index + i * work->out_size, &work->shape, dx);
        } else if (work->desc->kind == MOCO_LAYER_AVERAGE_POOL) {
            kernels->average_gradient((const float *) dy, work->spatial, dx);
        } else {
            kernels->from_plain((const float *) dy, work->spatial, dx);
        }
    }
}

static void run(const cpu_backend *backend, pool_work *work, moco_range_fn function) {
    const int64_t tasks = work->desc->n * (work->desc->c / work->format->block);
    moco_parallel_range(backend->host.context, tasks, moco_cpu_grain(work->spatial * work->format->block), function,
                        work);
}

moco_status moco_blocked_pool_forward(const cpu_backend *backend, const image_layer *desc,
                                      const moco_layer_args *args) {
    pool_work work = work_of(backend, desc);
    work.from = (const char *) moco_host_address(&args->inputs[MOCO_INPUT]);
    work.to = (char *) moco_host_address(&args->y);
    work.index_out = (uint8_t *) moco_host_address(&args->saved);
    run(backend, &work, forward_range);
    return MOCO_OK;
}

moco_status moco_blocked_pool_backward(const cpu_backend *backend, const image_layer *desc,
                                       const moco_layer_args *args) {
    pool_work work = work_of(backend, desc);
    if (args->d_inputs[MOCO_INPUT].buffer == NULL) return MOCO_OK;
    work.from = (const char *) moco_host_address(&args->dy);
    work.to = (char *) moco_host_address(&args->d_inputs[MOCO_INPUT]);
    work.index = (const uint8_t *) moco_host_address(&args->saved);
    run(backend, &work, backward_range);
    return MOCO_OK;
}
