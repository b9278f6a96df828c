/* The weight gradient of 1 x 1 convolutions: dW = dY X^T, summed over all pixels. With oneDNN it is taken where oneDNN's
 * own is slower than the other passes, which is in bfloat16 always, by far, and in float32 where it is large. A thread goes through the
 * pixels of some samples chunk by chunk, packed into its cache. Small gradients are summed in parts, each of some
 * samples; where the gradient is too large for that, threads share out the output channels instead, and each packs x
 * for itself. What is summed in what order depends on the shape alone.
 */
#include <string.h>

#include "backend/cpu/convolution/convolution_list.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

static int64_t words_per_chunk(const image_layer *desc) {
    const int64_t words = CPU_POINTWISE_CHUNK_BYTES / (desc->c * (int64_t) sizeof(float));
    return moco_min_i64(CPU_POINTWISE_MOST_WORDS, moco_max_i64(CPU_POINTWISE_LEAST_WORDS, words));
}

static int64_t gradient_bytes(const image_layer *desc) {
    return desc->out_c * desc->c * (int64_t) sizeof(float);
}

static int32_t supports(const cpu_backend *backend, const image_layer *desc) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    const int32_t onednn_is_slow = format->dtype == MOCO_DTYPE_BF16 || gradient_bytes(desc) > CPU_POINTWISE_PARTS_BYTES;
    return format->kernels->pack != NULL && (onednn_is_slow || backend->onednn == NULL) && desc->kernel == 1 &&
           desc->padding == 0 && desc->groups == 1 && desc->input_layout == format->layout &&
           desc->c % (format->kernels->outer_blocks * format->block) == 0;
}

typedef struct pointwise_work {
    const cpu_format *format;
    const image_layer *desc;
    int64_t parts;         /* of samples; each has a sum of its own */
    int64_t groups;        /* of output channels: tasks where there are fewer parts than threads */
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
    work->parts = moco_max_i64(1, moco_min_i64(CPU_POINTWISE_PARTS_BYTES / gradient_bytes(desc),
                                               moco_min_i64(CPU_POINTWISE_MOST_PARTS, desc->n)));
    work->groups =
        moco_min_i64(desc->out_c / work->format->block, moco_ceil_divide(backend->host.context->threads, work->parts));
    work->thread_floats = words_per_chunk(desc) * (desc->c + work->format->block);
}

static moco_status plan(cpu_backend *backend, const image_layer *desc, void **self, cpu_convolution_info *info) {
    pointwise_work work = {0};
    (void) self;
    plan_work(&work, backend, desc);
    const int64_t partial = work.parts == 1 ? 0 : work.parts * desc->out_c * desc->c;
    info->scratch_bytes = (uint64_t) (work.thread_floats * backend->host.context->threads + partial) * sizeof(float);
    return MOCO_OK;
}

/* Output pixels [first, first + count) of each of `samples` samples. */
typedef struct chunk {
    int64_t sample, samples, first, count;
} chunk;

/* Packs block `b` of a tensor's `blocks`. */
static void pack_chunk(const pointwise_work *work, const chunk *in, const char *tensor, int64_t b, int64_t blocks,
                       int64_t h, int64_t w, int64_t stride, float *packed) {
    const blocked_kernels *kernels = work->format->kernels;
    const int64_t block = work->format->block, run = h * w * block * kernels->element_bytes;
    const int64_t words = moco_ceil_divide(in->count, kernels->pixels_per_word);
    for (int64_t s = 0; s < in->samples; ++s) {
        kernels->pack(tensor + ((in->sample + s) * blocks + b) * run, in->first, in->count, work->desc->out_w, w,
                      stride, packed + s * words * block);
    }
}

/* One chunk into the rows of blocks [begin, end) of dW. */
static void add_chunk(const pointwise_work *work, const chunk *in, int64_t begin, int64_t end, float *packed_x,
                      float *packed_dy, float *dweight) {
    const image_layer *desc = work->desc;
    const blocked_kernels *kernels = work->format->kernels;
    const int64_t block = work->format->block, in_blocks = desc->c / block, out_blocks = desc->out_c / block;
    const int64_t words = in->samples * moco_ceil_divide(in->count, kernels->pixels_per_word);
    for (int64_t b = 0; b < in_blocks; ++b) {
        pack_chunk(work, in, work->x, b, in_blocks, desc->h, desc->w, desc->stride, packed_x + b * words * block);
    }
    for (int64_t b = begin; b < end; ++b) {
        pack_chunk(work, in, work->dy, b, out_blocks, desc->out_h, desc->out_w, 1, packed_dy);
        for (int64_t column = 0; column < in_blocks; column += kernels->outer_blocks) {
            for (int64_t lane = 0; lane < block; lane += kernels->outer_rows) {
                kernels->outer_products(packed_dy, lane, packed_x + column * words * block, words * block, words,
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
    const int64_t per_word = work->format->kernels->pixels_per_word;
    const int64_t most = words_per_chunk(desc) * per_word;
    const int64_t whole = moco_max_i64(1, words_per_chunk(desc) / moco_ceil_divide(pixels, per_word));
    float *packed_x = work->packed + worker * work->thread_floats;
    float *packed_dy = packed_x + words_per_chunk(desc) * desc->c;
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

static moco_status run(cpu_backend *backend, const image_layer *desc, void *self, const moco_layer_args *args) {
    (void) self;
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
    return MOCO_OK;
}

const cpu_convolution moco_pointwise_weight_gradient = {
    .name = "pointwise",
    .blocked = 1,
    .supports = supports,
    .plan = plan,
    .run = run,
};
