#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "data/dataset_internal.h"
#include "data/image_index.h"

moco_status moco_dataset_allocate(moco_dataset **out, moco_context *context, const moco_dataset_ops *ops, void *state) {
    moco_dataset *dataset = (moco_dataset *) moco_allocate_zeroed(context, 1, sizeof *dataset);
    if (dataset == NULL) return MOCO_OUT_OF_MEMORY;
    moco_references_init(&dataset->references, 1);
    moco_context_retain(context);
    dataset->context = context;
    dataset->ops = ops;
    dataset->state = state;
    moco_broken_images_init(&dataset->broken);
    *out = dataset;
    return MOCO_OK;
}

void moco_dataset_retain(moco_dataset *dataset) {
    moco_references_retain(&dataset->references);
}

static void dispose(moco_dataset *dataset) {
    moco_context *context = dataset->context;
    dataset->ops->destroy(dataset);
    moco_broken_images_release(&dataset->broken, context);
    moco_deallocate(context, dataset->description);
    moco_deallocate(context, dataset);
    moco_context_destroy(context);
}

void moco_dataset_release(moco_dataset *dataset) {
    if (dataset != NULL && moco_references_release(&dataset->references)) dispose(dataset);
}

void moco_dataset_destroy(moco_dataset *dataset) {
    if (dataset != NULL && moco_references_destroy(&dataset->references)) dispose(dataset);
}

/* --- Asking --- */

int64_t moco_dataset_count(const moco_dataset *dataset) {
    return dataset == NULL ? 0 : dataset->count;
}

int64_t moco_dataset_channels(const moco_dataset *dataset) {
    return dataset == NULL ? 0 : dataset->channels;
}

int64_t moco_dataset_classes(const moco_dataset *dataset) {
    return dataset == NULL ? 0 : dataset->classes;
}

const char *moco_dataset_class_name(const moco_dataset *dataset, int64_t label) {
    if (dataset == NULL || dataset->class_names == NULL || label < 0 || label >= dataset->classes) return NULL;
    return dataset->class_names[label];
}

static moco_status require_index(const moco_dataset *dataset, int64_t index) {
    MOCO_REQUIRE_POINTER(dataset);
    MOCO_REQUIRE(index >= 0 && index < dataset->count, "index is %lld; it must be 0 to %lld, the last of %lld images",
                 (long long) index, (long long) dataset->count - 1, (long long) dataset->count);
    return MOCO_OK;
}

moco_status moco_dataset_name(const moco_dataset *dataset, int64_t index, char *text, uint64_t capacity) {
    char name[2 * MOCO_MAX_NAME + 16];
    MOCO_TRY(require_index(dataset, index));
    MOCO_REQUIRE_POINTER(text);
    if (dataset->ops->describe == NULL) {
        snprintf(name, sizeof name, "image %lld", (long long) index);
    } else {
        dataset->ops->describe(dataset, index, name, sizeof name);
    }
    const size_t bytes = strlen(name) + 1;
    MOCO_REQUIRE(capacity >= bytes, "capacity is %llu bytes; the name of image %lld needs %zu",
                 (unsigned long long) capacity, (long long) index, bytes);
    memcpy(text, name, bytes);
    return MOCO_OK;
}

moco_status moco_dataset_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w, int32_t *label) {
    MOCO_TRY(require_index(dataset, index));
    int64_t height = 0, width = 0;
    int32_t own_label = MOCO_NO_LABEL;
    MOCO_TRY(dataset->ops->info(dataset, index, &height, &width, &own_label));
    if (h != NULL) *h = height;
    if (w != NULL) *w = width;
    if (label != NULL) *label = own_label;
    return MOCO_OK;
}

moco_status moco_dataset_label(const moco_dataset *dataset, int64_t index, int32_t *label) {
    int64_t h = 0, w = 0;
    if (dataset->ops->label == NULL) return dataset->ops->info(dataset, index, &h, &w, label);
    *label = dataset->ops->label(dataset, index);
    return MOCO_OK;
}

static moco_status read_pixels(const moco_dataset *dataset, int64_t index, float *pixels, int64_t capacity) {
    int64_t h = 0, w = 0, needed = 0;
    MOCO_TRY(moco_dataset_info(dataset, index, &h, &w, NULL));
    const int64_t shape[3] = {dataset->channels, h, w};
    MOCO_TRY(moco_checked_product(shape, 3, "the number of pixels", &needed));
    MOCO_REQUIRE(capacity >= needed, "capacity is %lld floats; image %lld of %lld x %lld x %lld needs %lld",
                 (long long) capacity, (long long) index, (long long) dataset->channels, (long long) h, (long long) w,
                 (long long) needed);
    return dataset->ops->read(dataset, index, pixels);
}

moco_status moco_dataset_read(const moco_dataset *dataset, int64_t index, float *pixels, int64_t capacity) {
    MOCO_REQUIRE_POINTER(pixels);
    MOCO_REQUIRE_POINTER(dataset);
    moco_dataset *held = (moco_dataset *) (uintptr_t) dataset; /* a caller's info or read may destroy it */
    moco_dataset_retain(held);
    const moco_status status = read_pixels(dataset, index, pixels, capacity);
    moco_dataset_release(held);
    return status;
}
