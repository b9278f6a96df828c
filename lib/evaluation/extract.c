/* Evaluation-mode features, embeddings or pixels of a part of a dataset, batch by batch. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "encoder/encoder_internal.h"
#include "evaluation/extract_request.h"
#include "loader/view_maker.h"
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

/* --- The views' shape --- */

typedef struct view_shape {
    int64_t channels, h, w;
} view_shape;

static int64_t image_at(const moco_extract_request *request, int64_t place) {
    return request->indices == NULL ? request->first + place : request->indices[place];
}

/* The augment's, or that of the first image which can be read. */
static moco_status find_shape(const moco_extract_request *request, view_shape *shape) {
    const moco_dataset *dataset = request->dataset;
    *shape = (view_shape){dataset->channels, 0, 0};
    if (request->augment != NULL) {
        *shape =
            (view_shape){VIEW_CHANNELS, moco_augment_height(request->augment), moco_augment_width(request->augment)};
        return MOCO_OK;
    }
    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < request->count; ++i) {
        status = moco_dataset_info(dataset, image_at(request, i), &shape->h, &shape->w, NULL);
        if (status == MOCO_OK || !moco_is_broken(status)) break;
    }
    return status;
}

static moco_status measure_view(const view_shape *shape, int64_t *elements) {
    const int64_t dims[3] = {shape->channels, shape->h, shape->w};
    return moco_checked_product(dims, 3, "the image's channels x h x w", elements);
}

/* --- Evaluation views of one batch, prepared in parallel --- */

typedef struct view_work {
    moco_context *context;
    moco_view_plan plan;
    const moco_extract_request *request;
    view_shape shape;
    int64_t elements;           /* of a view */
    int64_t first;              /* the batch's first place in the request */
    float *views;               /* n x elements */
    int32_t *labels;            /* of the batch, as moco_extract gives them */
    moco_view_memory *memories; /* by worker */
    pthread_mutex_t lock;       /* of what follows: the failure of the lowest image, which is the one that is told */
    int64_t failed_image;
    moco_status status;
    char sentence[512];
} view_work;

static void note_failure(view_work *work, int64_t index, moco_status status) {
    pthread_mutex_lock(&work->lock);
    /* A failure that stops everything goes before a broken image. */
    const int32_t stops = !moco_is_broken(status), stopped = work->status != MOCO_OK && !moco_is_broken(work->status);
    if (work->status == MOCO_OK || (stops && !stopped) || (stops == stopped && index < work->failed_image)) {
        work->failed_image = index;
        work->status = status;
        snprintf(work->sentence, sizeof work->sentence, "%s", moco_last_error());
    }
    pthread_mutex_unlock(&work->lock);
}

/* The image itself. */
static moco_status read_image(const view_work *work, int64_t index, float *view, int32_t *label) {
    const view_shape *shape = &work->shape;
    int64_t h = 0, w = 0;
    MOCO_TRY(moco_dataset_info(work->plan.dataset, index, &h, &w, label));
    MOCO_REQUIRE(h == shape->h && w == shape->w,
                 "augment is NULL, so that images are taken as they are, but image %lld has %lld x %lld pixels and "
                 "others have %lld x %lld; give an augment, which makes views of one size",
                 (long long) index, (long long) h, (long long) w, (long long) shape->h, (long long) shape->w);
    return moco_dataset_read(work->plan.dataset, index, view, work->elements);
}

static void run_view(void *argument, int64_t task, int32_t worker) {
    view_work *work = (view_work *) argument;
    const int64_t elements = work->elements, index = image_at(work->request, work->first + task);
    float *view = work->views + task * elements;
    const moco_status status = work->plan.augment == NULL ? read_image(work, index, view, &work->labels[task])
                                                          : moco_make_views(&work->plan, &work->memories[worker], 0,
                                                                            index, view, NULL, &work->labels[task]);
    if (status == MOCO_OK) return;
    note_failure(work, index, status);
    if (moco_is_broken(status)) moco_broken_images_note(&work->plan.dataset->broken, work->context, index);
    memset(view, 0, (size_t) elements * sizeof *view);
    work->labels[task] = MOCO_UNREADABLE;
}

