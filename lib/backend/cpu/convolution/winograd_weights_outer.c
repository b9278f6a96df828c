/* Winograd's convolutions with so many channels for so few pixels that the transformed weights, U and dU, would be the
 * largest thing by far (at 512 channels of 7 x 7 in float32 38 MB, the weights four times over). Here a task transforms
 * all tiles, or a block of them, first; then it makes U of 64 channels of the result by 64 others in its thread's
 * cache, multiplies and forgets it. Tasks that share a block of tiles transform it each for itself: cores that share no
 * cache would pay dearly for each other's. No sum depends on the number of threads.
 */
#include <string.h>

#include "backend/cpu/convolution/winograd_tiles.h"
#include "backend/cpu/convolution/winograd_weights_outer.h"
#include "core/checked.h"

/* What the products of a block of tiles with 64 channels may take: with U of 64 by 64 channels, 600 KiB in float32,
 * about a usual second-level cache. */
#define PRODUCTS_BYTES ((int64_t) 320 << 10)

/* Units of tiles that are transformed at once for the weight gradient: bounds V and A dY A'. */
#define MOST_UNITS 96

/* --- Forward, and the gradient of the input --- */

typedef struct wide_work {
    winograd_images x, y;
    int64_t groups; /* of 64 channels of x, whose U is made at once */
    int64_t steps;  /* in a group: units of channels */
    int64_t chunks; /* of 64 channels of y */
    int64_t tiles, per_block, blocks;
    int64_t shares; /* of the chunks: a task is a block of tiles and a share */
    winograd_filters filters;
    int32_t accumulate;
    char *thread_memory; /* V: [group][element][tile][steps], U: [element][steps][64], and the products */
    int64_t next_v, next_u;
    int64_t thread_bytes;
} wide_work;

/* So many shares that the busiest thread has least to do; of those the fewest, since each transforms its tiles. */
static int64_t best_shares(int64_t blocks, int64_t chunks, int64_t threads) {
    int64_t best = 1, least = INT64_MAX;
    for (int64_t shares = 1; shares <= moco_min_i64(chunks, threads); ++shares) {
        const int64_t busiest = moco_ceil_divide(blocks * shares, threads) * moco_ceil_divide(chunks, shares);
        if (busiest < least) {
            best = shares;
            least = busiest;
        }
    }
    return best;
}

static void plan_work(wide_work *work, const cpu_backend *backend, const image_layer *desc, int64_t c,
                      const moco_tensor *x, int64_t out_c, const moco_tensor *y) {
    work->x = moco_winograd_images_of(backend, desc, c, x);
    work->y = moco_winograd_images_of(backend, desc, out_c, y);
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t product_bytes = kernels->elements * CHANNELS * (int64_t) sizeof(float);
    work->groups = c / CHANNELS;
    work->steps = CHANNELS / kernels->per_step;
    work->chunks = out_c / CHANNELS;
    work->tiles = desc->n * work->x.rows * work->x.columns;
    const int64_t blocks = moco_ceil_divide(work->tiles, PRODUCTS_BYTES / product_bytes);
    work->per_block = moco_ceil_divide(moco_ceil_divide(work->tiles, blocks), (int64_t) TILES) * TILES;
    work->blocks = moco_ceil_divide(work->tiles, work->per_block);
    work->shares = best_shares(work->blocks, work->chunks, backend->host.context->threads);
    work->next_v = work->per_block * work->steps + WINOGRAD_STAGGER;
    work->next_u = work->steps * CHANNELS + WINOGRAD_STAGGER;
    work->thread_bytes = kernels->elements * (work->groups * work->next_v + work->next_u + work->per_block * CHANNELS) *
                         (int64_t) sizeof(uint32_t);
}

static void transform_weights(const wide_work *work, int64_t chunk, int64_t group, uint32_t *u) {
    winograd_filters filters = work->filters;
    filters.g += chunk * CHANNELS * filters.next_lane + group * CHANNELS * filters.next_channel;
    moco_winograd_transform_filters(work->x.kernels, &filters, CHANNELS, u, work->next_u);
}

