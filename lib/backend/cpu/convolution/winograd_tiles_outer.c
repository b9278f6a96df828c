/* 3 x 3 convolutions by Winograd's algorithm (winograd_kernels.h). Tiles are taken block by block, so that all that
 * belongs to a block stays in a thread's cache from one step to the next, and a thread transforms itself what it
 * multiplies: cores that share no cache would pay dearly for each other's. Forward and the gradient of the input are
 * the same convolution, the latter with the filters turned. No sum depends on the number of threads.
 */
#include <string.h>

#include "backend/cpu/convolution/winograd_tiles.h"
#include "backend/cpu/convolution/winograd_weights_outer.h"
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

/* Where the tiles take 4 / 5 of the multiplications or less: those of small images lie mostly outside of them. */
static int32_t is_worth_it(const winograd_kernels *kernels, const image_layer *desc) {
    const int64_t rows = moco_ceil_divide(desc->h, kernels->tile), columns = moco_ceil_divide(desc->w, kernels->tile);
    return 5 * kernels->elements * rows * columns <= 4 * (3 * desc->h - 2) * (3 * desc->w - 2);
}

static int32_t is_wide(const cpu_backend *backend, const image_layer *desc) {
    return desc->n * desc->h * desc->w < moco_cpu_format_of(backend, desc)->winograd->wide_pixels * desc->c;
}

/* With fewer channels, transforming the tiles costs more than the multiplications saved; with few pixels, transforming
 * the weights does. Constant weights are oneDNN's, which keeps its copy of them. */
int32_t moco_winograd_supports(const cpu_backend *backend, const image_layer *desc) {
    const cpu_format *format = moco_cpu_format_of(backend, desc);
    return format->winograd != NULL && desc->input_layout == format->layout && !desc->constant_weights &&
           !desc->direct_convolution && desc->kernel == 3 && desc->stride == 1 && desc->padding == 1 &&
           desc->groups == 1 && desc->c % CHANNELS == 0 && desc->out_c % CHANNELS == 0 &&
           desc->n * desc->h * desc->w >= desc->c && is_worth_it(format->winograd, desc);
}

static int64_t round_up(int64_t value, int64_t multiple) {
    return moco_ceil_divide(value, multiple) * multiple;
}

/* --- Forward, and the gradient of the input --- */

typedef struct block_work {
    winograd_images x, y;
    int64_t c, out_c;
    int64_t tiles, blocks;
    winograd_filters filters;
    int32_t accumulate; /* 1: y is added to */
    uint32_t *u;        /* [element][lanes / 64][units of channels][64 lanes] */
    char *thread_memory;
    int64_t next_u, next_v; /* elements of U and V */
    int64_t thread_bytes;
} block_work;

static uint64_t u_bytes(const block_work *work) {
    return (uint64_t) (work->x.kernels->elements * work->next_u) * sizeof(uint32_t);
}

static void plan_blocks(block_work *work, const cpu_backend *backend, const image_layer *desc, int64_t c,
                        const moco_tensor *x, int64_t out_c, const moco_tensor *y) {
    work->x = moco_winograd_images_of(backend, desc, c, x);
    work->y = moco_winograd_images_of(backend, desc, out_c, y);
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t steps = c / kernels->per_step;
    const int64_t tile_bytes = kernels->elements * (steps + CHANNELS) * (int64_t) sizeof(uint32_t);
    work->tiles = desc->n * work->x.rows * work->x.columns;
    work->c = c;
    work->out_c = out_c;
    const int64_t most = moco_max_i64(LEAST_TILES, BLOCK_BYTES / tile_bytes);
    const int64_t groups = moco_ceil_divide(work->tiles, TILES);
    work->blocks = moco_min_i64(groups, round_up(moco_ceil_divide(work->tiles, most), backend->host.context->threads));
    const int64_t per_block = moco_ceil_divide(groups, work->blocks) * TILES;
    work->next_u = steps * out_c + WINOGRAD_STAGGER;
    work->next_v = per_block * steps + WINOGRAD_STAGGER;
    work->thread_bytes = kernels->elements * (work->next_v + per_block * CHANNELS) * (int64_t) sizeof(uint32_t);
}

/* One task: 64 lanes of U for all channels. */
static void transform_weights(void *argument, int64_t chunk, int32_t worker) {
    (void) worker;
    const block_work *work = (const block_work *) argument;
    winograd_filters filters = work->filters;
    filters.g += chunk * CHANNELS * filters.next_lane;
    moco_winograd_transform_filters(work->x.kernels, &filters, work->c,
                                    work->u + chunk * work->c / work->x.kernels->per_step * CHANNELS, work->next_u);
}

