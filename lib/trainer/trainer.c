#include <string.h>

#include "backend/backend_chain.h"
#include "core/config.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "keys/queue_internal.h"
#include "loss/loss_internal.h"
#include "optimizer/optimizer_internal.h"
#include "trainer/method.h"

/* --- Configuration --- */

static const moco_trainer_config default_config = MOCO_TRAINER_CONFIG_INITIALIZER;

moco_status moco_trainer_config_init(moco_trainer_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_trainer_config");
}

static moco_status check_config(const moco_trainer_config *config) {
    MOCO_REQUIRE(config->use_learning_rate_schedule == 0 || config->use_learning_rate_schedule == 1,
                 "use_learning_rate_schedule is %d; it must be 0 or 1", config->use_learning_rate_schedule);
    MOCO_REQUIRE(config->steps_per_epoch >= 1, "steps_per_epoch is %lld; it must be at least 1",
                 (long long) config->steps_per_epoch);
    MOCO_REQUIRE(config->momentum_end >= 0.0 && config->momentum_end <= 1.0,
                 "momentum_end is %g; it must be 0 (the momentum stays) or more, up to 1", config->momentum_end);
    return MOCO_OK;
}

/* The caller's schedule, or the default one. */
static moco_status read_schedule(moco_schedule *schedule, const moco_trainer_config *config) {
    MOCO_TRY(moco_schedule_init(schedule, sizeof *schedule));
    if (config->learning_rate != NULL) {
        const moco_status status =
            moco_config_read(schedule, config->learning_rate, sizeof *schedule, sizeof *schedule, "moco_schedule");
        if (status != MOCO_OK) {
            return moco_fail(status, "learning_rate of moco_trainer_config: %s", moco_last_error());
        }
    }
    double value; /* only asked for to have the schedule checked */
    return moco_schedule_value(schedule, 0, config->steps_per_epoch, &value);
}

/* --- Lifetime --- */

static moco_status check_context(const moco_context *mine, const moco_context *theirs, const char *part) {
    MOCO_REQUIRE(mine == theirs, "%s was made from another context than query_encoder; all parts must share one", part);
    return MOCO_OK;
}

/* That the parts which are there belong together. */
static moco_status check_parts(const moco_trainer *parts) {
    const moco_encoder *query_encoder = parts->query_encoder;
    const moco_optimizer *optimizer = parts->optimizer;
    MOCO_REQUIRE_POINTER(query_encoder);
    MOCO_REQUIRE_POINTER(optimizer);
    const moco_context *context = moco_encoder_context(query_encoder);
    MOCO_REQUIRE(parts->momentum_encoder == NULL ||
                     moco_momentum_encoder_query(parts->momentum_encoder) == query_encoder,
                 "momentum_encoder averages another encoder; create it from this query_encoder");
    MOCO_REQUIRE(parts->momentum_encoder != NULL || parts->config.momentum_end == 0.0,
                 "momentum_end is %g without a momentum_encoder that it could be of; make it 0",
                 parts->config.momentum_end);
    MOCO_REQUIRE(moco_optimizer_encoder(optimizer) == query_encoder,
                 "optimizer updates another encoder; create it from this query_encoder");
    if (parts->loss != NULL) MOCO_TRY(check_context(context, moco_loss_context(parts->loss), "loss"));
    if (parts->queue == NULL) return MOCO_OK;
    MOCO_TRY(check_context(context, moco_queue_source(parts->queue)->context, "queue"));
    const int64_t dim = moco_encoder_embedding_dim(query_encoder);
    MOCO_REQUIRE(moco_queue_dim(parts->queue) == dim,
                 "dim of the queue is %lld; it must be the encoder's embedding_dim, %lld",
                 (long long) moco_queue_dim(parts->queue), (long long) dim);
    return MOCO_OK;
}

