/* The states that the update rule keeps, parameter by parameter. */
#include <math.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "optimizer/optimizer_handle.h"

moco_status moco_optimizer_locate(const moco_parameter_table *table, const moco_parameter *parameter,
                                  moco_parameter_cut *cut) {
    const uint64_t begin = parameter->value.offset;
    for (int64_t i = 0; i < table->learnable_runs; ++i) {
        const moco_tensor *run = &table->learnable[i].value;
        if (run->buffer != parameter->value.buffer || begin < run->offset) continue;
        if (begin - run->offset + moco_tensor_bytes(&parameter->value) > moco_tensor_bytes(run)) continue;
        cut->run = i;
        cut->from = (int64_t) ((begin - run->offset) / moco_dtype_size(run->dtype));
        cut->elements = parameter->elements;
        cut->flags = parameter->flags;
        return MOCO_OK;
    }
    return moco_fail(MOCO_INTERNAL, "parameter %s is in no learnable run of its encoder", parameter->name);
}

int32_t moco_optimizer_state_count(const moco_optimizer *optimizer) {
    return optimizer == NULL ? 0 : optimizer->rule->state_count;
}

const char *moco_optimizer_state_name(const moco_optimizer *optimizer, int32_t state) {
    if (optimizer == NULL || state < 0 || state >= optimizer->rule->state_count) return NULL;
    return optimizer->rule->state_names[state];
}

/* The part of a state that belongs to parameter `index`. */
static moco_status find_state(const moco_optimizer *optimizer, int64_t index, int32_t state, moco_tensor *part) {
    const moco_parameter_table *table = moco_encoder_parameters(optimizer->encoder);
    const moco_update_rule *rule = optimizer->rule;
    MOCO_REQUIRE(index >= 0 && index < table->count, "index is %lld; the encoder's parameters are 0 to %lld",
                 (long long) index, (long long) table->count - 1);
    MOCO_REQUIRE(state >= 0 && state < rule->state_count,
                 "state is %d; the optimizer keeps %d for each parameter, numbered from 0", state, rule->state_count);
    const moco_parameter *parameter = &table->items[index];
    MOCO_REQUIRE(parameter->kind == MOCO_PARAMETER_LEARNABLE,
                 "index is %lld, which is the buffer %s; only learnable parameters have a %s", (long long) index,
                 parameter->name, rule->state_names[state]);
    moco_parameter_cut cut;
    MOCO_TRY(moco_optimizer_locate(table, parameter, &cut));
    *part = moco_cut_part(&optimizer->states[state][cut.run], &cut);
    return MOCO_OK;
}

static moco_status read_state(const moco_optimizer *optimizer, int64_t index, int32_t state, float *values) {
    moco_tensor tensor;
    MOCO_TRY(find_state(optimizer, index, state, &tensor));
    return moco_tensor_download(optimizer->context, &tensor, values);
}

static moco_status write_state(moco_optimizer *optimizer, int64_t index, int32_t state, const float *values) {
    moco_tensor tensor;
    MOCO_TRY(find_state(optimizer, index, state, &tensor));
    const int64_t elements = moco_tensor_elements(&tensor);
    for (int64_t i = 0; i < elements; ++i) {
        MOCO_REQUIRE(isfinite(values[i]), "%s[%lld] is %g; it must be finite", optimizer->rule->state_names[state],
                     (long long) i, (double) values[i]);
    }
    return moco_tensor_upload(optimizer->context, &tensor, values);
}

moco_status moco_optimizer_read_state_of(const moco_optimizer *optimizer, int64_t index, int32_t state, float *values) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_REQUIRE_POINTER(values);
    return read_state(optimizer, index, state, values);
}

moco_status moco_optimizer_write_state_of(moco_optimizer *optimizer, int64_t index, int32_t state,
                                          const float *values) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_REQUIRE_POINTER(values);
    return write_state(optimizer, index, state, values);
}

moco_status moco_optimizer_read_state(const moco_optimizer *optimizer, int64_t index, float *velocity) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_REQUIRE_POINTER(velocity);
    return read_state(optimizer, index, 0, velocity);
}

moco_status moco_optimizer_write_state(moco_optimizer *optimizer, int64_t index, const float *velocity) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_REQUIRE_POINTER(velocity);
    return write_state(optimizer, index, 0, velocity);
}
