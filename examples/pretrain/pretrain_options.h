/* Everything that can be chosen on pretrain's command line. */
#ifndef MOCO_EXAMPLE_PRETRAIN_OPTIONS_H
#define MOCO_EXAMPLE_PRETRAIN_OPTIONS_H

#include <stdint.h>

#include "support/command_line.h"

typedef struct pretrain_options {
    moco_recipe *recipe; /* --recipe's, with what other options change in it; for moco_recipe_destroy */
    int64_t epochs;      /* the recipe's */
    /* Data */
    const char *data;
    const char *test_data; /* NULL: see open_data */
    int64_t test_count;
    int64_t max_steps;
    /* Evaluation */
    int64_t knn_every;
    int64_t knn_bank;
    int64_t knn_k;
    double knn_temperature;
    int32_t knn_output; /* MOCO_OUTPUT_* */
    /* The rest */
    const char *out;
    int32_t overwrite;
    const char *save_every; /* see read_save_interval */
    int64_t keep;
    const char *resume; /* "auto" or a file; NULL: a new run */
    const char *init;   /* a file of weights; NULL: random ones */
    const char *backend;
    int64_t threads;
} pretrain_options;

/* The defaults, overwritten by the command line; a mistake ends the program with 2. */
void read_pretrain_options(pretrain_options *options, int argc, char **argv);

#endif
