#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_internal.h"
#include "data/dataset_kinds.h"
#include "data/synthetic_scene.h"

typedef struct synthetic_images {
    uint64_t seed;
    int64_t size;
    int32_t split;
} synthetic_images;

static moco_status synthetic_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w, int32_t *label) {
    const synthetic_images *images = (const synthetic_images *) dataset->state;
    *h = images->size;
    *w = images->size;
    *label = moco_synthetic_label(index);
    return MOCO_OK;
}

static moco_status synthetic_read(const moco_dataset *dataset, int64_t index, float *pixels) {
    const synthetic_images *images = (const synthetic_images *) dataset->state;
    moco_synthetic_render(images->seed, images->split, index, images->size, pixels);
    return MOCO_OK;
}

static void synthetic_destroy(moco_dataset *dataset) {
    moco_deallocate(dataset->context, dataset->state);
}

static const moco_dataset_ops synthetic_ops = {
    .info = synthetic_info, .read = synthetic_read, .destroy = synthetic_destroy};

/* Decimal digits only, within [low, high]. */
static moco_status parse_number(const char *key, const char *value, uint64_t low, uint64_t high, uint64_t *number) {
    char *end = NULL;
    errno = 0;
    const unsigned long long parsed = strtoull(value, &end, 10);
    MOCO_REQUIRE(value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0 && parsed >= low && parsed <= high,
                 "%s of the synthetic dataset is \"%s\"; it must be a number from %llu to %llu", key, value,
                 (unsigned long long) low, (unsigned long long) high);
    *number = parsed;
    return MOCO_OK;
}

/* One "key=value" of length `length`. */
static moco_status parse_setting(const char *text, size_t length, synthetic_images *images, int64_t *count) {
    char setting[64];
    MOCO_REQUIRE(length < sizeof setting, "\"%.60s...\" of the synthetic dataset is too long for any key=value", text);
    memcpy(setting, text, length);
    setting[length] = '\0';
    char *value = strchr(setting, '=');
    MOCO_REQUIRE(value != NULL,
                 "\"%s\" of the synthetic dataset is not key=value; the keys are count, size, seed, split", setting);
    *value++ = '\0';
    uint64_t number = 0;
    if (strcmp(setting, "count") == 0) {
        MOCO_TRY(parse_number(setting, value, 1, (uint64_t) 1 << 40, &number));
        *count = (int64_t) number;
    } else if (strcmp(setting, "size") == 0) {
        MOCO_TRY(parse_number(setting, value, 8, 4096, &number));
        images->size = (int64_t) number;
    } else if (strcmp(setting, "seed") == 0) {
        MOCO_TRY(parse_number(setting, value, 0, UINT64_MAX, &images->seed));
    } else if (strcmp(setting, "split") == 0) {
        MOCO_REQUIRE(strcmp(value, "train") == 0 || strcmp(value, "test") == 0,
                     "split of the synthetic dataset is \"%s\"; it must be train or test", value);
        images->split = strcmp(value, "test") == 0 ? MOCO_SYNTHETIC_TEST : MOCO_SYNTHETIC_TRAIN;
    } else {
        return moco_fail(MOCO_INVALID_ARGUMENT,
                         "\"%s\" is no key of the synthetic dataset; the keys are count, size, seed, split", setting);
    }
    return MOCO_OK;
}

moco_status moco_synthetic_open(moco_dataset **out, moco_context *context, const char *keys) {
    synthetic_images settings = {.seed = 0, .size = 32, .split = MOCO_SYNTHETIC_TRAIN};
    int64_t count = 4096;
    while (*keys != '\0') {
        const size_t length = strcspn(keys, ",");
        MOCO_TRY(parse_setting(keys, length, &settings, &count));
        keys += length;
        if (*keys == ',') {
            ++keys;
            MOCO_REQUIRE(*keys != '\0', "the synthetic dataset's keys end with a comma; a key=value must follow it");
        }
    }
    synthetic_images *images = (synthetic_images *) moco_allocate(context, sizeof *images);
    if (images == NULL) return MOCO_OUT_OF_MEMORY;
    *images = settings;
    moco_dataset *dataset = NULL;
    if (moco_dataset_allocate(&dataset, context, &synthetic_ops, images) != MOCO_OK) {
        moco_deallocate(context, images);
        return MOCO_OUT_OF_MEMORY;
    }
    dataset->count = count;
    dataset->channels = 3;
    dataset->classes = MOCO_SYNTHETIC_CLASSES;
    dataset->class_names = moco_synthetic_class_names;
    *out = dataset;
    return MOCO_OK;
}
