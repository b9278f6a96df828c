#include "evaluation/knn_watch.h"

#include <moco/names.h>

moco_status moco_knn_watch_add(moco_knn_watch *watch, int64_t images) {
    if (watch == NULL || watch->tell == NULL) return MOCO_OK;
    watch->progress.done += images;
    const int32_t answer = watch->tell(&watch->progress, watch->user);
    if (answer == 0) return MOCO_OK;
    return moco_fail(MOCO_CALLBACK,
                     "progress returned %d after %lld of %lld images (%s), which stopped the measurement", answer,
                     (long long) watch->progress.done, (long long) watch->progress.total,
                     moco_enum_name("knn-stage", watch->progress.stage));
}
