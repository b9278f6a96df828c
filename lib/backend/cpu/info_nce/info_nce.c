/* The fused InfoNCE: value, statistics and dL/dq from one pass over the keys, as a streaming softmax.
 *
 * With s_ij = sign(T) q_i . key_j and c = log2(e) / |T|, a logit is s_ij c in units of ln 2. A state per query row
 * keeps a reference r near the largest s so far, and sum  = sum over j of 2^((s_ij - r) c),      sums = sum over j of
 * 2^((s_ij - r) c) key_j, rescaled when r grows. The keys are cut into parts, each with a state of its own; the states
 * are joined in order of the parts. Cuts depend on sizes alone, so the result has the same bits for any number of
 * threads.
 */
#include "backend/cpu/info_nce/info_nce.h"

#include <float.h>
#include <math.h>
#include <moco/queue.h>
#include <string.h>

#include "backend/cpu/info_nce/info_nce_select.h"
#include "backend/cpu/kernels/info_nce_kernel.h"
#include "backend/host_memory.h"
#include "core/checked.h"
#include "core/context_internal.h"

#define GROUP_ROWS  128 /* query rows that one task takes over its keys ... */
#define WIDE_ROWS   256 /* ... or so many, for which a tile of keys is read once, where that leaves ... */
#define FEW_TASKS   16
#define PART_KEYS   1024 /* fewest keys of a part */
#define MOST_PARTS  32
#define PART_FLOATS ((int64_t) 1 << 19) /* of all parts' sums together, unless that leaves less than FEW_PARTS */
#define FEW_PARTS   4
#define TILE_FLOATS 65536
#define TILE_STEP   24

/* Float32 similarities are used where no logit can be larger than this, so that their rounding stays below 1e-5; tiles
 * beyond it are computed in double. */
#define FLOAT_LOGITS   256.0
#define FLOAT_PRODUCTS 1e36
#define FLOAT_SMALLEST 1e-25 /* below it products lose digits to underflow */
/* Tiles in double scale their weights by 2^-40, so that sums of keys near the largest float do not overflow. */
#define EXACT_SHIFT 40.0
#define EXACT_KEYS  8

#define LOG2_E 1.4426950408889634074

typedef struct row_state {
    double reference;
    double sum;
    double similarity; /* sum of s */
    int64_t hits;      /* s >= the positive's */
} row_state;

typedef struct block_state {
    int64_t masked;
    int32_t exact; /* 1: once a tile needed double, all later ones of this part are in double, with shifted weights */
    double shift;
} block_state;

typedef struct row_result {
    double loss;
    double similarity;
    int64_t hits;
} row_result;

typedef struct problem {
    const moco_nce_kernel *kernel;
    const moco_info_nce_args *args;
    const float *q, *k;
    const float *keys;           /* NULL where they are bfloat16 */
    const uint16_t *narrow_keys; /* which a worker widens tile by tile */
    float *d_q;
    int64_t n, dim, key_count;
    int64_t blocks, padded_rows, groups, group_blocks, parts, part_keys, tile_keys;
    double sign, scale;
    /* per padded row */
    float *q_t, *k_t; /* block after block, each dim x width */
    float *positive;
    double *exact_positive;
    int64_t *row_ids;
    row_result *results;
    /* per block */
    double *block_length; /* the longest q */
    /* per part */
    row_state *rows;     /* parts x padded_rows */
    block_state *states; /* parts x blocks */
    float *sums;         /* parts x padded_rows x dim; NULL without d_q */
    /* per worker */
    float *tiles; /* workers x tile_keys x dim; NULL where keys are float32 */
    int64_t workers;
} problem;

static int32_t block_width(const problem *p, int64_t block) {
    const int64_t left = p->padded_rows - block * p->kernel->block_width;
    return (int32_t) moco_min_i64(left, p->kernel->block_width);
}

/* --- Before: queries transposed, positives ------------------------------------------------------------------------ */

static double dot(const float *a, const float *b, int64_t dim) {
    double sum = 0;
    for (int64_t d = 0; d < dim; ++d) sum += (double) a[d] * (double) b[d];
    return sum;
}

