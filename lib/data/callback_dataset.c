#include "core/checked.h"
#include "data/dataset_internal.h"

typedef struct callback_images {
    moco_dataset_info_fn info;
    moco_dataset_read_fn read;
    void *user;
} callback_images;

static moco_status callback_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w, int32_t *label) {
    const callback_images *images = (const callback_images *) dataset->state;
    const int32_t answer = images->info(index, h, w, label, images->user);
    if (answer != 0) {
        return moco_fail(MOCO_CALLBACK, "the dataset's info callback returned %d for image %lld", answer,
                         (long long) index);
    }
    if (*h < 1 || *w < 1) {
        return moco_fail(
            MOCO_CALLBACK,
            "the dataset's info callback gave image %lld the shape %lld x %lld; h and w must be at least 1",
            (long long) index, (long long) *h, (long long) *w);
    }
    if (*label < MOCO_NO_LABEL) {
        return moco_fail(MOCO_CALLBACK,
                         "the dataset's info callback gave image %lld the label %d; it must be 0 or more, or "
                         "MOCO_NO_LABEL (-1)",
                         (long long) index, *label);
    }
    return MOCO_OK;
}

static moco_status callback_read(const moco_dataset *dataset, int64_t index, float *pixels) {
    const callback_images *images = (const callback_images *) dataset->state;
    const int32_t answer = images->read(index, pixels, images->user);
    if (answer != 0) {
        return moco_fail(MOCO_CALLBACK, "the dataset's read callback returned %d for image %lld", answer,
                         (long long) index);
    }
    return MOCO_OK;
}

static void callback_destroy(moco_dataset *dataset) {
    moco_deallocate(dataset->context, dataset->state);
}

static const moco_dataset_ops callback_ops = {
    .info = callback_info, .read = callback_read, .destroy = callback_destroy};

moco_status moco_dataset_create_callback(moco_dataset **out, moco_context *context, int64_t count, int64_t channels,
                                         moco_dataset_info_fn info, moco_dataset_read_fn read, void *user) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(info);
    MOCO_REQUIRE_POINTER(read);
    MOCO_REQUIRE(count >= 1, "count is %lld; it must be at least 1", (long long) count);
    MOCO_REQUIRE(channels >= 1, "channels is %lld; it must be at least 1", (long long) channels);
    callback_images *images = (callback_images *) moco_allocate(context, sizeof *images);
    if (images == NULL) return MOCO_OUT_OF_MEMORY;
    *images = (callback_images){info, read, user};
    moco_dataset *dataset = NULL;
    if (moco_dataset_allocate(&dataset, context, &callback_ops, images) != MOCO_OK) {
        moco_deallocate(context, images);
        return MOCO_OUT_OF_MEMORY;
    }
    dataset->count = count;
    dataset->channels = channels;
    *out = dataset;
    return MOCO_OK;
}
