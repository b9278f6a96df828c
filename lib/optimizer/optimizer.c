/* The optimizer: the states of an update rule beside the parameters, and its steps over them. Reading and
 * writing states is in optimizer_state.c, the rules are in files of their own. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "core/config.h"
#include "encoder/momentum_encoder_internal.h"
#include "optimizer/optimizer_handle.h"

static const moco_optimizer_config default_config = MOCO_OPTIMIZER_CONFIG_INITIALIZER;
#define OLDEST_CONFIG offsetof(moco_optimizer_config, kind)

moco_status moco_optimizer_config_init(moco_optimizer_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, OLDEST_CONFIG,
                            "moco_optimizer_config");
}

static moco_status check_learning_rate(double learning_rate) {
    MOCO_REQUIRE(isfinite(learning_rate) && learning_rate >= 0.0,
                 "learning_rate is %g; it must be finite and at least 0", learning_rate);
    return MOCO_OK;
}

static moco_status check_config(const moco_optimizer_config *c, const moco_update_rule *rule) {
    MOCO_TRY(check_learning_rate(c->learning_rate));
    MOCO_REQUIRE(isfinite(c->weight_decay) && c->weight_decay >= 0.0,
                 "weight_decay is %g; it must be finite and at least 0", c->weight_decay);
    return rule->check(c);
}

/* --- Lifetime --- */

static void dispose(moco_optimizer *optimizer) {
    moco_context *context = optimizer->context;
    for (int32_t state = 0; state < MOCO_UPDATE_STATES; ++state) {
        moco_tensor *runs = optimizer->states[state];
        for (int64_t i = 0; runs != NULL && i < optimizer->learnable_runs; ++i) {
            moco_buffer_destroy(context, runs[i].buffer);
        }
        moco_deallocate(context, runs);
    }
    moco_deallocate(context, optimizer->cuts);
    moco_deallocate(context, optimizer->step_runs);
    moco_encoder_release(optimizer->encoder);
    moco_deallocate(context, optimizer);
    moco_context_destroy(context);
}

/* A state of all learnable runs, all zero. */
static moco_status create_state(moco_optimizer *optimizer, int32_t state) {
    moco_context *context = optimizer->context;
    const moco_parameter_table *table = moco_encoder_parameters(optimizer->encoder);
    moco_tensor *runs = (moco_tensor *) moco_allocate_zeroed(context, (size_t) table->learnable_runs, sizeof *runs);
    if (runs == NULL) return MOCO_OUT_OF_MEMORY;
    optimizer->states[state] = runs;
    for (int64_t i = 0; i < table->learnable_runs; ++i) {
        const moco_tensor *value = &table->learnable[i].value;
        void *buffer = NULL;
        MOCO_TRY(moco_buffer_create(context, moco_tensor_bytes(value), &buffer));
        runs[i] = moco_tensor_1d(buffer, 0, value->dtype, moco_tensor_elements(value));
        MOCO_TRY(moco_tensor_fill_zero(context, &runs[i]));
    }
    return MOCO_OK;
}

/* --- Cuts --- */

/* One cut for each learnable parameter; `cuts` has room for all parameters. */
static moco_status cut_by_parameter(const moco_parameter_table *table, moco_parameter_cut *cuts, int64_t *count) {
    *count = 0;
    for (int64_t i = 0; i < table->count; ++i) {
        if (table->items[i].kind != MOCO_PARAMETER_LEARNABLE) continue;
        memset(&cuts[*count], 0, sizeof *cuts);
        MOCO_TRY(moco_optimizer_locate(table, &table->items[i], &cuts[*count]));
        ++*count;
    }
    return MOCO_OK;
}

