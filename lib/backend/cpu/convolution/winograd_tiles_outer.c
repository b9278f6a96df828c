/* 3 x 3 convolutions by Winograd's algorithm, tiles in the outer loop. Tiles are taken block by block, so that all that
 * belongs to a block stays in a thread's cache from one step to the next, and a thread transforms itself what it
 * multiplies: between cores that share no cache, handing it over would cost more. Forward and the gradient of the input
 * are the same convolution, the latter with the filters flipped. No sum depends on the number of threads.
 */
#include "backend/cpu/convolution/convolution_list.h"
#include "backend/cpu/convolution/winograd_tiles.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

/* --- Forward, and the gradient of the input --- */

typedef struct tiles_work {
    winograd_images x, y;
    int64_t c, out_c;
    int64_t kc;            /* words of all input channels */
    int64_t mc;            /* tiles of a block */
    int64_t tiles, blocks; /* of all samples; of MC tiles */
    winograd_filters filters;
    int32_t accumulate; /* 1: y is added to */
    uint32_t *u;        /* [position][panel][KC][NR] */
    char *thread_memory;
    int64_t next_u, next_v; /* from position to position of U and V */
    int64_t thread_bytes;   /* V: [position][MC][KC], and M: [MC][position][NR] */
} tiles_work;

static uint64_t u_bytes(const tiles_work *work) {
    return (uint64_t) (work->x.kernels->positions * work->next_u) * sizeof(uint32_t);
}

static void plan_blocks(tiles_work *work, const cpu_backend *backend, const image_layer *desc, int64_t c,
                        const moco_tensor *x, int64_t out_c, const moco_tensor *y) {
    work->x = moco_winograd_images_of(backend, desc, c, x);
    work->y = moco_winograd_images_of(backend, desc, out_c, y);
    const winograd_kernels *kernels = work->x.kernels;
    work->c = c;
    work->out_c = out_c;
    work->kc = c / kernels->per_word;
    work->tiles = desc->n * work->x.rows * work->x.columns;
    const int64_t tile_bytes = kernels->positions * (work->kc + kernels->nr) * (int64_t) sizeof(uint32_t);
    const int64_t most = moco_max_i64(CPU_WINOGRAD_LEAST_TILES, CPU_WINOGRAD_BLOCK_BYTES / tile_bytes);
    const int64_t calls = moco_ceil_divide(work->tiles, kernels->mr);
    work->blocks =
        moco_min_i64(calls, moco_round_up(moco_ceil_divide(work->tiles, most), backend->host.context->threads));
    work->mc = moco_ceil_divide(calls, work->blocks) * kernels->mr;
    work->next_u = work->kc * out_c + WINOGRAD_STAGGER;
    work->next_v = work->mc * work->kc + WINOGRAD_STAGGER;
    work->thread_bytes = kernels->positions * (work->next_v + work->mc * kernels->nr) * (int64_t) sizeof(uint32_t);
}

/* One task: a panel of U. */
static void transform_weights(void *argument, int64_t panel, int32_t worker) {
    (void) worker;
    const tiles_work *work = (const tiles_work *) argument;
    const int64_t nr = work->x.kernels->nr;
    winograd_filters filters = work->filters;
    filters.g += panel * nr * filters.next_output;
    moco_winograd_transform_filters(work->x.kernels, &filters, work->c, work->u + panel * work->kc * nr, work->next_u);
}

static void run_block(void *argument, int64_t index, int32_t worker) {
    const tiles_work *work = (const tiles_work *) argument;
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t positions = kernels->positions, kc = work->kc, mr = kernels->mr, nr = kernels->nr;
    const int64_t calls = moco_ceil_divide(work->tiles, mr);
    const int64_t first = index * calls / work->blocks * mr;
    const int64_t end = moco_min_i64(work->tiles, (index + 1) * calls / work->blocks * mr);
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    float *m = (float *) (void *) (v + positions * work->next_v);
    moco_winograd_transform_tiles(&work->x, first, end, 0, work->x.blocks, v, work->next_v, kc);
    for (int64_t panel = 0; panel < work->out_c / nr; ++panel) {
        for (int64_t e = 0; e < positions; ++e) {
            const uint32_t *u = work->u + e * work->next_u + panel * kc * nr;
            for (int64_t tile = 0; tile < end - first; tile += mr) {
                kernels->gemm(v + e * work->next_v + tile * kc, kc, u, kc, 0, m + (tile * positions + e) * nr,
                              positions * nr);
            }
        }
        moco_winograd_store_results(&work->y, first, end, panel, m, work->accumulate);
    }
}

