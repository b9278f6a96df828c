/* One step: schedules, the views in the backend's memory, and the method. */
#include <math.h>

#include "backend/backend_chain.h"
#include "backend/host_tensor.h"
#include "core/checked.h"
#include "core/config.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "optimizer/optimizer_internal.h"
#include "trainer/method.h"

moco_status moco_step_stats_init(moco_step_stats *stats, uint32_t struct_size) {
    const moco_step_stats defaults = {.struct_size = sizeof defaults};
    return moco_config_init(stats, struct_size, &defaults, sizeof defaults, sizeof defaults, "moco_step_stats");
}

/* --- Schedules --- */

/* From momentum_start at step 0 to momentum_end after learning_rate.epochs, along half a cosine. */
static moco_status scheduled_momentum(const moco_trainer *trainer, int64_t steps_per_epoch, double *momentum) {
    const double total = ceil(trainer->learning_rate.epochs * (double) steps_per_epoch);
    double progress; /* the cosine that grows from 0 to 1 */
    MOCO_TRY(moco_momentum_cosine(0.0, trainer->step_count, total < 0x1p62 ? (int64_t) total : INT64_MAX, &progress));
    *momentum = trainer->momentum_start + (trainer->config.momentum_end - trainer->momentum_start) * progress;
    return MOCO_OK;
}

static moco_status apply_schedules(moco_trainer *trainer, int64_t steps_per_epoch) {
    if (trainer->config.use_learning_rate_schedule) {
        double learning_rate;
        MOCO_TRY(moco_schedule_value(&trainer->learning_rate, trainer->step_count, steps_per_epoch, &learning_rate));
        MOCO_TRY(moco_optimizer_set_learning_rate(trainer->optimizer, learning_rate));
    }
    if (trainer->config.momentum_end > 0.0) {
        double momentum;
        MOCO_TRY(scheduled_momentum(trainer, steps_per_epoch, &momentum));
        MOCO_TRY(moco_momentum_encoder_set_momentum(trainer->momentum_encoder, momentum));
    }
    return MOCO_OK;
}

/* --- For methods --- */

moco_status moco_trainer_embeddings(moco_trainer *trainer, moco_grown_buffer *room, int64_t n,
                                    moco_tensor *embeddings) {
    const int64_t dim = moco_encoder_embedding_dim(trainer->query_encoder);
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_checked_multiply(n, dim, "n * embedding_dim", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "n * embedding_dim", &bytes));
    MOCO_TRY(moco_grown_buffer_reserve(room, trainer->context, bytes));
    *embeddings = moco_tensor_2d(room->buffer, 0, MOCO_DTYPE_F32, n, dim);
    return MOCO_OK;
}

moco_status moco_trainer_lap(const moco_trainer *trainer, int64_t *mark, int64_t *elapsed_ns) {
    MOCO_TRY(moco_backend_synchronize(trainer->context));
    const int64_t now = moco_now_ns();
    *elapsed_ns = now - *mark;
    *mark = now;
    return MOCO_OK;
}

/* INVALID_STATE if an embedding is not finite, which is what an exploded run looks like. */
static moco_status check_embeddings(moco_trainer *trainer, const moco_tensor *embeddings, const char *name) {
    int32_t finite = 1;
    int64_t first = 0;
    MOCO_TRY(moco_all_finite(trainer->context, embeddings, &finite, &first));
    if (finite) return MOCO_OK;
    return moco_fail(MOCO_INVALID_STATE,
                     "the %s embedding of sample %lld in step %lld is not finite, so the loss is not: the run has "
                     "exploded (a lower learning rate may help) or an image holds such values; the step was not taken",
                     name, (long long) (first / embeddings->dims[1]), (long long) trainer->step_count);
}

static void report_loss(const moco_loss_result *result, moco_step_stats *stats) {
    stats->loss = result->loss;
    stats->mean_positive_similarity = result->mean_positive_similarity;
    stats->mean_negative_similarity = result->mean_negative_similarity;
    stats->top1 = result->top1;
    stats->top5 = result->top5;
    stats->chance_loss = result->chance_loss;
    stats->negatives = result->negatives;
    stats->masked = result->masked;
}

moco_status moco_trainer_take_loss(moco_trainer *trainer, moco_status status, const moco_loss_result *result,
                                   const moco_tensor *q, const moco_tensor *k, moco_step_stats *stats) {
    if (status == MOCO_INVALID_ARGUMENT) {
        /* The loss refuses what isn't finite as an argument; here it is the state of the run. */
        MOCO_TRY(check_embeddings(trainer, q, "query"));
        MOCO_TRY(check_embeddings(trainer, k, "key"));
    }
    MOCO_TRY(status);
    if (!isfinite(result->loss)) {
        return moco_fail(MOCO_INVALID_STATE,
                         "the loss of step %lld is %g: the run has exploded; the step was not taken",
                         (long long) trainer->step_count, result->loss);
    }
    report_loss(result, stats);
    return MOCO_OK;
}

/* --- The step --- */

