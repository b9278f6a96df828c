#include <math.h>

#include "backend/backend_chain.h"
#include "core/config.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "optimizer/optimizer_internal.h"

struct moco_optimizer {
    atomic_int references;
    moco_context *context;
    moco_encoder *encoder;
    moco_optimizer_config config;
    double learning_rate;
    int64_t step_count;
    int64_t runs;          /* the encoder's learnable runs */
    moco_tensor *velocity; /* [runs], each of its run's shape */
};

static const moco_optimizer_config default_config = {
    .struct_size = sizeof(moco_optimizer_config),
    .nesterov = 0,
    .learning_rate = 0.03,
    .momentum = 0.9,
    .dampening = 0.0,
    .weight_decay = 1e-4,
};

moco_status moco_optimizer_config_init(moco_optimizer_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_optimizer_config");
}

static moco_status check_learning_rate(double learning_rate) {
    MOCO_REQUIRE(isfinite(learning_rate) && learning_rate >= 0.0,
                 "learning_rate is %g; it must be finite and at least 0", learning_rate);
    return MOCO_OK;
}

static moco_status check_config(const moco_optimizer_config *c) {
    MOCO_TRY(check_learning_rate(c->learning_rate));
    MOCO_REQUIRE(c->momentum >= 0.0 && c->momentum < 1.0, "momentum is %g; it must be at least 0 and less than 1",
                 c->momentum);
    MOCO_REQUIRE(isfinite(c->dampening), "dampening is %g; it must be finite", c->dampening);
    MOCO_REQUIRE(isfinite(c->weight_decay) && c->weight_decay >= 0.0,
                 "weight_decay is %g; it must be finite and at least 0", c->weight_decay);
    MOCO_REQUIRE(c->nesterov == 0 || c->nesterov == 1, "nesterov is %d; it must be 0 or 1", c->nesterov);
    MOCO_REQUIRE(!c->nesterov || (c->momentum > 0.0 && c->dampening == 0.0),
                 "nesterov needs momentum above 0 and dampening 0; they are %g and %g", c->momentum, c->dampening);
    return MOCO_OK;
}

/* --- Lifetime --- */

static void release(moco_optimizer *optimizer) {
    moco_context *context = optimizer->context;
    for (int64_t i = 0; optimizer->velocity != NULL && i < optimizer->runs; ++i) {
        moco_buffer_destroy(context, optimizer->velocity[i].buffer);
    }
    moco_deallocate(context, optimizer->velocity);
    moco_encoder_destroy(optimizer->encoder);
    moco_deallocate(context, optimizer);
    moco_context_destroy(context);
}

/* One velocity per learnable run, all zero. */
static moco_status create_velocities(moco_optimizer *optimizer) {
    const moco_parameter_table *table = moco_encoder_parameters(optimizer->encoder);
    optimizer->velocity = (moco_tensor *) moco_allocate_zeroed(optimizer->context, (size_t) table->learnable_runs,
                                                               sizeof *optimizer->velocity);
    if (optimizer->velocity == NULL) return MOCO_OUT_OF_MEMORY;
    optimizer->runs = table->learnable_runs;
    for (int64_t i = 0; i < optimizer->runs; ++i) {
        const moco_tensor *value = &table->learnable[i].value;
        void *buffer = NULL;
        MOCO_TRY(moco_buffer_create(optimizer->context, moco_tensor_bytes(value), &buffer));
        optimizer->velocity[i] = moco_tensor_1d(buffer, 0, value->dtype, moco_tensor_elements(value));
        MOCO_TRY(moco_tensor_fill_zero(optimizer->context, &optimizer->velocity[i]));
    }
    return MOCO_OK;
}

moco_status moco_optimizer_create(moco_optimizer **out, moco_encoder *encoder, const moco_optimizer_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(encoder);
    moco_optimizer_config settings = default_config;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_optimizer_config"));
    }
    MOCO_TRY(check_config(&settings));

    moco_context *context = moco_encoder_context(encoder);
    moco_optimizer *optimizer = (moco_optimizer *) moco_allocate_zeroed(context, 1, sizeof *optimizer);
    if (optimizer == NULL) return MOCO_OUT_OF_MEMORY;
    atomic_init(&optimizer->references, 1);
    moco_context_retain(context);
    optimizer->context = context;
    moco_encoder_retain(encoder);
    optimizer->encoder = encoder;
    optimizer->config = settings;
    optimizer->learning_rate = settings.learning_rate;
    const moco_status status = create_velocities(optimizer);
    if (status != MOCO_OK) {
        release(optimizer);
        return status;
    }
    *out = optimizer;
    return MOCO_OK;
}

