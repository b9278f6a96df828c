/* Evaluation-mode features, embeddings or pixels of a part of a dataset, batch by batch. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "augment/augment_internal.h"
#include "core/checked.h"
#include "data/dataset_internal.h"
#include "encoder/encoder_internal.h"
#include <moco/evaluation.h>

#define VIEW_CHANNELS 3 /* of moco_augment_evaluate */

static int64_t view_elements(const moco_augment *augment) {
    return VIEW_CHANNELS * (int64_t) moco_augment_height(augment) * moco_augment_width(augment);
}

int64_t moco_extract_dim(const moco_encoder *encoder, const moco_augment *augment, int32_t output) {
    switch (output) {
    case MOCO_OUTPUT_FEATURES:
        return moco_encoder_feature_dim(encoder);
    case MOCO_OUTPUT_EMBEDDINGS:
        return moco_encoder_embedding_dim(encoder);
    case MOCO_OUTPUT_PIXELS:
        return augment == NULL ? 0 : view_elements(augment);
    default:
        return 0;
    }
}

/* --- Evaluation views of one batch, prepared in parallel --- */

/* Room for one image of any size; each worker has its own and lets it grow. */
typedef struct image_buffer {
    float *pixels;
    int64_t capacity; /* in floats */
} image_buffer;

typedef struct view_work {
    moco_context *context;
    const moco_dataset *dataset;
    const moco_augment *augment;
    int64_t first; /* the batch's first image */
    float *views;  /* n x view_elements */
    int32_t *labels;
    image_buffer *buffers; /* by worker */
    pthread_mutex_t lock;  /* of what follows: the failure of the lowest image, which is the one that is told */
    int64_t failed_task;
    moco_status status;
    char sentence[512];
} view_work;

static moco_status grow(moco_context *context, image_buffer *buffer, int64_t needed) {
    if (needed <= buffer->capacity) return MOCO_OK;
    size_t bytes;
    MOCO_TRY(moco_checked_bytes(needed, sizeof(float), "an image", &bytes));
    moco_deallocate(context, buffer->pixels);
    buffer->capacity = 0;
    buffer->pixels = (float *) moco_allocate(context, bytes);
    if (buffer->pixels == NULL) return MOCO_OUT_OF_MEMORY;
    buffer->capacity = needed;
    return MOCO_OK;
}

static moco_status make_view(view_work *work, int64_t task, image_buffer *buffer) {
    const int64_t index = work->first + task;
    int64_t h;
    int64_t w;
    int32_t label;
    MOCO_TRY(moco_dataset_info(work->dataset, index, &h, &w, &label));
    const int64_t dims[3] = {VIEW_CHANNELS, h, w};
    int64_t elements;
    MOCO_TRY(moco_checked_product(dims, 3, "an image", &elements));
    MOCO_TRY(grow(work->context, buffer, elements));
    MOCO_TRY(moco_dataset_read(work->dataset, index, buffer->pixels, buffer->capacity));
    MOCO_TRY(
        moco_augment_evaluate(work->augment, buffer->pixels, h, w, work->views + task * view_elements(work->augment)));
    if (work->labels != NULL) work->labels[task] = label;
    return MOCO_OK;
}

static void run_view(void *argument, int64_t task, int32_t worker) {
    view_work *work = (view_work *) argument;
    const moco_status status = make_view(work, task, &work->buffers[worker]);
    if (status == MOCO_OK) return;
    pthread_mutex_lock(&work->lock);
    if (work->status == MOCO_OK || task < work->failed_task) {
        work->failed_task = task;
        work->status = status;
        snprintf(work->sentence, sizeof work->sentence, "%s", moco_last_error());
    }
    pthread_mutex_unlock(&work->lock);
}

/* --- The loop over batches --- */