static void prepare_block(void *argument, int64_t block, int32_t worker) {
    (void) worker;
    const problem *p = (const problem *) argument;
    const int64_t first = block * p->kernel->block_width;
    const int32_t width = block_width(p, block);
    const int64_t dim = p->dim;
    float *q_t = p->q_t + first * dim;
    float *k_t = p->k_t + first * dim;
    double longest = 0;
    for (int32_t r = 0; r < width; ++r) {
        const int64_t i = first + r;
        if (i >= p->n) { /* padding: zeros, no result is read from it */
            for (int64_t d = 0; d < dim; ++d) q_t[d * width + r] = k_t[d * width + r] = 0;
            p->exact_positive[i] = 0;
            p->row_ids[i] = MOCO_QUEUE_NO_ID;
            continue;
        }
        const float *q = p->q + i * dim;
        const float *k = p->k + i * dim;
        for (int64_t d = 0; d < dim; ++d) {
            q_t[d * width + r] = (float) p->sign * q[d];
            k_t[d * width + r] = k[d];
        }
        p->exact_positive[i] = p->sign * dot(q, k, dim);
        p->row_ids[i] = p->args->sample_ids == NULL ? MOCO_QUEUE_NO_ID : p->args->sample_ids[i];
        longest = fmax(longest, dot(q, q, dim));
    }
    p->block_length[block] = sqrt(longest);
    p->kernel->paired(q_t, k_t, dim, width, p->positive + first);
    for (int32_t r = 0; r < width; ++r) {
        float *positive = p->positive + first + r;
        /* Not finite only where its parts overflow: then the rounded exact one, or the largest float. */
        if (!isfinite(*positive)) *positive = (float) fmax(-FLT_MAX, fmin(FLT_MAX, p->exact_positive[first + r]));
    }
}

/* --- The pass over the keys --------------------------------------------------------------------------------------- */

static void start_states(const problem *p, int64_t part, int64_t block) {
    const int64_t first = block * p->kernel->block_width;
    const int32_t width = block_width(p, block);
    row_state *rows = p->rows + part * p->padded_rows + first;
    block_state *state = p->states + part * p->blocks + block;
    memset(state, 0, sizeof *state);
    for (int32_t r = 0; r < width; ++r)
        if (fabs(p->exact_positive[first + r]) * p->scale > FLOAT_LOGITS * LOG2_E) state->exact = 1;
    for (int32_t r = 0; r < width; ++r) {
        const row_state fresh = {state->exact ? p->exact_positive[first + r] : (double) p->positive[first + r], 0, 0,
                                 0};
        rows[r] = fresh;
    }
    if (state->exact) state->shift = EXACT_SHIFT;
    if (p->sums != NULL) {
        float *sums = p->sums + (part * p->padded_rows + first) * p->dim;
        memset(sums, 0, (size_t) (width * p->dim) * sizeof *sums);
    }
}

/* `keys` are key number `key` and the following. */
static void float_tile(const problem *p, int64_t part, int64_t block, const float *keys, int64_t key, int64_t count) {
    const moco_nce_kernel *kernel = p->kernel;
    const int64_t first = block * kernel->block_width;
    const int32_t width = block_width(p, block);
    row_state *rows = p->rows + part * p->padded_rows + first;
    float S[MOCO_NCE_TILE_KEYS * MOCO_NCE_WIDEST_BLOCK] __attribute__((aligned(64)));
    float largest[MOCO_NCE_WIDEST_BLOCK], similarity[MOCO_NCE_WIDEST_BLOCK], sum[MOCO_NCE_WIDEST_BLOCK];
    float reference[MOCO_NCE_WIDEST_BLOCK], factor[MOCO_NCE_WIDEST_BLOCK];
    int32_t hits[MOCO_NCE_WIDEST_BLOCK];

    kernel->similarities(keys, count, p->dim, p->q_t + first * p->dim, width, S);
    if (p->args->key_ids != NULL && p->args->sample_ids != NULL) {
        p->states[part * p->blocks + block].masked +=
            kernel->mask(p->args->key_ids + key, count, p->row_ids + first, width, S);
    }
    kernel->survey(S, count, width, p->positive + first, largest, similarity, hits);
    for (int32_t r = 0; r < width; ++r) {
        row_state *row = rows + r;
        double shrink = 1;
        if (largest[r] > row->reference) {
            shrink = exp2((row->reference - (double) largest[r]) * p->scale);
            row->reference = (double) largest[r];
        }
        reference[r] = (float) row->reference;
        factor[r] = (float) shrink;
        row->sum *= shrink;
        row->similarity += (double) similarity[r];
        row->hits += hits[r];
    }
    kernel->weigh(S, count, width, reference, (float) p->scale, sum);
    for (int32_t r = 0; r < width; ++r) rows[r].sum += (double) sum[r];
    if (p->sums != NULL) {
        kernel->accumulate(keys, count, p->dim, S, width, factor, p->sums + (part * p->padded_rows + first) * p->dim);
    }
}

