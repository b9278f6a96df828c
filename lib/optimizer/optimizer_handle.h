/* The optimizer handle, shared by the files that implement <moco/optimizer.h>. */
#ifndef MOCO_OPTIMIZER_HANDLE_H
#define MOCO_OPTIMIZER_HANDLE_H

#include "core/references.h"
#include "encoder/encoder_internal.h"
#include "optimizer/optimizer_internal.h"
#include "optimizer/update_rule.h"

struct moco_optimizer {
    moco_references references;
    moco_context *context;
    moco_encoder *encoder;
    const moco_update_rule *rule;
    moco_optimizer_config config;
    double learning_rate;
    int64_t step_count;
    int64_t learnable_runs; /* the encoder's */
    /* The rule's first few, of which each has [learnable_runs] tensors that lie as their runs do. */
    moco_tensor *states[MOCO_UPDATE_STATES];
    /* The learnable runs as the rule works on them, and what one step hands it of them: both [cut_count]. */
    moco_parameter_cut *cuts; /* NULL: not cut yet */
    moco_update_run *step_runs;
    int64_t cut_count;
    uint64_t flags_version; /* of the encoder's parameters, when they were cut */
};

/* The learnable run in which a parameter lies, and where. */
moco_status moco_optimizer_locate(const moco_parameter_table *table, const moco_parameter *parameter,
                                  moco_parameter_cut *cut);

#endif
