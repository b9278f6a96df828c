#include "backend/backend_chain.h"
#include "core/config.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "keys/queue_view.h"
#include "loss/loss_internal.h"
#include "optimizer/optimizer_internal.h"
#include "trainer/trainer_internal.h"

/* --- Configuration --- */

static const moco_trainer_config default_config = {
    .struct_size = sizeof(moco_trainer_config),
    .use_learning_rate_schedule = 1,
    .momentum_end = 0.0,
    .steps_per_epoch = 1,
};

moco_status moco_trainer_config_init(moco_trainer_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_trainer_config");
}

moco_status moco_step_stats_init(moco_step_stats *stats, uint32_t struct_size) {
    const moco_step_stats defaults = {.struct_size = sizeof defaults};
    return moco_config_init(stats, struct_size, &defaults, sizeof defaults, sizeof defaults, "moco_step_stats");
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
        MOCO_TRY(moco_config_read(schedule, config->learning_rate, sizeof *schedule, sizeof *schedule,
                                  "moco_trainer_config's learning_rate"));
    }
    double value; /* only asked for to have the schedule checked */
    return moco_schedule_value(schedule, 0, config->steps_per_epoch, &value);
}

/* --- Lifetime --- */

static moco_status check_context(const moco_context *mine, const moco_context *theirs, const char *part) {
    MOCO_REQUIRE(mine == theirs, "%s was made from another context than query_encoder; all parts must share one", part);
    return MOCO_OK;
}

static moco_status check_parts(moco_encoder *query_encoder, moco_momentum_encoder *momentum_encoder, moco_queue *queue,
                               moco_loss *loss, moco_optimizer *optimizer) {
    MOCO_REQUIRE_POINTER(query_encoder);
    MOCO_REQUIRE_POINTER(momentum_encoder);
    MOCO_REQUIRE_POINTER(queue);
    MOCO_REQUIRE_POINTER(loss);
    MOCO_REQUIRE_POINTER(optimizer);
    const moco_context *context = moco_encoder_context(query_encoder);
    MOCO_REQUIRE(moco_momentum_encoder_query(momentum_encoder) == query_encoder,
                 "momentum_encoder averages another encoder; create it from this query_encoder");
    MOCO_REQUIRE(moco_optimizer_encoder(optimizer) == query_encoder,
                 "optimizer updates another encoder; create it from this query_encoder");
    MOCO_TRY(check_context(context, moco_queue_context(queue), "queue"));
    MOCO_TRY(check_context(context, moco_loss_context(loss), "loss"));
    const int64_t dim = moco_encoder_embedding_dim(query_encoder);
    MOCO_REQUIRE(moco_queue_dim(queue) == dim, "dim of the queue is %lld; it must be the encoder's embedding_dim, %lld",
                 (long long) moco_queue_dim(queue), (long long) dim);
    return MOCO_OK;
}

moco_status moco_trainer_create(moco_trainer **out, moco_encoder *query_encoder,
                                moco_momentum_encoder *momentum_encoder, moco_queue *queue, moco_loss *loss,
                                moco_optimizer *optimizer, const moco_trainer_config *config) {
    MOCO_REQUIRE_POINTER(out);
    moco_trainer_config settings = default_config;
    moco_schedule learning_rate;
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_trainer_config"));
    }
    MOCO_TRY(check_config(&settings));
    MOCO_TRY(read_schedule(&learning_rate, &settings));
    MOCO_TRY(check_parts(query_encoder, momentum_encoder, queue, loss, optimizer));

    moco_context *context = moco_encoder_context(query_encoder);
    moco_trainer *trainer = (moco_trainer *) moco_allocate_zeroed(context, 1, sizeof *trainer);
    if (trainer == NULL) return MOCO_OUT_OF_MEMORY;
    atomic_init(&trainer->stop_requested, 0);
    trainer->config = settings;
    trainer->learning_rate = learning_rate;
    trainer->config.learning_rate = &trainer->learning_rate;
    trainer->momentum_start = moco_momentum_encoder_momentum(momentum_encoder);
    trainer->context = context;
    trainer->query_encoder = query_encoder;
    trainer->momentum_encoder = momentum_encoder;
    trainer->queue = queue;
    trainer->loss = loss;
    trainer->optimizer = optimizer;
    moco_context_retain(context);
    moco_encoder_retain(query_encoder);
    moco_momentum_encoder_retain(momentum_encoder);
    moco_queue_retain(queue);
    moco_loss_retain(loss);
    moco_optimizer_retain(optimizer);
    *out = trainer;
    return MOCO_OK;
}

void moco_trainer_destroy(moco_trainer *trainer) {
    if (trainer == NULL) return;
    moco_context *context = trainer->context;
    moco_grown_buffer_release(&trainer->q, context);
    moco_grown_buffer_release(&trainer->k, context);
    moco_grown_buffer_release(&trainer->d_q, context);
    moco_grown_buffer_release(&trainer->query_images, context);
    moco_grown_buffer_release(&trainer->key_images, context);
    moco_optimizer_destroy(trainer->optimizer);
    moco_loss_destroy(trainer->loss);
    moco_queue_destroy(trainer->queue);
    moco_momentum_encoder_destroy(trainer->momentum_encoder);
    moco_encoder_destroy(trainer->query_encoder);
    moco_deallocate(context, trainer);
    moco_context_destroy(context);
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