/* --- The loop over batches --- */

/* Rows of zeros for broken images; returns how many there are. */
static int64_t clear_broken(const int32_t *labels, int64_t n, int64_t dim, float *rows) {
    int64_t broken = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (labels[i] != MOCO_UNREADABLE) continue;
        memset(rows + i * dim, 0, (size_t) dim * sizeof *rows);
        broken++;
    }
    return broken;
}

static moco_status extract_batches(view_work *work, float *rows, int32_t *labels) {
    const moco_extract_request *request = work->request;
    const int64_t count = request->count, h = work->shape.h, w = work->shape.w;
    const int32_t output = request->output;
    const int64_t dim =
        output == MOCO_OUTPUT_PIXELS ? work->elements : moco_extract_dim(request->encoder, NULL, output);
    float *const batch_views = work->views;
    int64_t broken = 0;
    for (int64_t done = 0; done < count; done += request->batch_size) {
        const int64_t n = moco_min_i64(request->batch_size, count - done);
        float *batch_rows = rows + done * dim;
        work->first = done;
        work->views = output == MOCO_OUTPUT_PIXELS ? batch_rows : batch_views;
        moco_parallel_for(work->context, n, run_view, work);
        if (work->status != MOCO_OK && !moco_is_broken(work->status)) break;
        if (output == MOCO_OUTPUT_FEATURES) {
            MOCO_TRY(moco_encoder_features(request->encoder, work->views, n, h, w, batch_rows));
        } else if (output == MOCO_OUTPUT_EMBEDDINGS) {
            MOCO_TRY(moco_encoder_evaluate(request->encoder, work->views, n, h, w, batch_rows));
        }
        broken += clear_broken(work->labels, n, dim, batch_rows);
        if (labels != NULL) memcpy(labels + done, work->labels, (size_t) n * sizeof *labels);
        MOCO_TRY(moco_knn_watch_add(request->watch, n));
    }
    if (work->status != MOCO_OK && (broken == count || !moco_is_broken(work->status))) {
        return moco_fail_with(work->status, work->sentence);
    }
    if (broken > 0) {
        moco_log(work->context, MOCO_LOG_INFO, "%lld of %lld images are broken and were not evaluated",
                 (long long) broken, (long long) count);
    }
    return MOCO_OK;
}

moco_status moco_extract_check(const moco_extract_request *request, int64_t *dim) {
    const moco_dataset *dataset = request->dataset;
    const int32_t output = request->output;
    MOCO_REQUIRE_POINTER(dataset);
    MOCO_REQUIRE(output >= MOCO_OUTPUT_FEATURES && output <= MOCO_OUTPUT_PIXELS,
                 "output is %d; it must be MOCO_OUTPUT_FEATURES (0), _EMBEDDINGS (1) or _PIXELS (2)", output);
    MOCO_REQUIRE(request->encoder != NULL || output == MOCO_OUTPUT_PIXELS,
                 "encoder is NULL; only MOCO_OUTPUT_PIXELS needs none");
    MOCO_REQUIRE(request->batch_size >= 1, "batch_size is %lld; it must be at least 1",
                 (long long) request->batch_size);
    MOCO_REQUIRE(request->first >= 0 && request->count >= 0 && request->first <= dataset->count &&
                     request->count <= dataset->count - request->first,
                 "first is %lld and count %lld; the dataset has images 0 to %lld", (long long) request->first,
                 (long long) request->count, (long long) dataset->count - 1);
    const int64_t wanted = output == MOCO_OUTPUT_PIXELS ? dataset->channels : moco_encoder_channels(request->encoder);
    if (request->augment != NULL) {
        MOCO_REQUIRE(dataset->channels == VIEW_CHANNELS,
                     "the dataset's images have %lld channels; views are made of %d", (long long) dataset->channels,
                     VIEW_CHANNELS);
    } else {
        MOCO_REQUIRE(dataset->channels == wanted, "the dataset's images have %lld channels; the encoder takes %lld",
                     (long long) dataset->channels, (long long) wanted);
    }
    view_shape shape;
    if (output != MOCO_OUTPUT_PIXELS) {
        *dim = moco_extract_dim(request->encoder, NULL, output);
        return MOCO_OK;
    }
    MOCO_TRY(find_shape(request, &shape));
    return measure_view(&shape, dim);
}

