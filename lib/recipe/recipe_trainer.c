/* From a recipe and a dataset to a whole trainer: the parts in the order of the data. */
#include "data/dataset_internal.h"
#include "recipe/recipe_internal.h"
#include "trainer/trainer_internal.h"

enum { SHAPES_SEEN = 32 };

/* 1 and the shape that all images have, going by SHAPES_SEEN of them from all over the dataset; broken ones don't
 * count. */
static int32_t common_shape(const moco_dataset *dataset, int64_t *h, int64_t *w) {
    const int64_t count = moco_dataset_count(dataset);
    int64_t seen = 0;
    for (int64_t i = 0; i < SHAPES_SEEN; ++i) {
        int64_t own_h = 0, own_w = 0;
        if (moco_dataset_info(dataset, i * (count - 1) / (SHAPES_SEEN - 1), &own_h, &own_w, NULL) != MOCO_OK) continue;
        if (seen++ > 0 && (own_h != *h || own_w != *w)) return 0;
        *h = own_h;
        *w = own_w;
    }
    return seen > 0;
}

/* What a recipe leaves to the images: the size of the views, and whether evaluation takes the images whole, as the
 * reference's CIFAR demo does. */
static moco_status fit_augment(const moco_dataset *dataset, moco_augment_config *config) {
    if (config->height != 0 && config->width != 0 && config->eval_resize != 0.0) return MOCO_OK;
    moco_augment_config usual;
    MOCO_TRY(moco_augment_config_init(&usual, sizeof usual, config->recipe));
    int64_t h = 0, w = 0;
    const int32_t are_alike = common_shape(dataset, &h, &w);
    MOCO_REQUIRE(!are_alike || (h <= INT32_MAX && w <= INT32_MAX), "the images are %lld x %lld, too large to be views",
                 (long long) h, (long long) w);
    if (config->height == 0) config->height = are_alike ? (int32_t) h : usual.height;
    if (config->width == 0) config->width = are_alike ? (int32_t) w : usual.width;
    if (config->eval_resize == 0.0) {
        config->eval_resize = are_alike && config->height == h && config->width == w ? 1.0 : usual.eval_resize;
    }
    return MOCO_OK;
}

moco_status moco_augment_create_for(moco_augment **out, const moco_dataset *dataset, const moco_recipe *recipe) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(dataset);
    MOCO_REQUIRE_POINTER(recipe);
    moco_augment_config config = recipe->augment;
    MOCO_TRY(fit_augment(dataset, &config));
    return moco_augment_create(out, dataset->context, &config);
}

typedef struct trainer_parts {
    moco_augment *augment;
    moco_loader *loader;
    moco_encoder *encoder;
    moco_momentum_encoder *momentum_encoder;
    moco_queue *queue;
    moco_loss *loss;
    moco_optimizer *optimizer;
} trainer_parts;

static moco_status create_loader(trainer_parts *parts, moco_dataset *dataset, const moco_recipe *recipe) {
    MOCO_TRY(moco_augment_create_for(&parts->augment, dataset, recipe));
    return moco_loader_create(&parts->loader, dataset, parts->augment, &recipe->loader);
}

/* The MLP's input is a view, as large as the recipe or else the dataset has it. */
static void fit_mlp(const trainer_parts *parts, const moco_recipe *recipe, moco_encoder_config *config) {
    const int64_t height = parts->augment == NULL ? recipe->augment.height : moco_augment_height(parts->augment);
    const int64_t width = parts->augment == NULL ? recipe->augment.width : moco_augment_width(parts->augment);
    if (config->mlp_input_dim != 0 || config->channels < 1 || height < 1 || width < 1) return;
    if (height * width <= INT32_MAX / config->channels) {
        config->mlp_input_dim = (int32_t) (height * width) * config->channels;
    }
}

static moco_status create_parts(trainer_parts *parts, moco_context *context, const moco_recipe *recipe) {
    moco_encoder_config encoder = recipe->encoder;
    fit_mlp(parts, recipe, &encoder);
    MOCO_TRY(moco_encoder_create(&parts->encoder, context, &encoder));
    MOCO_TRY(moco_momentum_encoder_create(&parts->momentum_encoder, parts->encoder, &recipe->momentum_encoder));
    moco_queue_config queue = recipe->queue;
    if (queue.dim == 0) queue.dim = moco_encoder_embedding_dim(parts->encoder);
    MOCO_TRY(moco_queue_create(&parts->queue, context, &queue));
    MOCO_TRY(moco_loss_create(&parts->loss, context, &recipe->loss));
    return moco_optimizer_create(&parts->optimizer, parts->encoder, &recipe->optimizer);
}

static moco_status create_trainer(moco_trainer **out, const trainer_parts *parts, const moco_recipe *recipe) {
    moco_trainer_config config = recipe->trainer;
    config.learning_rate = &recipe->schedule;
    if (parts->loader != NULL) config.steps_per_epoch = moco_loader_batches_per_epoch(parts->loader);
    return moco_trainer_create(out, parts->encoder, parts->momentum_encoder, parts->queue, parts->loss,
                               parts->optimizer, &config);
}

moco_status moco_trainer_create_for(moco_trainer **out, moco_dataset *dataset, const moco_recipe *recipe) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(recipe);
    moco_context *context = dataset == NULL ? recipe->context : dataset->context;
    MOCO_REQUIRE(context != NULL,
                 "dataset is NULL, and so was the recipe's context; one of them must say where the parts "
                 "are made");
    trainer_parts parts = {.augment = NULL};
    moco_trainer *trainer = NULL;
    moco_status status = dataset == NULL ? MOCO_OK : create_loader(&parts, dataset, recipe);
    if (status == MOCO_OK) status = create_parts(&parts, context, recipe);
    if (status == MOCO_OK) status = create_trainer(&trainer, &parts, recipe);
    if (status == MOCO_OK && dataset != NULL) {
        status = moco_trainer_keep_loader(trainer, parts.loader, parts.augment);
    }
    /* The trainer keeps the parts now, or nobody does. */
    moco_optimizer_destroy(parts.optimizer);
    moco_loss_destroy(parts.loss);
    moco_queue_destroy(parts.queue);
    moco_momentum_encoder_destroy(parts.momentum_encoder);
    moco_encoder_destroy(parts.encoder);
    moco_loader_destroy(parts.loader);
    moco_augment_destroy(parts.augment);
    if (status != MOCO_OK) {
        moco_trainer_destroy(trainer);
        return status;
    }
    *out = trainer;
    return MOCO_OK;
}