/* The same in double, for at most EXACT_KEYS keys: logits too large for float32, or products that overflow it. */
static void exact_tile(const problem *p, int64_t part, int64_t block, const float *keys, int64_t key, int64_t count) {
    const int64_t first = block * p->kernel->block_width;
    const int32_t width = block_width(p, block);
    const float *q_t = p->q_t + first * p->dim;
    row_state *rows = p->rows + part * p->padded_rows + first;
    block_state *state = p->states + part * p->blocks + block;
    double S[EXACT_KEYS][MOCO_NCE_WIDEST_BLOCK];
    float weights[EXACT_KEYS * MOCO_NCE_WIDEST_BLOCK], factor[MOCO_NCE_WIDEST_BLOCK];

    for (int64_t j = 0; j < count; ++j) {
        for (int32_t r = 0; r < width; ++r) S[j][r] = 0;
        for (int64_t d = 0; d < p->dim; ++d) {
            const double value = (double) keys[j * p->dim + d];
            for (int32_t r = 0; r < width; ++r) S[j][r] += value * (double) q_t[d * width + r];
        }
        if (p->args->key_ids == NULL || p->args->key_ids[key + j] == MOCO_QUEUE_NO_ID) continue;
        for (int32_t r = 0; r < width; ++r) {
            if (p->row_ids[first + r] != p->args->key_ids[key + j]) continue;
            S[j][r] = -INFINITY;
            state->masked++;
        }
    }
    for (int32_t r = 0; r < width; ++r) {
        row_state *row = rows + r;
        double reference = row->reference;
        for (int64_t j = 0; j < count; ++j) reference = fmax(reference, S[j][r]);
        const double shrink = exp2((row->reference - reference) * p->scale + state->shift - EXACT_SHIFT);
        row->reference = reference;
        row->sum *= shrink;
        factor[r] = (float) shrink;
        for (int64_t j = 0; j < count; ++j) {
            const double s = S[j][r];
            const double weight = exp2((s - reference) * p->scale - EXACT_SHIFT);
            row->sum += weight;
            weights[j * width + r] = (float) weight;
            if (s == -INFINITY) continue;
            row->similarity += s;
            row->hits += s >= p->exact_positive[first + r];
        }
    }
    state->exact = 1;
    state->shift = EXACT_SHIFT;
    if (p->sums != NULL) {
        p->kernel->accumulate(keys, count, p->dim, weights, width, factor,
                              p->sums + (part * p->padded_rows + first) * p->dim);
    }
}

static const float *tile_of(const problem *p, int64_t key, int64_t count, int32_t worker) {
    if (p->keys != NULL) return p->keys + key * p->dim;
    float *tile = p->tiles + (int64_t) worker * p->tile_keys * p->dim;
    p->kernel->widen(p->narrow_keys + key * p->dim, count * p->dim, tile);
    return tile;
}

/* Task: one part of the keys against one group of query blocks. A tile of keys is used by all blocks of the group while
 * it is in the cache. */
