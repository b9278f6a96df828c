#include "pretrain/pretrain_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "support/example_support.h"

void make_parts(pretrain_parts *parts, const pretrain_options *options) {
    *parts = (pretrain_parts){0};
    parts->context = open_context(options->backend, (int32_t) options->threads);
    open_data(&parts->data, parts->context, (data_source){options->data, "--data"},
              (data_source){options->test_data, "--test-data"}, options->test_count);
    check_choice(moco_trainer_create_for(&parts->trainer, parts->data.train, options->recipe));
    parts->augment = moco_trainer_augment(parts->trainer);
    parts->loader = moco_trainer_loader(parts->trainer);
    parts->encoder = moco_trainer_encoder(parts->trainer);
}

void destroy_parts(pretrain_parts *parts) {
    moco_trainer_destroy(parts->trainer);
    close_data(&parts->data);
    moco_context_destroy(parts->context);
}

/* --- Weights from a file --- */

static void load_weights(moco_encoder *encoder, const char *file, moco_load_report *report) {
    *report = (moco_load_report){.struct_size = sizeof *report};
    check_choice(moco_encoder_load(encoder, file, NULL, report));
}

void init_parts(pretrain_parts *parts, const pretrain_options *options) {
    moco_load_report report;
    load_weights(moco_momentum_encoder_key_encoder(moco_trainer_momentum_encoder(parts->trainer)), options->init,
                 &report);
    load_weights(parts->encoder, options->init, &report);
    printf("weights   from %s: %lld loaded", options->init, (long long) report.loaded);
    if (report.missing > 0) printf(", %lld not in the file, which start anew", (long long) report.missing);
    if (report.unexpected > 0) printf(", %lld of the file not used", (long long) report.unexpected);
    printf("\n");
    fflush(stdout);
}

/* --- Saving --- */

#define MAX_ENTRIES 16
#define TEXT_SIZE   64
#define RECIPE_SIZE 8192

typedef struct metadata {
    const char *keys[MAX_ENTRIES];
    const char *values[MAX_ENTRIES];
    char texts[MAX_ENTRIES][TEXT_SIZE];
    int64_t count;
} metadata;

static void add_text(metadata *entries, const char *key, const char *value) {
    entries->keys[entries->count] = key;
    entries->values[entries->count++] = value;
}

static void add_number(metadata *entries, const char *key, double value) {
    char *text = entries->texts[entries->count];
    snprintf(text, TEXT_SIZE, "%.12g", value);
    add_text(entries, key, text);
}

/* The names of the classes by label, to be freed; NULL where the images have none. */
static const char **list_class_names(const moco_dataset *dataset, int32_t *count) {
    const int64_t classes = moco_dataset_classes(dataset);
    *count = 0;
    if (classes == 0 || classes > INT32_MAX || moco_dataset_class_name(dataset, 0) == NULL) return NULL;
    const char **names = (const char **) allocate((size_t) classes, sizeof *names);
    for (int64_t i = 0; i < classes; ++i) names[i] = moco_dataset_class_name(dataset, i);
    *count = (int32_t) classes;
    return names;
}

/* The whole encoder, with what belongs to it beside the weights: its view and the names of the classes. */
static moco_status write_encoder(const pretrain_parts *parts, const char *path, const metadata *entries) {
    moco_augment_config view = {.struct_size = sizeof view};
    moco_export_config config;
    check(moco_augment_read_config(parts->augment, &view));
    check(moco_export_config_init(&config, sizeof config));
    config.with_head = 1;
    config.augment = &view;
    const char **names = list_class_names(parts->data.train, &config.class_count);
    config.class_names = names;
    config.keys = entries->keys;
    config.values = entries->values;
    config.entry_count = entries->count;
    const moco_status status = moco_encoder_export(parts->encoder, path, &config);
    free((void *) names);
    return status;
}

moco_status save_encoder(const pretrain_parts *parts, const pretrain_options *options, double knn_top1) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/encoder.safetensors", options->out) >= (int) sizeof path) {
        stop("the folder's name is too long");
    }
    metadata entries = {.count = 0};
    static char recipe[RECIPE_SIZE];
    moco_recipe *settings = options->recipe;
    check(moco_recipe_text(settings, recipe, sizeof recipe));
    add_text(&entries, "pretrain.data", options->data);
    if (options->test_data != NULL) add_text(&entries, "pretrain.test_data", options->test_data);
    add_text(&entries, "pretrain.recipe", recipe);
    add_text(&entries, "pretrain.augment", moco_enum_name("augment", moco_recipe_augment(settings)->recipe));
    add_number(&entries, "pretrain.size", moco_augment_height(parts->augment));
    add_number(&entries, "pretrain.steps", (double) moco_trainer_step_count(parts->trainer));
    add_number(&entries, "pretrain.epochs", (double) options->epochs);
    add_number(&entries, "pretrain.batch_size", (double) moco_recipe_loader(settings)->batch_size);
    add_number(&entries, "pretrain.queue_size", (double) moco_recipe_queue(settings)->capacity);
    add_number(&entries, "pretrain.momentum", moco_recipe_momentum_encoder(settings)->momentum);
    add_number(&entries, "pretrain.temperature", moco_recipe_loss(settings)->temperature);
    add_number(&entries, "pretrain.lr", moco_recipe_schedule(settings)->base);
    add_number(&entries, "pretrain.seed", (double) moco_recipe_encoder(settings)->seed);
    if (knn_top1 >= 0) add_number(&entries, "pretrain.knn_top1", knn_top1);
    return write_encoder(parts, path, &entries);
}

/* --- For other programs --- */

/* The views that the encoder was trained for: where the recipe leaves something to the images, what it became. */
static moco_augment_config views_of(const pretrain_parts *parts, const pretrain_options *options) {
    moco_augment_config views = *moco_recipe_augment(options->recipe), usual;
    check(moco_augment_config_init(&usual, sizeof usual, views.recipe));
    views.height = moco_augment_height(parts->augment);
    views.width = moco_augment_width(parts->augment);
    if (views.eval_resize == 0) views.eval_resize = usual.eval_resize;
    return views;
}

moco_status export_encoder(const pretrain_parts *parts, const pretrain_options *options) {
    char path[4096], description[256];
    if (snprintf(path, sizeof path, "%s/encoder", options->out) >= (int) sizeof path) {
        stop("the folder's name is too long");
    }
    const moco_augment_config views = views_of(parts, options);
    moco_export_config config;
    check(moco_export_config_init(&config, sizeof config));
    config.kind = MOCO_EXPORT_TIMM;
    config.with_head = moco_recipe_encoder(options->recipe)->head != MOCO_HEAD_NONE;
    config.augment = &views;
    snprintf(description, sizeof description, "Momentum Contrast without labels, recipe %s, %lld steps",
             moco_recipe_name(options->recipe), (long long) moco_trainer_step_count(parts->trainer));
    config.description = description;
    const int64_t classes = moco_dataset_classes(parts->data.train);
    const char **names = (const char **) allocate((size_t) classes + 1, sizeof *names);
    for (int64_t i = 0; i < classes; ++i) {
        names[i] = moco_dataset_class_name(parts->data.train, i);
        config.class_count += names[i] != NULL;
    }
    if (config.class_count < classes) config.class_count = 0; /* all have one, or none */
    config.class_names = names;
    const moco_status status = moco_encoder_export(parts->encoder, path, &config);
    free((void *) names);
    return status == MOCO_UNSUPPORTED ? MOCO_OK : status;
}