static moco_status extract_batches(moco_encoder *encoder, view_work *work, int32_t output, int64_t first, int64_t count,
                                   int64_t batch_size, float *rows, int32_t *labels) {
    const int64_t dim = moco_extract_dim(encoder, work->augment, output);
    const int32_t h = moco_augment_height(work->augment);
    const int32_t w = moco_augment_width(work->augment);
    float *const batch_views = work->views;
    for (int64_t done = 0; done < count; done += batch_size) {
        const int64_t n = moco_min_i64(batch_size, count - done);
        float *batch_rows = rows + done * dim;
        work->first = first + done;
        work->labels = labels == NULL ? NULL : labels + done;
        work->views = output == MOCO_OUTPUT_PIXELS ? batch_rows : batch_views;
        moco_parallel_for(work->context, n, run_view, work);
        if (work->status != MOCO_OK) return moco_fail_with(work->status, work->sentence);
        if (output == MOCO_OUTPUT_FEATURES) {
            MOCO_TRY(moco_encoder_features(encoder, work->views, n, h, w, batch_rows));
        } else if (output == MOCO_OUTPUT_EMBEDDINGS) {
            MOCO_TRY(moco_encoder_evaluate(encoder, work->views, n, h, w, batch_rows));
        }
    }
    return MOCO_OK;
}

static moco_status check_arguments(const moco_encoder *encoder, const moco_dataset *dataset,
                                   const moco_augment *augment, int32_t output, int64_t first, int64_t count,
                                   int64_t batch_size, const float *rows) {
    MOCO_REQUIRE_POINTER(dataset);
    MOCO_REQUIRE_POINTER(augment);
    MOCO_REQUIRE(output >= MOCO_OUTPUT_FEATURES && output <= MOCO_OUTPUT_PIXELS,
                 "output is %d; it must be MOCO_OUTPUT_FEATURES (0), _EMBEDDINGS (1) or _PIXELS (2)", output);
    MOCO_REQUIRE(encoder != NULL || output == MOCO_OUTPUT_PIXELS,
                 "encoder is NULL; only MOCO_OUTPUT_PIXELS needs none");
    MOCO_REQUIRE(batch_size >= 1, "batch_size is %lld; it must be at least 1", (long long) batch_size);
    MOCO_REQUIRE(first >= 0 && count >= 0 && first <= dataset->count && count <= dataset->count - first,
                 "first is %lld and count %lld; the dataset has images 0 to %lld", (long long) first, (long long) count,
                 (long long) dataset->count - 1);
    MOCO_REQUIRE(rows != NULL || count == 0, "rows is NULL; it must hold count rows");
    MOCO_REQUIRE(dataset->channels == VIEW_CHANNELS, "the dataset's images have %lld channels; views are made of %d",
                 (long long) dataset->channels, VIEW_CHANNELS);
    return MOCO_OK;
}

moco_status moco_extract(moco_encoder *encoder, moco_dataset *dataset, moco_augment *augment, int32_t output,
                         int64_t first, int64_t count, int64_t batch_size, float *rows, int32_t *labels) {
    MOCO_TRY(check_arguments(encoder, dataset, augment, output, first, count, batch_size, rows));
    if (count == 0) return MOCO_OK;
    if (batch_size > count) batch_size = count;
    size_t view_bytes;
    int64_t elements;
    MOCO_TRY(moco_checked_multiply(batch_size, view_elements(augment), "batch_size", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "batch_size", &view_bytes));

    view_work work = {.context = dataset->context, .dataset = dataset, .augment = augment};
    if (pthread_mutex_init(&work.lock, NULL) != 0) return moco_fail(MOCO_OUT_OF_MEMORY, "no room for a mutex");
    const int32_t workers = moco_context_threads(work.context);
    float *views = output == MOCO_OUTPUT_PIXELS ? NULL : (float *) moco_allocate(work.context, view_bytes);
    work.views = views;
    work.buffers = (image_buffer *) moco_allocate_zeroed(work.context, (size_t) workers, sizeof *work.buffers);
    moco_status status = MOCO_OUT_OF_MEMORY;
    if (work.buffers != NULL && (views != NULL || output == MOCO_OUTPUT_PIXELS)) {
        status = extract_batches(encoder, &work, output, first, count, batch_size, rows, labels);
    }
    for (int32_t i = 0; work.buffers != NULL && i < workers; ++i) {
        moco_deallocate(work.context, work.buffers[i].pixels);
    }
    moco_deallocate(work.context, work.buffers);
    moco_deallocate(work.context, views);
    pthread_mutex_destroy(&work.lock);
    return status;
}
