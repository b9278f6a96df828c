/* 3 x 3 convolutions by Winograd's algorithm, weights in the outer loop: for so many channels and so few pixels that the
 * transformed weights, U and dU, would be the largest thing by far (at 512 channels of 7 x 7 in float32 38 MB, the weights
 * four times over). Here a task transforms all tiles, or a block of them, first; then it makes U of NR output channels by
 * as many input channels in its thread's cache, multiplies and forgets it. Tasks that share a block of tiles transform it
 * each for itself: between cores that share no cache, handing it over would cost more. No sum depends on the number of
 * threads.
 */
#include "backend/cpu/convolution/convolution_list.h"
#include "backend/cpu/convolution/winograd_tiles.h"
#include "backend/cpu/cpu_blocking.h"
#include "core/checked.h"

static int32_t supports(const cpu_backend *backend, const image_layer *desc) {
    return moco_winograd_supports(backend, desc) && moco_winograd_weights_outer(backend, desc);
}

/* --- Forward, and the gradient of the input --- */

typedef struct weights_work {
    winograd_images x, y;
    int64_t slices; /* of NR input channels, whose U is made at once */
    int64_t kc;     /* words of a slice */
    int64_t panels; /* of NR output channels */
    int64_t mc;     /* tiles of a block */
    int64_t tiles, blocks;
    int64_t shares; /* of the panels: a task is a block of tiles and a share */
    winograd_filters filters;
    int32_t accumulate;
    char *thread_memory; /* V: [slice][position][MC][KC], U: [position][KC][NR], and M: [MC][position][NR] */
    int64_t next_v, next_u;
    int64_t thread_bytes;
} weights_work;

/* The number of shares that minimises the busiest thread's work; ties go to fewer shares, because every share
 * transforms its tiles again. */
static int64_t best_shares(int64_t blocks, int64_t panels, int64_t threads) {
    int64_t best = 1, least = INT64_MAX;
    for (int64_t shares = 1; shares <= moco_min_i64(panels, threads); ++shares) {
        const int64_t busiest = moco_ceil_divide(blocks * shares, threads) * moco_ceil_divide(panels, shares);
        if (busiest < least) {
            best = shares;
            least = busiest;
        }
    }
    return best;
}

static void plan_blocks(weights_work *work, const cpu_backend *backend, const image_layer *desc, int64_t c,
                        const moco_tensor *x, int64_t out_c, const moco_tensor *y) {
    work->x = moco_winograd_images_of(backend, desc, c, x);
    work->y = moco_winograd_images_of(backend, desc, out_c, y);
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t product_bytes = kernels->positions * kernels->nr * (int64_t) sizeof(float);
    work->slices = c / kernels->nr;
    work->kc = kernels->nr / kernels->per_word;
    work->panels = out_c / kernels->nr;
    work->tiles = desc->n * work->x.rows * work->x.columns;
    const int64_t blocks = moco_ceil_divide(work->tiles, CPU_WINOGRAD_PRODUCT_BYTES / product_bytes);
    work->mc = moco_ceil_divide(moco_ceil_divide(work->tiles, blocks), kernels->mr) * kernels->mr;
    work->blocks = moco_ceil_divide(work->tiles, work->mc);
    work->shares = best_shares(work->blocks, work->panels, backend->host.context->threads);
    work->next_v = work->mc * work->kc + WINOGRAD_STAGGER;
    work->next_u = work->kc * kernels->nr + WINOGRAD_STAGGER;
    work->thread_bytes = kernels->positions * (work->slices * work->next_v + work->next_u + work->mc * kernels->nr) *
                         (int64_t) sizeof(uint32_t);
}

static void transform_weights(const weights_work *work, int64_t panel, int64_t slice, uint32_t *u) {
    const int64_t nr = work->x.kernels->nr;
    winograd_filters filters = work->filters;
    filters.g += panel * nr * filters.next_output + slice * nr * filters.next_input;
    moco_winograd_transform_filters(work->x.kernels, &filters, nr, u, work->next_u);
}

