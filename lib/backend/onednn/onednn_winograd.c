/* 3 x 3 convolutions by Winograd's algorithm (winograd_kernels.h). Tiles are taken block by block, so that all that
 * belongs to a block stays in a thread's cache from one step to the next, and a thread transforms itself what it
 * multiplies: cores that share no cache would pay dearly for each other's. Forward and the gradient of the input are
 * the same convolution, the latter with the filters turned. No sum depends on the number of threads.
 */
#include <string.h>

#include "backend/onednn/onednn_backend.h"
#include "backend/onednn/winograd_kernels.h"
#include "core/checked.h"

/* What a block of tiles may take of a usual second-level cache of 1 MiB, if that leaves enough of them to be worth
 * going through all of U; and a block of units for the weight gradient, likewise through dU. */
#define BLOCK_BYTES ((int64_t) 640 << 10)
#define UNITS_BYTES ((int64_t) 768 << 10)
#define LEAST_TILES 48
#define LEAST_UNITS 64

/* What all parts of dU may take, so that adding them up costs little. */
#define PARTS_BYTES ((int64_t) 4 << 20)
#define MOST_PARTS  16

enum { LANES = WINOGRAD_LANES, TILES = WINOGRAD_TILES, CHANNELS = WINOGRAD_CHANNELS };

/* Keeps the elements of a tile, else powers of two apart, from meeting in one set of the cache. */
enum { STAGGER = 16 };

/* With fewer channels, transforming the tiles costs more than the multiplications saved; with few pixels, transforming
 * the weights does. Constant weights are oneDNN's, which keeps its copy of them. */
int32_t onednn_winograd_takes(const onednn_backend *backend, const moco_layer_desc *desc) {
    const onednn_format *format = onednn_format_of(backend, desc);
    return format->winograd != NULL && desc->input_layout == format->layout && !desc->constant_weights &&
           !desc->direct_convolution && desc->kernel == 3 && desc->stride == 1 && desc->padding == 1 &&
           desc->groups == 1 && desc->c % CHANNELS == 0 && desc->out_c % CHANNELS == 0 &&
           desc->n * desc->h * desc->w >= format->winograd->least_pixels * desc->c;
}

static int64_t round_up(int64_t value, int64_t multiple) {
    return moco_ceil_divide(value, multiple) * multiple;
}

typedef struct tiling {
    int64_t h, w, rows, columns; /* rows x columns tiles a sample */
} tiling;

static tiling tiling_of(const moco_layer_desc *desc, int64_t tile) {
    const tiling result = {desc->h, desc->w, moco_ceil_divide(desc->h, tile), moco_ceil_divide(desc->w, tile)};
    return result;
}

/* Tiles of one row, from number `tile` of all samples' on, at most up to `end`. */
static winograd_run run_at(const tiling *in, int64_t tile, int64_t end, int64_t *sample) {
    const int64_t row = tile / in->columns, first = tile % in->columns;
    const winograd_run run = {in->h, in->w, row % in->rows, first, moco_min_i64(in->columns - first, end - tile)};
    *sample = row / in->rows;
    return run;
}

/* --- Forward, and the gradient of the input --- */

typedef struct block_work {
    const winograd_kernels *kernels;
    int64_t element_bytes; /* of activations */
    tiling tiling;
    int64_t c, out_c;
    int64_t tiles, blocks;
    int64_t next_element; /* of V */
    const char *x;
    char *y;
    const float *weights;
    int64_t next_lane, next_channel; /* of the weights */
    int32_t turned;
    int32_t accumulate; /* 1: y is added to */
    uint32_t *u;
    char *thread_memory;
    int64_t thread_bytes;
} block_work;

static uint64_t u_bytes(const winograd_kernels *kernels, const moco_layer_desc *desc) {
    return (uint64_t) (kernels->elements * desc->c * desc->out_c / kernels->per_step) * sizeof(uint32_t);
}

