/* The recipe's inside: one configuration of each kind, and how keys lead to their fields. */
#ifndef MOCO_RECIPE_INTERNAL_H
#define MOCO_RECIPE_INTERNAL_H

#include <moco/recipe.h>

#include "core/config_fields.h"
#include "core/context_internal.h"

struct moco_recipe {
    moco_context *context; /* NULL: the C library's allocator */
    const char *name;
    moco_loader_config loader;
    moco_augment_config augment;
    moco_encoder_config encoder;
    moco_momentum_encoder_config momentum_encoder;
    moco_queue_config queue;
    moco_loss_config loss;
    moco_optimizer_config optimizer;
    moco_schedule schedule;
    moco_trainer_config trainer;
    char *architecture; /* what encoder.architecture points to, unless the caller has put a string of its own there */
    /* What scale_lr starts from: the named recipe's. */
    double named_learning_rate;
    int64_t named_batch_size;
};

/* The configuration of a MOCO_CONFIG_* section. */
void *moco_recipe_config(moco_recipe *recipe, int32_t section);

/* The pairs KEY=VALUE,KEY=VALUE of a description; "" has none. */
moco_status moco_recipe_set_pairs(moco_recipe *recipe, const char *pairs);

/* --- Keys (recipe_keys.c) --- */

/* A name of a field can be one in each section. */
enum { MOCO_RECIPE_MOST_TARGETS = MOCO_CONFIG_SECTIONS };

/* The fields that one key sets; get reads the first. */
typedef struct moco_recipe_targets {
    int32_t count;
    int32_t sections[MOCO_RECIPE_MOST_TARGETS];
    const moco_config_field *fields[MOCO_RECIPE_MOST_TARGETS];
} moco_recipe_targets;

/* INVALID_ARGUMENT for a key that is none, or of several sections' fields; the sentence names those that are meant. */
moco_status moco_recipe_find_key(const char *key, moco_recipe_targets *targets);

#endif
