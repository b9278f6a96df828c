/* Trainers that checkpoints are taken of: everything that can matter is on, and they have a loader of their own. */
#ifndef MOCO_TESTS_CHECKPOINT_SUBJECT_H
#define MOCO_TESTS_CHECKPOINT_SUBJECT_H

#include "support/training_loader.h"
#include "trainer/trainer_internal.h"

typedef struct subject {
    training_parts parts;
    training_configs configs;
} subject;

/* A small trainer; `start` changes what only the start depends on, and what is state. */
static inline training_configs subject_configs(const char *backend, uint64_t start) {
    training_configs c = small_training(backend, 1);
    c.encoder.seed = start;
    c.encoder.architecture = "mlp";
    c.encoder.mlp_input_dim = 3 * LOADER_SIZE * LOADER_SIZE;
    c.encoder.mlp_hidden_dim = 8;
    c.encoder.mlp_layers = 1;
    c.encoder.embedding_dim = 4;
    c.queue.seed = start;
    c.queue.dim = 4;
    c.queue.capacity = 12;
    c.queue.storage = MOCO_QUEUE_STORAGE_BF16;
    c.momentum_encoder.momentum = start == 0 ? 0.99 : 0.9;
    c.momentum_encoder.bn_buffers = MOCO_BN_BUFFERS_AVERAGE;
    c.momentum_encoder.shuffle = 1;
    c.momentum_encoder.seed = 11;
    c.loss.mask_same_id = 1;
    c.loss.temperature = start == 0 ? 0.2 : 0.5;
    c.optimizer.learning_rate = start == 0 ? 0.03 : 0.5;
    c.learning_rate.epochs = 4.0;
    c.trainer.momentum_end = 0.999;
    return c;
}

/* By configurations that were changed after subject_configs. */
static inline moco_status subject_open_as(subject *s, const training_configs *configs, int32_t workers) {
    memset(s, 0, sizeof *s);
    s->configs = *configs;
    moco_status status = training_create(&s->parts, &s->configs);
    if (status != MOCO_OK) return status;
    training_loader loader;
    status = training_loader_create(&loader, s->parts.context, workers, 2, LOADER_BATCH);
    if (status == MOCO_OK) status = moco_trainer_keep_loader(s->parts.trainer, loader.loader, loader.augment);
    training_loader_destroy(&loader);
    return status;
}

static inline moco_status subject_open(subject *s, uint64_t start) {
    const training_configs configs = subject_configs("reference", start);
    return subject_open_as(s, &configs, 0);
}

static inline void subject_close(subject *s) {
    training_destroy(&s->parts);
}

/* moco_trainer_checksum; 0 where it fails. */
static inline uint64_t subject_sum(const subject *s) {
    uint64_t sum = 0;
    return moco_trainer_checksum(s->parts.trainer, &sum) == MOCO_OK ? sum : 0;
}

#endif
