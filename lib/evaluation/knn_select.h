/* From one query's similarities to all bank rows to its ranked classes. */
#ifndef MOCO_EVALUATION_KNN_SELECT_H
#define MOCO_EVALUATION_KNN_SELECT_H

#include "core/context_internal.h"

/* The bank, as the selection reads it. */
typedef struct moco_knn_bank {
    const float *rows; /* count x dim, unit length or zero */
    const int32_t *labels;
    int64_t count;
    int64_t dim;
    int64_t classes;
    int64_t k; /* <= count */
    double temperature;
} moco_knn_bank;

typedef struct moco_ranked {
    double score;
    int64_t index;
} moco_ranked;

/* Working memory of one worker, allocated once. */
typedef struct moco_knn_scratch {
    float *best;             /* 2 k similarities */
    moco_ranked *candidates; /* count */
    moco_ranked *votes;      /* classes */
} moco_knn_scratch;

moco_status moco_knn_scratch_create(moco_knn_scratch *scratch, moco_context *context, const moco_knn_bank *bank);
void moco_knn_scratch_release(moco_knn_scratch *scratch, moco_context *context);

/* similarities[count]: query . row in float32, summed in any order, which only narrows the choice: the neighbours are
 * then chosen, ordered and weighted by similarities computed here in float64, so that neither the backend nor the
 * number of threads can change a ranking. ranking[classes]: best first, those without a vote last. Returns how many
 * classes have a vote. */
int64_t moco_knn_select(const moco_knn_bank *bank, const float *query, const float *similarities,
                        moco_knn_scratch *scratch, int32_t *ranking);

#endif
