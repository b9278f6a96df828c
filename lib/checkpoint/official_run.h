/* The run that an official MoCo checkpoint holds beside its query encoder: key encoder, queue, optimizer, epoch. */
#ifndef MOCO_CHECKPOINT_OFFICIAL_RUN_H
#define MOCO_CHECKPOINT_OFFICIAL_RUN_H

#include "checkpoint/weights_match.h"

typedef struct moco_official_run {
    moco_context *context;
    const moco_weights *weights;
    const char *path;
    const char *prefix; /* of the query encoder */
    /* What is there, read and checked: */
    int32_t has_queue;
    int32_t has_optimizer;
    char key_prefix[MOCO_MATCH_NAME_SIZE]; /* "": no key encoder */
    float *keys;                           /* capacity x dim */
    int64_t position;
    float **velocities; /* [parameters]; NULL: none for that one */
    int64_t velocity_count;
    int64_t epoch;        /* -1: not said */
    double learning_rate; /* -1: not said */
    double momentum;      /* of the optimizer; -1 */
    double weight_decay;
} moco_official_run;

/* `prefix` is where the query encoder was found, and stays the caller's. A queue must have the trainer's shape; NULL: it has
 * none. FORMAT, naming the tensor, where something is there and does not fit. On failure nothing is left to be released. */
moco_status moco_official_run_read(moco_official_run *run, const moco_weights *weights, const char *path,
                                   const char *prefix, const moco_encoder *encoder, int64_t dim, int64_t capacity);
void moco_official_run_release(moco_official_run *run);

#endif
