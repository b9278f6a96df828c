#include "step_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

/* v1 on one device and at a constant learning rate, for the settings' network, queue and batch. */
static moco_status create_recipe(moco_recipe **out, moco_context *context, const step_settings *s) {
    moco_recipe *recipe = NULL;
    moco_status status = moco_recipe_create(&recipe, context, "v1:bn_groups=1,use_learning_rate_schedule=0");
    if (status != MOCO_OK) return status;
    moco_encoder_config *encoder = moco_recipe_encoder(recipe);
    encoder->embedding_dim = (int32_t) s->dim;
    if (strcmp(s->dtype, "bf16") == 0) encoder->compute_dtype = MOCO_COMPUTE_BF16_REQUIRED;
    if (strcmp(s->dtype, "f32_direct") == 0) encoder->compute_dtype = MOCO_COMPUTE_F32_DIRECT;
    moco_recipe_queue(recipe)->capacity = s->queue_size;
    moco_recipe_loader(recipe)->batch_size = s->n;
    moco_recipe_loader(recipe)->workers = s->workers;
    if (s->arch != NULL) status = moco_recipe_set(recipe, "arch", s->arch);
    if (status == MOCO_OK) status = moco_recipe_set(recipe, "stem", s->stem);
    if (status == MOCO_OK) status = moco_recipe_set(recipe, "augment", s->size <= 64 ? "cifar" : "v2");
    moco_recipe_augment(recipe)->height = moco_recipe_augment(recipe)->width = (int32_t) s->size;
    if (status == MOCO_OK) {
        *out = recipe;
    } else {
        moco_recipe_destroy(recipe);
    }
    return status;
}

static moco_status create_context(step_parts *p, const step_settings *s) {
    moco_context_config context;
    const moco_status status = moco_context_config_init(&context, sizeof context);
    if (status != MOCO_OK) return status;
    context.threads = s->threads;
    context.backend = s->backend;
    return moco_context_create(&p->context, &context);
}

moco_status step_parts_create_encoder(step_parts *p, const step_settings *s) {
    moco_recipe *recipe = NULL;
    moco_status status = create_context(p, s);
    if (status == MOCO_OK) status = create_recipe(&recipe, p->context, s);
    if (status == MOCO_OK) status = moco_encoder_create(&p->encoder, p->context, moco_recipe_encoder(recipe));
    moco_recipe_destroy(recipe);
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
    moco_recipe *recipe = NULL;
    moco_dataset *dataset = NULL;
    moco_status status = create_context(p, s);
    if (status == MOCO_OK) status = create_recipe(&recipe, p->context, s);
    if (status == MOCO_OK && s->data != NULL) status = moco_dataset_open(&dataset, p->context, s->data);
    if (status == MOCO_OK) status = moco_trainer_create_for(&p->trainer, dataset, recipe);
    moco_dataset_destroy(dataset);
    moco_recipe_destroy(recipe);
    if (status != MOCO_OK) return status;
    p->loader = moco_trainer_loader(p->trainer);
    return p->loader != NULL ? moco_loader_start_epoch(p->loader, 0) : create_images(p, s);
}

void step_parts_destroy(step_parts *p) {
    moco_trainer_destroy(p->trainer);
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
