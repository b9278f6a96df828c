/* SGD with momentum, weight decay, dampening and Nesterov's variant; <moco/optimizer.h> has the equations. */
#include <math.h>

#include "backend/backend_chain.h"
#include "optimizer/update_rule.h"

static moco_status check(const moco_optimizer_config *c) {
    MOCO_REQUIRE(c->momentum >= 0.0 && c->momentum < 1.0,
                 "momentum of the optimizer is %g; it must be at least 0 and less than 1", c->momentum);
    MOCO_REQUIRE(isfinite(c->dampening), "dampening is %g; it must be finite", c->dampening);
    MOCO_REQUIRE(c->nesterov == 0 || c->nesterov == 1, "nesterov is %d; it must be 0 or 1", c->nesterov);
    MOCO_REQUIRE(!c->nesterov || (c->momentum > 0.0 && c->dampening == 0.0),
                 "nesterov needs momentum above 0 and dampening 0; they are %g and %g", c->momentum, c->dampening);
    return MOCO_OK;
}

/* Without momentum PyTorch keeps no velocity and does not dampen: v = g in every step. So do the backends. */
static moco_status take_step(const moco_update_step *step) {
    for (int64_t i = 0; i < step->count; ++i) {
        const moco_update_run *run = &step->runs[i];
        const moco_update_args args = {
            .struct_size = sizeof args,
            .rule = MOCO_UPDATE_SGD,
            .parameter = run->parameter,
            .gradient = run->gradient,
            .states = {run->states[0]},
            .average = run->average,
            .average_momentum = step->average_momentum,
            .step = step->step,
            .learning_rate = step->learning_rate,
            .weight_decay = run->weight_decay,
            .momentum = step->config->momentum,
            .dampening = step->config->dampening,
            .nesterov = step->config->nesterov,
        };
        MOCO_TRY(moco_update(step->context, &args));
    }
    return MOCO_OK;
}

const moco_update_rule moco_update_rule_sgd = {
    .name = "sgd",
    .state_count = 1,
    .state_names = {"velocity"},
    .check = check,
    .step = take_step,
};
