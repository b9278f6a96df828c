/* The way back from the channel-blocked layout to PLAIN float32, and of a gradient there. */
#include "backend/cpu/cpu_backend.h"
#include "core/checked.h"

static moco_status plan(cpu_backend *backend, moco_layer *layer, moco_layer_info *info) {
    const cpu_format *format = moco_cpu_blocked_input(backend, &layer->desc);
    if (format == NULL) return moco_fail(MOCO_UNSUPPORTED, "a reorder takes whole blocks of a blocked layout");
    info->wanted_input_layout = format->layout;
    return MOCO_OK;
}

typedef struct reorder_work {
    const blocked_kernels *kernels;
    int64_t spatial;
    int64_t blocked_bytes, plain_floats; /* of a task, a (sample, channel block) */
    char *blocked;
    float *plain;
} reorder_work;

static void to_plain(void *argument, int64_t begin, int64_t end) {
    const reorder_work *work = (const reorder_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        work->kernels->to_plain(work->blocked + i * work->blocked_bytes, work->spatial,
                                work->plain + i * work->plain_floats);
    }
}

static void from_plain(void *argument, int64_t begin, int64_t end) {
    const reorder_work *work = (const reorder_work *) argument;
    for (int64_t i = begin; i < end; ++i) {
        work->kernels->from_plain(work->plain + i * work->plain_floats, work->spatial,
                                  work->blocked + i * work->blocked_bytes);
    }
}

static moco_status run(const cpu_backend *backend, const image_layer *desc, const moco_tensor *blocked,
                       const moco_tensor *plain, moco_range_fn function) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const int64_t elements = desc->h * desc->w * format->block;
    reorder_work work = {
        .kernels = format->kernels,
        .spatial = desc->h * desc->w,
        .blocked_bytes = elements * format->kernels->element_bytes,
        .plain_floats = elements,
        .blocked = (char *) moco_host_address(blocked),
        .plain = (float *) moco_host_address(plain),
    };
    moco_parallel_range(backend->host.context, desc->n * (desc->c / format->block), moco_cpu_grain(elements), function,
                        &work);
    return MOCO_OK;
}

static moco_status forward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    return run(backend, &layer->desc, &args->inputs[MOCO_INPUT], &args->y, to_plain);
}

static moco_status backward(cpu_backend *backend, const moco_layer *layer, const moco_layer_args *args) {
    if (args->d_inputs[MOCO_INPUT].buffer == NULL) return MOCO_OK;
    return run(backend, &layer->desc, &args->d_inputs[MOCO_INPUT], &args->dy, from_plain);
}

const cpu_layer_ops moco_cpu_reorder = {
    .kind = MOCO_LAYER_REORDER,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
