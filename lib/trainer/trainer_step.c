/* One step of momentum contrast: Algorithm 1 of arXiv 1911.05722, in the order of the reference's builder.py. */
#include <math.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "backend/host_tensor.h"
#include "core/checked.h"
#include "core/config.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "keys/queue_view.h"
#include "loss/loss_internal.h"
#include "trainer/trainer_internal.h"

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

/* --- Memory --- */

/* The tensors of one step. */
typedef struct step_tensors {
    moco_host_tensor query_images; /* n x channels x h x w; to be released after the step */
    moco_host_tensor key_images;
    moco_tensor q; /* n x dim */
    moco_tensor k;
    moco_tensor d_q;
} step_tensors;

static moco_status take_tensors(moco_trainer *trainer, const moco_views *views, step_tensors *tensors) {
    const int64_t n = views->n;
    const int64_t dim = moco_encoder_embedding_dim(trainer->query_encoder);
    const int64_t channels = moco_encoder_channels(trainer->query_encoder);
    const int64_t image_dims[4] = {n, channels, views->h, views->w};
    int64_t elements;
    size_t image_bytes, embedding_bytes; /* checked here; tensors then compute the same */
    MOCO_TRY(moco_checked_product(image_dims, 4, "n * channels * h * w", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "n * channels * h * w", &image_bytes));
    MOCO_TRY(moco_checked_multiply(n, dim, "n * embedding_dim", &elements));
    MOCO_TRY(moco_checked_bytes(elements, sizeof(float), "n * embedding_dim", &embedding_bytes));

    moco_context *context = trainer->context;
    MOCO_TRY(moco_grown_buffer_reserve(&trainer->q, context, embedding_bytes));
    MOCO_TRY(moco_grown_buffer_reserve(&trainer->k, context, embedding_bytes));
    MOCO_TRY(moco_grown_buffer_reserve(&trainer->d_q, context, embedding_bytes));
    tensors->q = moco_tensor_2d(trainer->q.buffer, 0, MOCO_DTYPE_F32, n, dim);
    tensors->k = moco_tensor_2d(trainer->k.buffer, 0, MOCO_DTYPE_F32, n, dim);
    tensors->d_q = moco_tensor_2d(trainer->d_q.buffer, 0, MOCO_DTYPE_F32, n, dim);
    MOCO_TRY(moco_host_tensor_input_in(&tensors->query_images, context, views->query_images, image_dims,
                                       &trainer->query_images));
    return moco_host_tensor_input_in(&tensors->key_images, context, views->key_images, image_dims,
                                     &trainer->key_images);
}

/* --- The step --- */

