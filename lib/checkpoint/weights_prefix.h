/* What stands before the parameters' names in a file. */
#ifndef MOCO_CHECKPOINT_WEIGHTS_PREFIX_H
#define MOCO_CHECKPOINT_WEIGHTS_PREFIX_H

#include <moco/weights.h>

#include "encoder/encoder_internal.h"

/* The index of the tensor <prefix><name>; -1 without. */
int64_t moco_prefix_find(const moco_weights *weights, const char *prefix, size_t length, const char *name);
/* 1 where tensor `index` has the parameter's shape; 0 for -1. */
int32_t moco_prefix_shape_fits(const moco_weights *weights, int64_t index, const moco_parameter *parameter);
/* The prefix below which most parameters are, "" where none is; prefix[MOCO_MATCH_NAME_SIZE]. */
moco_status moco_prefix_choose(const moco_weights *weights, const moco_encoder *encoder, char *prefix);

#endif