static void plan_blocks(block_work *work, const onednn_backend *backend, const moco_layer_desc *desc, int64_t c,
                        int64_t out_c) {
    const onednn_format *format = onednn_format_of(backend, desc);
    const winograd_kernels *kernels = format->winograd;
    const int64_t steps = c / kernels->per_step;
    const int64_t tile_bytes = kernels->elements * (steps + CHANNELS) * (int64_t) sizeof(uint32_t);
    work->kernels = kernels;
    work->element_bytes = format->kernels->element_bytes;
    work->tiling = tiling_of(desc, kernels->tile);
    work->tiles = desc->n * work->tiling.rows * work->tiling.columns;
    work->c = c;
    work->out_c = out_c;
    const int64_t most = moco_max_i64(LEAST_TILES, BLOCK_BYTES / tile_bytes);
    const int64_t groups = moco_ceil_divide(work->tiles, TILES);
    work->blocks = moco_min_i64(groups, round_up(moco_ceil_divide(work->tiles, most), backend->host.context->threads));
    const int64_t per_block = moco_ceil_divide(groups, work->blocks) * TILES;
    work->next_element = per_block * steps + STAGGER;
    work->thread_bytes = kernels->elements * (work->next_element + per_block * CHANNELS) * (int64_t) sizeof(uint32_t);
}

/* One task: 64 lanes of U for all channels. U is [element][lanes / 64][units of channels][64 lanes]. */
static void transform_weights(void *argument, int64_t chunk, int32_t worker) {
    (void) worker;
    const block_work *work = (const block_work *) argument;
    const int64_t per_step = work->kernels->per_step;
    const int64_t chunk_size = work->c / per_step * CHANNELS;
    const int64_t chunks = work->out_c / CHANNELS;
    for (int64_t lane = 0; lane < CHANNELS; lane += LANES) {
        for (int64_t channel = 0; channel < work->c; channel += LANES) {
            work->kernels->transform_weights(
                work->weights + (chunk * CHANNELS + lane) * work->next_lane + channel * work->next_channel,
                work->next_lane, work->next_channel, work->turned,
                work->u + chunk * chunk_size + channel / per_step * CHANNELS + lane, chunks * chunk_size, CHANNELS);
        }
    }
}

static void transform_block(const block_work *work, int64_t first, int64_t end, uint32_t *v) {
    const winograd_kernels *kernels = work->kernels;
    const int64_t blocks = work->c / LANES, steps = work->c / kernels->per_step;
    const int64_t plane = work->tiling.h * work->tiling.w * LANES * work->element_bytes;
    for (int64_t tile = first; tile < end;) {
        int64_t sample;
        const winograd_run run = run_at(&work->tiling, tile, end, &sample);
        for (int64_t block = 0; block < blocks; block += kernels->per_step) {
            const char *x = work->x + (sample * blocks + block) * plane;
            const winograd_planes planes = {{x, kernels->per_step == 2 ? x + plane : NULL}};
            kernels->transform_pixels(&planes, &run, v + (tile - first) * steps + block / kernels->per_step * LANES,
                                      work->next_element, steps);
        }
        tile += run.count;
    }
    /* products() takes whole groups of tiles. */
    const int64_t rest = round_up(end - first, TILES) - (end - first);
    for (int64_t e = 0; e < kernels->elements; ++e) {
        memset(v + e * work->next_element + (end - first) * steps, 0, (size_t) (rest * steps) * sizeof *v);
    }
}

static void transform_results(const block_work *work, int64_t first, int64_t end, int64_t chunk, const float *m) {
    const int64_t blocks = work->out_c / LANES, next_tile = work->kernels->elements * CHANNELS;
    const int64_t plane = work->tiling.h * work->tiling.w * LANES * work->element_bytes;
    for (int64_t tile = first; tile < end;) {
        int64_t sample;
        const winograd_run run = run_at(&work->tiling, tile, end, &sample);
        for (int64_t block = 0; block < CHANNELS / LANES; ++block) {
            char *y = work->y + (sample * blocks + chunk * CHANNELS / LANES + block) * plane;
            work->kernels->transform_products(m + (tile - first) * next_tile + block * LANES, CHANNELS, next_tile, &run,
                                              work->accumulate, y);
        }
        tile += run.count;
    }
}

