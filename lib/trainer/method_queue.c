/* Momentum Contrast: Algorithm 1 of arXiv 1911.05722, in the order of the reference's builder.py. */
#include "core/checked.h"
#include "encoder/encoder_internal.h"
#include "encoder/momentum_encoder_internal.h"
#include "keys/queue_internal.h"
#include "loss/loss_internal.h"
#include "trainer/method.h"

static moco_status check(const moco_trainer *trainer) {
    const moco_momentum_encoder *momentum_encoder = trainer->momentum_encoder;
    const moco_queue *queue = trainer->queue;
    const moco_loss *loss = trainer->loss;
    MOCO_REQUIRE_POINTER(momentum_encoder);
    MOCO_REQUIRE_POINTER(queue);
    MOCO_REQUIRE_POINTER(loss);
    return MOCO_OK;
}

/* The embeddings of one step, n x dim each. */
typedef struct contrast {
    moco_tensor q;
    moco_tensor k;
    moco_tensor d_q;
} contrast;

static moco_status encode_queries(moco_trainer *trainer, const moco_step *step, const contrast *c) {
    int64_t mark = moco_now_ns();
    MOCO_TRY(moco_encoder_forward_tensor(trainer->query_encoder, MOCO_MODE_TRAIN, &step->query_images, &c->q));
    MOCO_TRY(moco_trainer_lap(trainer, &mark, &step->stats->ns_query_forward));
    return MOCO_OK;
}

static moco_status encode_keys(moco_trainer *trainer, const moco_step *step, const contrast *c) {
    int64_t mark = moco_now_ns();
    MOCO_TRY(moco_momentum_encoder_update(trainer->momentum_encoder));
    MOCO_TRY(moco_trainer_lap(trainer, &mark, &step->stats->ns_momentum_update));
    MOCO_TRY(moco_momentum_encoder_encode_tensor(trainer->momentum_encoder, &step->key_images, &c->k));
    MOCO_TRY(moco_trainer_lap(trainer, &mark, &step->stats->ns_key_forward));
    return MOCO_OK;
}

static moco_status encode(moco_trainer *trainer, const moco_step *step, const contrast *c) {
    /* The keys don't depend on the queries' forward, unless BatchNorm buffers come from it. Encoded first, they need no
     * memory of their own beside the activations that wait for the backward pass. */
    const moco_encoder *f_k = moco_momentum_encoder_key_encoder(trainer->momentum_encoder);
    const int32_t keys_first = moco_encoder_shares_workspace(trainer->query_encoder, f_k) &&
                               !moco_momentum_encoder_takes_buffers(trainer->momentum_encoder);
    if (keys_first) MOCO_TRY(encode_keys(trainer, step, c));
    MOCO_TRY(encode_queries(trainer, step, c));
    return keys_first ? MOCO_OK : encode_keys(trainer, step, c);
}

static moco_status compute_loss(moco_trainer *trainer, const moco_step *step, const contrast *c) {
    moco_loss_result result;
    MOCO_TRY(moco_loss_result_init(&result, sizeof result));
    moco_key_view view;
    MOCO_TRY(moco_key_source_view(moco_queue_source(trainer->queue), step->sample_ids, c->q.dims[0], &view));
    const moco_loss_gradients gradients = {.d_q = c->d_q}; /* k and the queue are constants */
    const moco_status status =
        moco_loss_compute_tensor(trainer->loss, &c->q, &c->k, &view, step->sample_ids, &result, &gradients);
    return moco_trainer_take_loss(trainer, status, &result, &c->q, &c->k, step->stats);
}

/* The gradient flows to q only, and the keys are enqueued after the loss. */
static moco_status take_step(moco_trainer *trainer, const moco_step *step) {
    contrast c;
    moco_step_stats *stats = step->stats;
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->q, step->n, &c.q));
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->k, step->n, &c.k));
    MOCO_TRY(moco_trainer_embeddings(trainer, &trainer->d_q, step->n, &c.d_q));
    stats->warming_up = moco_queue_filled(trainer->queue) < moco_queue_capacity(trainer->queue);
    MOCO_TRY(encode(trainer, step, &c));

    int64_t mark = moco_now_ns();
    MOCO_TRY(compute_loss(trainer, step, &c));
    MOCO_TRY(moco_trainer_lap(trainer, &mark, &stats->ns_loss));

    MOCO_TRY(moco_encoder_zero_gradients(trainer->query_encoder));
    MOCO_TRY(moco_encoder_backward_tensor(trainer->query_encoder, &c.d_q));
    MOCO_TRY(moco_trainer_lap(trainer, &mark, &stats->ns_query_backward));

    MOCO_TRY(moco_optimizer_step(trainer->optimizer));
    MOCO_TRY(moco_trainer_lap(trainer, &mark, &stats->ns_optimizer));

    MOCO_TRY(moco_key_source_update_tensor(moco_queue_source(trainer->queue), &c.k, step->sample_ids));
    MOCO_TRY(moco_trainer_lap(trainer, &mark, &stats->ns_enqueue));
    stats->queue_filled = moco_queue_filled(trainer->queue);
    return MOCO_OK;
}

const moco_method moco_method_queue = {.name = "queue", .check = check, .step = take_step};
