/* The weight gradient of 1 x 1 convolutions where oneDNN computes it slower than the other passes, which is in bfloat16
 * always, by far, and in float32 where it is large: dW = dY X^T, summed over all pixels. A thread goes through the
 * pixels of some samples chunk by chunk, packed into its cache. Small gradients are summed in parts, each of some
 * samples; where the gradient is too large for that, threads share out the output channels instead, and each packs x
 * for itself. What is summed in what order depends on the shape alone.
 */
#include <string.h>

#include "backend/cpu/cpu_backend.h"
#include "core/checked.h"

/* Packed pixels of all input channels should take about so much: half of a usual second-level cache. */
#define CHUNK_BYTES ((int64_t) 512 << 10)

static int64_t steps_per_chunk(const image_layer *desc) {
    const int64_t steps = CHUNK_BYTES / (desc->c * (int64_t) sizeof(float));
    return moco_min_i64(256, moco_max_i64(32, steps));
}

/* What all parts of the gradient may take, so that adding them up costs little. */
#define PARTS_BYTES ((int64_t) 2 << 20)
#define MOST_PARTS  8

static int64_t gradient_bytes(const image_layer *desc) {
    return desc->out_c * desc->c * (int64_t) sizeof(float);
}

int32_t moco_pointwise_supports(const cpu_backend *backend, const image_layer *desc) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const int32_t slow = format->dtype == MOCO_DTYPE_BF16 || gradient_bytes(desc) > PARTS_BYTES;
    return format->kernels->pack != NULL && slow && desc->kernel == 1 && desc->padding == 0 && desc->groups == 1 &&
           desc->input_layout == format->layout && desc->c % (PRODUCT_BLOCKS * format->block) == 0;
}

typedef struct pointwise_work {
    const cpu_format *format;
    const image_layer *desc;
    int64_t parts, groups; /* of samples, of output channels */
    int64_t thread_floats; /* a chunk of x, and of one block of dy */
    const char *x, *dy;
    float *dweight;
    float *partial; /* [part][out_c][c], or the gradient itself if there is one part */
    float *packed;
    int32_t accumulate;
} pointwise_work;

static void plan_work(pointwise_work *work, const cpu_backend *backend, const image_layer *desc) {
    work->format = moco_cpu_format_of(backend, desc);
    work->desc = desc;
    work->parts = moco_max_i64(1, moco_min_i64(PARTS_BYTES / gradient_bytes(desc), moco_min_i64(MOST_PARTS, desc->n)));
    work->groups =
        moco_min_i64(desc->out_c / work->format->block, moco_ceil_divide(backend->host.context->threads, work->parts));
    work->thread_floats = steps_per_chunk(desc) * (desc->c + work->format->block);
}

uint64_t moco_pointwise_scratch(const cpu_backend *backend, const image_layer *desc) {
    pointwise_work work = {0};
    plan_work(&work, backend, desc);
    const int64_t partial = work.parts == 1 ? 0 : work.parts * desc->out_c * desc->c;
    return (uint64_t) (work.thread_floats * backend->host.context->threads + partial) * sizeof(float);
}

/* Output pixels [first, first + count) of each of so many samples. */
typedef struct chunk {
    int64_t sample, samples, first, count;
} chunk;

/* Packs block `b` of a tensor's `blocks`. */
static void pack_chunk(const pointwise_work *work, const chunk *in, const char *tensor, int64_t b, int64_t blocks,
                       int64_t h, int64_t w, int64_t stride, float *packed) {
    const blocked_kernels *kernels = work->format->kernels;
    const int64_t block = work->format->block, run = h * w * block * kernels->element_bytes;
    const int64_t steps = moco_ceil_divide(in->count, kernels->pixels_per_step);
    for (int64_t s = 0; s < in->samples; ++s) {
        kernels->pack(tensor + ((in->sample + s) * blocks + b) * run, in->first, in->count, work->desc->out_w, w,
                      stride, packed + s * steps * block);
    }
}