void moco_extract_retain(const moco_extract_request *request) {
    if (request->encoder != NULL) moco_encoder_retain(request->encoder);
    if (request->augment != NULL) moco_augment_retain(request->augment);
    moco_dataset_retain(request->dataset);
}

void moco_extract_release(const moco_extract_request *request) {
    moco_encoder_release(request->encoder);
    moco_augment_release(request->augment);
    moco_dataset_release(request->dataset);
}

static moco_status check_and_extract(const moco_extract_request *request, float *rows, int32_t *labels) {
    int64_t dim = 0;
    MOCO_TRY(moco_extract_check(request, &dim));
    if (request->count == 0) return MOCO_OK;
    MOCO_REQUIRE(rows != NULL, "rows is NULL; it must hold count rows");
    return moco_extract_rows(request, rows, labels);
}

moco_status moco_extract(moco_encoder *encoder, moco_dataset *dataset, moco_augment *augment, int32_t output,
                         int64_t first, int64_t count, int64_t batch_size, float *rows, int32_t *labels) {
    const moco_extract_request request = {.encoder = encoder,
                                          .dataset = dataset,
                                          .augment = augment,
                                          .output = output,
                                          .first = first,
                                          .count = count,
                                          .batch_size = moco_min_i64(batch_size, moco_max_i64(count, 1))};
    MOCO_REQUIRE_POINTER(dataset);
    moco_extract_retain(&request);
    const moco_status status = check_and_extract(&request, rows, labels);
    moco_extract_release(&request);
    return status;
}

moco_status moco_extract_rows(const moco_extract_request *request, float *rows, int32_t *labels) {
    moco_dataset *dataset = request->dataset;
    const int64_t batch_size = moco_min_i64(request->batch_size, request->count);
    size_t view_bytes;
    int64_t elements;
    view_work work = {.context = dataset->context,
                      .plan = {.dataset = dataset, .augment = request->augment, .output = MOCO_PIXELS_FLOAT32},
                      .request = request};
    MOCO_TRY(find_shape(request, &work.shape));
    MOCO_TRY(measure_view(&work.shape, &work.elements));
    MOCO_TRY(moco_checked_multiply(batch_size, work.elements, "batch_size", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "batch_size", &view_bytes));

    if (pthread_mutex_init(&work.lock, NULL) != 0) return moco_fail(MOCO_OUT_OF_MEMORY, "no room for a mutex");
    const int32_t workers = moco_context_threads(work.context);
    float *views = request->output == MOCO_OUTPUT_PIXELS ? NULL : (float *) moco_allocate(work.context, view_bytes);
    work.views = views;
    work.labels = (int32_t *) moco_allocate_zeroed(work.context, (size_t) batch_size, sizeof *work.labels);
    work.memories = (moco_view_memory *) moco_allocate_zeroed(work.context, (size_t) workers, sizeof *work.memories);
    moco_status status = MOCO_OUT_OF_MEMORY;
    if (work.memories != NULL && work.labels != NULL && (views != NULL || request->output == MOCO_OUTPUT_PIXELS)) {
        status = extract_batches(&work, rows, labels);
    }
    for (int32_t i = 0; work.memories != NULL && request->augment != NULL && i < workers; ++i) {
        moco_view_memory_release(&work.plan, &work.memories[i]);
    }
    moco_deallocate(work.context, work.memories);
    moco_deallocate(work.context, work.labels);
    moco_deallocate(work.context, views);
    pthread_mutex_destroy(&work.lock);
    return status;
}
