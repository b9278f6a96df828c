/* Which tensor of a file is which parameter. */
#ifndef MOCO_CHECKPOINT_WEIGHTS_MATCH_H
#define MOCO_CHECKPOINT_WEIGHTS_MATCH_H

#include <moco/weights.h>

#include "encoder/encoder_internal.h"

#define MOCO_MATCH_NAME_SIZE 2048 /* a prefix and a parameter's name */

typedef struct moco_match {
    moco_context *context;
    const moco_weights *weights;
    const moco_parameter_table *table;
    int64_t *places; /* [table->count]: a tensor of the file, or MOCO_MATCH_MISSING or _LEFT_OUT */
    int64_t loaded;
    int64_t missing;
    int64_t unexpected;
    int64_t batches; /* -1: the file does not say */
    char prefix[MOCO_MATCH_NAME_SIZE];
} moco_match;

enum { MOCO_MATCH_MISSING = -1, MOCO_MATCH_LEFT_OUT = -2 };

/* 1 where a parameter of this name belongs to the head of a built-in network that has one. */
int32_t moco_is_head_parameter(const moco_encoder *encoder, const char *name);

/* By the options, which are complete. Every shape fits, and what is missing may be; `path` is the file's, for sentences.
 * On failure nothing is left to be released. */
moco_status moco_match_find(moco_match *match, const moco_weights *weights, const moco_encoder *encoder,
                            const char *path, const moco_load_options *options);
void moco_match_release(moco_match *match);

/* Tells options->on_item of each tensor. */
void moco_match_tell(const moco_match *match, const moco_load_options *options);

#endif