static moco_status make_cuts(const moco_optimizer *optimizer, moco_parameter_cut **cuts, int64_t *count) {
    const moco_parameter_table *table = moco_encoder_parameters(optimizer->encoder);
    if (!optimizer->rule->by_parameter) {
        return moco_parameter_cuts(optimizer->context, table, MOCO_PARAMETER_NO_DECAY | MOCO_PARAMETER_FROZEN, cuts,
                                   count);
    }
    *cuts = (moco_parameter_cut *) moco_allocate_zeroed(optimizer->context, (size_t) table->count, sizeof **cuts);
    if (*cuts == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = cut_by_parameter(table, *cuts, count);
    if (status != MOCO_OK) moco_deallocate(optimizer->context, *cuts);
    return status;
}

/* Cuts the parameters as the rule works on them, where they aren't yet or a flag has changed since. */
static moco_status cut_parameters(moco_optimizer *optimizer) {
    const moco_parameter_table *table = moco_encoder_parameters(optimizer->encoder);
    if (optimizer->cuts != NULL && optimizer->flags_version == table->flags_version) return MOCO_OK;
    moco_context *context = optimizer->context;
    moco_parameter_cut *cuts = NULL;
    int64_t count = 0;
    MOCO_TRY(make_cuts(optimizer, &cuts, &count));
    moco_update_run *runs = (moco_update_run *) moco_allocate_zeroed(context, (size_t) count, sizeof *runs);
    if (runs == NULL) {
        moco_deallocate(context, cuts);
        return MOCO_OUT_OF_MEMORY;
    }
    moco_deallocate(context, optimizer->cuts);
    moco_deallocate(context, optimizer->step_runs);
    optimizer->cuts = cuts;
    optimizer->step_runs = runs;
    optimizer->cut_count = count;
    optimizer->flags_version = table->flags_version;
    return MOCO_OK;
}

static moco_status create_parts(moco_optimizer *optimizer) {
    for (int32_t state = 0; state < optimizer->rule->state_count; ++state) MOCO_TRY(create_state(optimizer, state));
    return cut_parameters(optimizer);
}

moco_status moco_optimizer_create_with(moco_optimizer **out, moco_encoder *encoder, const moco_update_rule *rule,
                                       const moco_optimizer_config *config) {
    MOCO_TRY(check_config(config, rule));
    moco_context *context = moco_encoder_context(encoder);
    moco_optimizer *optimizer = (moco_optimizer *) moco_allocate_zeroed(context, 1, sizeof *optimizer);
    if (optimizer == NULL) return MOCO_OUT_OF_MEMORY;
    moco_references_init(&optimizer->references, 1);
    moco_context_retain(context);
    optimizer->context = context;
    moco_encoder_retain(encoder);
    optimizer->encoder = encoder;
    optimizer->rule = rule;
    optimizer->config = *config;
    optimizer->learning_rate = config->learning_rate;
    optimizer->learnable_runs = moco_encoder_parameters(encoder)->learnable_runs;
    const moco_status status = create_parts(optimizer);
    if (status != MOCO_OK) {
        dispose(optimizer);
        return status;
    }
    *out = optimizer;
    return MOCO_OK;
}

moco_status moco_optimizer_create(moco_optimizer **out, moco_encoder *encoder, const moco_optimizer_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(encoder);
    moco_optimizer_config settings = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, OLDEST_CONFIG, "moco_optimizer_config"));
    }
    MOCO_REQUIRE(settings.kind == MOCO_OPTIMIZER_SGD, "kind is %d; it must be MOCO_OPTIMIZER_SGD (0)", settings.kind);
    return moco_optimizer_create_with(out, encoder, &moco_update_rule_sgd, &settings);
}

void moco_optimizer_retain(moco_optimizer *optimizer) {
    moco_references_retain(&optimizer->references);
}

void moco_optimizer_release(moco_optimizer *optimizer) {
    if (optimizer != NULL && moco_references_release(&optimizer->references)) dispose(optimizer);
}

void moco_optimizer_destroy(moco_optimizer *optimizer) {
    if (optimizer != NULL && moco_references_destroy(&optimizer->references)) dispose(optimizer);
}

moco_encoder *moco_optimizer_encoder(const moco_optimizer *optimizer) {
    return optimizer->encoder;
}

/* --- The step --- */

/* What the rule is handed of one cut; `key` NULL: without an average. */
static moco_update_run run_of(const moco_optimizer *optimizer, const moco_parameter_cut *cut,
                              const moco_parameter_table *key) {
    const moco_parameter_run *learnable = &moco_encoder_parameters(optimizer->encoder)->learnable[cut->run];
    moco_update_run run = {
        .parameter = moco_cut_part(&learnable->value, cut),
        .gradient = moco_cut_part(&learnable->gradient, cut),
        .average = key == NULL ? moco_tensor_none() : moco_cut_part(&key->learnable[cut->run].value, cut),
        .weight_decay = (cut->flags & MOCO_PARAMETER_NO_DECAY) != 0 ? 0.0 : optimizer->config.weight_decay,
    };
    for (int32_t state = 0; state < MOCO_UPDATE_STATES; ++state) {
        run.states[state] = state < optimizer->rule->state_count
                                ? moco_cut_part(&optimizer->states[state][cut->run], cut)
                                : moco_tensor_none();
    }
    return run;
}