/* 64 channels of tiles [first, end), whose V is given. */
static void run_chunk(const wide_work *work, int64_t chunk, int64_t first, int64_t end, const uint32_t *v, uint32_t *u,
                      float *m) {
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t elements = kernels->elements;
    for (int64_t group = 0; group < work->groups; ++group, v += elements * work->next_v) {
        transform_weights(work, chunk, group, u);
        for (int64_t e = 0; e < elements; ++e) {
            for (int64_t tile = 0; tile < end - first; tile += TILES) {
                kernels->products(v + e * work->next_v + tile * work->steps, work->steps, u + e * work->next_u,
                                  work->steps, group > 0, m + (tile * elements + e) * CHANNELS, elements * CHANNELS);
            }
        }
    }
    moco_winograd_store_results(&work->y, first, end, chunk, m, work->accumulate);
}

static void run_task(void *argument, int64_t task, int32_t worker) {
    const wide_work *work = (const wide_work *) argument;
    const int64_t block = task / work->shares, share = task % work->shares;
    const int64_t first = block * work->per_block, end = moco_min_i64(work->tiles, first + work->per_block);
    const int64_t elements = work->x.kernels->elements, blocks = CHANNELS / LANES;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    uint32_t *u = v + work->groups * elements * work->next_v;
    float *m = (float *) (void *) (u + elements * work->next_u);
    for (int64_t group = 0; group < work->groups; ++group) {
        moco_winograd_transform_tiles(&work->x, first, end, group * blocks, blocks, v + group * elements * work->next_v,
                                      work->next_v, work->steps);
    }
    const int64_t last = (share + 1) * work->chunks / work->shares;
    for (int64_t chunk = share * work->chunks / work->shares; chunk < last; ++chunk) {
        run_chunk(work, chunk, first, end, v, u, m);
    }
}

static void run_tasks(const cpu_backend *backend, wide_work *work, const moco_layer_args *args) {
    work->thread_memory = (char *) moco_host_address(&args->scratch);
    moco_parallel_for_static(backend->host.context, work->blocks * work->shares, run_task, work);
}

void moco_winograd_weights_outer_forward(const cpu_backend *backend, const image_layer *desc,
                                         const moco_layer_args *args) {
    wide_work work = {
        .filters = {(const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]), desc->c * 9, 9, 0},
    };
    plan_work(&work, backend, desc, desc->c, &args->inputs[MOCO_INPUT], desc->out_c, &args->y);
    run_tasks(backend, &work, args);
}

void moco_winograd_weights_outer_input_gradient(const cpu_backend *backend, const image_layer *desc,
                                                const moco_layer_args *args) {
    wide_work work = {
        .filters = {(const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]), 9, desc->c * 9, 1},
        .accumulate = (args->accumulate_inputs & 1 << MOCO_INPUT),
    };
    plan_work(&work, backend, desc, desc->out_c, &args->dy, desc->c, &args->d_inputs[MOCO_INPUT]);
    run_tasks(backend, &work, args);
}

/* --- The gradient of the weights: a task is a share of the output channels --- */

typedef struct wide_gradient {
    winograd_images x, dy;
    const blocked_kernels *blocked;
    int64_t c, out_c;
    int64_t units, per_block;
    int64_t shares;
    char *thread_memory; /* V and A dY A': [element][channels / 16][units][16], and dU: [element][64][64] */
    int64_t next_block, next_v, next_w, next_du;
    int64_t thread_bytes;
    float *dweight;
    int32_t accumulate;
} wide_gradient;

static void plan_gradient(wide_gradient *work, const cpu_backend *backend, const image_layer *desc,
                          const moco_tensor *x, const moco_tensor *dy) {
    work->x = moco_winograd_images_of(backend, desc, desc->c, x);
    work->dy = moco_winograd_images_of(backend, desc, desc->out_c, dy);
    work->blocked = moco_cpu_format_of(backend, desc)->kernels;
    work->c = desc->c;
    work->out_c = desc->out_c;
    work->units = moco_ceil_divide(desc->n, work->x.kernels->per_step) * work->x.rows * work->x.columns;
    work->per_block = moco_min_i64(work->units, MOST_UNITS);
    work->shares = moco_min_i64(desc->out_c / CHANNELS, backend->host.context->threads);
    work->next_block = work->per_block * LANES;
    work->next_v = work->x.blocks * work->next_block + WINOGRAD_STAGGER;
    work->next_w = CHANNELS / LANES * work->next_block + WINOGRAD_STAGGER;
    work->next_du = CHANNELS * CHANNELS + WINOGRAD_STAGGER;
    work->thread_bytes =
        work->x.kernels->elements * (work->next_v + work->next_w + work->next_du) * (int64_t) sizeof(uint32_t);
}

