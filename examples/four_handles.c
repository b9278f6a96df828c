/* Momentum contrast by hand: encoder, momentum encoder, queue and loss, each its own handle, in the order of the
 * paper's Algorithm 1. moco_trainer_run does the same with statistics, schedules and a way to stop.
 */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>

static void check(moco_status status) {
    if (status == MOCO_OK) return;
    fprintf(stderr, "four_handles: %s\n", moco_last_error());
    exit(1);
}

enum { N = 64, SIZE = 32, DIM = 64, STEPS = 100 };

/* Two random views of N images: the built-in ones here, yours in your program. */
static void two_views(moco_dataset *images, moco_augment *augment, int64_t step, float *query, float *key) {
    const int64_t view = 3 * SIZE * SIZE;
    float pixels[3 * SIZE * SIZE];
    for (int64_t i = 0; i < N; ++i) {
        const int64_t sample = (step * N + i) % moco_dataset_count(images);
        check(moco_dataset_read(images, sample, pixels, view));
        check(moco_augment_apply(augment, pixels, SIZE, SIZE, step, sample, 0, query + i * view));
        check(moco_augment_apply(augment, pixels, SIZE, SIZE, step, sample, 1, key + i * view));
    }
}

int main(void) {
    static float query[N * 3 * SIZE * SIZE], key[N * 3 * SIZE * SIZE], q[N * DIM], k[N * DIM], d_q[N * DIM];
    moco_context *context = NULL;
    moco_dataset *images = NULL;
    moco_augment *augment = NULL;
    moco_augment_config views;
    check(moco_context_create(&context, NULL));
    check(moco_dataset_open(&images, context, "synthetic:count=1024"));
    check(moco_augment_config_init(&views, sizeof views, MOCO_AUGMENT_CIFAR));
    check(moco_augment_create(&augment, context, &views));

    moco_encoder_config encoder_config;
    check(moco_encoder_config_init(&encoder_config, sizeof encoder_config));
    encoder_config.architecture = "cifar_resnet8";
    encoder_config.embedding_dim = DIM;
    encoder_config.bn_groups = 4; /* so that shuffling the keys hides which query is whose */
    moco_queue_config queue_config;
    check(moco_queue_config_init(&queue_config, sizeof queue_config));
    queue_config.capacity = 1024;
    queue_config.dim = DIM;
    moco_loss_config loss_config;
    check(moco_loss_config_init(&loss_config, sizeof loss_config));
    loss_config.temperature = 0.2;

    moco_encoder *encoder = NULL;
    moco_momentum_encoder *momentum_encoder = NULL;
    moco_queue *queue = NULL;
    moco_loss *loss = NULL;
    moco_optimizer *optimizer = NULL;
    check(moco_encoder_create(&encoder, context, &encoder_config));
    check(moco_momentum_encoder_create(&momentum_encoder, encoder, NULL));
    check(moco_momentum_encoder_set_momentum(momentum_encoder, 0.99)); /* 0.999 suits longer runs */
    check(moco_queue_create(&queue, context, &queue_config));
    check(moco_loss_create(&loss, context, &loss_config));
    check(moco_optimizer_create(&optimizer, encoder, NULL));

    for (int64_t step = 0; step < STEPS; ++step) {
        moco_loss_result result;
        check(moco_loss_result_init(&result, sizeof result));
        two_views(images, augment, step, query, key);
        check(moco_encoder_forward(encoder, query, N, SIZE, SIZE, q));                /* q = f_q(x_q) */
        check(moco_momentum_encoder_update(momentum_encoder));                        /* equation 2 */
        check(moco_momentum_encoder_encode(momentum_encoder, key, N, SIZE, SIZE, k)); /* k = f_k(x_k) */
        check(moco_loss_compute(loss, q, k, N, queue, NULL, &result, d_q));           /* equation 1 */
        check(moco_encoder_zero_gradients(encoder));
        check(moco_encoder_backward(encoder, d_q, N));
        check(moco_optimizer_step(optimizer));
        check(moco_queue_enqueue(queue, k, NULL, N)); /* the newest keys replace the oldest */
        if (step % 10 == 0 || step == STEPS - 1) {
            printf("step %3lld  loss %.3f (chance %.3f)  top-1 %.1f %%\n", (long long) step, result.loss,
                   result.chance_loss, 100 * result.top1);
        }
    }

    moco_optimizer_destroy(optimizer);
    moco_loss_destroy(loss);
    moco_queue_destroy(queue);
    moco_momentum_encoder_destroy(momentum_encoder);
    moco_encoder_destroy(encoder);
    moco_augment_destroy(augment);
    moco_dataset_destroy(images);
    moco_context_destroy(context);
    return 0;
}