/* Frozen parameters stay, but their averages go on towards them. */
static moco_status average_frozen(const moco_optimizer *optimizer, const moco_parameter_table *key, double m) {
    for (int64_t i = 0; key != NULL && i < optimizer->cut_count; ++i) {
        if ((optimizer->cuts[i].flags & MOCO_PARAMETER_FROZEN) == 0) continue;
        const moco_update_run run = run_of(optimizer, &optimizer->cuts[i], key);
        MOCO_TRY(moco_momentum_update(optimizer->context, &run.average, &run.parameter, m));
    }
    return MOCO_OK;
}

moco_status moco_optimizer_prepare_step(moco_optimizer *optimizer) {
    if (optimizer->step_count == INT64_MAX) {
        return moco_fail(MOCO_INVALID_STATE, "step_count is 2^63 - 1, so no further step can be counted; call "
                                             "moco_optimizer_set_step_count with the steps really taken");
    }
    return cut_parameters(optimizer);
}

/* `key` NULL: no momentum update. */
static moco_status take_step(moco_optimizer *optimizer, const moco_parameter_table *key, double m) {
    MOCO_TRY(moco_optimizer_prepare_step(optimizer));
    MOCO_TRY(moco_encoder_settle_gradients(optimizer->encoder));
    moco_update_step step = {
        .context = optimizer->context,
        .config = &optimizer->config,
        .learning_rate = optimizer->learning_rate,
        .average_momentum = m,
        .step = optimizer->step_count,
        .runs = optimizer->step_runs,
    };
    for (int64_t i = 0; i < optimizer->cut_count; ++i) {
        if ((optimizer->cuts[i].flags & MOCO_PARAMETER_FROZEN) != 0) continue;
        optimizer->step_runs[step.count++] = run_of(optimizer, &optimizer->cuts[i], key);
    }
    moco_status status = optimizer->rule->step(&step);
    if (status == MOCO_OK) status = average_frozen(optimizer, key, m);
    moco_encoder_parameters_changed(optimizer->encoder);
    if (status == MOCO_OK) optimizer->step_count++;
    return status;
}

moco_status moco_optimizer_step(moco_optimizer *optimizer) {
    MOCO_REQUIRE_POINTER(optimizer);
    return take_step(optimizer, NULL, 0.0);
}

moco_status moco_optimizer_step_with_momentum_update(moco_optimizer *optimizer,
                                                     moco_momentum_encoder *momentum_encoder) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_REQUIRE_POINTER(momentum_encoder);
    MOCO_REQUIRE(moco_momentum_encoder_query(momentum_encoder) == optimizer->encoder,
                 "momentum_encoder averages another encoder than the optimizer's; create both from one encoder");
    moco_encoder *key = moco_momentum_encoder_key_encoder(momentum_encoder);
    MOCO_TRY(take_step(optimizer, moco_encoder_parameters(key), moco_momentum_encoder_momentum(momentum_encoder)));
    return moco_momentum_encoder_finish_update(momentum_encoder);
}

moco_status moco_optimizer_set_learning_rate(moco_optimizer *optimizer, double learning_rate) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_TRY(check_learning_rate(learning_rate));
    optimizer->learning_rate = learning_rate;
    return MOCO_OK;
}

double moco_optimizer_learning_rate(const moco_optimizer *optimizer) {
    return optimizer == NULL ? 0.0 : optimizer->learning_rate;
}

int64_t moco_optimizer_step_count(const moco_optimizer *optimizer) {
    return optimizer == NULL ? 0 : optimizer->step_count;
}

moco_status moco_optimizer_set_step_count(moco_optimizer *optimizer, int64_t step_count) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_REQUIRE(step_count >= 0, "step_count is %lld; it must be at least 0", (long long) step_count);
    optimizer->step_count = step_count;
    return MOCO_OK;
}
