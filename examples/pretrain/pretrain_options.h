/* Everything that can be chosen on pretrain's command line. */
#ifndef MOCO_EXAMPLE_PRETRAIN_OPTIONS_H
#define MOCO_EXAMPLE_PRETRAIN_OPTIONS_H

#include <stdint.h>

#include "support/command_line.h"

typedef struct pretrain_options {
    /* Data */
    const char *data;
    const char *test_data; /* NULL: see open_data */
    int64_t test_count;
    int32_t augment; /* MOCO_AUGMENT_* */
    int64_t size;
    double crop_min;
    int64_t reduced_decoding;
    int64_t workers;
    int64_t cache_bytes;
    int32_t cache; /* MOCO_CACHE_* */
    double max_broken;
    /* Encoder */
    const char *arch;
    int32_t stem; /* MOCO_STEM_* */
    int32_t head; /* MOCO_HEAD_* */
    int64_t dim;
    int64_t bn_groups;
    int32_t bn_layout; /* MOCO_BN_* */
    /* Momentum contrast */
    int64_t queue_size;
    int32_t queue_start;   /* MOCO_QUEUE_START_* */
    int32_t compute;       /* MOCO_COMPUTE_* */
    int32_t queue_storage; /* MOCO_QUEUE_STORAGE_* */
    double momentum;
    double momentum_end;
    double temperature;
    int32_t mask_same_image;
    /* Optimisation */
    int64_t epochs;
    int64_t max_steps;
    int64_t batch_size;
    double lr;
    int32_t schedule; /* MOCO_SCHEDULE_* */
    double warmup_epochs;
    double weight_decay;
    double sgd_momentum;
    /* Evaluation */
    int64_t knn_every;
    int64_t knn_bank;
    int64_t knn_k;
    double knn_temperature;
    int32_t knn_output; /* MOCO_OUTPUT_* */
    /* The rest */
    const char *out;
    const char *backend;
    int64_t threads;
    int64_t seed;
} pretrain_options;

/* The defaults, overwritten by the command line; a mistake ends the program with 2. */
void read_pretrain_options(pretrain_options *options, int argc, char **argv);

#endif
