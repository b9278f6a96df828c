/* The fused InfoNCE: value, statistics and gradients as a streaming softmax, without the n x K logits in memory.
 *
 * With s_ij = sign(T) q_i . key_j and c = log2(e) / |T|, a logit is s_ij c in units of ln 2. A state per query row keeps a
 * reference r near the largest s so far, and, rescaled when r grows,
 *
 *   sum  = sum over j of 2^((s_ij - r) c)
 *   sums = sum over j of 2^((s_ij - r) c) key_j      (for dL/dq)
 *
 *   prepare   info_nce_sweep.c         q and k transposed into blocks of rows, the positives
 *   stream    info_nce_sweep.c         each part of the keys against the blocks, tile by tile, with states of its own
 *   join      info_nce_join.c          the parts' states, in order of the parts; loss, dL/dq, dL/dk
 *   keys      info_nce_key_gradient.c  a second sweep, if dL/dkeys is asked for
 *
 * Cuts depend on sizes alone, so the result has the same bits for any number of threads.
 */
#include "backend/cpu/info_nce/info_nce.h"

#include <math.h>

#include "backend/cpu/info_nce/info_nce_problem.h"
#include "backend/cpu/info_nce/info_nce_select.h"
#include "backend/host_memory.h"
#include "core/context_internal.h"

/* A task takes a group of query rows over its part of the keys. The wide group reads a tile of keys for twice as many rows,
 * and is taken where it leaves FEW_TASKS tasks or more. */
#define GROUP_ROWS 128
#define WIDE_ROWS  256
#define FEW_TASKS  16
/* A part has at least PART_KEYS keys. The sums of all parts have at most PART_FLOATS floats, but FEW_PARTS parts are
 * allowed however large theirs are. */
#define PART_KEYS   1024
#define PART_FLOATS ((int64_t) 1 << 19)
#define FEW_PARTS   4
/* A tile of keys has at most TILE_FLOATS floats, but TILE_STEP keys or more, in multiples of that. */
#define TILE_FLOATS 65536
#define TILE_STEP   24

/* --- Cutting and memory ------------------------------------------------------------------------------------------- */

static void cut(moco_nce_problem *p) {
    const int64_t widest = p->kernel->block_width, lanes = p->kernel->lanes;
    p->blocks = moco_ceil_divide(p->n, widest);
    p->padded_rows = moco_ceil_divide(p->n, lanes) * lanes;
    p->tile_keys = TILE_FLOATS / p->dim / TILE_STEP * TILE_STEP;
    p->tile_keys = moco_min_i64(moco_max_i64(p->tile_keys, TILE_STEP), MOCO_NCE_TILE_KEYS);
    p->group_blocks = GROUP_ROWS / widest;
    p->groups = moco_ceil_divide(p->blocks, p->group_blocks);
    if (p->key_count == 0) return;
    const int64_t affordable =
        moco_max_i64(PART_FLOATS / moco_min_i64(p->padded_rows * p->dim, PART_FLOATS), FEW_PARTS);
    int64_t parts =
        moco_min_i64(moco_min_i64(moco_ceil_divide(p->key_count, PART_KEYS), MOCO_NCE_MOST_PARTS), affordable);
    p->part_keys = moco_ceil_divide(moco_ceil_divide(p->key_count, parts), p->tile_keys) * p->tile_keys;
    p->parts = moco_ceil_divide(p->key_count, p->part_keys);
    const int64_t wide_groups = moco_ceil_divide(p->blocks, WIDE_ROWS / widest);
    if (p->parts * wide_groups < FEW_TASKS) return;
    p->group_blocks = WIDE_ROWS / widest;
    p->groups = wide_groups;
}

/* Blocks of keys as wide as the kernels', or narrower where there are so few keys that tasks would be fewer than enough. */
static void cut_second_sweep(moco_nce_problem *p) {
    p->tile_rows = p->tile_keys;
    if (p->d_keys == NULL || p->key_count == 0) return;
    const int64_t lanes = p->kernel->lanes;
    const int64_t wanted = moco_ceil_divide(moco_ceil_divide(p->key_count, FEW_TASKS), lanes) * lanes;
    p->key_width = moco_min_i64(wanted, p->kernel->block_width);
    p->key_blocks = moco_ceil_divide(p->key_count, p->key_width);
    p->tile_rows = moco_max_i64(p->tile_keys, p->key_width);
}

/* One piece of working memory, cut into 64-byte aligned arrays: first measured (memory NULL), then taken. */
static void *take(char *memory, size_t *at, int64_t count, size_t size) {
    void *taken = memory == NULL ? NULL : memory + *at;
    *at += ((size_t) count * size + 63) / 64 * 64;
    return taken;
}

