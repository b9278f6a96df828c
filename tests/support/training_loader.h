/* A loader over a few small images in memory, for tests that train over one. */
#ifndef MOCO_TESTS_TRAINING_LOADER_H
#define MOCO_TESTS_TRAINING_LOADER_H

#include "support/training_parts.h"

enum { LOADER_IMAGES = 22, LOADER_SIZE = 8, LOADER_BATCH = 4, LOADER_EPOCH = LOADER_IMAGES / LOADER_BATCH };

typedef struct training_loader {
    moco_dataset *dataset;
    moco_augment *augment;
    moco_loader *loader;
} training_loader;

static inline void training_loader_destroy(training_loader *l) {
    moco_loader_destroy(l->loader);
    moco_augment_destroy(l->augment);
    moco_dataset_destroy(l->dataset);
    memset(l, 0, sizeof *l);
}

/* Batches of CIFAR-recipe views; LOADER_BATCH gives LOADER_EPOCH batches in an epoch. On failure, nothing is left. */
static inline moco_status training_loader_create(training_loader *l, moco_context *context, int32_t workers,
                                                 int32_t views, int64_t batch_size) {
    static float pixels[LOADER_IMAGES * 3 * LOADER_SIZE * LOADER_SIZE];
    fill_uniform(pixels, (int64_t) (sizeof pixels / sizeof pixels[0]), "pixels");
    for (size_t i = 0; i < sizeof pixels / sizeof pixels[0]; ++i) pixels[i] = 0.5f + 0.5f * pixels[i];
    static int32_t labels[LOADER_IMAGES];
    for (int32_t i = 0; i < LOADER_IMAGES; ++i) labels[i] = i % 3;

    memset(l, 0, sizeof *l);
    moco_augment_config augment;
    moco_augment_config_init(&augment, sizeof augment, MOCO_AUGMENT_CIFAR);
    augment.height = LOADER_SIZE;
    augment.width = LOADER_SIZE;
    moco_loader_config config;
    moco_loader_config_init(&config, sizeof config);
    config.workers = workers;
    config.batch_size = batch_size;
    config.views = views;
    moco_status status = moco_dataset_create_memory(&l->dataset, context, pixels, MOCO_PIXELS_FLOAT32, labels,
                                                    LOADER_IMAGES, 3, LOADER_SIZE, LOADER_SIZE, 1);
    if (status == MOCO_OK) status = moco_augment_create(&l->augment, context, &augment);
    if (status == MOCO_OK) status = moco_loader_create(&l->loader, l->dataset, l->augment, &config);
    if (status != MOCO_OK) training_loader_destroy(l);
    return status;
}

#endif
