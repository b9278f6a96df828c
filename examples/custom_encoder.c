/* A network of your own, trained by libmoco: two linear layers with a ReLU between them, forward and backward written
 * by hand. <moco/sys/encoder_ops.h> is all that libmoco asks of it; momentum encoder, loss, queue, optimizer and
 * trainer then work on it as on the built-in ones.
 *
 *   x (n x IN) -> h = relu(x W1^T + b1) (n x HIDDEN) -> y = h W2^T + b2 (n x DIM) -> libmoco normalizes the rows
 */
#include <math.h>
#include <moco/sys/encoder_ops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/example_support.h"

enum { SIZE = 16, IN = 3 * SIZE * SIZE, HIDDEN = 128, DIM = 32, N = 64, IMAGES = 1024, QUEUE = 512, EPOCHS = 16 };

typedef struct two_layers {
    float w1[HIDDEN * IN], b1[HIDDEN], w2[DIM * HIDDEN], b2[DIM];
    float d_w1[HIDDEN * IN], d_b1[HIDDEN], d_w2[DIM * HIDDEN], d_b2[DIM];
    float x[N * IN], h[N * HIDDEN]; /* of the last training forward, for backward */
} two_layers;

/* y[n x out] = x[n x in] W^T + b */
static void linear(const float *x, const float *w, const float *b, int64_t n, int64_t in, int64_t out, float *y) {
    for (int64_t i = 0; i < n * out; ++i) {
        const float *row = x + i / out * in, *weights = w + i % out * in;
        float sums[8] = {0.0F}; /* independent, so that the compiler may use vectors */
        for (int64_t j = 0; j < in; j += 8)
            for (int64_t lane = 0; lane < 8; ++lane) sums[lane] += row[j + lane] * weights[j + lane];
        y[i] = b[i % out];
        for (int64_t lane = 0; lane < 8; ++lane) y[i] += sums[lane];
    }
}

/* Adds dL/dW and dL/db for dL/dy; writes dL/dx unless it is NULL. */
static void linear_backward(const float *x, const float *w, const float *dy, int64_t n, int64_t in, int64_t out,
                            float *d_w, float *d_b, float *dx) {
    if (dx != NULL) memset(dx, 0, (size_t) (n * in) * sizeof *dx);
    for (int64_t i = 0; i < n * out; ++i) {
        const float *row = x + i / out * in;
        d_b[i % out] += dy[i];
        for (int64_t j = 0; j < in; ++j) d_w[i % out * in + j] += dy[i] * row[j];
        if (dx == NULL) continue;
        for (int64_t j = 0; j < in; ++j) dx[i / out * in + j] += dy[i] * w[i % out * in + j];
    }
}

/* --- What libmoco calls --- */

static int32_t forward(void *self, int32_t mode, const float *images, int64_t n, int64_t h, int64_t w, float *y) {
    two_layers *net = (two_layers *) self;
    float hidden[N * HIDDEN];
    if (n > N || h != SIZE || w != SIZE) return 1; /* any non-zero: the caller gets MOCO_CALLBACK */
    linear(images, net->w1, net->b1, n, IN, HIDDEN, hidden);
    for (int64_t i = 0; i < n * HIDDEN; ++i) hidden[i] = fmaxf(hidden[i], 0.0F);
    linear(hidden, net->w2, net->b2, n, HIDDEN, DIM, y);
    if (mode == MOCO_MODE_TRAIN) { /* only then does a backward follow */
        memcpy(net->x, images, (size_t) (n * IN) * sizeof *images);
        memcpy(net->h, hidden, (size_t) (n * HIDDEN) * sizeof *hidden);
    }
    return 0;
}

static int32_t backward(void *self, const float *dy, int64_t n) {
    two_layers *net = (two_layers *) self;
    float d_hidden[N * HIDDEN];
    linear_backward(net->h, net->w2, dy, n, HIDDEN, DIM, net->d_w2, net->d_b2, d_hidden);
    for (int64_t i = 0; i < n * HIDDEN; ++i) d_hidden[i] = net->h[i] > 0.0F ? d_hidden[i] : 0.0F;
    linear_backward(net->x, net->w1, d_hidden, n, IN, HIDDEN, net->d_w1, net->d_b1, NULL);
    return 0;
}

static int64_t parameter_count(void *self) {
    (void) self;
    return 4;
}

static int32_t parameter(void *self, int64_t index, moco_parameter_span *out) {
    two_layers *net = (two_layers *) self;
    const moco_parameter_span spans[4] = {
        {"layer1.weight", net->w1, net->d_w1, MOCO_PARAMETER_LEARNABLE, 2, {HIDDEN, IN}},
        {"layer1.bias", net->b1, net->d_b1, MOCO_PARAMETER_LEARNABLE, 1, {HIDDEN}},
        {"layer2.weight", net->w2, net->d_w2, MOCO_PARAMETER_LEARNABLE, 2, {DIM, HIDDEN}},
        {"layer2.bias", net->b2, net->d_b2, MOCO_PARAMETER_LEARNABLE, 1, {DIM}},
    };
    *out = spans[index];
    return 0;
}

