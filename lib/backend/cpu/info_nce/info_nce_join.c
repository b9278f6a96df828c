/* After the first sweep: the parts joined in their order, and the gradients that it suffices for, dL/dq and dL/dk. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "backend/cpu/info_nce/info_nce_problem.h"

/* p_ij = 2^((s_ij - reference) c) / total, in the floats that the second sweep takes. What rounding moves the reference
 * by goes into the factor. */
static void round_row(const moco_nce_problem *p, int64_t i) {
    const moco_nce_row_result *result = p->results + i;
    const float reference = (float) fmax(-FLT_MAX, fmin(FLT_MAX, result->reference));
    const double factor = exp2(((double) reference - result->reference) * p->scale) / result->total;
    p->row_reference[i] = reference;
    p->row_factor[i] = (float) fmin(FLT_MAX, factor);
}

void moco_nce_join_block(void *argument, int64_t block, int32_t worker) {
    (void) worker;
    const moco_nce_problem *p = (const moco_nce_problem *) argument;
    const int64_t first = block * p->kernel->block_width;
    const int32_t width = moco_nce_block_width(p, block);
    const int32_t used = (int32_t) moco_min_i64(width, p->n - first);
    double share[MOCO_NCE_MOST_PARTS][MOCO_NCE_WIDEST_BLOCK]; /* of a part's sums in the softmax */
    double negative[MOCO_NCE_WIDEST_BLOCK];                   /* probability of all negatives together */
    for (int32_t r = 0; r < used; ++r) {
        const double positive = p->exact_positive[first + r];
        moco_nce_row_result *result = p->results + first + r;
        memset(result, 0, sizeof *result);
        double reference = positive;
        for (int64_t part = 0; part < p->parts; ++part)
            reference = fmax(reference, p->rows[part * p->padded_rows + first + r].reference);
        double rest = 0;
        for (int64_t part = 0; part < p->parts; ++part) {
            const moco_nce_row_state *row = p->rows + part * p->padded_rows + first + r;
            const double shift = p->states[part * p->blocks + block].shift;
            share[part][r] = exp2((row->reference - reference) * p->scale + shift);
            rest += share[part][r] * row->sum;
            result->similarity += row->similarity;
            result->hits += row->hits;
        }
        /* -log(own / total), without cancellation where the positive outweighs the rest */
        const double own = exp2((positive - reference) * p->scale);
        result->loss = (reference - positive) * (p->scale / MOCO_NCE_LOG2_E) + log1p(rest + (own - 1));
        negative[r] = rest / (rest + own);
        result->reference = reference;
        result->total = rest + own;
        if (p->row_factor != NULL) round_row(p, first + r);
        for (int64_t part = 0; part < p->parts; ++part) share[part][r] /= rest + own;
    }
    /* dL/dk_i = -(1 - p_i) q_i / (n T) */
    const double outer = 1.0 / ((double) p->n * p->args->temperature);
    for (int32_t r = 0; r < used && p->d_k != NULL; ++r) {
        const float *q = p->q + (first + r) * p->dim;
        float *d_k = p->d_k + (first + r) * p->dim;
        for (int64_t d = 0; d < p->dim; ++d) d_k[d] = (float) (-outer * negative[r] * (double) q[d]);
    }
    if (p->d_q == NULL) return;
    /* dL/dq_i = (sum over j of p_ij key_j - (1 - p_i) k_i) / (n T) */
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