static void run_block(void *argument, int64_t index, int32_t worker) {
    const block_work *work = (const block_work *) argument;
    const int64_t groups = moco_ceil_divide(work->tiles, TILES);
    const int64_t first = index * groups / work->blocks * TILES;
    const int64_t end = moco_min_i64(work->tiles, (index + 1) * groups / work->blocks * TILES);
    const int64_t elements = work->kernels->elements, steps = work->c / work->kernels->per_step;
    const int64_t chunks = work->out_c / CHANNELS;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    float *m = (float *) (void *) (v + elements * work->next_element);
    transform_block(work, first, end, v);
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (int64_t e = 0; e < elements; ++e) {
            const uint32_t *u = work->u + (e * chunks + chunk) * steps * CHANNELS;
            for (int64_t tile = 0; tile < end - first; tile += TILES) {
                work->kernels->products(v + e * work->next_element + tile * steps, steps, u, steps,
                                        m + (tile * elements + e) * CHANNELS, elements * CHANNELS);
            }
        }
        transform_results(work, first, end, chunk, m);
    }
}

static void run_blocks(const onednn_backend *backend, block_work *work, const moco_layer_desc *desc,
                       const moco_layer_args *args) {
    moco_context *context = backend->host.context;
    char *scratch = (char *) moco_host_address(&args->scratch);
    work->u = (uint32_t *) (void *) scratch;
    work->thread_memory = scratch + u_bytes(work->kernels, desc);
    moco_parallel_for_static(context, work->out_c / CHANNELS, transform_weights, work);
    moco_parallel_for_static(context, work->blocks, run_block, work);
}

void onednn_winograd_forward(const onednn_backend *backend, const moco_layer_desc *desc, const moco_layer_args *args) {
    block_work work = {
        .x = (const char *) moco_host_address(&args->x),
        .y = (char *) moco_host_address(&args->y),
        .weights = (const float *) moco_host_address(&args->weight),
        .next_lane = desc->c * 9,
        .next_channel = 9,
    };
    plan_blocks(&work, backend, desc, desc->c, desc->out_c);
    run_blocks(backend, &work, desc, args);
}

void onednn_winograd_input_gradient(const onednn_backend *backend, const moco_layer_desc *desc,
                                    const moco_layer_args *args) {
    block_work work = {
        .x = (const char *) moco_host_address(&args->dy),
        .y = (char *) moco_host_address(&args->dx),
        .weights = (const float *) moco_host_address(&args->weight),
        .next_lane = 9,
        .next_channel = desc->c * 9,
        .turned = 1,
        .accumulate = args->accumulate_dx,
    };
    plan_blocks(&work, backend, desc, desc->out_c, desc->c);
    run_blocks(backend, &work, desc, args);
}

/* --- The gradient of the weights --- */

typedef struct gradient_work {
    const moco_layer_desc *desc;
    const winograd_kernels *kernels;
    const blocked_kernels *blocked;
    tiling tiling;
    int64_t units;          /* the same tile of `per_step` samples */
    int64_t parts;          /* of the units; each has a sum of its own, dU */
    int64_t groups;         /* of output channels */
    int64_t per_block;      /* units that are transformed at once */
    int64_t next_v, next_w; /* elements of V and of A dY A' */
    int64_t thread_bytes;   /* V and A dY A': [element][channels / 16][units of the block][16 channels] */
    const char *x, *dy;
    char *thread_memory;
    float *du; /* [part][element][out_c][c] */
    float *dweight;
    int32_t accumulate;
} gradient_work;

static int64_t du_elements(const gradient_work *work) {
    return work->kernels->elements * work->desc->c * work->desc->out_c;
}