/* dU of one element. */
static void multiply_pairs(const wide_gradient *work, const uint32_t *v, const uint32_t *w, int64_t units, float *du) {
    const float *from_v = (const float *) (const void *) v, *from_w = (const float *) (const void *) w;
    memset(du, 0, (size_t) (CHANNELS * CHANNELS) * sizeof *du);
    for (int64_t row = 0; row < CHANNELS; row += PRODUCT_ROWS) {
        for (int64_t column = 0; column < CHANNELS; column += PRODUCT_BLOCKS * LANES) {
            work->blocked->outer_products(from_w + row / LANES * work->next_block, row % LANES,
                                          from_v + column / LANES * work->next_block, work->next_block, units,
                                          du + row * CHANNELS + column, CHANNELS);
        }
    }
}

/* 64 output channels by 64 input channels. */
static void run_square(const wide_gradient *work, int64_t out, int64_t channel, int32_t accumulate, const uint32_t *v,
                       const uint32_t *w, int64_t units, float *du) {
    const winograd_kernels *kernels = work->x.kernels;
    v += channel / LANES * work->next_block;
    for (int64_t e = 0; e < kernels->elements; ++e) {
        multiply_pairs(work, v + e * work->next_v, w + e * work->next_w, units, du + e * work->next_du);
    }
    for (int64_t row = 0; row < CHANNELS; ++row) {
        for (int64_t column = 0; column < CHANNELS; column += LANES) {
            kernels->weight_gradient(du + row * CHANNELS + column, work->next_du, 1, 0, accumulate,
                                     work->dweight + ((out + row) * work->c + channel + column) * 9);
        }
    }
}

static void run_share(void *argument, int64_t share, int32_t worker) {
    const wide_gradient *work = (const wide_gradient *) argument;
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t chunks = work->out_c / CHANNELS, last = (share + 1) * chunks / work->shares;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    uint32_t *w = v + kernels->elements * work->next_v;
    float *du = (float *) (void *) (w + kernels->elements * work->next_w);
    for (int64_t first = 0; first < work->units; first += work->per_block) {
        const int64_t end = moco_min_i64(work->units, first + work->per_block);
        const int32_t accumulate = work->accumulate || first > 0;
        moco_winograd_transform_units(&work->x, first, end, 0, work->x.blocks, kernels->pair_pixels, v, work->next_v,
                                      work->next_block);
        for (int64_t chunk = share * chunks / work->shares; chunk < last; ++chunk) {
            moco_winograd_transform_units(&work->dy, first, end, chunk * (CHANNELS / LANES), CHANNELS / LANES,
                                          kernels->pair_gradients, w, work->next_w, work->next_block);
            for (int64_t channel = 0; channel < work->c; channel += CHANNELS) {
                run_square(work, chunk * CHANNELS, channel, accumulate, v, w, end - first, du);
            }
        }
    }
}

void moco_winograd_weights_outer_weight_gradient(const cpu_backend *backend, const image_layer *desc,
                                                 const moco_layer_args *args) {
    wide_gradient work = {
        .thread_memory = (char *) moco_host_address(&args->scratch),
        .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
        .accumulate = args->accumulate,
    };
    plan_gradient(&work, backend, desc, &args->inputs[MOCO_INPUT], &args->dy);
    moco_parallel_for_static(backend->host.context, work.shares, run_share, &work);
}

/* --- Working memory --- */

uint64_t moco_winograd_weights_outer_scratch(const cpu_backend *backend, const image_layer *desc, int64_t c,
                                             int64_t out_c) {
    const moco_tensor none = moco_tensor_none();
    wide_work work = {0};
    plan_work(&work, backend, desc, c, &none, out_c, &none);
    return (uint64_t) (work.thread_bytes * moco_min_i64(backend->host.context->threads, work.blocks * work.shares));
}

uint64_t moco_winograd_weights_outer_gradient_scratch(const cpu_backend *backend, const image_layer *desc) {
    const moco_tensor none = moco_tensor_none();
    wide_gradient work = {0};
    plan_gradient(&work, backend, desc, &none, &none);
    return (uint64_t) (work.thread_bytes * work.shares);
}