static moco_status check_views(const moco_views *views) {
    MOCO_REQUIRE(views->query_images != NULL, "query_images is NULL; it must point to n x channels x h x w floats");
    MOCO_REQUIRE(views->key_images != NULL, "key_images is NULL; it must point to n x channels x h x w floats");
    MOCO_REQUIRE(views->n >= 1 && views->h >= 1 && views->w >= 1,
                 "n, h and w are %lld, %lld and %lld; each must be at least 1", (long long) views->n,
                 (long long) views->h, (long long) views->w);
    return MOCO_OK;
}

/* Brings the images where the backend can work on them, and has the method take the step. */
static moco_status run_method(moco_trainer *trainer, const moco_views *views, moco_step_stats *stats) {
    moco_context *context = trainer->context;
    const int64_t dims[4] = {views->n, moco_encoder_channels(trainer->query_encoder), views->h, views->w};
    int64_t elements;
    size_t bytes; /* checked here; tensors then compute the same */
    MOCO_TRY(moco_checked_product(dims, 4, "n * channels * h * w", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "n * channels * h * w", &bytes));

    moco_host_tensor query, key;
    MOCO_TRY(moco_host_tensor_input_in(&query, context, views->query_images, dims, &trainer->query_images));
    moco_status status = moco_host_tensor_input_in(&key, context, views->key_images, dims, &trainer->key_images);
    if (status == MOCO_OK) {
        const moco_step step = {query.tensor, key.tensor, views->sample_ids, views->n, stats};
        status = trainer->method->step(trainer, &step);
        moco_host_tensor_release(&key, context);
    }
    moco_host_tensor_release(&query, context);
    return status;
}

/* Ends what begin_step has begun; with `undo` the parts are as they were then. */
static void end_step(moco_trainer *trainer, double learning_rate, int32_t undo) {
    if (undo) moco_optimizer_set_learning_rate(trainer->optimizer, learning_rate);
    if (trainer->momentum_encoder != NULL) moco_momentum_encoder_end_step(trainer->momentum_encoder, undo);
    moco_encoder_end_step(trainer->query_encoder, undo);
}

static moco_status begin_step(moco_trainer *trainer) {
    MOCO_TRY(moco_optimizer_prepare_step(trainer->optimizer));
    MOCO_TRY(moco_encoder_begin_step(trainer->query_encoder));
    if (trainer->momentum_encoder == NULL) return MOCO_OK;
    const moco_status status = moco_momentum_encoder_begin_step(trainer->momentum_encoder);
    if (status != MOCO_OK) moco_encoder_end_step(trainer->query_encoder, 0);
    return status;
}

static moco_status schedule_and_run(moco_trainer *trainer, const moco_views *views, int64_t steps_per_epoch,
                                    moco_step_stats *stats) {
    MOCO_TRY(apply_schedules(trainer, steps_per_epoch));
    stats->step = trainer->step_count;
    stats->epoch = trainer->step_count / steps_per_epoch;
    stats->samples = views->n;
    stats->learning_rate = moco_optimizer_learning_rate(trainer->optimizer);
    stats->momentum = moco_momentum_encoder_momentum(trainer->momentum_encoder);
    return run_method(trainer, views, stats);
}

moco_status moco_trainer_step_views(moco_trainer *trainer, const moco_views *views, int64_t steps_per_epoch,
                                    int64_t started_ns, moco_step_stats *stats) {
    MOCO_TRY(check_views(views));
    MOCO_TRY(moco_step_stats_init(stats, sizeof *stats));
    if (trainer->step_count == INT64_MAX) {
        return moco_fail(MOCO_INVALID_STATE, "step_count is 2^63 - 1, so no further step can be counted; call "
                                             "moco_trainer_set_step_count with the steps really taken");
    }
    const double learning_rate = moco_optimizer_learning_rate(trainer->optimizer);
    MOCO_TRY(begin_step(trainer));
    const moco_status status = schedule_and_run(trainer, views, steps_per_epoch, stats);
    end_step(trainer, learning_rate, status != MOCO_OK);
    MOCO_TRY(status);
    trainer->step_count++;
    stats->seconds = (double) (moco_now_ns() - started_ns) * 1e-9;
    stats->images_per_second = stats->seconds > 0.0 ? (double) views->n / stats->seconds : 0.0;
    return MOCO_OK;
}

moco_status moco_trainer_step(moco_trainer *trainer, const float *query_images, const float *key_images,
                              const int64_t *sample_ids, int64_t n, int64_t h, int64_t w, moco_step_stats *stats) {
    const int64_t started_ns = moco_now_ns();
    MOCO_REQUIRE_POINTER(trainer);
    MOCO_REQUIRE(stats == NULL || stats->struct_size >= sizeof *stats,
                 "struct_size of moco_step_stats is %u; set it to sizeof(moco_step_stats), at least %zu",
                 stats->struct_size, sizeof *stats);
    const moco_views views = {query_images, key_images, sample_ids, n, h, w};
    moco_step_stats result;
    MOCO_TRY(moco_trainer_begin_work(trainer));
    const moco_status status =
        moco_trainer_step_views(trainer, &views, trainer->config.steps_per_epoch, started_ns, &result);
    moco_trainer_end_work(trainer);
    MOCO_TRY(status);
    if (stats == NULL) return MOCO_OK;
    return moco_output_write(stats, &result, sizeof result, sizeof result, "moco_step_stats");
}
