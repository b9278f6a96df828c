/* A program outside of libmoco's tree that uses its four handles: a few MoCo steps on random vectors. How it finds the
 * installed library is what this folder shows; how to use the API for real is in examples/four_handles.c.
 */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 32, INPUT = 48, DIM = 16, QUEUE = 256, STEPS = 5 };

static void check(moco_status status) {
    if (status == MOCO_OK) return;
    fprintf(stderr, "%s: %s\n", moco_status_string(status), moco_last_error());
    exit(1);
}

/* Numbers in -1..1 from a small linear congruential generator. */
static void fill(float *values, int count, uint32_t *state) {
    for (int i = 0; i < count; ++i) {
        *state = *state * 1664525u + 1013904223u;
        values[i] = (float) (*state >> 8) / 8388608.0f - 1.0f;
    }
}

int main(void) {
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    moco_momentum_encoder *momentum_encoder = NULL;
    moco_queue *queue = NULL;
    moco_loss *loss = NULL;
    moco_encoder_config encoder_config;
    moco_queue_config queue_config;
    moco_loss_result result;

    check(moco_context_create(&context, NULL));
    check(moco_encoder_config_init(&encoder_config, sizeof encoder_config));
    encoder_config.architecture = "mlp";
    encoder_config.mlp_input_dim = INPUT;
    encoder_config.mlp_hidden_dim = 64;
    encoder_config.embedding_dim = DIM;
    encoder_config.channels = 1;
    check(moco_encoder_create(&encoder, context, &encoder_config));
    check(moco_momentum_encoder_create(&momentum_encoder, encoder, NULL));
    check(moco_queue_config_init(&queue_config, sizeof queue_config));
    queue_config.capacity = QUEUE;
    queue_config.dim = DIM;
    check(moco_queue_create(&queue, context, &queue_config));
    check(moco_loss_create(&loss, context, NULL));
    check(moco_loss_result_init(&result, sizeof result));

    static float query_view[BATCH * INPUT], key_view[BATCH * INPUT];
    static float q[BATCH * DIM], k[BATCH * DIM], d_q[BATCH * DIM];
    uint32_t state = 1;
    for (int step = 0; step < STEPS; ++step) {
        fill(query_view, BATCH * INPUT, &state);
        for (int i = 0; i < BATCH * INPUT; ++i) key_view[i] = query_view[i] * 0.9f;
        check(moco_encoder_forward(encoder, query_view, BATCH, 1, INPUT, q));
        check(moco_momentum_encoder_update(momentum_encoder));
        check(moco_momentum_encoder_encode(momentum_encoder, key_view, BATCH, 1, INPUT, k));
        check(moco_loss_compute(loss, q, k, BATCH, queue, NULL, &result, d_q));
        check(moco_encoder_zero_gradients(encoder));
        check(moco_encoder_backward(encoder, d_q, BATCH));
        check(moco_queue_enqueue(queue, k, NULL, BATCH));
    }
    printf("libmoco %s: loss %.3f, chance %.3f, %lld keys in the queue\n", moco_version_string(), result.loss,
           result.chance_loss, (long long) moco_queue_filled(queue));

    moco_loss_destroy(loss);
    moco_queue_destroy(queue);
    moco_momentum_encoder_destroy(momentum_encoder);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    return 0;
}
