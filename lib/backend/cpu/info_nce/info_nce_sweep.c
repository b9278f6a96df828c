/* The first sweep: queries transposed, then a streaming softmax over the keys, a part of them at a time. */
#include <float.h>
#include <math.h>
#include <moco/queue.h>
#include <string.h>

#include "backend/cpu/info_nce/info_nce_problem.h"

/* Float32 similarities are used where no logit can be larger than this, so that their rounding stays below 1e-5; tiles
 * beyond it are computed in double. */
#define FLOAT_LOGITS   256.0
#define FLOAT_PRODUCTS 1e36
#define FLOAT_SMALLEST 1e-25 /* below it products lose digits to underflow */
/* Tiles in double scale their weights by 2^-40, so that sums of keys near the largest float do not overflow. */
#define EXACT_SHIFT 40.0
#define EXACT_KEYS  8

int32_t moco_nce_fits_float(const moco_nce_problem *p, double bound) {
    return bound * p->scale <= FLOAT_LOGITS * MOCO_NCE_LOG2_E && bound <= FLOAT_PRODUCTS &&
           (bound >= FLOAT_SMALLEST || bound == 0);
}

/* --- Before: queries transposed, positives ------------------------------------------------------------------------ */

double moco_nce_dot(const float *a, const float *b, int64_t dim) {
    double sum = 0;
    for (int64_t d = 0; d < dim; ++d) sum += (double) a[d] * (double) b[d];
    return sum;
}

void moco_nce_prepare_block(void *argument, int64_t block, int32_t worker) {
    (void) worker;
    const moco_nce_problem *p = (const moco_nce_problem *) argument;
    const int64_t first = block * p->kernel->block_width;
    const int32_t width = moco_nce_block_width(p, block);
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
        p->exact_positive[i] = p->sign * moco_nce_dot(q, k, dim);
        p->row_ids[i] = p->args->sample_ids == NULL ? MOCO_QUEUE_NO_ID : p->args->sample_ids[i];
        longest = fmax(longest, moco_nce_dot(q, q, dim));
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

static void start_states(const moco_nce_problem *p, int64_t part, int64_t block) {
    const int64_t first = block * p->kernel->block_width;
    const int32_t width = moco_nce_block_width(p, block);
    moco_nce_row_state *rows = p->rows + part * p->padded_rows + first;
    moco_nce_block_state *state = p->states + part * p->blocks + block;
    memset(state, 0, sizeof *state);
    for (int32_t r = 0; r < width; ++r)
        if (fabs(p->exact_positive[first + r]) * p->scale > FLOAT_LOGITS * MOCO_NCE_LOG2_E) state->exact = 1;
    for (int32_t r = 0; r < width; ++r) {
        const moco_nce_row_state fresh = {state->exact ? p->exact_positive[first + r] : (double) p->positive[first + r],
                                          0, 0, 0};
        rows[r] = fresh;
    }
    if (state->exact) state->shift = EXACT_SHIFT;
    if (p->sums != NULL) {
        float *sums = p->sums + (part * p->padded_rows + first) * p->dim;
        memset(sums, 0, (size_t) (width * p->dim) * sizeof *sums);
    }
}

/* `keys` are key number `key` and the following. */
static void float_tile(const moco_nce_problem *p, int64_t part, int64_t block, const float *keys, int64_t key,
                       int64_t count) {
    const moco_nce_kernel *kernel = p->kernel;
    const int64_t first = block * kernel->block_width;
    const int32_t width = moco_nce_block_width(p, block);
    moco_nce_row_state *rows = p->rows + part * p->padded_rows + first;
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
        moco_nce_row_state *row = rows + r;
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
static void exact_tile(const moco_nce_problem *p, int64_t part, int64_t block, const float *keys, int64_t key,
                       int64_t count) {
    const int64_t first = block * p->kernel->block_width;
    const int32_t width = moco_nce_block_width(p, block);
    const float *q_t = p->q_t + first * p->dim;
    moco_nce_row_state *rows = p->rows + part * p->padded_rows + first;
    moco_nce_block_state *state = p->states + part * p->blocks + block;
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
        moco_nce_row_state *row = rows + r;
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

/* Task: one part of the keys against one group of query blocks. A tile of keys is used by all blocks of the group while
 * it is in the cache. */
void moco_nce_stream_keys(void *argument, int64_t task, int32_t worker) {
    const moco_nce_problem *p = (const moco_nce_problem *) argument;
    const int64_t part = task / p->groups;
    const int64_t first_block = task % p->groups * p->group_blocks;
    const int64_t last_block = moco_min_i64(first_block + p->group_blocks, p->blocks);
    const int64_t end = moco_min_i64((part + 1) * p->part_keys, p->key_count);
    for (int64_t block = first_block; block < last_block; ++block) start_states(p, part, block);

    for (int64_t key = part * p->part_keys; key < end; key += p->tile_keys) {
        const int64_t count = moco_min_i64(p->tile_keys, end - key);
        const float *keys = moco_nce_tile(p, key, count, worker);
        const float square = p->kernel->largest_square(keys, count, p->dim);
        for (int64_t block = first_block; block < last_block; ++block) {
            /* No product is larger than the lengths' (Cauchy-Schwarz), nor any partial sum on the way to it. */
            const double bound = sqrt((double) square) * p->block_length[block];
            const int32_t exact = p->states[part * p->blocks + block].exact;
            if (!exact && moco_nce_fits_float(p, bound)) {
                float_tile(p, part, block, keys, key, count);
                continue;
            }
            for (int64_t j = 0; j < count; j += EXACT_KEYS)
                exact_tile(p, part, block, keys + j * p->dim, key + j, moco_min_i64(EXACT_KEYS, count - j));
        }
    }
}
