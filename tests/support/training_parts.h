/* The parts of a small training run, for tests: contexts by backend name, inputs from a hash, and a whole trainer. */
#ifndef MOCO_TESTS_TRAINING_PARTS_H
#define MOCO_TESTS_TRAINING_PARTS_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moco.h>

/* --- Numbers from a hash: golden scripts compute the same ------------------------------------------------------------
 */

/* 32-bit FNV-1a of "2 " and the name (the SALT of make_trajectory_golden.py). */
static inline uint32_t name_hash(const char *name) {
    uint32_t h = 2166136261u;
    const char *const parts[2] = {"2 ", name};
    for (int i = 0; i < 2; ++i) {
        for (const char *c = parts[i]; *c != '\0'; ++c) h = (h ^ (uint32_t) (unsigned char) *c) * 16777619u;
    }
    return h;
}

/* The finaliser of MurmurHash3 over seed + i * golden ratio. */
static inline uint32_t mixed(uint32_t seed, int64_t i) {
    uint32_t h = seed + (uint32_t) i * 0x9E3779B9u;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    return h ^ (h >> 16);
}

/* Number i of a name's sequence, in [-1, 1), exact in 24 bits. */
static inline double uniform(uint32_t seed, int64_t i) {
    return (double) (mixed(seed, i) >> 8) * 0x1p-23 - 1.0;
}

static inline void fill_uniform(float *values, int64_t count, const char *name) {
    const uint32_t seed = name_hash(name);
    for (int64_t i = 0; i < count; ++i) values[i] = (float) uniform(seed, i);
}

/* --- A whole trainer --------------------------------------------------------------------------------------------- */

typedef struct training_parts {
    moco_context *context;
    moco_encoder *encoder;
    moco_momentum_encoder *momentum_encoder;
    moco_queue *queue;
    moco_loss *loss;
    moco_optimizer *optimizer;
    moco_trainer *trainer;
} training_parts;

typedef struct training_configs {
    moco_context_config context;
    moco_encoder_config encoder;
    moco_momentum_encoder_config momentum_encoder;
    moco_queue_config queue;
    moco_loss_config loss;
    moco_optimizer_config optimizer;
    moco_schedule learning_rate; /* of the trainer, unless trainer.learning_rate is set */
    moco_trainer_config trainer;
} training_configs;

/* A cifar_resnet8 with two BatchNorm groups, 16-dimensional keys and a queue of 40, to be changed as a test likes. */
static inline training_configs small_training(const char *backend, int32_t threads) {
    training_configs c;
    moco_context_config_init(&c.context, sizeof c.context);
    c.context.backend = backend;
    c.context.threads = threads;
    moco_encoder_config_init(&c.encoder, sizeof c.encoder);
    c.encoder.architecture = "cifar_resnet8";
    c.encoder.embedding_dim = 16;
    c.encoder.bn_groups = 2;
    moco_momentum_encoder_config_init(&c.momentum_encoder, sizeof c.momentum_encoder);
    c.momentum_encoder.momentum = 0.99;
    moco_queue_config_init(&c.queue, sizeof c.queue);
    c.queue.capacity = 40;
    c.queue.dim = 16;
    moco_loss_config_init(&c.loss, sizeof c.loss);
    c.loss.temperature = 0.2;
    moco_optimizer_config_init(&c.optimizer, sizeof c.optimizer);
    moco_schedule_init(&c.learning_rate, sizeof c.learning_rate);
    moco_trainer_config_init(&c.trainer, sizeof c.trainer);
    return c;
}

static inline void training_destroy(training_parts *parts) {
    moco_trainer_destroy(parts->trainer);
    moco_optimizer_destroy(parts->optimizer);
    moco_loss_destroy(parts->loss);
    moco_queue_destroy(parts->queue);
    moco_momentum_encoder_destroy(parts->momentum_encoder);
    moco_encoder_destroy(parts->encoder);
    moco_context_destroy(parts->context);
    memset(parts, 0, sizeof *parts);
}

/* On failure, nothing is left. */
static inline moco_status training_create(training_parts *parts, const training_configs *c) {
    memset(parts, 0, sizeof *parts);
    moco_trainer_config trainer = c->trainer;
    if (trainer.learning_rate == NULL) trainer.learning_rate = &c->learning_rate;
    moco_status status = moco_context_create(&parts->context, &c->context);
    if (status == MOCO_OK) status = moco_encoder_create(&parts->encoder, parts->context, &c->encoder);
    if (status == MOCO_OK) {
        status = moco_momentum_encoder_create(&parts->momentum_encoder, parts->encoder, &c->momentum_encoder);
    }
    if (status == MOCO_OK) status = moco_queue_create(&parts->queue, parts->context, &c->queue);
    if (status == MOCO_OK) status = moco_loss_create(&parts->loss, parts->context, &c->loss);
    if (status == MOCO_OK) status = moco_optimizer_create(&parts->optimizer, parts->encoder, &c->optimizer);
    if (status == MOCO_OK) {
        status = moco_trainer_create(&parts->trainer, parts->encoder, parts->momentum_encoder, parts->queue,
                                     parts->loss, parts->optimizer, &trainer);
    }
    if (status != MOCO_OK) training_destroy(parts);
    return status;
}

/* A 64-bit FNV-1a hash over all parameters and buffers of an encoder, bit by bit. */
static inline uint64_t encoder_checksum(const moco_encoder *encoder) {
    uint64_t h = 14695981039346656037u;
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        if (moco_encoder_parameter_info(encoder, i, &info) != MOCO_OK) return 0;
        const size_t bytes = (size_t) info.elements * sizeof(float);
        float *values = (float *) malloc(bytes);
        const unsigned char *raw = (const unsigned char *) values;
        if (values == NULL || moco_encoder_read_parameter(encoder, i, values) != MOCO_OK) {
            free(values);
            return 0;
        }
        for (size_t b = 0; b < bytes; ++b) h = (h ^ raw[b]) * 1099511628211u;
        free(values);
    }
    return h;
}

/* The backends that tests go over; those that this build or machine lacks answer NOT_FOUND or UNSUPPORTED. */
static const char *const test_backends[] = {"reference", "cblas", "onednn"};
#define TEST_BACKENDS (sizeof test_backends / sizeof test_backends[0])

static inline int backend_is_missing(moco_status status) {
    return status == MOCO_NOT_FOUND || status == MOCO_UNSUPPORTED;
}

#endif
