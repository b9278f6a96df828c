/* The weight gradient of 1 x 1 convolutions in bfloat16, which oneDNN computes much slower than the other passes: dW =
 * dY X^T, summed over all pixels. A thread owns some output channels and goes through the pixels chunk by chunk, packed
 * into its cache, so that the gradient needs no copy per thread and has the same bits for any number of threads; it
 * goes straight to the caller's plain weights.
 */
#include <string.h>

#include "backend/onednn/onednn_backend.h"
#include "core/checked.h"

enum { ROWS = 8, COLUMN_BLOCKS = 2 };

/* Packed pixels of all input channels should take about so much: half of a usual second-level cache. */
#define CHUNK_BYTES ((int64_t) 512 << 10)

static int64_t steps_per_chunk(const moco_layer_desc *desc) {
    const int64_t steps = CHUNK_BYTES / (desc->c * (int64_t) sizeof(float));
    return moco_min_i64(256, moco_max_i64(32, steps));
}

int32_t onednn_pointwise_takes(const onednn_backend *backend, const moco_layer_desc *desc) {
    const onednn_format *format = onednn_format_of(backend, desc);
    return format->kernels->pack != NULL && desc->kernel == 1 && desc->padding == 0 && desc->groups == 1 &&
           desc->input_layout == format->layout && desc->c % (COLUMN_BLOCKS * format->block) == 0 &&
           desc->out_c / format->block >= backend->host.context->threads;
}

/* Floats of one thread: a chunk of x, and of one block of dy. */
static int64_t thread_floats(const moco_layer_desc *desc, int64_t block) {
    return steps_per_chunk(desc) * (desc->c + block);
}

uint64_t onednn_pointwise_scratch(const onednn_backend *backend, const moco_layer_desc *desc) {
    const int64_t floats = thread_floats(desc, onednn_format_of(backend, desc)->block);
    return (uint64_t) (floats * backend->host.context->threads) * sizeof(float);
}

typedef struct pointwise_work {
    const onednn_format *format;
    const moco_layer_desc *desc;
    const char *x, *dy;
    float *dweight, *scratch;
    int64_t threads;
} pointwise_work;

/* One chunk: output pixels [first, first + count) of a sample, into the rows of blocks [begin, end) of dW. */
static void add_chunk(const pointwise_work *work, int64_t sample, int64_t first, int64_t count, int64_t begin,
                      int64_t end, float *packed_x, float *packed_dy) {
    const moco_layer_desc *desc = work->desc;
    const blocked_kernels *kernels = work->format->kernels;
    const int64_t block = work->format->block, pixel = block * kernels->element_bytes;
    const int64_t steps = (count + kernels->pixels_per_step - 1) / kernels->pixels_per_step;
    const int64_t in_blocks = desc->c / block, out_blocks = desc->out_c / block;
    for (int64_t b = 0; b < in_blocks; ++b) {
        const char *run = work->x + (sample * in_blocks + b) * desc->h * desc->w * pixel;
        kernels->pack(run, first, count, desc->out_w, desc->w, desc->stride, packed_x + b * steps * block);
    }
    for (int64_t b = begin; b < end; ++b) {
        const char *run = work->dy + (sample * out_blocks + b) * desc->out_h * desc->out_w * pixel;
        kernels->pack(run, first, count, desc->out_w, desc->out_w, 1, packed_dy);
        for (int64_t column = 0; column < in_blocks; column += COLUMN_BLOCKS) {
            for (int64_t lane = 0; lane < block; lane += ROWS) {
                kernels->outer_products(packed_dy, lane, packed_x + column * steps * block, steps * block, steps,
                                        work->dweight + (b * block + lane) * desc->c + column * block, desc->c);
            }
        }
    }
}

static void run_thread(void *argument, int64_t thread, int32_t worker) {
    (void) worker;
    const pointwise_work *work = (const pointwise_work *) argument;
    const moco_layer_desc *desc = work->desc;
    const int64_t out_blocks = desc->out_c / work->format->block, pixels = desc->out_h * desc->out_w;
    const int64_t begin = thread * out_blocks / work->threads, end = (thread + 1) * out_blocks / work->threads;
    const int64_t chunk = steps_per_chunk(desc) * work->format->kernels->pixels_per_step;
    float *packed_x = work->scratch + thread * thread_floats(desc, work->format->block);
    float *packed_dy = packed_x + steps_per_chunk(desc) * desc->c;
    for (int64_t sample = 0; sample < desc->n; ++sample) {
        for (int64_t first = 0; first < pixels; first += chunk) {
            add_chunk(work, sample, first, moco_min_i64(chunk, pixels - first), begin, end, packed_x, packed_dy);
        }
    }
}

void onednn_pointwise_gradient(const onednn_backend *backend, const moco_layer_desc *desc,
                               const moco_layer_args *args) {
    pointwise_work work = {
        .format = onednn_format_of(backend, desc),
        .desc = desc,
        .x = (const char *) moco_host_address(&args->x),
        .dy = (const char *) moco_host_address(&args->dy),
        .dweight = (float *) moco_host_address(&args->dweight),
        .scratch = (float *) moco_host_address(&args->scratch),
        .threads = backend->host.context->threads,
    };
    if (!args->accumulate) memset(work.dweight, 0, (size_t) (desc->out_c * desc->c) * sizeof(float));
    moco_parallel_for(backend->host.context, work.threads, run_thread, &work);
}
