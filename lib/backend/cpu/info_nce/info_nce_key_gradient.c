/* The second sweep, for dL/dkeys: once all logits of a row are summed, each key's gradient is a sum over the rows,
 *
 *   dL/dkey_j = sum over i of p_ij q_i / (n T),   p_ij = 2^((s_ij - r_i) c) / total_i
 *
 * The kernels of the first sweep do it with the roles of rows and keys exchanged: now the keys of a block are the lanes,
 * transposed, and tiles of query rows stream past them. So a similarity has the bits that it had in the first sweep, and
 * each block of keys is one task, which sums over the rows in their order.
 */
#include <math.h>
#include <moco/queue.h>
#include <string.h>

#include "backend/cpu/info_nce/info_nce_problem.h"

/* Where n rows of the longest query could come near the largest float, sums are in double. */
#define FLOAT_SUMS 1e36

/* The keys [first, first + count) as key_t[dim][width], times sign(T); keys beyond `count` are zeros. */
static void transpose(const moco_nce_problem *p, const float *keys, int64_t count, int32_t width, float *key_t) {
    for (int32_t r = 0; r < width; ++r) {
        for (int64_t d = 0; d < p->dim; ++d)
            key_t[d * width + r] = r < count ? (float) p->sign * keys[r * p->dim + d] : 0.0f;
    }
}

static void float_block(const moco_nce_problem *p, int64_t first, const float *keys, int64_t count, int32_t worker) {
    const moco_nce_kernel *kernel = p->kernel;
    const int32_t width = (int32_t) (moco_ceil_divide(count, kernel->lanes) * kernel->lanes);
    float *key_t = p->key_t + (int64_t) worker * p->key_width * p->dim;
    float *sums = p->key_sums + (int64_t) worker * p->key_width * p->dim;
    float S[MOCO_NCE_TILE_KEYS * MOCO_NCE_WIDEST_BLOCK] __attribute__((aligned(64)));
    float keep[MOCO_NCE_WIDEST_BLOCK];
    int64_t ids[MOCO_NCE_WIDEST_BLOCK];
    const int32_t masks = p->args->key_ids != NULL && p->args->sample_ids != NULL;

    transpose(p, keys, count, width, key_t);
    memset(sums, 0, (size_t) (width * p->dim) * sizeof *sums);
    for (int32_t r = 0; r < width; ++r) {
        keep[r] = 1;
        ids[r] = masks && r < count ? p->args->key_ids[first + r] : MOCO_QUEUE_NO_ID;
    }
    for (int64_t row = 0; row < p->n; row += p->tile_keys) {
        const int64_t rows = moco_min_i64(p->tile_keys, p->n - row);
        const float *q = p->q + row * p->dim;
        kernel->similarities(q, rows, p->dim, key_t, width, S);
        if (masks) kernel->mask(p->args->sample_ids + row, rows, ids, width, S);
        kernel->probabilities(S, rows, width, p->row_reference + row, (float) p->scale, p->row_factor + row);
        kernel->accumulate(q, rows, p->dim, S, width, keep, sums);
    }
    const double outer = 1.0 / ((double) p->n * p->args->temperature);
    for (int64_t r = 0; r < count; ++r) {
        float *d_key = p->d_keys + (first + r) * p->dim;
        for (int64_t d = 0; d < p->dim; ++d) d_key[d] = (float) (outer * (double) sums[d * width + r]);
    }
}

/* The same in double, for logits too large for float32, or products that overflow it. */
static void exact_block(const moco_nce_problem *p, int64_t first, const float *keys, int64_t count, int32_t worker) {
    const moco_info_nce_args *args = p->args;
    const double outer = 1.0 / ((double) p->n * args->temperature);
    double *sums = p->exact_sums + (int64_t) worker * p->dim;
    for (int64_t j = 0; j < count; ++j) {
        const int64_t id = args->key_ids == NULL ? MOCO_QUEUE_NO_ID : args->key_ids[first + j];
        memset(sums, 0, (size_t) p->dim * sizeof *sums);
        for (int64_t i = 0; i < p->n; ++i) {
            if (id != MOCO_QUEUE_NO_ID && id == p->row_ids[i]) continue;
            const float *q = p->q + i * p->dim;
            const double s = p->sign * moco_nce_dot(q, keys + j * p->dim, p->dim);
            const double share = exp2((s - p->results[i].reference) * p->scale) / p->results[i].total;
            for (int64_t d = 0; d < p->dim; ++d) sums[d] += share * (double) q[d];
        }
        float *d_key = p->d_keys + (first + j) * p->dim;
        for (int64_t d = 0; d < p->dim; ++d) d_key[d] = (float) (outer * sums[d]);
    }
}

void moco_nce_key_block(void *problem, int64_t block, int32_t worker) {
    const moco_nce_problem *p = (const moco_nce_problem *) problem;
    const int64_t first = block * p->key_width;
    const int64_t count = moco_min_i64(p->key_width, p->key_count - first);
    const float *keys = moco_nce_tile(p, first, count, worker);
    const double bound = sqrt((double) p->kernel->largest_square(keys, count, p->dim)) * p->longest;
    if (moco_nce_fits_float(p, bound) && (double) p->n * p->longest <= FLOAT_SUMS) {
        float_block(p, first, keys, count, worker);
    } else {
        exact_block(p, first, keys, count, worker);
    }
}
