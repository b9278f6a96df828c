/* What tells the caller of moco_knn_measure how far it is, and may stop it. */
#ifndef MOCO_EVALUATION_KNN_WATCH_H
#define MOCO_EVALUATION_KNN_WATCH_H

#include "core/status_internal.h"
#include <moco/evaluation.h>

typedef struct moco_knn_watch {
    moco_knn_progress_fn tell; /* NULL: nobody asks */
    void *user;
    moco_knn_progress progress;
} moco_knn_watch;

/* `watch` NULL is a no-op. CALLBACK where the caller wants no more. */
moco_status moco_knn_watch_add(moco_knn_watch *watch, int64_t images);

/* moco_knn_evaluate, watched. */
moco_status moco_knn_evaluate_watched(const moco_knn *knn, const float *features, const int32_t *labels, int64_t n,
                                      double *top1, double *top5, moco_knn_watch *watch);

/* INVALID_ARGUMENT where moco_knn_create would refuse these settings. */
moco_status moco_knn_check_config(const moco_knn_config *config);

#endif