/* Parts depend on the shape only, for they decide which sums are rounded; groups make up for too few of them, at the
 * price of transforming x once for each. */
static void plan_gradient(gradient_work *work, const onednn_backend *backend, const moco_layer_desc *desc) {
    const winograd_kernels *kernels = onednn_format_of(backend, desc)->winograd;
    const int64_t blocks = desc->out_c / LANES;
    work->desc = desc;
    work->kernels = kernels;
    work->blocked = onednn_format_of(backend, desc)->kernels;
    work->tiling = tiling_of(desc, kernels->tile);
    work->units = moco_ceil_divide(desc->n, kernels->per_step) * work->tiling.rows * work->tiling.columns;
    const int64_t du_bytes = du_elements(work) * (int64_t) sizeof(float);
    const int64_t most = moco_min_i64(MOST_PARTS, work->units);
    work->parts = 1; /* a power of two, as the number of threads is mostly */
    while (2 * work->parts <= most && 2 * work->parts * du_bytes <= PARTS_BYTES) work->parts *= 2;
    work->groups = moco_min_i64(blocks, moco_ceil_divide(backend->host.context->threads, work->parts));
    const int64_t group = moco_ceil_divide(blocks, work->groups) * LANES;
    const int64_t unit_bytes = kernels->elements * (desc->c + group) * (int64_t) sizeof(uint32_t);
    work->per_block =
        moco_min_i64(moco_ceil_divide(work->units, work->parts), moco_max_i64(LEAST_UNITS, UNITS_BYTES / unit_bytes));
    work->next_v = desc->c * work->per_block + STAGGER;
    work->next_w = group * work->per_block + STAGGER;
    work->thread_bytes = kernels->elements * (work->next_v + work->next_w) * (int64_t) sizeof(uint32_t);
}

typedef void (*tile_transform)(const winograd_planes *planes, const winograd_run *run, uint32_t *to,
                               int64_t next_element);

/* Units [first, end) of `count` blocks of 16 channels, from block `block` of `blocks` on. */
static void transform_units(const gradient_work *work, const char *images, int64_t block, int64_t count, int64_t blocks,
                            int64_t first, int64_t end, tile_transform transform, uint32_t *to, int64_t next_element) {
    const int64_t plane = work->tiling.h * work->tiling.w * LANES * work->blocked->element_bytes;
    const int64_t per_step = work->kernels->per_step;
    for (int64_t tile = first; tile < end;) {
        int64_t unit;
        const winograd_run run = run_at(&work->tiling, tile, end, &unit);
        const int64_t sample = unit * per_step;
        const int32_t has_second = per_step == 2 && sample + 1 < work->desc->n;
        for (int64_t b = 0; b < count; ++b) {
            const char *one = images + (sample * blocks + block + b) * plane;
            const winograd_planes planes = {{one, has_second ? one + blocks * plane : NULL}};
            transform(&planes, &run, to + (b * work->per_block + tile - first) * LANES, next_element);
        }
        tile += run.count;
    }
}

/* dU of `count` blocks of output channels += the products of `units` transformed units. */
static void add_products(const gradient_work *work, const uint32_t *v, const uint32_t *w, int64_t count, int64_t units,
                         int32_t first, float *du) {
    const int64_t c = work->desc->c, next_block = work->per_block * LANES;
    for (int64_t e = 0; e < work->kernels->elements; ++e, du += work->desc->out_c * c) {
        const float *from_v = (const float *) (const void *) (v + e * work->next_v);
        const float *from_w = (const float *) (const void *) (w + e * work->next_w);
        for (int64_t row = 0; row < count * LANES; row += PRODUCT_ROWS) {
            float *to = du + row * c;
            if (first) memset(to, 0, (size_t) (PRODUCT_ROWS * c) * sizeof *to);
            for (int64_t column = 0; column < c; column += PRODUCT_BLOCKS * LANES) {
                work->blocked->outer_products(from_w + row / LANES * next_block, row % LANES,
                                              from_v + column / LANES * next_block, next_block, units, to + column, c);
            }
        }
    }
}