/* A panel of output channels of tiles [first, end), whose V is given. */
static void run_panel(const weights_work *work, int64_t panel, int64_t first, int64_t end, const uint32_t *v,
                      uint32_t *u, float *m) {
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t positions = kernels->positions, kc = work->kc, mr = kernels->mr, nr = kernels->nr;
    for (int64_t slice = 0; slice < work->slices; ++slice, v += positions * work->next_v) {
        transform_weights(work, panel, slice, u);
        for (int64_t e = 0; e < positions; ++e) {
            for (int64_t tile = 0; tile < end - first; tile += mr) {
                kernels->gemm(v + e * work->next_v + tile * kc, kc, u + e * work->next_u, kc, slice > 0,
                              m + (tile * positions + e) * nr, positions * nr);
            }
        }
    }
    moco_winograd_store_results(&work->y, first, end, panel, m, work->accumulate);
}

static void run_task(void *argument, int64_t task, int32_t worker) {
    const weights_work *work = (const weights_work *) argument;
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t block = task / work->shares, share = task % work->shares;
    const int64_t first = block * work->mc, end = moco_min_i64(work->tiles, first + work->mc);
    const int64_t positions = kernels->positions, blocks = kernels->nr / kernels->block;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    uint32_t *u = v + work->slices * positions * work->next_v;
    float *m = (float *) (void *) (u + positions * work->next_u);
    for (int64_t slice = 0; slice < work->slices; ++slice) {
        moco_winograd_transform_tiles(&work->x, first, end, slice * blocks, blocks,
                                      v + slice * positions * work->next_v, work->next_v, work->kc);
    }
    const int64_t last = (share + 1) * work->panels / work->shares;
    for (int64_t panel = share * work->panels / work->shares; panel < last; ++panel) {
        run_panel(work, panel, first, end, v, u, m);
    }
}

static moco_status run_tasks(const cpu_backend *backend, weights_work *work, const moco_layer_args *args) {
    work->thread_memory = (char *) moco_host_address(&args->scratch);
    moco_parallel_for_static(backend->host.context, work->blocks * work->shares, run_task, work);
    return MOCO_OK;
}

static moco_status run_forward(cpu_backend *backend, const image_layer *desc, void *plan, const moco_layer_args *args) {
    (void) plan;
    weights_work work = {
        .filters = {(const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]), desc->c * 9, 9, 0},
    };
    plan_blocks(&work, backend, desc, desc->c, &args->inputs[MOCO_INPUT], desc->out_c, &args->y);
    return run_tasks(backend, &work, args);
}

static moco_status run_input_gradient(cpu_backend *backend, const image_layer *desc, void *plan,
                                      const moco_layer_args *args) {
    (void) plan;
    weights_work work = {
        .filters = {(const float *) moco_host_address(&args->parameters[MOCO_WEIGHT]), 9, desc->c * 9, 1},
        .accumulate = args->accumulate_inputs & 1 << MOCO_INPUT,
    };
    plan_blocks(&work, backend, desc, desc->out_c, &args->dy, desc->c, &args->d_inputs[MOCO_INPUT]);
    return run_tasks(backend, &work, args);
}

/* --- The gradient of the weights: a task is a share of the panels of output channels --- */

typedef struct gradient_work {
    winograd_images x, dy;
    const blocked_kernels *blocked;
    int64_t c, out_c;
    int64_t words; /* of all tiles; a word has the same tile of per_word samples */
    int64_t kc;    /* words that are transformed at once */
    int64_t shares;
    char *thread_memory; /* V and A dY A': [position][channels / B][KC][B], and dU: [position][NR][NR] */
    int64_t next_block, next_v, next_w, next_du;
    int64_t thread_bytes;
    float *dweight;
    int32_t accumulate;
} gradient_work;

static void plan_gradient(gradient_work *work, const cpu_backend *backend, const image_layer *desc,
                          const moco_tensor *x, const moco_tensor *dy) {
    work->x = moco_winograd_images_of(backend, desc, desc->c, x);
    work->dy = moco_winograd_images_of(backend, desc, desc->out_c, dy);
    work->blocked = moco_cpu_format_of(backend, desc)->kernels;
    const winograd_kernels *kernels = work->x.kernels;
    work->c = desc->c;
    work->out_c = desc->out_c;
    work->words = moco_ceil_divide(desc->n, kernels->per_word) * work->x.rows * work->x.columns;
    work->kc = moco_min_i64(work->words, CPU_WINOGRAD_MOST_WORDS);
    work->shares = moco_min_i64(desc->out_c / kernels->nr, backend->host.context->threads);
    work->next_block = work->kc * kernels->block;
    work->next_v = work->x.blocks * work->next_block + WINOGRAD_STAGGER;
    work->next_w = kernels->nr / kernels->block * work->next_block + WINOGRAD_STAGGER;
    work->next_du = kernels->nr * kernels->nr + WINOGRAD_STAGGER;
    work->thread_bytes =
        kernels->positions * (work->next_v + work->next_w + work->next_du) * (int64_t) sizeof(uint32_t);
}