/* The time since *mark, which moves to now. */
static int64_t lap(int64_t *mark) {
    const int64_t now = moco_now_ns();
    const int64_t elapsed = now - *mark;
    *mark = now;
    return elapsed;
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

static moco_status compute_loss(moco_trainer *trainer, const moco_views *views, const step_tensors *tensors,
                                moco_loss_result *result) {
    const moco_status status = moco_loss_compute_tensor(trainer->loss, &tensors->q, &tensors->k, trainer->queue,
                                                        views->sample_ids, result, &tensors->d_q);
    if (status == MOCO_INVALID_ARGUMENT) {
        /* The loss refuses what isn't finite as an argument; here it is the state of the run. */
        MOCO_TRY(check_embeddings(trainer, &tensors->q, "query"));
        MOCO_TRY(check_embeddings(trainer, &tensors->k, "key"));
    }
    if (status == MOCO_OK && !isfinite(result->loss)) {
        return moco_fail(MOCO_INVALID_STATE,
                         "the loss of step %lld is %g: the run has exploded; the step was not taken",
                         (long long) trainer->step_count, result->loss);
    }
    return status;
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

static moco_status encode_queries(moco_trainer *trainer, const step_tensors *tensors, moco_step_stats *stats) {
    int64_t mark = moco_now_ns();
    MOCO_TRY(moco_encoder_forward_tensor(trainer->query_encoder, MOCO_MODE_TRAIN, &tensors->query_images.tensor,
                                         &tensors->q));
    stats->ns_query_forward = lap(&mark);
    return MOCO_OK;
}

static moco_status encode_keys(moco_trainer *trainer, const step_tensors *tensors, moco_step_stats *stats) {
    int64_t mark = moco_now_ns();
    MOCO_TRY(moco_momentum_encoder_update(trainer->momentum_encoder));
    stats->ns_momentum_update = lap(&mark);
    MOCO_TRY(moco_momentum_encoder_encode_tensor(trainer->momentum_encoder, &tensors->key_images.tensor, &tensors->k));
    stats->ns_key_forward = lap(&mark);
    return MOCO_OK;
}

/* Algorithm 1, with the gradient flowing to q only and the enqueue after the loss. */
static moco_status contrast(moco_trainer *trainer, const moco_views *views, const step_tensors *tensors,
                            moco_step_stats *stats) {
    moco_encoder *f_q = trainer->query_encoder;
    /* The keys don't depend on the queries' forward, unless BatchNorm buffers come from it. Encoded first, they need no
     * memory of their own beside the activations that wait for the backward pass. */
    const int32_t keys_first =
        moco_encoder_configuration(f_q) != NULL && !moco_momentum_encoder_takes_buffers(trainer->momentum_encoder);
    if (keys_first) MOCO_TRY(encode_keys(trainer, tensors, stats));
    MOCO_TRY(encode_queries(trainer, tensors, stats));
    if (!keys_first) MOCO_TRY(encode_keys(trainer, tensors, stats));

    int64_t mark = moco_now_ns();
    moco_loss_result result;
    MOCO_TRY(moco_loss_result_init(&result, sizeof result));
    MOCO_TRY(compute_loss(trainer, views, tensors, &result));
    report_loss(&result, stats);
    stats->ns_loss = lap(&mark);

    MOCO_TRY(moco_encoder_zero_gradients(f_q));
    MOCO_TRY(moco_encoder_backward_tensor(f_q, &tensors->d_q));
    stats->ns_query_backward = lap(&mark);

    MOCO_TRY(moco_optimizer_step(trainer->optimizer));
    stats->ns_optimizer = lap(&mark);

    MOCO_TRY(moco_queue_enqueue_tensor(trainer->queue, &tensors->k, views->sample_ids));
    stats->ns_enqueue = lap(&mark);
    return MOCO_OK;
}

static moco_status check_views(const moco_views *views) {
    MOCO_REQUIRE(views->query_images != NULL, "query_images is NULL; it must point to n x channels x h x w floats");
    MOCO_REQUIRE(views->key_images != NULL, "key_images is NULL; it must point to n x channels x h x w floats");
    MOCO_REQUIRE(views->n >= 1 && views->h >= 1 && views->w >= 1,
                 "n, h and w are %lld, %lld and %lld; each must be at least 1", (long long) views->n,
                 (long long) views->h, (long long) views->w);
    return MOCO_OK;
}

moco_status moco_trainer_step_views(moco_trainer *trainer, const moco_views *views, int64_t steps_per_epoch,
                                    int64_t started_ns, moco_step_stats *stats) {
    MOCO_TRY(check_views(views));
    MOCO_TRY(moco_step_stats_init(stats, sizeof *stats));
    MOCO_TRY(apply_schedules(trainer, steps_per_epoch));
    stats->step = trainer->step_count;
    stats->epoch = trainer->step_count / steps_per_epoch;
    stats->samples = views->n;
    stats->learning_rate = moco_optimizer_learning_rate(trainer->optimizer);
    stats->momentum = moco_momentum_encoder_momentum(trainer->momentum_encoder);
    stats->warming_up = moco_queue_filled(trainer->queue) < moco_queue_capacity(trainer->queue);

    step_tensors tensors;
    memset(&tensors, 0, sizeof tensors);
    moco_status status = take_tensors(trainer, views, &tensors);
    if (status == MOCO_OK) status = contrast(trainer, views, &tensors, stats);
    moco_host_tensor_release(&tensors.query_images, trainer->context);
    moco_host_tensor_release(&tensors.key_images, trainer->context);
    if (status != MOCO_OK) return status;

    trainer->step_count++;
    stats->queue_filled = moco_queue_filled(trainer->queue);
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
    MOCO_TRY(moco_trainer_step_views(trainer, &views, trainer->config.steps_per_epoch, started_ns, &result));
    if (stats == NULL) return MOCO_OK;
    return moco_output_write(stats, &result, sizeof result, sizeof result, "moco_step_stats");
}