static void run_block(void *argument, int64_t index, int32_t worker) {
    const block_work *work = (const block_work *) argument;
    const int64_t groups = moco_ceil_divide(work->tiles, TILES);
    const int64_t first = index * groups / work->blocks * TILES;
    const int64_t end = moco_min_i64(work->tiles, (index + 1) * groups / work->blocks * TILES);
    const int64_t elements = work->x.kernels->elements, steps = work->c / work->x.kernels->per_step;
    const int64_t chunks = work->out_c / CHANNELS;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    float *m = (float *) (void *) (v + elements * work->next_v);
    moco_winograd_transform_tiles(&work->x, first, end, 0, work->x.blocks, v, work->next_v, steps);
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (int64_t e = 0; e < elements; ++e) {
            const uint32_t *u = work->u + e * work->next_u + chunk * steps * CHANNELS;
            for (int64_t tile = 0; tile < end - first; tile += TILES) {
                work->x.kernels->products(v + e * work->next_v + tile * steps, steps, u, steps, 0,
                                          m + (tile * elements + e) * CHANNELS, elements * CHANNELS);
            }
        }
        moco_winograd_store_results(&work->y, first, end, chunk, m, work->accumulate);
    }
}

static void run_blocks(const cpu_backend *backend, block_work *work, const moco_layer_args *args) {
    moco_context *context = backend->host.context;
    char *scratch = (char *) moco_host_address(&args->scratch);
    work->u = (uint32_t *) (void *) scratch;
    work->thread_memory = scratch + u_bytes(work);
    moco_parallel_for_static(context, work->out_c / CHANNELS, transform_weights, work);
    moco_parallel_for_static(context, work->blocks, run_block, work);
}

void moco_winograd_forward(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    if (is_wide(backend, desc)) {
        moco_winograd_weights_outer_forward(backend, desc, args);
        return;
    }
    block_work work = {
        .filters = {(const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]), desc->c * 9, 9, 0},
    };
    plan_blocks(&work, backend, desc, desc->c, &args->inputs[MOCO_INPUT], desc->out_c, &args->y);
    run_blocks(backend, &work, args);
}

void moco_winograd_input_gradient(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    if (is_wide(backend, desc)) {
        moco_winograd_weights_outer_input_gradient(backend, desc, args);
        return;
    }
    block_work work = {
        .filters = {(const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]), 9, desc->c * 9, 1},
        .accumulate = (args->accumulate_inputs & 1 << MOCO_INPUT),
    };
    plan_blocks(&work, backend, desc, desc->out_c, &args->dy, desc->c, &args->d_inputs[MOCO_INPUT]);
    run_blocks(backend, &work, args);
}

/* --- The gradient of the weights --- */

typedef struct gradient_work {
    const image_layer *desc;
    winograd_images x, dy;
    const blocked_kernels *blocked;
    int64_t units;          /* the same tile of `per_step` samples */
    int64_t parts;          /* of the units; each has a sum of its own, dU */
    int64_t groups;         /* of output channels */
    int64_t per_block;      /* units that are transformed at once */
    int64_t next_v, next_w; /* elements of V and of A dY A' */
    int64_t thread_bytes;   /* V and A dY A': [element][channels / 16][units of the block][16 channels] */
    char *thread_memory;
    float *du; /* [part][element][out_c][c] */
    float *dweight;
    int32_t accumulate;
} gradient_work;

static int64_t du_elements(const gradient_work *work) {
    return work->x.kernels->elements * work->desc->c * work->desc->out_c;
}

/* Parts depend on the shape only, for they decide which sums are rounded; groups make up for too few of them, at the
 * price of transforming x once for each. */
static void plan_gradient(gradient_work *work, const cpu_backend *backend, const image_layer *desc,
                          const moco_tensor *x, const moco_tensor *dy) {
    const winograd_kernels *kernels = moco_cpu_format_of(backend, desc)->winograd;
    const int64_t blocks = desc->out_c / LANES;
    work->desc = desc;
    work->x = moco_winograd_images_of(backend, desc, desc->c, x);
    work->dy = moco_winograd_images_of(backend, desc, desc->out_c, dy);
    work->blocked = moco_cpu_format_of(backend, desc)->kernels;
    work->units = moco_ceil_divide(desc->n, kernels->per_step) * work->x.rows * work->x.columns;
    const int64_t du_bytes = du_elements(work) * (int64_t) sizeof(float);
    const int64_t most = moco_min_i64(MOST_PARTS, work->units);
    work->parts = 1; /* a power of two, as the number of threads is mostly */
    while (2 * work->parts <= most && 2 * work->parts * du_bytes <= PARTS_BYTES) work->parts *= 2;
    work->groups = moco_min_i64(blocks, moco_ceil_divide(backend->host.context->threads, work->parts));
    const int64_t group = moco_ceil_divide(blocks, work->groups) * LANES;
    const int64_t unit_bytes = kernels->elements * (desc->c + group) * (int64_t) sizeof(uint32_t);
    work->per_block =
        moco_min_i64(moco_ceil_divide(work->units, work->parts), moco_max_i64(LEAST_UNITS, UNITS_BYTES / unit_bytes));
    work->next_v = desc->c * work->per_block + WINOGRAD_STAGGER;
    work->next_w = group * work->per_block + WINOGRAD_STAGGER;
    work->thread_bytes = kernels->elements * (work->next_v + work->next_w) * (int64_t) sizeof(uint32_t);
}

