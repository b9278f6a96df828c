#include "pretrain/pretrain_parts.h"

#include <stdio.h>

#include "support/example_support.h"

static void make_encoder(pretrain_parts *parts, const pretrain_options *options) {
    moco_encoder_config config;
    check(moco_encoder_config_init(&config, sizeof config));
    config.architecture = options->arch;
    config.stem = options->stem;
    config.head = options->head;
    config.embedding_dim = (int32_t) options->dim;
    config.bn_groups = (int32_t) options->bn_groups;
    config.bn_layout = options->bn_layout;
    config.compute_dtype = options->compute;
    config.mlp_input_dim = (int32_t) moco_extract_dim(NULL, parts->augment, MOCO_OUTPUT_PIXELS);
    config.seed = (uint64_t) options->seed;
    check_choice(moco_encoder_create(&parts->encoder, parts->context, &config));
}

static void make_loader(pretrain_parts *parts, const pretrain_options *options) {
    moco_loader_config config;
    check(moco_loader_config_init(&config, sizeof config));
    config.batch_size = options->batch_size;
    config.workers = (int32_t) options->workers;
    config.cache = options->cache;
    config.cache_bytes = (uint64_t) options->cache_bytes;
    config.max_broken_fraction = options->max_broken;
    config.seed = (uint64_t) options->seed;
    check_choice(moco_loader_create(&parts->loader, parts->data.train, parts->augment, &config));
}

static void make_momentum_encoder(pretrain_parts *parts, const pretrain_options *options) {
    moco_momentum_encoder_config config;
    check(moco_momentum_encoder_config_for(&config, sizeof config, parts->encoder));
    config.momentum = options->momentum;
    config.seed = (uint64_t) options->seed;
    check_choice(moco_momentum_encoder_create(&parts->momentum_encoder, parts->encoder, &config));
}

static void make_queue_and_loss(pretrain_parts *parts, const pretrain_options *options) {
    moco_queue_config queue_config;
    check(moco_queue_config_init(&queue_config, sizeof queue_config));
    queue_config.capacity = options->queue_size;
    queue_config.start = options->queue_start;
    queue_config.storage = options->queue_storage;
    queue_config.dim = moco_encoder_embedding_dim(parts->encoder);
    queue_config.seed = (uint64_t) options->seed;
    check_choice(moco_queue_create(&parts->queue, parts->context, &queue_config));

    moco_loss_config loss_config;
    check(moco_loss_config_init(&loss_config, sizeof loss_config));
    loss_config.temperature = options->temperature;
    loss_config.mask_same_id = options->mask_same_image;
    check_choice(moco_loss_create(&parts->loss, parts->context, &loss_config));
}

static void make_optimizer(pretrain_parts *parts, const pretrain_options *options) {
    moco_optimizer_config config;
    check(moco_optimizer_config_init(&config, sizeof config));
    config.learning_rate = options->lr;
    config.momentum = options->sgd_momentum;
    config.weight_decay = options->weight_decay;
    check_choice(moco_optimizer_create(&parts->optimizer, parts->encoder, &config));
}

static void make_trainer(pretrain_parts *parts, const pretrain_options *options) {
    moco_trainer_config config;
    check(moco_trainer_config_init(&config, sizeof config));
    moco_schedule schedule;
    check(moco_schedule_init(&schedule, sizeof schedule));
    schedule.kind = options->schedule;
    /* Short runs have few epochs to step through; v1's milestones belong to epochs. */
    schedule.unit = options->schedule == MOCO_SCHEDULE_STEP ? MOCO_SCHEDULE_PER_EPOCH : MOCO_SCHEDULE_PER_STEP;
    schedule.base = options->lr;
    schedule.epochs = (double) options->epochs;
    schedule.warmup_epochs = options->warmup_epochs;
    schedule.milestones = 2;
    schedule.milestone_epochs[0] = 0.6 * (double) options->epochs; /* 120 and 160 of v1's 200 */
    schedule.milestone_epochs[1] = 0.8 * (double) options->epochs;
    config.learning_rate = &schedule;
    config.momentum_end = options->momentum_end;
    config.steps_per_epoch = moco_loader_batches_per_epoch(parts->loader);
    check_choice(moco_trainer_create(&parts->trainer, parts->encoder, parts->momentum_encoder, parts->queue,
                                     parts->loss, parts->optimizer, &config));
}

void make_parts(pretrain_parts *parts, const pretrain_options *options) {
    *parts = (pretrain_parts){0};
    parts->context = open_context(options->backend, (int32_t) options->threads);
    open_data(&parts->data, parts->context, options->data, options->test_data, options->test_count);
    parts->augment = open_augment(parts->context, parts->data.train, augment_names[options->augment], options->size,
                                  options->crop_min, (uint64_t) options->seed, (int32_t) options->reduced_decoding);
    make_loader(parts, options);
    make_encoder(parts, options);
    make_momentum_encoder(parts, options);
    make_queue_and_loss(parts, options);
    make_optimizer(parts, options);
    make_trainer(parts, options);
}

void destroy_parts(pretrain_parts *parts) {
    moco_trainer_destroy(parts->trainer);
    moco_optimizer_destroy(parts->optimizer);
    moco_loss_destroy(parts->loss);
    moco_queue_destroy(parts->queue);
    moco_momentum_encoder_destroy(parts->momentum_encoder);
    moco_encoder_destroy(parts->encoder);
    moco_loader_destroy(parts->loader);
    moco_augment_destroy(parts->augment);
    close_data(&parts->data);
    moco_context_destroy(parts->context);
}

/* --- Saving --- */

#define MAX_ENTRIES 16
#define TEXT_SIZE   64

typedef struct recipe {
    const char *keys[MAX_ENTRIES];
    const char *values[MAX_ENTRIES];
    char texts[MAX_ENTRIES][TEXT_SIZE];
    int64_t count;
} recipe;

static void add_text(recipe *entries, const char *key, const char *value) {
    entries->keys[entries->count] = key;
    entries->values[entries->count++] = value;
}

static void add_number(recipe *entries, const char *key, double value) {
    char *text = entries->texts[entries->count];
    snprintf(text, TEXT_SIZE, "%.12g", value);
    add_text(entries, key, text);
}

moco_status save_encoder(const pretrain_parts *parts, const pretrain_options *options, double knn_top1) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/encoder.safetensors", options->out) >= (int) sizeof path) {
        stop("the folder's name is too long");
    }
    recipe entries = {.count = 0};
    add_text(&entries, "pretrain.data", options->data);
    if (options->test_data != NULL) add_text(&entries, "pretrain.test_data", options->test_data);
    add_text(&entries, "pretrain.augment", augment_names[options->augment]);
    add_number(&entries, "pretrain.size", moco_augment_height(parts->augment));
    add_number(&entries, "pretrain.steps", (double) moco_trainer_step_count(parts->trainer));
    add_number(&entries, "pretrain.epochs", (double) options->epochs);
    add_number(&entries, "pretrain.batch_size", (double) options->batch_size);
    add_number(&entries, "pretrain.queue_size", (double) options->queue_size);
    add_number(&entries, "pretrain.momentum", options->momentum);
    add_number(&entries, "pretrain.temperature", options->temperature);
    add_number(&entries, "pretrain.lr", options->lr);
    add_number(&entries, "pretrain.seed", (double) options->seed);
    if (knn_top1 >= 0) add_number(&entries, "pretrain.knn_top1", knn_top1);
    return moco_encoder_save(parts->encoder, path, entries.keys, entries.values, entries.count);
}