static size_t lay_out(moco_nce_problem *p, char *memory) {
    const int64_t rows = p->padded_rows;
    size_t at = 0;
    p->q_t = (float *) take(memory, &at, rows * p->dim, sizeof(float));
    p->k_t = (float *) take(memory, &at, rows * p->dim, sizeof(float));
    p->positive = (float *) take(memory, &at, rows, sizeof(float));
    p->exact_positive = (double *) take(memory, &at, rows, sizeof(double));
    p->row_ids = (int64_t *) take(memory, &at, rows, sizeof(int64_t));
    p->results = (moco_nce_row_result *) take(memory, &at, rows, sizeof(moco_nce_row_result));
    p->block_length = (double *) take(memory, &at, p->blocks, sizeof(double));
    p->rows = (moco_nce_row_state *) take(memory, &at, p->parts * rows, sizeof(moco_nce_row_state));
    p->states = (moco_nce_block_state *) take(memory, &at, p->parts * p->blocks, sizeof(moco_nce_block_state));
    p->sums = p->d_q == NULL ? NULL : (float *) take(memory, &at, p->parts * rows * p->dim, sizeof(float));
    p->tiles =
        p->narrow_keys == NULL ? NULL : (float *) take(memory, &at, p->workers * p->tile_rows * p->dim, sizeof(float));
    if (p->d_keys == NULL) return at;
    const int64_t block_floats = p->workers * p->key_width * p->dim;
    p->row_reference = (float *) take(memory, &at, rows, sizeof(float));
    p->row_factor = (float *) take(memory, &at, rows, sizeof(float));
    p->key_t = (float *) take(memory, &at, block_floats, sizeof(float));
    p->key_sums = (float *) take(memory, &at, block_floats, sizeof(float));
    p->exact_sums = (double *) take(memory, &at, p->workers * p->dim, sizeof(double));
    return at;
}

static void collect(const moco_nce_problem *p, moco_info_nce_args *args) {
    double loss = 0, positive = 0, similarity = 0;
    int64_t top1 = 0, top5 = 0, masked = 0;
    for (int64_t i = 0; i < p->n; ++i) {
        loss += p->results[i].loss;
        positive += p->sign * p->exact_positive[i];
        similarity += p->sign * p->results[i].similarity;
        top1 += p->results[i].hits == 0;
        top5 += p->results[i].hits < 5;
    }
    for (int64_t i = 0; i < p->parts * p->blocks; ++i) masked += p->states[i].masked;
    const double pairs = (double) p->n * (double) p->key_count - (double) masked;
    args->loss = loss / (double) p->n;
    args->mean_positive_similarity = positive / (double) p->n;
    args->mean_negative_similarity = pairs > 0 ? similarity / pairs : 0;
    args->top1 = top1;
    args->top5 = top5;
    args->masked = masked;
}

moco_status moco_cpu_info_nce_with(void *self, const moco_nce_kernel *kernel, moco_info_nce_args *args) {
    if (args->q.dtype != MOCO_DTYPE_F32) {
        return moco_fail(MOCO_UNSUPPORTED, "info_nce of the cpu kernels takes float32, not dtype %d", args->q.dtype);
    }
    const int32_t narrow = args->keys.buffer != NULL && args->keys.dtype == MOCO_DTYPE_BF16;
    moco_context *context = ((moco_host_backend *) self)->context;
    moco_nce_problem p = {
        .kernel = kernel,
        .args = args,
        .q = (const float *) moco_host_address(&args->q),
        .k = (const float *) moco_host_address(&args->k),
        .keys = narrow ? NULL : (const float *) moco_host_address(&args->keys),
        .narrow_keys = narrow ? (const uint16_t *) moco_host_address(&args->keys) : NULL,
        .d_q = (float *) moco_host_address(&args->d_q),
        .d_k = (float *) moco_host_address(&args->d_k),
        .d_keys = (float *) moco_host_address(&args->d_keys),
        .n = args->q.dims[0],
        .dim = args->q.dims[1],
        .workers = moco_context_threads(context),
        .key_count = args->keys.buffer == NULL ? 0 : args->keys.dims[0],
        .sign = args->temperature < 0 ? -1 : 1,
        .scale = MOCO_NCE_LOG2_E / fabs(args->temperature),
    };
    cut(&p);
    cut_second_sweep(&p);
    /* All arrays together are below 16 (parts + 2) (dim + 16) doubles a row, and a worker's tile below 256 such rows:
     * refuse what does not fit a size. */
    int64_t bound = 0;
    size_t bytes = 0;
    MOCO_TRY(moco_checked_multiply(p.padded_rows + 256 * p.workers, (p.parts + 2) * 16, "the loss's working memory",
                                   &bound));
    MOCO_TRY(moco_checked_multiply(bound, p.dim + 16, "the loss's working memory", &bound));
    MOCO_TRY(moco_checked_bytes(bound, sizeof(double), "the loss's working memory", &bytes));

    char *memory = (char *) moco_allocate(context, lay_out(&p, NULL));
    if (memory == NULL) return MOCO_OUT_OF_MEMORY;
    lay_out(&p, memory);
    moco_parallel_for(context, p.blocks, moco_nce_prepare_block, &p);
    moco_parallel_for(context, p.parts * p.groups, moco_nce_stream_keys, &p);
    moco_parallel_for(context, p.blocks, moco_nce_join_block, &p);
    for (int64_t block = 0; block < p.blocks; ++block) p.longest = fmax(p.longest, p.block_length[block]);
    moco_parallel_for(context, p.key_blocks, moco_nce_key_block, &p);
    collect(&p, args);
    moco_deallocate(context, memory);
    return MOCO_OK;
}

moco_status moco_cpu_info_nce(void *self, moco_info_nce_args *args) {
    return moco_cpu_info_nce_with(self, moco_nce_kernel_select(), args);
}