/* dU of `count` blocks of output channels += the products of `units` transformed units. */
static void add_products(const gradient_work *work, const uint32_t *v, const uint32_t *w, int64_t count, int64_t units,
                         int32_t first, float *du) {
    const int64_t c = work->desc->c, next_block = work->per_block * LANES;
    for (int64_t e = 0; e < work->x.kernels->elements; ++e, du += work->desc->out_c * c) {
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
    const image_layer *desc = work->desc;
    const int64_t part = task / work->groups, group = task % work->groups;
    const int64_t in_blocks = desc->c / LANES, next_block = work->per_block * LANES, out_blocks = desc->out_c / LANES;
    const int64_t block = group * out_blocks / work->groups;
    const int64_t count = (group + 1) * out_blocks / work->groups - block;
    const int64_t begin = part * work->units / work->parts, end = (part + 1) * work->units / work->parts;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    uint32_t *w = v + work->x.kernels->elements * work->next_v;
    float *du = work->du + part * du_elements(work) + block * LANES * desc->c;
    for (int64_t first = begin; first < end; first += work->per_block) {
        const int64_t last = moco_min_i64(end, first + work->per_block);
        moco_winograd_transform_units(&work->x, first, last, 0, in_blocks, work->x.kernels->pair_pixels, v,
                                      work->next_v, next_block);
        moco_winograd_transform_units(&work->dy, first, last, block, count, work->x.kernels->pair_gradients, w,
                                      work->next_w, next_block);
        add_products(work, v, w, count, last - first, first == begin, du);
    }
}

static void transform_filters(void *argument, int64_t out, int32_t worker) {
    (void) worker;
    const gradient_work *work = (const gradient_work *) argument;
    const int64_t c = work->desc->c;
    for (int64_t channel = 0; channel < c; channel += LANES) {
        work->x.kernels->weight_gradient(work->du + out * c + channel, work->desc->out_c * c, work->parts,
                                         du_elements(work), work->accumulate, work->dweight + (out * c + channel) * 9);
    }
}

void moco_winograd_weight_gradient(const cpu_backend *backend, const image_layer *desc, const moco_layer_args *args) {
    if (is_wide(backend, desc)) {
        moco_winograd_weights_outer_weight_gradient(backend, desc, args);
        return;
    }
    moco_context *context = backend->host.context;
    gradient_work work = {
        .thread_memory = (char *) moco_host_address(&args->scratch),
        .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
        .accumulate = args->accumulate,
    };
    plan_gradient(&work, backend, desc, &args->inputs[MOCO_INPUT], &args->dy);
    work.du = (float *) (void *) (work.thread_memory + context->threads * work.thread_bytes);
    moco_parallel_for_static(context, work.parts * work.groups, run_part, &work);
    moco_parallel_for_static(context, desc->out_c, transform_filters, &work);
}

/* --- Working memory: that of the pass that needs most --- */

static uint64_t block_scratch(const cpu_backend *backend, const image_layer *desc, int64_t c, int64_t out_c) {
    if (is_wide(backend, desc)) return moco_winograd_weights_outer_scratch(backend, desc, c, out_c);
    const moco_tensor none = moco_tensor_none();
    block_work work = {0};
    plan_blocks(&work, backend, desc, c, &none, out_c, &none);
    return u_bytes(&work) + (uint64_t) (work.thread_bytes * moco_min_i64(backend->host.context->threads, work.blocks));
}

static uint64_t gradient_scratch(const cpu_backend *backend, const image_layer *desc) {
    if (is_wide(backend, desc)) return moco_winograd_weights_outer_gradient_scratch(backend, desc);
    const moco_tensor none = moco_tensor_none();
    gradient_work work = {0};
    plan_gradient(&work, backend, desc, &none, &none);
    return (uint64_t) (backend->host.context->threads * work.thread_bytes) +
           (uint64_t) (work.parts * du_elements(&work)) * sizeof(float);
}

uint64_t moco_winograd_scratch(const cpu_backend *backend, const image_layer *desc) {
    const uint64_t forward = block_scratch(backend, desc, desc->c, desc->out_c);
    if (!desc->training) return forward;
    const uint64_t input_gradient = block_scratch(backend, desc, desc->out_c, desc->c);
    const uint64_t weight_gradient = gradient_scratch(backend, desc);
    const uint64_t more = input_gradient > weight_gradient ? input_gradient : weight_gradient;
    return forward > more ? forward : more;
}