/* One task: a part of the units for a group of output channels. */
static void run_part(void *argument, int64_t task, int32_t worker) {
    const gradient_work *work = (const gradient_work *) argument;
    const moco_layer_desc *desc = work->desc;
    const int64_t part = task / work->groups, group = task % work->groups;
    const int64_t in_blocks = desc->c / LANES, out_blocks = desc->out_c / LANES;
    const int64_t block = group * out_blocks / work->groups;
    const int64_t count = (group + 1) * out_blocks / work->groups - block;
    const int64_t begin = part * work->units / work->parts, end = (part + 1) * work->units / work->parts;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    uint32_t *w = v + work->kernels->elements * work->next_v;
    float *du = work->du + part * du_elements(work) + block * LANES * desc->c;
    for (int64_t first = begin; first < end; first += work->per_block) {
        const int64_t last = moco_min_i64(end, first + work->per_block);
        transform_units(work, work->x, 0, in_blocks, in_blocks, first, last, work->kernels->pair_pixels, v,
                        work->next_v);
        transform_units(work, work->dy, block, count, out_blocks, first, last, work->kernels->pair_gradients, w,
                        work->next_w);
        add_products(work, v, w, count, last - first, first == begin, du);
    }
}

static void transform_filters(void *argument, int64_t out, int32_t worker) {
    (void) worker;
    const gradient_work *work = (const gradient_work *) argument;
    const int64_t c = work->desc->c;
    for (int64_t channel = 0; channel < c; channel += LANES) {
        work->kernels->weight_gradient(work->du + out * c + channel, work->desc->out_c * c, work->parts,
                                       du_elements(work), work->accumulate, work->dweight + (out * c + channel) * 9);
    }
}

void onednn_winograd_weight_gradient(const onednn_backend *backend, const moco_layer_desc *desc,
                                     const moco_layer_args *args) {
    moco_context *context = backend->host.context;
    gradient_work work = {
        .x = (const char *) moco_host_address(&args->x),
        .dy = (const char *) moco_host_address(&args->dy),
        .thread_memory = (char *) moco_host_address(&args->scratch),
        .dweight = (float *) moco_host_address(&args->dweight),
        .accumulate = args->accumulate,
    };
    plan_gradient(&work, backend, desc);
    work.du = (float *) (void *) (work.thread_memory + context->threads * work.thread_bytes);
    moco_parallel_for_static(context, work.parts * work.groups, run_part, &work);
    moco_parallel_for_static(context, desc->out_c, transform_filters, &work);
}

/* --- Working memory: that of the pass that needs most --- */

static uint64_t block_scratch(const onednn_backend *backend, const moco_layer_desc *desc, int64_t c, int64_t out_c) {
    block_work work = {0};
    plan_blocks(&work, backend, desc, c, out_c);
    return u_bytes(work.kernels, desc) + (uint64_t) (work.thread_bytes * backend->host.context->threads);
}

static uint64_t gradient_scratch(const onednn_backend *backend, const moco_layer_desc *desc) {
    gradient_work work = {0};
    plan_gradient(&work, backend, desc);
    return (uint64_t) (backend->host.context->threads * work.thread_bytes) +
           (uint64_t) (work.parts * du_elements(&work)) * sizeof(float);
}

uint64_t onednn_winograd_scratch(const onednn_backend *backend, const moco_layer_desc *desc) {
    const uint64_t forward = block_scratch(backend, desc, desc->c, desc->out_c);
    if (!desc->training) return forward;
    const uint64_t input_gradient = block_scratch(backend, desc, desc->out_c, desc->c);
    const uint64_t weight_gradient = gradient_scratch(backend, desc);
    const uint64_t more = input_gradient > weight_gradient ? input_gradient : weight_gradient;
    return forward > more ? forward : more;
}
