/* An update rule: how one step of the optimizer makes new parameters of old ones and their gradients. optimizer.c keeps
 * the states, cuts the parameters where their flags differ, leaves out the frozen ones, and counts steps.
 */
#ifndef MOCO_OPTIMIZER_UPDATE_RULE_H
#define MOCO_OPTIMIZER_UPDATE_RULE_H

#include <moco/optimizer.h>
#include <moco/sys/backend.h>

#include "core/context_internal.h"

/* Parameters that a rule treats alike, one after the other in memory, all 1-d. */
typedef struct moco_update_run {
    moco_tensor parameter;
    moco_tensor gradient;
    moco_tensor states[MOCO_UPDATE_STATES];
    moco_tensor average; /* absent, or what follows the new parameter by the momentum update */
    double weight_decay; /* the configuration's, or 0 where the parameters' flags say so */
} moco_update_run;

typedef struct moco_update_step {
    moco_context *context;
    const moco_optimizer_config *config;
    double learning_rate;    /* of this step */
    double average_momentum; /* of the averages */
    int64_t step;            /* 0: the first one */
    const moco_update_run *runs;
    int64_t count;
} moco_update_step;

typedef struct moco_update_rule {
    const char *name;
    int32_t by_parameter; /* 1: each run is one parameter, for rules that need its norm; 0: as many as lie together */
    int32_t state_count;  /* of float32 values that the rule keeps for each parameter, all 0 before the first step */
    const char *state_names[MOCO_UPDATE_STATES];
    /* INVALID_ARGUMENT, naming the field, for what the rule can't work with. */
    moco_status (*check)(const moco_optimizer_config *config);
    moco_status (*step)(const moco_update_step *step);
} moco_update_rule;

/* SGD with momentum, dampening and Nesterov's variant, as torch.optim.SGD (sgd.c). */
extern const moco_update_rule moco_update_rule_sgd;

/* moco_optimizer_create for any rule. */
moco_status moco_optimizer_create_with(moco_optimizer **out, moco_encoder *encoder, const moco_update_rule *rule,
                                       const moco_optimizer_config *config);

#endif
