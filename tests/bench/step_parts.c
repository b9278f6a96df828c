#include "step_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

moco_status step_parts_create_encoder(step_parts *p, const step_settings *s) {
    moco_context_config context;
    moco_encoder_config encoder;
    moco_status status = moco_context_config_init(&context, sizeof context);
    if (status == MOCO_OK) status = moco_encoder_config_init(&encoder, sizeof encoder);
    if (status != MOCO_OK) return status;
    context.threads = s->threads;
    context.backend = s->backend;
    encoder.architecture = s->arch;
    encoder.stem = strcmp(s->stem, "cifar") == 0 ? MOCO_STEM_CIFAR : MOCO_STEM_IMAGENET;
    encoder.embedding_dim = (int32_t) s->dim;
    if (strcmp(s->dtype, "bf16") == 0) encoder.compute_dtype = MOCO_COMPUTE_BF16_REQUIRED;
    if (strcmp(s->dtype, "f32_direct") == 0) encoder.compute_dtype = MOCO_COMPUTE_F32_DIRECT;
    status = moco_context_create(&p->context, &context);
    return status == MOCO_OK ? moco_encoder_create(&p->encoder, p->context, &encoder) : status;
}

static moco_status create_loader(step_parts *p, const step_settings *s) {
    moco_dataset *dataset = NULL;
    moco_augment *augment = NULL;
    moco_augment_config views;
    moco_loader_config loader;
    moco_status status =
        moco_augment_config_init(&views, sizeof views, s->size <= 64 ? MOCO_AUGMENT_CIFAR : MOCO_AUGMENT_V2);
    if (status == MOCO_OK) status = moco_loader_config_init(&loader, sizeof loader);
    if (status != MOCO_OK) return status;
    views.height = views.width = (int32_t) s->size;
    loader.batch_size = s->n;
    loader.workers = s->workers;
    status = moco_dataset_open(&dataset, p->context, s->data);
    if (status == MOCO_OK) status = moco_augment_create(&augment, p->context, &views);
    if (status == MOCO_OK) status = moco_loader_create(&p->loader, dataset, augment, &loader);
    if (status == MOCO_OK) status = moco_loader_start_epoch(p->loader, 0);
    moco_augment_destroy(augment);
    moco_dataset_destroy(dataset);
    return status;
}

static moco_status create_images(step_parts *p, const step_settings *s) {
    const int64_t pixels = s->n * 3 * s->size * s->size;
    p->query_images = (float *) malloc((size_t) pixels * sizeof(float));
    p->key_images = (float *) malloc((size_t) pixels * sizeof(float));
    if (p->query_images == NULL || p->key_images == NULL) return MOCO_OUT_OF_MEMORY;
    if (s->images == NULL) {
        bench_fill(p->query_images, pixels, 1);
        bench_fill(p->key_images, pixels, 2);
        return MOCO_OK;
    }
    FILE *file = fopen(s->images, "rb");
    if (file == NULL) return MOCO_IO;
    const int complete = fread(p->query_images, sizeof(float), (size_t) pixels, file) == (size_t) pixels &&
                         fread(p->key_images, sizeof(float), (size_t) pixels, file) == (size_t) pixels;
    fclose(file);
    return complete ? MOCO_OK : MOCO_IO;
}

moco_status step_parts_create(step_parts *p, const step_settings *s) {
    moco_queue_config queue;
    moco_trainer_config trainer;
    moco_status status = step_parts_create_encoder(p, s);
    if (status == MOCO_OK) status = moco_queue_config_init(&queue, sizeof queue);
    if (status == MOCO_OK) status = moco_trainer_config_init(&trainer, sizeof trainer);
    if (status != MOCO_OK) return status;
    queue.dim = s->dim;
    queue.capacity = s->queue_size;
    trainer.use_learning_rate_schedule = 0;
    status = moco_momentum_encoder_create(&p->momentum_encoder, p->encoder, NULL);
    if (status == MOCO_OK) status = moco_queue_create(&p->queue, p->context, &queue);
    if (status == MOCO_OK) status = moco_loss_create(&p->loss, p->context, NULL);
    if (status == MOCO_OK) status = moco_optimizer_create(&p->optimizer, p->encoder, NULL);
    if (status == MOCO_OK) {
        status = moco_trainer_create(&p->trainer, p->encoder, p->momentum_encoder, p->queue, p->loss, p->optimizer,
                                     &trainer);
    }
    if (status != MOCO_OK) return status;
    return s->data != NULL ? create_loader(p, s) : create_images(p, s);
}

void step_parts_destroy(step_parts *p) {
    moco_loader_destroy(p->loader);
    moco_trainer_destroy(p->trainer);
    moco_optimizer_destroy(p->optimizer);
    moco_loss_destroy(p->loss);
    moco_queue_destroy(p->queue);
    moco_momentum_encoder_destroy(p->momentum_encoder);
    moco_encoder_destroy(p->encoder);
    moco_context_destroy(p->context);
    free(p->query_images);
    free(p->key_images);
    memset(p, 0, sizeof *p);
}

moco_status step_parts_run(step_parts *p, const step_settings *s, moco_step_stats *stats, double *load_ms) {
    *load_ms = 0;
    if (p->loader == NULL) {
        return moco_trainer_step(p->trainer, p->query_images, p->key_images, NULL, s->n, s->size, s->size, stats);
    }
    const double start = bench_now_ms();
    moco_batch batch;
    memset(&batch, 0, sizeof batch);
    batch.struct_size = sizeof batch;
    moco_status status = moco_loader_next(p->loader, &batch);
    if (status == MOCO_OK && batch.n == 0) {
        status = moco_loader_start_epoch(p->loader, ++p->epoch);
        if (status == MOCO_OK) status = moco_loader_next(p->loader, &batch);
    }
    *load_ms = bench_now_ms() - start;
    if (status != MOCO_OK) return status;
    return moco_trainer_step(p->trainer, batch.query_images, batch.key_images, batch.sample_ids, batch.n, batch.h,
                             batch.w, stats);
}