/* NR output channels from `out` on by NR input channels from `channel` on. */
static void run_square(const gradient_work *work, int64_t out, int64_t channel, int32_t accumulate, const uint32_t *v,
                       const uint32_t *w, int64_t words, float *du) {
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t nr = kernels->nr;
    v += channel / kernels->block * work->next_block;
    for (int64_t e = 0; e < kernels->positions; ++e) {
        moco_winograd_multiply_words(&work->x, work->blocked, v + e * work->next_v, w + e * work->next_w,
                                     work->next_block, words, nr, nr, 0, du + e * work->next_du);
    }
    for (int64_t row = 0; row < nr; ++row) {
        for (int64_t column = 0; column < nr; column += kernels->block) {
            kernels->weight_gradient(du + row * nr + column, work->next_du, 1, 0, accumulate,
                                     work->dweight + ((out + row) * work->c + channel + column) * 9);
        }
    }
}

static void run_share(void *argument, int64_t share, int32_t worker) {
    const gradient_work *work = (const gradient_work *) argument;
    const winograd_kernels *kernels = work->x.kernels;
    const int64_t nr = kernels->nr, blocks = nr / kernels->block;
    const int64_t panels = work->out_c / nr, last = (share + 1) * panels / work->shares;
    uint32_t *v = (uint32_t *) (void *) (work->thread_memory + worker * work->thread_bytes);
    uint32_t *w = v + kernels->positions * work->next_v;
    float *du = (float *) (void *) (w + kernels->positions * work->next_w);
    for (int64_t first = 0; first < work->words; first += work->kc) {
        const int64_t end = moco_min_i64(work->words, first + work->kc);
        const int32_t accumulate = work->accumulate || first > 0;
        moco_winograd_transform_words(&work->x, first, end, 0, work->x.blocks, kernels->pair_pixels, v, work->next_v,
                                      work->next_block);
        for (int64_t panel = share * panels / work->shares; panel < last; ++panel) {
            moco_winograd_transform_words(&work->dy, first, end, panel * blocks, blocks, kernels->pair_gradients, w,
                                          work->next_w, work->next_block);
            for (int64_t channel = 0; channel < work->c; channel += nr) {
                run_square(work, panel * nr, channel, accumulate, v, w, end - first, du);
            }
        }
    }
}

static moco_status run_weight_gradient(cpu_backend *backend, const image_layer *desc, void *plan,
                                       const moco_layer_args *args) {
    (void) plan;
    gradient_work work = {
        .thread_memory = (char *) moco_host_address(&args->scratch),
        .dweight = (float *) moco_host_address(&args->d_parameters[MOCO_WEIGHT]),
        .accumulate = args->accumulate,
    };
    plan_gradient(&work, backend, desc, &args->inputs[MOCO_INPUT], &args->dy);
    moco_parallel_for_static(backend->host.context, work.shares, run_share, &work);
    return MOCO_OK;
}

/* --- Planning: what a call needs --- */

static uint64_t scratch_of(const cpu_backend *backend, const image_layer *desc, int64_t c, int64_t out_c) {
    const moco_tensor none = moco_tensor_none();
    weights_work work = {0};
    plan_blocks(&work, backend, desc, c, &none, out_c, &none);
    return (uint64_t) (work.thread_bytes * moco_min_i64(backend->host.context->threads, work.blocks * work.shares));
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
    info->scratch_bytes = (uint64_t) (work.thread_bytes * work.shares);
    return MOCO_OK;
}

const cpu_convolution moco_winograd_weights_outer_forward = {
    .name = "winograd_weights_outer",
    .blocked = 1,
    .supports = supports,
    .plan = plan_forward,
    .run = run_forward,
};

const cpu_convolution moco_winograd_weights_outer_input_gradient = {
    .name = "winograd_weights_outer",
    .blocked = 1,
    .supports = supports,
    .plan = plan_input_gradient,
    .run = run_input_gradient,
};

const cpu_convolution moco_winograd_weights_outer_weight_gradient = {
    .name = "winograd_weights_outer",
    .blocked = 1,
    .supports = supports,
    .plan = plan_weight_gradient,
    .run = run_weight_gradient,
};
