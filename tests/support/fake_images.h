/* A dataset of made-up 8-bit images of different sizes, some of which are broken: a table of operations as the
 * library's own kinds have it, for tests of what is made of its answers.
 */
#ifndef MOCO_TEST_FAKE_IMAGES_H
#define MOCO_TEST_FAKE_IMAGES_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "data/dataset_internal.h"

enum { FAKE_MAX = 4096 };

typedef struct fake_images {
    int64_t count;
    moco_status statuses[FAKE_MAX]; /* of load */
    atomic_int loads[FAKE_MAX];
    int64_t slow_ns; /* of every third load */
} fake_images;

static inline int32_t fake_label(int64_t index) {
    return (int32_t) (index * 7 % 11);
}

static inline moco_status fake_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w,
                                    int32_t *label) {
    (void) dataset;
    *h = 9 + index % 7;
    *w = 11 + index % 5;
    *label = fake_label(index);
    return MOCO_OK;
}

static inline uint8_t fake_pixel(int64_t index, int64_t at) {
    return (uint8_t) ((uint64_t) (index * 1009 + at) * 0x9E3779B97F4A7C15u >> 56);
}

static inline moco_status fake_load(const moco_dataset *dataset, int64_t index, const moco_image_request *request,
                                    moco_image_scratch *scratch, moco_image *image) {
    (void) request;
    (void) scratch;
    fake_images *images = (fake_images *) dataset->state;
    const int before = atomic_fetch_add(&images->loads[index], 1);
    if (images->slow_ns > 0 && (index + before) % 3 == 0) {
        const struct timespec pause = {0, (long) images->slow_ns};
        nanosleep(&pause, NULL);
    }
    if (images->statuses[index] != MOCO_OK) {
        return moco_fail(images->statuses[index], "fake-%lld.jpg: it is cut short", (long long) index);
    }
    int64_t h = 0, w = 0;
    int32_t label = 0;
    fake_info(dataset, index, &h, &w, &label);
    MOCO_TRY(moco_image_reserve(dataset->context, image, h, w));
    for (int64_t i = 0; i < 3 * h * w; ++i) image->pixels[i] = fake_pixel(index, i);
    image->held = moco_image_whole(image->pixels, h, w);
    return MOCO_OK;
}

static inline moco_status fake_read(const moco_dataset *dataset, int64_t index, float *pixels) {
    (void) dataset;
    (void) index;
    (void) pixels;
    return moco_fail(MOCO_INTERNAL, "float32 pixels of fake images were asked for");
}

static inline void fake_describe(const moco_dataset *dataset, int64_t index, char *text, size_t capacity) {
    (void) dataset;
    snprintf(text, capacity, "fake-%lld.jpg", (long long) index);
}

static inline void fake_destroy(moco_dataset *dataset) {
    (void) dataset;
}

/* `images` is the test's and must outlive the dataset; its statuses may be changed between two epochs. */
static inline moco_dataset *fake_dataset(moco_context *context, fake_images *images, int64_t count) {
    static const moco_dataset_ops ops = {
        .info = fake_info, .read = fake_read, .destroy = fake_destroy, .load = fake_load, .describe = fake_describe};
    moco_dataset *dataset = NULL;
    images->count = count;
    for (int64_t i = 0; i < FAKE_MAX; ++i) {
        images->statuses[i] = MOCO_OK;
        atomic_init(&images->loads[i], 0);
    }
    if (count > FAKE_MAX || moco_dataset_allocate(&dataset, context, &ops, images) != MOCO_OK) abort();
    dataset->count = count;
    dataset->channels = 3;
    dataset->classes = 11;
    return dataset;
}

/* FNV-1a. */
static inline uint64_t hash_bytes(uint64_t value, const void *data, size_t size) {
    const unsigned char *bytes = (const unsigned char *) data;
    for (size_t i = 0; i < size; ++i) value = (value ^ bytes[i]) * 0x100000001b3u;
    return value;
}

#endif