static void stream_keys(void *argument, int64_t task, int32_t worker) {
    const problem *p = (const problem *) argument;
    const int64_t part = task / p->groups;
    const int64_t first_block = task % p->groups * p->group_blocks;
    const int64_t last_block = moco_min_i64(first_block + p->group_blocks, p->blocks);
    const int64_t end = moco_min_i64((part + 1) * p->part_keys, p->key_count);
    for (int64_t block = first_block; block < last_block; ++block) start_states(p, part, block);

    for (int64_t key = part * p->part_keys; key < end; key += p->tile_keys) {
        const int64_t count = moco_min_i64(p->tile_keys, end - key);
        const float *keys = tile_of(p, key, count, worker);
        const float square = p->kernel->largest_square(keys, count, p->dim);
        for (int64_t block = first_block; block < last_block; ++block) {
            /* No product is larger than the lengths' (Cauchy-Schwarz), nor any partial sum on the way to it. */
            const double bound = sqrt((double) square) * p->block_length[block];
            const int32_t exact = p->states[part * p->blocks + block].exact;
            const int32_t fits = bound * p->scale <= FLOAT_LOGITS * LOG2_E && bound <= FLOAT_PRODUCTS &&
                                 (bound >= FLOAT_SMALLEST || bound == 0);
            if (fits && !exact) {
                float_tile(p, part, block, keys, key, count);
                continue;
            }
            for (int64_t j = 0; j < count; j += EXACT_KEYS)
                exact_tile(p, part, block, keys + j * p->dim, key + j, moco_min_i64(EXACT_KEYS, count - j));
        }
    }
}

/* --- After: the parts joined, in order ---------------------------------------------------------------------------- */

static void join_block(void *argument, int64_t block, int32_t worker) {
    (void) worker;
    const problem *p = (const problem *) argument;
    const int64_t first = block * p->kernel->block_width;
    const int32_t width = block_width(p, block);
    const int32_t used = (int32_t) moco_min_i64(width, p->n - first);
    double share[MOST_PARTS][MOCO_NCE_WIDEST_BLOCK]; /* of a part's sums in the softmax */
    double negative[MOCO_NCE_WIDEST_BLOCK];          /* probability of all negatives together */
    for (int32_t r = 0; r < used; ++r) {
        const double positive = p->exact_positive[first + r];
        row_result *result = p->results + first + r;
        memset(result, 0, sizeof *result);
        double reference = positive;
        for (int64_t part = 0; part < p->parts; ++part)
            reference = fmax(reference, p->rows[part * p->padded_rows + first + r].reference);
        double rest = 0;
        for (int64_t part = 0; part < p->parts; ++part) {
            const row_state *row = p->rows + part * p->padded_rows + first + r;
            const double shift = p->states[part * p->blocks + block].shift;
            share[part][r] = exp2((row->reference - reference) * p->scale + shift);
            rest += share[part][r] * row->sum;
            result->similarity += row->similarity;
            result->hits += row->hits;
        }
        /* -log(own / total), without cancellation where the positive outweighs the rest */
        const double own = exp2((positive - reference) * p->scale);
        result->loss = (reference - positive) * (p->scale / LOG2_E) + log1p(rest + (own - 1));
        negative[r] = rest / (rest + own);
        for (int64_t part = 0; part < p->parts; ++part) share[part][r] /= rest + own;
    }
    if (p->d_q == NULL) return;
    /* dL/dq_i = (sum over j of p_ij key_j - (1 - p_i+) k_i) / (n T) */
    const double outer = 1.0 / ((double) p->n * p->args->temperature);
    for (int64_t d = 0; d < p->dim; ++d) {
        double sum[MOCO_NCE_WIDEST_BLOCK] = {0};
        for (int64_t part = 0; part < p->parts; ++part) {
            const float *sums = p->sums + (part * p->padded_rows + first) * p->dim + d * width;
            for (int32_t r = 0; r < used; ++r) sum[r] += share[part][r] * (double) sums[r];
        }
        const float *k_t = p->k_t + first * p->dim + d * width;
        for (int32_t r = 0; r < used; ++r)
            p->d_q[(first + r) * p->dim + d] = (float) (outer * (sum[r] - negative[r] * (double) k_t[r]));
    }
}

/* --- Cutting and memory ------------------------------------------------------------------------------------------- */

