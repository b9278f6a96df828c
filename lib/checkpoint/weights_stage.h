/* An encoder's new values, read and checked in full before any of them is written: a file is loaded whole or not at all. */
#ifndef MOCO_CHECKPOINT_WEIGHTS_STAGE_H
#define MOCO_CHECKPOINT_WEIGHTS_STAGE_H

#include "checkpoint/weights_match.h"

typedef struct moco_stage {
    moco_match match;
    float **values; /* [parameters]; NULL: that one keeps its own */
} moco_stage;

/* Matches and reads. On failure nothing is left to be released. */
moco_status moco_stage_read(moco_stage *stage, const moco_weights *weights, const moco_encoder *encoder,
                            const char *path, const moco_load_options *options);
/* Writes all of it to an encoder of the same structure. */
moco_status moco_stage_write(const moco_stage *stage, moco_encoder *encoder);
void moco_stage_release(moco_stage *stage);

/* Reads tensor by tensor into an encoder that nobody has yet, which a failure leaves half loaded. */
moco_status moco_stage_stream(moco_encoder *encoder, const moco_match *match, const char *path);

/* One tensor as float32, all finite; FORMAT else. */
moco_status moco_stage_read_finite(const moco_weights *weights, int64_t index, const char *path, float *values);

/* The caller's options, or the defaults, checked. */
moco_status moco_load_options_take(moco_load_options *options, const moco_load_options *given);
/* What was matched, to the caller's report (which may be NULL), to on_item and to the log. */
moco_status moco_load_tell(const moco_match *match, const char *path, const moco_load_options *options,
                           moco_load_report *report);
/* Whether the caller's report can be written. */
moco_status moco_load_report_check(moco_load_report *report);

#endif