static int32_t clone(void *self, void **copy) {
    *copy = malloc(sizeof(two_layers));
    if (*copy != NULL) memcpy(*copy, self, sizeof(two_layers));
    return *copy == NULL;
}

static float uniform(void) {
    return 2.0F * (float) rand() / (float) RAND_MAX - 1.0F;
}

static two_layers *two_layers_create(void) {
    two_layers *net = (two_layers *) allocate(1, sizeof *net); /* all zero */
    srand(1);
    for (int64_t i = 0; i < HIDDEN * IN; ++i) net->w1[i] = uniform() / sqrtf(IN);
    for (int64_t i = 0; i < DIM * HIDDEN; ++i) net->w2[i] = uniform() / sqrtf(HIDDEN);
    return net;
}

/* --- Training it --- */

typedef struct epoch_mean {
    double loss, top1;
    int64_t steps;
} epoch_mean;

/* One line per epoch. Single steps vary much with their 64 samples; before the queue is full they mean nothing. */
static int32_t on_step(const moco_step_stats *stats, void *user) {
    epoch_mean *mean = (epoch_mean *) user;
    if (!stats->warming_up) {
        mean->loss += stats->loss;
        mean->top1 += 100 * stats->top1;
        mean->steps++;
    }
    if ((stats->step + 1) % (IMAGES / N) != 0 || mean->steps == 0) return 0;
    printf("epoch %2lld  loss %.3f (chance %.3f)  top-1 %4.1f %%\n", (long long) stats->epoch,
           mean->loss / (double) mean->steps, stats->chance_loss, mean->top1 / (double) mean->steps);
    memset(mean, 0, sizeof *mean);
    return 0;
}

int main(void) {
    const moco_encoder_ops ops = {.struct_size = sizeof ops,
                                  .abi_version = MOCO_ENCODER_OPS_VERSION,
                                  .forward = forward,
                                  .backward = backward,
                                  .parameter_count = parameter_count,
                                  .parameter = parameter,
                                  .clone = clone,
                                  .destroy = free};
    example_program = "custom_encoder";
    epoch_mean mean = {0.0, 0.0, 0};
    moco_context *context = NULL;
    moco_encoder *encoder = NULL; /* owns the network, once it is created */
    moco_encoder_custom_config encoder_config;
    check(moco_context_create(&context, NULL));
    check(moco_encoder_custom_config_init(&encoder_config, sizeof encoder_config));
    encoder_config.embedding_dim = DIM;
    check(moco_encoder_create_custom(&encoder, context, &ops, two_layers_create(), &encoder_config));

    moco_momentum_encoder *momentum_encoder = NULL;
    moco_optimizer *optimizer = NULL;
    check(moco_momentum_encoder_create(&momentum_encoder, encoder, NULL));
    check(moco_momentum_encoder_set_momentum(momentum_encoder, 0.99));
    check(moco_optimizer_create(&optimizer, encoder, NULL));

    moco_queue *queue = NULL;
    moco_loss *loss = NULL;
    moco_trainer *trainer = NULL;
    moco_queue_config queue_config;
    moco_loss_config loss_config;
    moco_schedule learning_rate;
    moco_trainer_config trainer_config;
    check(moco_queue_config_init(&queue_config, sizeof queue_config));
    queue_config.capacity = QUEUE;
    queue_config.dim = DIM;
    queue_config.start = MOCO_QUEUE_START_EMPTY; /* a net without BatchNorm runs away from random rows */
    check(moco_loss_config_init(&loss_config, sizeof loss_config));
    loss_config.temperature = 0.2;
    check(moco_schedule_init(&learning_rate, sizeof learning_rate));
    learning_rate.epochs = EPOCHS;
    check(moco_trainer_config_init(&trainer_config, sizeof trainer_config));
    trainer_config.learning_rate = &learning_rate;
    check(moco_queue_create(&queue, context, &queue_config));
    check(moco_loss_create(&loss, context, &loss_config));
    check(moco_trainer_create(&trainer, encoder, momentum_encoder, queue, loss, optimizer, &trainer_config));

    moco_dataset *images = NULL;
    moco_augment *augment = NULL;
    moco_loader *loader = NULL;
    moco_augment_config augment_config;
    moco_loader_config loader_config;
    check(moco_dataset_open(&images, context, "synthetic:count=1024"));
    check(moco_augment_config_init(&augment_config, sizeof augment_config, MOCO_AUGMENT_CIFAR));
    augment_config.height = augment_config.width = SIZE;
    augment_config.crop_min = 0.8; /* easier views: without convolutions a shift is a new image */
    check(moco_augment_create(&augment, context, &augment_config));
    check(moco_loader_config_init(&loader_config, sizeof loader_config));
    loader_config.batch_size = N;
    check(moco_loader_create(&loader, images, augment, &loader_config));
    check(moco_trainer_run(trainer, loader, EPOCHS, 0, on_step, &mean));

    moco_loader_destroy(loader);
    moco_augment_destroy(augment);
    moco_dataset_destroy(images);
    moco_trainer_destroy(trainer);
    moco_optimizer_destroy(optimizer);
    moco_loss_destroy(loss);
    moco_queue_destroy(queue);
    moco_momentum_encoder_destroy(momentum_encoder);
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    return 0;
}