void moco_optimizer_retain(moco_optimizer *optimizer) {
    atomic_fetch_add_explicit(&optimizer->references, 1, memory_order_relaxed);
}

void moco_optimizer_destroy(moco_optimizer *optimizer) {
    if (optimizer == NULL || atomic_fetch_sub_explicit(&optimizer->references, 1, memory_order_acq_rel) != 1) return;
    release(optimizer);
}

moco_encoder *moco_optimizer_encoder(const moco_optimizer *optimizer) {
    return optimizer->encoder;
}

/* --- The step --- */

static moco_sgd_args step_args(const moco_optimizer *optimizer, int64_t run) {
    const moco_parameter_run *learnable = &moco_encoder_parameters(optimizer->encoder)->learnable[run];
    const moco_optimizer_config *config = &optimizer->config;
    const moco_sgd_args args = {
        .parameter = learnable->value,
        .gradient = learnable->gradient,
        .velocity = optimizer->velocity[run],
        /* Without momentum PyTorch keeps no velocity and does not dampen: v = g in every step. */
        .first_step = optimizer->step_count == 0 || config->momentum == 0.0,
        .nesterov = config->nesterov,
        .learning_rate = optimizer->learning_rate,
        .momentum = config->momentum,
        .dampening = config->dampening,
        .weight_decay = config->weight_decay,
    };
    return args;
}

/* `key` NULL: no momentum update. */
static moco_status take_step(moco_optimizer *optimizer, const moco_parameter_table *key, double m) {
    moco_status status = MOCO_OK;
    MOCO_TRY(moco_encoder_settle_gradients(optimizer->encoder));
    for (int64_t i = 0; i < optimizer->runs && status == MOCO_OK; ++i) {
        const moco_sgd_args args = step_args(optimizer, i);
        status = key == NULL ? moco_sgd_update(optimizer->context, &args)
                             : moco_sgd_momentum_update(optimizer->context, &args, &key->learnable[i].value, m);
    }
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

/* --- State, parameter by parameter --- */

/* The part of a run's velocity that belongs to parameter `index`. */
static moco_status find_velocity(const moco_optimizer *optimizer, int64_t index, moco_tensor *velocity) {
    const moco_parameter_table *table = moco_encoder_parameters(optimizer->encoder);
    MOCO_REQUIRE(index >= 0 && index < table->count, "index is %lld; the encoder's parameters are 0 to %lld",
                 (long long) index, (long long) table->count - 1);
    const moco_parameter *parameter = &table->items[index];
    MOCO_REQUIRE(parameter->kind == MOCO_PARAMETER_LEARNABLE,
                 "index is %lld, which is the buffer %s; only learnable parameters have a velocity", (long long) index,
                 parameter->name);
    for (int64_t i = 0; i < optimizer->runs; ++i) {
        const moco_tensor *run = &table->learnable[i].value;
        const uint64_t begin = parameter->value.offset;
        if (run->buffer != parameter->value.buffer || begin < run->offset) continue;
        if (begin - run->offset + moco_tensor_bytes(&parameter->value) > moco_tensor_bytes(run)) continue;
        *velocity = moco_tensor_1d(optimizer->velocity[i].buffer, begin - run->offset, run->dtype, parameter->elements);
        return MOCO_OK;
    }
    return moco_fail(MOCO_INTERNAL, "parameter %s is in no learnable run of its encoder", parameter->name);
}

moco_status moco_optimizer_read_state(const moco_optimizer *optimizer, int64_t index, float *velocity) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_REQUIRE_POINTER(velocity);
    moco_tensor tensor;
    MOCO_TRY(find_velocity(optimizer, index, &tensor));
    return moco_tensor_download(optimizer->context, &tensor, velocity);
}

moco_status moco_optimizer_write_state(moco_optimizer *optimizer, int64_t index, const float *velocity) {
    MOCO_REQUIRE_POINTER(optimizer);
    MOCO_REQUIRE_POINTER(velocity);
    moco_tensor tensor;
    MOCO_TRY(find_velocity(optimizer, index, &tensor));
    const int64_t elements = moco_tensor_elements(&tensor);
    for (int64_t i = 0; i < elements; ++i) {
        MOCO_REQUIRE(isfinite(velocity[i]), "velocity[%lld] is %g; it must be finite", (long long) i,
                     (double) velocity[i]);
    }
    return moco_tensor_upload(optimizer->context, &tensor, velocity);
}