/* One chunk into the rows of blocks [begin, end) of dW. */
static void add_chunk(const pointwise_work *work, const chunk *in, int64_t begin, int64_t end, float *packed_x,
                      float *packed_dy, float *dweight) {
    const image_layer *desc = work->desc;
    const blocked_kernels *kernels = work->format->kernels;
    const int64_t block = work->format->block, in_blocks = desc->c / block, out_blocks = desc->out_c / block;
    const int64_t steps = in->samples * moco_ceil_divide(in->count, kernels->pixels_per_step);
    for (int64_t b = 0; b < in_blocks; ++b) {
        pack_chunk(work, in, work->x, b, in_blocks, desc->h, desc->w, desc->stride, packed_x + b * steps * block);
    }
    for (int64_t b = begin; b < end; ++b) {
        pack_chunk(work, in, work->dy, b, out_blocks, desc->out_h, desc->out_w, 1, packed_dy);
        for (int64_t column = 0; column < in_blocks; column += PRODUCT_BLOCKS) {
            for (int64_t lane = 0; lane < block; lane += PRODUCT_ROWS) {
                kernels->outer_products(packed_dy, lane, packed_x + column * steps * block, steps * block, steps,
                                        dweight + (b * block + lane) * desc->c + column * block, desc->c);
            }
        }
    }
}

/* One task: a part of the samples for a group of output channels. */
static void run_part(void *argument, int64_t task, int32_t worker) {
    const pointwise_work *work = (const pointwise_work *) argument;
    const image_layer *desc = work->desc;
    const int64_t part = task / work->groups, group = task % work->groups, block = work->format->block;
    const int64_t out_blocks = desc->out_c / block, pixels = desc->out_h * desc->out_w;
    const int64_t begin = group * out_blocks / work->groups, end = (group + 1) * out_blocks / work->groups;
    const int64_t per_step = work->format->kernels->pixels_per_step;
    const int64_t most = steps_per_chunk(desc) * per_step;
    const int64_t whole = moco_max_i64(1, steps_per_chunk(desc) / moco_ceil_divide(pixels, per_step));
    float *packed_x = work->packed + worker * work->thread_floats;
    float *packed_dy = packed_x + steps_per_chunk(desc) * desc->c;
    float *dweight = work->partial + part * desc->out_c * desc->c;
    if (work->parts > 1 || !work->accumulate) {
        memset(dweight + begin * block * desc->c, 0, (size_t) ((end - begin) * block * desc->c) * sizeof *dweight);
    }
    const int64_t last = (part + 1) * desc->n / work->parts;
    for (int64_t sample = part * desc->n / work->parts; sample < last; sample += whole) {
        for (int64_t first = 0; first < pixels; first += most) {
            const chunk in = {sample, moco_min_i64(whole, last - sample), first, moco_min_i64(most, pixels - first)};
            add_chunk(work, &in, begin, end, packed_x, packed_dy, dweight);
        }
    }
}

static void add_parts(void *argument, int64_t begin, int64_t end) {
    const pointwise_work *work = (const pointwise_work *) argument;
    const int64_t elements = work->desc->out_c * work->desc->c;
    for (int64_t part = 0; part < work->parts; ++part) {
        const float *partial = work->partial + part * elements;
        if (part == 0 && !work->accumulate) {
            memcpy(work->dweight + begin, partial + begin, (size_t) (end - begin) * sizeof *partial);
            continue;
        }
        for (int64_t i = begin; i < end; ++i) work->dweight[i] += partial[i];
    }
}

void moco_pointwise_gradient(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    moco_context *context = backend->host.context;
    pointwise_work work = {
        .x = (const char *) moco_host_address(&args->inputs[MOCO_INPUT]),
        .dy = (const char *) moco_host_address(&args->dy),
        .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
        .packed = (float *) moco_host_address(&args->scratch),
        .accumulate = args->accumulate,
    };
    plan_work(&work, backend, desc);
    work.partial = work.parts == 1 ? work.dweight : work.packed + context->threads * work.thread_floats;
    moco_parallel_for_static(context, work.parts * work.groups, run_part, &work);
    if (work.parts > 1) moco_parallel_range(context, desc->out_c * desc->c, 4096, add_parts, &work);
}
