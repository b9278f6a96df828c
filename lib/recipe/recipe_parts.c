/* The parts' configurations, which a recipe keeps. */
#include "recipe/recipe_internal.h"

void *moco_recipe_config(moco_recipe *recipe, int32_t section) {
    switch (section) {
    case MOCO_CONFIG_LOADER:
        return &recipe->loader;
    case MOCO_CONFIG_AUGMENT:
        return &recipe->augment;
    case MOCO_CONFIG_ENCODER:
        return &recipe->encoder;
    case MOCO_CONFIG_MOMENTUM_ENCODER:
        return &recipe->momentum_encoder;
    case MOCO_CONFIG_QUEUE:
        return &recipe->queue;
    case MOCO_CONFIG_LOSS:
        return &recipe->loss;
    case MOCO_CONFIG_OPTIMIZER:
        return &recipe->optimizer;
    case MOCO_CONFIG_SCHEDULE:
        return &recipe->schedule;
    default:
        return &recipe->trainer;
    }
}

moco_loader_config *moco_recipe_loader(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->loader;
}

moco_augment_config *moco_recipe_augment(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->augment;
}

moco_encoder_config *moco_recipe_encoder(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->encoder;
}

moco_momentum_encoder_config *moco_recipe_momentum_encoder(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->momentum_encoder;
}

moco_queue_config *moco_recipe_queue(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->queue;
}

moco_loss_config *moco_recipe_loss(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->loss;
}

moco_optimizer_config *moco_recipe_optimizer(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->optimizer;
}

moco_schedule *moco_recipe_schedule(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->schedule;
}

moco_trainer_config *moco_recipe_trainer(moco_recipe *recipe) {
    return recipe == NULL ? NULL : &recipe->trainer;
}