static moco_status run_blocks(const cpu_backend *backend, tiles_work *work, const moco_layer_args *args) {
    moco_context *context = backend->host.context;
    char *scratch = (char *) moco_host_address(&args->scratch);
    work->u = (uint32_t *) (void *) scratch;
    work->thread_memory = scratch + u_bytes(work);
    moco_parallel_for_static(context, work->out_c / work->x.kernels->nr, transform_weights, work);
    moco_parallel_for_static(context, work->blocks, run_block, work);
    return MOCO_OK;
}

static moco_status run_forward(cpu_backend *backend, const image_layer *desc, void *plan, const moco_layer_args *args) {
    (void) plan;
    tiles_work work = {
        .filters = {(const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]), desc->c * 9, 9, 0},
    };
    plan_blocks(&work, backend, desc, desc->c, &args->inputs[MOCO_INPUT], desc->out_c, &args->y);
    return run_blocks(backend, &work, args);
}

static moco_status run_input_gradient(cpu_backend *backend, const image_layer *desc, void *plan,
                                      const moco_layer_args *args) {
    (void) plan;
    tiles_work work = {
        .filters = {(const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]), 9, desc->c * 9, 1},
        .accumulate = args->accumulate_inputs & 1 << MOCO_INPUT,
    };
    plan_blocks(&work, backend, desc, desc->out_c, &args->dy, desc->c, &args->d_inputs[MOCO_INPUT]);
    return run_blocks(backend, &work, args);
}

/* --- The gradient of the weights --- */

typedef struct gradient_work {
    const image_layer *desc;
    winograd_images x, dy;
    const blocked_kernels *blocked;
    int64_t words;          /* of all tiles; a word has the same tile of per_word samples */
    int64_t parts;          /* of the words; each has a sum of its own, dU */
    int64_t groups;         /* of output channels */
    int64_t kc;             /* words that are transformed at once */
    int64_t next_v, next_w; /* from position to position of V and of A dY A' */
    int64_t thread_bytes;   /* V and A dY A': [position][channels / B][KC][B] */
    char *thread_memory;
    float *du; /* [part][position][out_c][c] */
    float *dweight;
    int32_t accumulate;
} gradient_work;

static int64_t du_elements(const gradient_work *work) {
    return work->x.kernels->positions * work->desc->c * work->desc->out_c;
}

/* Parts depend on the shape only, for they decide which sums are rounded; groups make up for too few of them, at the
 * price of transforming x once for each. */
static void plan_gradient(gradient_work *work, const cpu_backend *backend, const image_layer *desc,
                          const moco_tensor *x, const moco_tensor *dy) {
    const winograd_kernels *kernels = moco_cpu_format_of(backend, desc)->winograd;
    const int64_t blocks = desc->out_c / kernels->block;
    work->desc = desc;
    work->x = moco_winograd_images_of(backend, desc, desc->c, x);
    work->dy = moco_winograd_images_of(backend, desc, desc->out_c, dy);
    work->blocked = moco_cpu_format_of(backend, desc)->kernels;
    work->words = moco_ceil_divide(desc->n, kernels->per_word) * work->x.rows * work->x.columns;
    const int64_t du_bytes = du_elements(work) * (int64_t) sizeof(float);
    const int64_t most = moco_min_i64(CPU_WINOGRAD_MOST_PARTS, work->words);
    work->parts = 1; /* a power of two, as the number of threads is mostly */
    while (2 * work->parts <= most && 2 * work->parts * du_bytes <= CPU_WINOGRAD_PARTS_BYTES) work->parts *= 2;
    work->groups = moco_min_i64(blocks, moco_ceil_divide(backend->host.context->threads, work->parts));
    const int64_t group = moco_ceil_divide(blocks, work->groups) * kernels->block;
    const int64_t word_bytes = kernels->positions * (desc->c + group) * (int64_t) sizeof(uint32_t);
    work->kc = moco_min_i64(moco_ceil_divide(work->words, work->parts),
                            moco_max_i64(CPU_WINOGRAD_LEAST_WORDS, CPU_WINOGRAD_GRADIENT_BYTES / word_bytes));
    work->next_v = desc->c * work->kc + WINOGRAD_STAGGER;
    work->next_w = group * work->kc + WINOGRAD_STAGGER;
    work->thread_bytes = kernels->positions * (work->next_v + work->next_w) * (int64_t) sizeof(uint32_t);
}

