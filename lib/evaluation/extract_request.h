/* Extraction as moco_extract and moco_knn_measure ask for it. */
#ifndef MOCO_EVALUATION_EXTRACT_REQUEST_H
#define MOCO_EVALUATION_EXTRACT_REQUEST_H

#include "evaluation/knn_watch.h"

typedef struct moco_extract_request {
    moco_encoder *encoder;
    moco_dataset *dataset;
    moco_augment *augment; /* NULL: the images as they are */
    int32_t output;
    int64_t first;
    int64_t count;
    const int64_t *indices; /* [count]; NULL: the images from `first` on */
    int64_t batch_size;
    moco_knn_watch *watch; /* NULL: nobody asks */
} moco_extract_request;

/* Hold the request's handles, which a callback may destroy while they are at work. */
void moco_extract_retain(const moco_extract_request *request);
void moco_extract_release(const moco_extract_request *request);

/* Whether the request can be met at all, and the length of its rows. Looks at one image where there is no augment. */
moco_status moco_extract_check(const moco_extract_request *request, int64_t *dim);
/* rows[count x dim], labels[count] or NULL; of a request that was checked. */
moco_status moco_extract_rows(const moco_extract_request *request, float *rows, int32_t *labels);

#endif
