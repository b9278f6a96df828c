/* The parts of a training step, made as bench_step's settings say. */
#ifndef MOCO_BENCH_STEP_PARTS_H
#define MOCO_BENCH_STEP_PARTS_H

#include <moco.h>

#include "step_settings.h"

typedef struct step_parts {
    moco_context *context;
    moco_encoder *encoder; /* of step_parts_create_encoder */
    moco_trainer *trainer; /* of step_parts_create */
    moco_loader *loader;   /* the trainer's; with settings.data only */
    int64_t epoch;         /* of the loader */
    float *query_images;   /* without it */
    float *key_images;
} step_parts;

/* Context and encoder alone. What was made before a failure is for step_parts_destroy too. */
moco_status step_parts_create_encoder(step_parts *parts, const step_settings *settings);
moco_status step_parts_create(step_parts *parts, const step_settings *settings);
void step_parts_destroy(step_parts *parts);

/* One step: of the loader's next batch, waited for, or of the same images every time. */
moco_status step_parts_run(step_parts *parts, const step_settings *settings, moco_step_stats *stats, double *load_ms);

#endif