/* One task: a part of the words for a group of output channels. */
static void run_part(void *argument, int64_t task, int32_t worker) {
    const gradient_work *work = (const gradient_work *) argument;
    const image_layer *desc = work->desc;
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t part = task / work->groups, group = task % work->groups;
    const int64_t next_block = work->kc * kernels->block, out_blocks = desc->out_c / kernels->block;
    const int64_t block = group * out_blocks / work->groups;
    const int64_t count = (group + 1) * out_blocks / work->groups - block;
    const int64_t begin = part * work->words / work->parts, end = (part + 1) * work->words / work->parts;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    uint32_t *w = v + kernels->positions * work->next_v;
    float *du = work->du + part * du_elements(work) + block * kernels->block * desc->c;
    for (int64_t first = begin; first < end; first += work->kc) {
        const int64_t last = moco_min_i64(end, first + work->kc);
        moco_winograd_transform_words(&work->x, first, last, 0, work->x.blocks, kernels->pair_pixels, v, work->next_v,
                                      next_block);
        moco_winograd_transform_words(&work->dy, first, last, block, count, kernels->pair_gradients, w, work->next_w,
                                      next_block);
        for (int64_t e = 0; e < kernels->positions; ++e) {
            moco_winograd_multiply_words(&work->x, work->blocked, v + e * work->next_v, w + e * work->next_w,
                                         next_block, last - first, count * kernels->block, desc->c, first > begin,
                                         du + e * desc->out_c * desc->c);
        }
    }
}

/* One task: the weights of one output channel. */
static void transform_gradient(void *argument, int64_t out, int32_t worker) {
    (void) worker;
    const gradient_work *work = (const gradient_work *) argument;
    const int64_t c = work->desc->c;
    for (int64_t channel = 0; channel < c; channel += work->x.kernels->block) {
        work->x.kernels->weight_gradient(work->du + out * c + channel, work->desc->out_c * c, work->parts,
                                         du_elements(work), work->accumulate, work->dweight + (out * c + channel) * 9);
    }
}

static moco_status run_weight_gradient(cpu_backend *backend, const image_layer *desc, void *plan,
                                       const moco_layer_args *args) {
    (void) plan;
    moco_context *context = backend->host.context;
    gradient_work work = {
        .thread_memory = (char *) moco_host_address(&args->scratch),
        .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
        .accumulate = args->accumulate,
    };
    plan_gradient(&work, backend, desc, &args->inputs[MOCO_INPUT], &args->dy);
    work.du = (float *) (void *) (work.thread_memory + context->threads * work.thread_bytes);
    moco_parallel_for_static(context, work.parts * work.groups, run_part, &work);
    moco_parallel_for_static(context, desc->out_c, transform_gradient, &work);
    return MOCO_OK;
}

/* --- Planning: what a call needs --- */

static uint64_t scratch_of(const cpu_backend *backend, const image_layer *desc, int64_t c, int64_t out_c) {
    const moco_tensor none = moco_tensor_none();
    tiles_work work = {0};
    plan_blocks(&work, backend, desc, c, &none, out_c, &none);
    return u_bytes(&work) + (uint64_t) (work.thread_bytes * moco_min_i64(backend->host.context->threads, work.blocks));
}

static moco_status plan_forward(cpu_backend *backend, const image_layer *desc, void **plan,
                                cpu_convolution_info *info) {
    (void) plan;
    info->scratch_bytes = scratch_of(backend, desc, desc->c, desc->out_c);
    return MOCO_OK;
}

static moco_status plan_input_gradient(cpu_backend *backend, const image_layer *desc, void **plan,
                                       cpu_convolution_info *info) {
    (void) plan;
    info->scratch_bytes = scratch_of(backend, desc, desc->out_c, desc->c);
    info->adds = 1;
    return MOCO_OK;
}

static moco_status plan_weight_gradient(cpu_backend *backend, const image_layer *desc, void **plan,
                                        cpu_convolution_info *info) {
    const moco_tensor none = moco_tensor_none();
    gradient_work work = {0};
    (void) plan;
    plan_gradient(&work, backend, desc, &none, &none);
    info->scratch_bytes = (uint64_t) (backend->host.context->threads * work.thread_bytes) +
                          (uint64_t) (work.parts * du_elements(&work)) * sizeof(float);
    return MOCO_OK;
}

const cpu_convolution moco_winograd_tiles_outer_forward = {
    .name = "winograd_tiles_outer",
    .blocked = 1,
    .supports = moco_winograd_supports,
    .plan = plan_forward,
    .run = run_forward,
};

const cpu_convolution moco_winograd_tiles_outer_input_gradient = {
    .name = "winograd_tiles_outer",
    .blocked = 1,
    .supports = moco_winograd_supports,
    .plan = plan_input_gradient,
    .run = run_input_gradient,
};

const cpu_convolution moco_winograd_tiles_outer_weight_gradient = {
    .name = "winograd_tiles_outer",
    .blocked = 1,
    .supports = moco_winograd_supports,
    .plan = plan_weight_gradient,
    .run = run_weight_gradient,
};