static void retain_parts(const moco_trainer *trainer) {
    moco_context_retain(trainer->context);
    moco_encoder_retain(trainer->query_encoder);
    moco_optimizer_retain(trainer->optimizer);
    if (trainer->momentum_encoder != NULL) moco_momentum_encoder_retain(trainer->momentum_encoder);
    if (trainer->queue != NULL) moco_key_source_retain(moco_queue_source(trainer->queue));
    if (trainer->loss != NULL) moco_loss_retain(trainer->loss);
}

moco_status moco_trainer_create_with(moco_trainer **out, const moco_method *method, moco_encoder *query_encoder,
                                     moco_momentum_encoder *momentum_encoder, moco_queue *queue, moco_loss *loss,
                                     moco_optimizer *optimizer, const moco_trainer_config *config) {
    MOCO_REQUIRE_POINTER(out);
    moco_trainer made = {
        .method = method,
        .query_encoder = query_encoder,
        .momentum_encoder = momentum_encoder,
        .queue = queue,
        .loss = loss,
        .optimizer = optimizer,
        .config = default_config,
        .momentum_start = moco_momentum_encoder_momentum(momentum_encoder),
    };
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&made.config, config, sizeof made.config, sizeof made.config, "moco_trainer_config"));
    }
    MOCO_TRY(check_config(&made.config));
    MOCO_TRY(read_schedule(&made.learning_rate, &made.config));
    MOCO_TRY(check_parts(&made));
    MOCO_TRY(method->check(&made));

    made.context = moco_encoder_context(query_encoder);
    moco_trainer *trainer = (moco_trainer *) moco_allocate_zeroed(made.context, 1, sizeof *trainer);
    if (trainer == NULL) return MOCO_OUT_OF_MEMORY;
    memcpy(trainer, &made, sizeof made);
    moco_references_init(&trainer->references, 1);
    atomic_init(&trainer->stop_requested, 0);
    trainer->config.learning_rate = &trainer->learning_rate;
    retain_parts(trainer);
    *out = trainer;
    return MOCO_OK;
}

moco_status moco_trainer_create(moco_trainer **out, moco_encoder *query_encoder,
                                moco_momentum_encoder *momentum_encoder, moco_queue *queue, moco_loss *loss,
                                moco_optimizer *optimizer, const moco_trainer_config *config) {
    return moco_trainer_create_with(out, &moco_method_queue, query_encoder, momentum_encoder, queue, loss, optimizer,
                                    config);
}

/* --- The parts --- */

moco_encoder *moco_trainer_encoder(const moco_trainer *trainer) {
    return trainer == NULL ? NULL : trainer->query_encoder;
}

moco_momentum_encoder *moco_trainer_momentum_encoder(const moco_trainer *trainer) {
    return trainer == NULL ? NULL : trainer->momentum_encoder;
}

moco_queue *moco_trainer_queue(const moco_trainer *trainer) {
    return trainer == NULL ? NULL : trainer->queue;
}

moco_loss *moco_trainer_loss(const moco_trainer *trainer) {
    return trainer == NULL ? NULL : trainer->loss;
}

moco_optimizer *moco_trainer_optimizer(const moco_trainer *trainer) {
    return trainer == NULL ? NULL : trainer->optimizer;
}

moco_loader *moco_trainer_loader(const moco_trainer *trainer) {
    return trainer == NULL ? NULL : trainer->loader;
}

moco_augment *moco_trainer_augment(const moco_trainer *trainer) {
    return trainer == NULL ? NULL : trainer->augment;
}

/* --- Step count and stopping --- */

int64_t moco_trainer_step_count(const moco_trainer *trainer) {
    return trainer == NULL ? 0 : trainer->step_count;
}

moco_status moco_trainer_set_step_count(moco_trainer *trainer, int64_t step_count) {
    MOCO_REQUIRE_POINTER(trainer);
    MOCO_REQUIRE(step_count >= 0, "step_count is %lld; it must be at least 0", (long long) step_count);
    trainer->step_count = step_count;
    return MOCO_OK;
}

void moco_trainer_request_stop(moco_trainer *trainer) {
    if (trainer != NULL) atomic_store(&trainer->stop_requested, 1);
}
