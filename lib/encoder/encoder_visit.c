/* The state of an encoder, and of a momentum encoder, for visitors. Gradients are none: each step clears them. */
#include "backend/backend_chain.h"
#include "core/config_fields.h"
#include "encoder/encoder_handle.h"
#include "encoder/momentum_encoder_internal.h"

static moco_status visit_settings(const moco_encoder *encoder, const moco_state *state) {
    /* They decided the starting weights only. */
    static const char *const but[] = {"seed", "zero_init_residual", NULL};
    if (encoder->built_in) return moco_state_settings(state, MOCO_CONFIG_ENCODER, &encoder->config, but);
    MOCO_TRY(moco_state_setting(state, "architecture", "custom"));
    MOCO_TRY(moco_state_setting_number(state, "channels", encoder->shape.channels));
    MOCO_TRY(moco_state_setting_number(state, "embedding_dim", encoder->shape.embedding_dim));
    MOCO_TRY(moco_state_setting_number(state, "feature_dim", encoder->shape.feature_dim));
    return moco_state_setting_number(state, "bn_groups", encoder->shape.bn_groups);
}

/* The flags of all parameters, which a caller may change as training goes on. */
static moco_status visit_flags(moco_encoder *encoder, const moco_state *state) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    int64_t *flags = (int64_t *) moco_allocate_zeroed(encoder->context, (size_t) table->count, sizeof *flags);
    if (flags == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < table->count; ++i) flags[i] = table->items[i].flags;
    moco_status status = moco_state_numbers(state, "flags", flags, table->count);
    for (int64_t i = 0; i < table->count && status == MOCO_OK; ++i) {
        if (flags[i] == table->items[i].flags) continue;
        status = flags[i] >= 0 && flags[i] <= INT32_MAX
                     ? moco_encoder_set_parameter_flags(encoder, i, (int32_t) flags[i])
                     : moco_fail(MOCO_INVALID_ARGUMENT, "flags for %s are %lld; they must be 0 to %d",
                                 table->items[i].name, (long long) flags[i], INT32_MAX);
    }
    moco_deallocate(encoder->context, flags);
    return status;
}

moco_status moco_encoder_visit(moco_encoder *encoder, const moco_state *state) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    int64_t batches = encoder->batches_tracked;
    MOCO_TRY(visit_settings(encoder, state));
    MOCO_TRY(moco_state_number(state, "batches_tracked", &batches));
    MOCO_TRY(moco_encoder_set_batches_tracked(encoder, batches));
    MOCO_TRY(visit_flags(encoder, state));
    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < table->count && status == MOCO_OK; ++i) {
        status = moco_state_tensor(state, table->items[i].name, &table->items[i].value);
    }
    if (state->writes) moco_encoder_parameters_changed(encoder); /* after a failure, too: some were written */
    return status;
}

moco_status moco_momentum_encoder_visit(moco_momentum_encoder *momentum_encoder, const moco_state *visitor) {
    const moco_state state = moco_state_in(visitor, "momentum_encoder");
    const moco_state key = moco_state_in(visitor, "key_encoder");
    int64_t encode_count = moco_momentum_encoder_encode_count(momentum_encoder);
    double momentum = moco_momentum_encoder_momentum(momentum_encoder);
    static const char *const but[] = {"momentum", NULL};
    MOCO_TRY(moco_state_settings(&state, MOCO_CONFIG_MOMENTUM_ENCODER,
                                 moco_momentum_encoder_configuration(momentum_encoder), but));
    MOCO_TRY(moco_state_number(&state, "encode_count", &encode_count));
    MOCO_TRY(moco_state_real(&state, "momentum", &momentum));
    MOCO_TRY(moco_momentum_encoder_set_encode_count(momentum_encoder, encode_count));
    MOCO_TRY(moco_momentum_encoder_set_momentum(momentum_encoder, momentum));
    return moco_encoder_visit(moco_momentum_encoder_key_encoder(momentum_encoder), &key);
}
