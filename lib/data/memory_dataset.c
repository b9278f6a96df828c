#include <string.h>

#include "core/checked.h"
#include "data/dataset_internal.h"
#include "data/memory_dataset.h"

typedef struct memory_images {
    const void *pixels; /* count x channels x h x w */
    const int32_t *labels;
    void *owned_pixels; /* NULL where the host keeps them */
    void *owned_labels;
    int32_t pixel_type;
    int64_t h, w;
} memory_images;

static moco_status memory_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w, int32_t *label) {
    const memory_images *images = (const memory_images *) dataset->state;
    *h = images->h;
    *w = images->w;
    *label = images->labels == NULL ? MOCO_NO_LABEL : images->labels[index];
    return MOCO_OK;
}

static moco_status memory_read(const moco_dataset *dataset, int64_t index, float *pixels) {
    const memory_images *images = (const memory_images *) dataset->state;
    const int64_t size = dataset->channels * images->h * images->w;
    if (images->pixel_type == MOCO_PIXELS_FLOAT32) {
        memcpy(pixels, (const float *) images->pixels + index * size, (size_t) size * sizeof *pixels);
    } else {
        const uint8_t *bytes = (const uint8_t *) images->pixels + index * size;
        for (int64_t i = 0; i < size; ++i) pixels[i] = (float) bytes[i] / 255.0f;
    }
    return MOCO_OK;
}

static void memory_destroy(moco_dataset *dataset) {
    memory_images *images = (memory_images *) dataset->state;
    moco_deallocate(dataset->context, images->owned_pixels);
    moco_deallocate(dataset->context, images->owned_labels);
    moco_deallocate(dataset->context, images);
}

/* All of the image, whatever the window: copying it costs little. Planes -> red, green and blue side by side. */
static moco_status memory_load(const moco_dataset *dataset, int64_t index, const moco_image_request *request,
                               moco_image_scratch *scratch, moco_image *image) {
    (void) request;
    (void) scratch;
    const memory_images *images = (const memory_images *) dataset->state;
    const int64_t area = images->h * images->w;
    MOCO_TRY(moco_image_reserve(dataset->context, image, images->h, images->w));
    const uint8_t *red = (const uint8_t *) images->pixels + index * 3 * area;
    const uint8_t *green = red + area, *blue = green + area;
    uint8_t *restrict to = image->pixels;
    for (int64_t i = 0; i < area; ++i) {
        to[3 * i] = red[i];
        to[3 * i + 1] = green[i];
        to[3 * i + 2] = blue[i];
    }
    image->held = moco_image_whole(image->pixels, images->h, images->w);
    return MOCO_OK;
}

static const moco_dataset_ops memory_ops = {.info = memory_info, .read = memory_read, .destroy = memory_destroy};
static const moco_dataset_ops rgb_ops = {
    .info = memory_info, .read = memory_read, .destroy = memory_destroy, .load = memory_load};

static const moco_dataset_ops *choose_ops(int32_t pixel_type, int64_t channels) {
    return pixel_type == MOCO_PIXELS_UINT8 && channels == 3 ? &rgb_ops : &memory_ops;
}

static void count_classes(moco_dataset *dataset, const int32_t *labels) {
    dataset->classes = 0;
    for (int64_t i = 0; labels != NULL && i < dataset->count; ++i) {
        if (labels[i] >= dataset->classes) dataset->classes = (int64_t) labels[i] + 1;
    }
}

moco_status moco_dataset_create_memory(moco_dataset **out, moco_context *context, const void *pixels,
                                       int32_t pixel_type, const int32_t *labels, int64_t count, int64_t channels,
                                       int64_t h, int64_t w, int32_t copy) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(pixels);
    MOCO_REQUIRE(pixel_type == MOCO_PIXELS_FLOAT32 || pixel_type == MOCO_PIXELS_UINT8,
                 "pixel_type is %d; it must be MOCO_PIXELS_FLOAT32 (0) or MOCO_PIXELS_UINT8 (1)", pixel_type);
    MOCO_REQUIRE(copy == 0 || copy == 1, "copy is %d; it must be 0 or 1", copy);
    MOCO_REQUIRE(count >= 1, "count is %lld; it must be at least 1", (long long) count);
    MOCO_REQUIRE(channels >= 1, "channels is %lld; it must be at least 1", (long long) channels);
    MOCO_REQUIRE(h >= 1 && w >= 1, "h x w is %lld x %lld; both must be at least 1", (long long) h, (long long) w);
    const int64_t shape[4] = {count, channels, h, w};
    int64_t elements = 0;
    size_t pixel_bytes = 0, label_bytes = 0;
    MOCO_TRY(moco_checked_product(shape, 4, "count x channels x h x w", &elements));
    MOCO_TRY(
        moco_checked_bytes(elements, pixel_type == MOCO_PIXELS_FLOAT32 ? sizeof(float) : 1, "pixels", &pixel_bytes));
    MOCO_TRY(moco_checked_bytes(count, sizeof *labels, "labels", &label_bytes));
    for (int64_t i = 0; labels != NULL && i < count; ++i) {
        MOCO_REQUIRE(labels[i] >= MOCO_NO_LABEL, "labels[%lld] is %d; it must be 0 or more, or MOCO_NO_LABEL (-1)",
                     (long long) i, labels[i]);
    }

    memory_images *images = (memory_images *) moco_allocate_zeroed(context, 1, sizeof *images);
    if (images == NULL) return MOCO_OUT_OF_MEMORY;
    *images = (memory_images){.pixels = pixels, .labels = labels, .pixel_type = pixel_type, .h = h, .w = w};
    moco_dataset *dataset = NULL;
    if (moco_dataset_allocate(&dataset, context, choose_ops(pixel_type, channels), images) != MOCO_OK) {
        moco_deallocate(context, images);
        return MOCO_OUT_OF_MEMORY;
    }
    dataset->count = count;
    dataset->channels = channels;
    count_classes(dataset, labels);
    if (copy) {
        images->owned_pixels = moco_allocate(context, pixel_bytes);
        if (labels != NULL) images->owned_labels = moco_allocate(context, label_bytes);
        if (images->owned_pixels == NULL || (labels != NULL && images->owned_labels == NULL)) {
            moco_dataset_destroy(dataset);
            return MOCO_OUT_OF_MEMORY;
        }
        images->pixels = memcpy(images->owned_pixels, pixels, pixel_bytes);
        if (labels != NULL) images->labels = (const int32_t *) memcpy(images->owned_labels, labels, label_bytes);
    }
    *out = dataset;
    return MOCO_OK;
}

moco_status moco_memory_dataset_adopt(moco_dataset **out, moco_context *context, uint8_t *pixels, int32_t *labels,
                                      int64_t count, int64_t h, int64_t w) {
    moco_dataset *dataset = NULL;
    MOCO_TRY(moco_dataset_create_memory(&dataset, context, pixels, MOCO_PIXELS_UINT8, labels, count, 3, h, w, 0));
    memory_images *images = (memory_images *) dataset->state;
    images->owned_pixels = pixels;
    images->owned_labels = labels;
    *out = dataset;
    return MOCO_OK;
}
