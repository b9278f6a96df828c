/* The optimizer's state, for visitors: what the update rule keeps of each parameter, the step count, which decides whether
 * that exists, and the learning rate. */
#include <stdio.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "core/config_fields.h"
#include "optimizer/optimizer_handle.h"

/* State number `number` of all learnable parameters, each under its name and in its shape. */
static moco_status visit_parameters(const moco_optimizer *optimizer, int32_t number, const moco_state *state) {
    const moco_parameter_table *table = moco_encoder_parameters(optimizer->encoder);
    for (int64_t i = 0; i < table->count; ++i) {
        const moco_parameter *parameter = &table->items[i];
        if (parameter->kind != MOCO_PARAMETER_LEARNABLE) continue;
        moco_parameter_cut cut;
        MOCO_TRY(moco_optimizer_locate(table, parameter, &cut));
        moco_tensor values = moco_cut_part(&optimizer->states[number][cut.run], &cut);
        values.rank = parameter->rank;
        memcpy(values.dims, parameter->dims, sizeof values.dims);
        MOCO_TRY(moco_state_tensor(state, parameter->name, &values));
    }
    return MOCO_OK;
}

moco_status moco_optimizer_visit(moco_optimizer *optimizer, const moco_state *visitor) {
    static const char *const but[] = {"learning_rate", NULL};
    const moco_state state = moco_state_in(visitor, "optimizer");
    const moco_update_rule *rule = optimizer->rule;
    int64_t step_count = optimizer->step_count;
    double learning_rate = optimizer->learning_rate;
    MOCO_TRY(moco_state_setting(&state, "rule", rule->name));
    MOCO_TRY(moco_state_settings(&state, MOCO_CONFIG_OPTIMIZER, &optimizer->config, but));
    MOCO_TRY(moco_state_number(&state, "step_count", &step_count));
    MOCO_TRY(moco_state_real(&state, "learning_rate", &learning_rate));
    MOCO_TRY(moco_optimizer_set_step_count(optimizer, step_count));
    MOCO_TRY(moco_optimizer_set_learning_rate(optimizer, learning_rate));
    for (int32_t i = 0; i < rule->state_count; ++i) {
        char part[64];
        snprintf(part, sizeof part, "optimizer.%s", rule->state_names[i]);
        const moco_state inner = moco_state_in(visitor, part);
        MOCO_TRY(visit_parameters(optimizer, i, &inner));
    }
    return MOCO_OK;
}
