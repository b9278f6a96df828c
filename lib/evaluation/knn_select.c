#include "evaluation/knn_select.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/checked.h"

#define LANES   8
#define NO_VOTE (-1.0) /* below every vote; one that is very far away may count 0 */

/* --- Working memory --- */

moco_status moco_knn_scratch_create(moco_knn_scratch *scratch, moco_context *context, const moco_knn_bank *bank) {
    memset(scratch, 0, sizeof *scratch);
    scratch->best = (float *) moco_allocate_zeroed(context, (size_t) (2 * bank->k), sizeof *scratch->best);
    scratch->candidates =
        (moco_ranked *) moco_allocate_zeroed(context, (size_t) bank->count, sizeof *scratch->candidates);
    scratch->votes = (moco_ranked *) moco_allocate_zeroed(context, (size_t) bank->classes, sizeof *scratch->votes);
    if (scratch->best != NULL && scratch->candidates != NULL && scratch->votes != NULL) return MOCO_OK;
    moco_knn_scratch_release(scratch, context);
    return MOCO_OUT_OF_MEMORY;
}

void moco_knn_scratch_release(moco_knn_scratch *scratch, moco_context *context) {
    moco_deallocate(context, scratch->best);
    moco_deallocate(context, scratch->candidates);
    moco_deallocate(context, scratch->votes);
    memset(scratch, 0, sizeof *scratch);
}

/* --- Order: the higher score first, then the lower index; no two are equal --- */

static int32_t comes_after(const moco_ranked *a, const moco_ranked *b) {
    return a->score != b->score ? a->score < b->score : a->index > b->index;
}

static void sift_down(moco_ranked *items, int64_t root, int64_t count) {
    for (int64_t child = 2 * root + 1; child < count; root = child, child = 2 * root + 1) {
        if (child + 1 < count && comes_after(&items[child + 1], &items[child])) ++child;
        if (!comes_after(&items[child], &items[root])) return;
        const moco_ranked moved = items[root];
        items[root] = items[child];
        items[child] = moved;
    }
}

static void sort_ranked(moco_ranked *items, int64_t count) {
    for (int64_t root = count / 2 - 1; root >= 0; --root) sift_down(items, root, count);
    for (int64_t end = count - 1; end > 0; --end) {
        const moco_ranked moved = items[0];
        items[0] = items[end];
        items[end] = moved;
        sift_down(items, 0, end);
    }
}

/* --- The k-th largest similarity --- */

/* Moves the k largest of values[0 .. count) to the front (Hoare's quickselect) and returns the smallest of them. */
static float keep_largest(float *values, int64_t count, int64_t k) {
    int64_t low = 0;
    int64_t high = count - 1;
    while (low < high) {
        const float pivot = values[low + (high - low) / 2];
        int64_t i = low;
        int64_t j = high;
        while (i <= j) {
            while (values[i] > pivot) ++i;
            while (values[j] < pivot) --j;
            if (i > j) break;
            const float moved = values[i];
            values[i++] = values[j];
            values[j--] = moved;
        }
        if (k - 1 <= j) {
            high = j;
        } else if (k - 1 >= i) {
            low = i;
        } else {
            break;
        }
    }
    return values[k - 1];
}

/* Gathers what beats the k-th largest so far and cuts the harvest back to k whenever 2 k are there. */
static float kth_largest(const float *similarities, int64_t count, int64_t k, float *best) {
    int64_t kept = 0;
    float threshold = -INFINITY;
    for (int64_t i = 0; i < count; ++i) {
        if (!(similarities[i] > threshold)) continue;
        best[kept++] = similarities[i];
        if (kept < 2 * k) continue;
        threshold = keep_largest(best, kept, k);
        kept = k;
    }
    return keep_largest(best, kept, k);
}

/* --- Neighbours and votes --- */

/* In float64, in an order of its own: LANES partial sums, then their sum. */
static double dot(const float *a, const float *b, int64_t dim) {
    double sums[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= dim; i += LANES) {
        for (int lane = 0; lane < LANES; ++lane) sums[lane] += (double) a[i + lane] * (double) b[i + lane];
    }
    for (int lane = 0; i < dim; ++i, ++lane) sums[lane] += (double) a[i] * (double) b[i];
    double total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += sums[lane];
    return total;
}

/* A float32 dot product of two rows of length 1 errs by at most e = dim * 2^-24, whatever the order of its sum. So the
 * k-th largest of them is at most e from the true one, and every true neighbour within another e of that. */
static float rounding_margin(int64_t dim) {
    return (float) (2.02 * (double) (dim + 2) * (double) FLT_EPSILON / 2);
}

/* All rows that may be among the k nearest, with their exact similarity. */
static int64_t find_candidates(const moco_knn_bank *bank, const float *query, const float *similarities,
                               moco_knn_scratch *scratch) {
    float lowest = -INFINITY;
    if (bank->k < bank->count) {
        lowest = kth_largest(similarities, bank->count, bank->k, scratch->best) - rounding_margin(bank->dim);
    }
    int64_t found = 0;
    for (int64_t i = 0; i < bank->count; ++i) {
        if (!(similarities[i] >= lowest)) continue;
        scratch->candidates[found].score = dot(query, bank->rows + i * bank->dim, bank->dim);
        scratch->candidates[found].index = i;
        found++;
    }
    return found;
}

int64_t moco_knn_select(const moco_knn_bank *bank, const float *query, const float *similarities,
                        moco_knn_scratch *scratch, int32_t *ranking) {
    moco_ranked *neighbours = scratch->candidates;
    const int64_t found = find_candidates(bank, query, similarities, scratch);
    sort_ranked(neighbours, found);
    for (int64_t c = 0; c < bank->classes; ++c) {
        scratch->votes[c].score = NO_VOTE;
        scratch->votes[c].index = c;
    }
    /* exp(s / t), all divided by the nearest's, which changes no ranking and can't overflow. */
    int64_t voted = 0;
    for (int64_t i = 0; i < moco_min_i64(bank->k, found); ++i) {
        moco_ranked *class = &scratch->votes[bank->labels[neighbours[i].index]];
        if (class->score == NO_VOTE) {
            class->score = 0;
            ++voted;
        }
        class->score += exp((neighbours[i].score - neighbours[0].score) / bank->temperature);
    }
    sort_ranked(scratch->votes, bank->classes);
    for (int64_t c = 0; c < bank->classes; ++c) ranking[c] = (int32_t) scratch->votes[c].index;
    return voted;
}
