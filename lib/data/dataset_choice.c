/* A part of a dataset that has as much of each class as the whole. */
#include "core/checked.h"
#include "core/random.h"
#include "data/dataset_internal.h"

/* An image that may be chosen. By label, then in random order. */
typedef struct candidate {
    int32_t label;
    uint32_t random;
    int64_t index;
} candidate;

static int32_t comes_after(const candidate *a, const candidate *b) {
    if (a->label != b->label) return a->label > b->label;
    if (a->random != b->random) return a->random > b->random;
    return a->index > b->index;
}

static void sift_down(candidate *items, int64_t root, int64_t count) {
    for (int64_t child = 2 * root + 1; child < count; root = child, child = 2 * root + 1) {
        if (child + 1 < count && comes_after(&items[child + 1], &items[child])) ++child;
        if (!comes_after(&items[child], &items[root])) return;
        const candidate moved = items[root];
        items[root] = items[child];
        items[child] = moved;
    }
}

/* qsort would take memory behind the context's back. */
static void sort(candidate *items, int64_t count) {
    for (int64_t root = count / 2 - 1; root >= 0; --root) sift_down(items, root, count);
    for (int64_t end = count - 1; end > 0; --end) {
        const candidate moved = items[0];
        items[0] = items[end];
        items[end] = moved;
        sift_down(items, 0, end);
    }
}

static moco_status find_labelled(const moco_dataset *dataset, uint64_t seed, candidate *candidates, int64_t *found) {
    *found = 0;
    for (int64_t i = 0; i < dataset->count; ++i) {
        moco_random random;
        int32_t label = MOCO_NO_LABEL;
        const moco_status status = moco_dataset_label(dataset, i, &label);
        if (status != MOCO_OK && !moco_is_broken(status)) return status;
        if (status != MOCO_OK || label < 0) continue;
        moco_random_init(&random, seed, MOCO_RANDOM_CHOICE, 0, (uint64_t) i);
        candidates[(*found)++] = (candidate){label, moco_random_u32(&random), i};
    }
    return MOCO_OK;
}

/* Every (found / wanted)th of the sorted candidates, from the middle of the first such stretch on: a class of n images
 * has n * wanted / found of them, rounded up or down. Marks them. */
static void take_evenly(const candidate *candidates, int64_t found, int64_t wanted, uint8_t *is_chosen) {
    const int64_t step = found / wanted, rest = found % wanted;
    int64_t at = step / 2, error = wanted / 2;
    for (int64_t i = 0; i < wanted; ++i) {
        is_chosen[candidates[at].index] = 1;
        at += step;
        error += rest;
        if (error >= wanted) {
            error -= wanted;
            ++at;
        }
    }
}

moco_status moco_dataset_choose(const moco_dataset *dataset, int64_t count, uint64_t seed, int64_t *indices,
                                int64_t *chosen) {
    MOCO_REQUIRE_POINTER(dataset);
    MOCO_REQUIRE(count >= 1, "count is %lld; it must be at least 1", (long long) count);
    MOCO_REQUIRE_POINTER(indices);
    MOCO_REQUIRE_POINTER(chosen);
    moco_context *context = dataset->context;
    candidate *candidates = (candidate *) moco_allocate_zeroed(context, (size_t) dataset->count, sizeof *candidates);
    uint8_t *is_chosen = (uint8_t *) moco_allocate_zeroed(context, (size_t) dataset->count, sizeof *is_chosen);
    int64_t found = 0, written = 0;
    moco_status status = candidates == NULL || is_chosen == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    if (status == MOCO_OK) status = find_labelled(dataset, seed, candidates, &found);
    if (status == MOCO_OK && found > 0) {
        sort(candidates, found);
        take_evenly(candidates, found, moco_min_i64(count, found), is_chosen);
    }
    for (int64_t i = 0; status == MOCO_OK && i < dataset->count; ++i) {
        if (is_chosen[i]) indices[written++] = i;
    }
    if (status == MOCO_OK) *chosen = written;
    moco_deallocate(context, is_chosen);
    moco_deallocate(context, candidates);
    return status;
}