static void cut(problem *p) {
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
    int64_t parts = moco_min_i64(moco_min_i64(moco_ceil_divide(p->key_count, PART_KEYS), MOST_PARTS), affordable);
    p->part_keys = moco_ceil_divide(moco_ceil_divide(p->key_count, parts), p->tile_keys) * p->tile_keys;
    p->parts = moco_ceil_divide(p->key_count, p->part_keys);
    const int64_t wide_groups = moco_ceil_divide(p->blocks, WIDE_ROWS / widest);
    if (p->parts * wide_groups < FEW_TASKS) return;
    p->group_blocks = WIDE_ROWS / widest;
    p->groups = wide_groups;
}

/* One piece of working memory, cut into 64-byte aligned arrays: first measured (memory NULL), then taken. */
static void *take(char *memory, size_t *at, int64_t count, size_t size) {
    void *taken = memory == NULL ? NULL : memory + *at;
    *at += ((size_t) count * size + 63) / 64 * 64;
    return taken;
}

static size_t lay_out(problem *p, char *memory) {
    const int64_t rows = p->padded_rows;
    size_t at = 0;
    p->q_t = (float *) take(memory, &at, rows * p->dim, sizeof(float));
    p->k_t = (float *) take(memory, &at, rows * p->dim, sizeof(float));
    p->positive = (float *) take(memory, &at, rows, sizeof(float));
    p->exact_positive = (double *) take(memory, &at, rows, sizeof(double));
    p->row_ids = (int64_t *) take(memory, &at, rows, sizeof(int64_t));
    p->results = (row_result *) take(memory, &at, rows, sizeof(row_result));
    p->block_length = (double *) take(memory, &at, p->blocks, sizeof(double));
    p->rows = (row_state *) take(memory, &at, p->parts * rows, sizeof(row_state));
    p->states = (block_state *) take(memory, &at, p->parts * p->blocks, sizeof(block_state));
    p->sums = p->d_q == NULL ? NULL : (float *) take(memory, &at, p->parts * rows * p->dim, sizeof(float));
    p->tiles =
        p->narrow_keys == NULL ? NULL : (float *) take(memory, &at, p->workers * p->tile_keys * p->dim, sizeof(float));
    return at;
}

static void collect(const problem *p, moco_info_nce_args *args) {
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

moco_status moco_cblas_info_nce_with(void *self, const moco_nce_kernel *kernel, moco_info_nce_args *args) {
    if (args->q.dtype != MOCO_DTYPE_F32) {
        return moco_fail(MOCO_UNSUPPORTED, "info_nce of the cblas backend takes float32, not dtype %d", args->q.dtype);
    }
    if (args->d_k.buffer != NULL || args->d_keys.buffer != NULL) {
        return moco_fail(MOCO_UNSUPPORTED, "info_nce of the cblas backend makes no gradients of the keys");
    }
    const int32_t narrow = args->keys.buffer != NULL && args->keys.dtype == MOCO_DTYPE_BF16;
    moco_context *context = ((moco_host_backend *) self)->context;
    problem p = {
        .kernel = kernel,
        .args = args,
        .q = (const float *) moco_host_address(&args->q),
        .k = (const float *) moco_host_address(&args->k),
        .keys = narrow ? NULL : (const float *) moco_host_address(&args->keys),
        .narrow_keys = narrow ? (const uint16_t *) moco_host_address(&args->keys) : NULL,
        .d_q = (float *) moco_host_address(&args->d_q),
        .n = args->q.dims[0],
        .dim = args->q.dims[1],
        .workers = moco_context_threads(context),
        .key_count = args->keys.buffer == NULL ? 0 : args->keys.dims[0],
        .sign = args->temperature < 0 ? -1 : 1,
        .scale = LOG2_E / fabs(args->temperature),
    };
    cut(&p);
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
    moco_parallel_for(context, p.blocks, prepare_block, &p);
    moco_parallel_for(context, p.parts * p.groups, stream_keys, &p);
    moco_parallel_for(context, p.blocks, join_block, &p);
    collect(&p, args);
    moco_deallocate(context, memory);
    return MOCO_OK;
}

moco_status moco_cpu_info_nce(void *self, moco_info_nce_args *args) {
    return moco_cblas_info_nce_with(self, moco_nce_kernel_select(), args);
}
