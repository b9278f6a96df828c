/* Settings of a recipe from text and as text. */
#include <stdio.h>
#include <string.h>

#include "core/number_text.h"
#include "recipe/recipe_internal.h"

/* --- One setting --- */

/* The string is the recipe's own from now on. */
static moco_status set_architecture(moco_recipe *recipe, const char *value) {
    char *copy = moco_duplicate_string(recipe->context, value);
    if (copy == NULL) return MOCO_OUT_OF_MEMORY;
    moco_deallocate(recipe->context, recipe->architecture);
    recipe->architecture = copy;
    recipe->encoder.architecture = copy;
    return MOCO_OK;
}

/* All values of an augment recipe but what belongs to the run: the views' size and evaluation, seed and decoding. */
static moco_status set_augment_recipe(moco_recipe *recipe, const moco_config_field *field, const char *value) {
    const moco_augment_config before = recipe->augment;
    moco_augment_config wanted = before;
    MOCO_TRY(moco_config_set_field(field, field->key, value, &wanted));
    MOCO_TRY(moco_augment_config_init(&recipe->augment, sizeof recipe->augment, wanted.recipe));
    recipe->augment.height = before.height;
    recipe->augment.width = before.width;
    recipe->augment.eval_resize = before.eval_resize;
    recipe->augment.seed = before.seed;
    recipe->augment.reduced_decoding = before.reduced_decoding;
    return MOCO_OK;
}

static moco_status set_target(moco_recipe *recipe, int32_t section, const moco_config_field *field, const char *value) {
    if (field->kind == MOCO_FIELD_TEXT) return set_architecture(recipe, value);
    if (section == MOCO_CONFIG_AUGMENT && field->offset == offsetof(moco_augment_config, recipe)) {
        return set_augment_recipe(recipe, field, value);
    }
    return moco_config_set_field(field, field->key, value, moco_recipe_config(recipe, section));
}

/* v1's milestones, 120 and 160 of 200 epochs, in the same place of other lengths. */
static void place_milestones(moco_schedule *schedule) {
    memset(schedule->milestone_epochs, 0, sizeof schedule->milestone_epochs);
    schedule->milestones = 2;
    schedule->milestone_epochs[0] = 0.6 * schedule->epochs;
    schedule->milestone_epochs[1] = 0.8 * schedule->epochs;
}

static moco_status scale_learning_rate(moco_recipe *recipe, const char *value) {
    MOCO_REQUIRE(strcmp(value, "0") == 0 || strcmp(value, "1") == 0, "scale_lr is \"%.64s\"; it must be 0 or 1", value);
    if (*value == '0') return MOCO_OK;
    const double images = (double) recipe->loader.batch_size * (double) recipe->loader.world_size;
    const double scaled = recipe->named_learning_rate * (images / (double) recipe->named_batch_size);
    recipe->optimizer.learning_rate = scaled;
    recipe->schedule.base = scaled;
    return MOCO_OK;
}

moco_status moco_recipe_set(moco_recipe *recipe, const char *key, const char *value) {
    MOCO_REQUIRE_POINTER(recipe);
    MOCO_REQUIRE_POINTER(key);
    MOCO_REQUIRE_POINTER(value);
    if (strcmp(key, "scale_lr") == 0) return scale_learning_rate(recipe, value);
    moco_recipe_targets targets;
    MOCO_TRY(moco_recipe_find_key(key, &targets));
    /* Fields of one key take the same values, so the first one to fail is the first of all. */
    for (int32_t i = 0; i < targets.count; ++i) {
        MOCO_TRY(set_target(recipe, targets.sections[i], targets.fields[i], value));
    }
    if (strcmp(key, "epochs") == 0) place_milestones(&recipe->schedule);
    return MOCO_OK;
}

static moco_status field_text(const moco_recipe *recipe, int32_t section, const moco_config_field *field,
                              char buffer[MOCO_FIELD_TEXT_SIZE], const char **text) {
    /* Reading changes nothing; the cast only shares moco_recipe_config. */
    const void *config = moco_recipe_config((moco_recipe *) recipe, section);
    return moco_config_field_text(field, field->key, config, buffer, text);
}

moco_status moco_recipe_get(const moco_recipe *recipe, const char *key, char *text, uint64_t capacity) {
    MOCO_REQUIRE_POINTER(recipe);
    MOCO_REQUIRE_POINTER(key);
    MOCO_REQUIRE_POINTER(text);
    moco_recipe_targets targets;
    char buffer[MOCO_FIELD_TEXT_SIZE];
    const char *value;
    MOCO_REQUIRE(strcmp(key, "scale_lr") != 0,
                 "scale_lr is done when it is set, and has no value to read; lr has the learning rate");
    MOCO_TRY(moco_recipe_find_key(key, &targets));
    MOCO_TRY(field_text(recipe, targets.sections[0], targets.fields[0], buffer, &value));
    const size_t bytes = strlen(value) + 1;
    MOCO_REQUIRE(bytes <= capacity, "capacity is %llu; \"%.64s\" needs %zu bytes", (unsigned long long) capacity, value,
                 bytes);
    memcpy(text, value, bytes);
    return MOCO_OK;
}

/* --- All settings --- */

enum { LONGEST_PART = 256 };

/* The text up to a ',' or the end, copied out. */
static moco_status take_pair(const char *pairs, char pair[LONGEST_PART], size_t *length) {
    *length = strcspn(pairs, ",");
    MOCO_REQUIRE(*length < LONGEST_PART, "the recipe's setting \"%.64s...\" is longer than %d characters", pairs,
                 LONGEST_PART - 1);
    memcpy(pair, pairs, *length);
    pair[*length] = '\0';
    return MOCO_OK;
}

moco_status moco_recipe_set_pairs(moco_recipe *recipe, const char *pairs) {
    char scale_lr[LONGEST_PART] = "0";
    while (*pairs != '\0') {
        char pair[LONGEST_PART];
        size_t length;
        MOCO_TRY(take_pair(pairs, pair, &length));
        char *equals = strchr(pair, '=');
        MOCO_REQUIRE(equals != NULL, "the recipe's setting \"%.64s\" has no value; it must be KEY=VALUE", pair);
        *equals = '\0';
        if (strcmp(pair, "scale_lr") == 0) {
            memcpy(scale_lr, equals + 1, strlen(equals + 1) + 1);
        } else {
            MOCO_TRY(moco_recipe_set(recipe, pair, equals + 1));
        }
        pairs += length;
        if (*pairs != ',') continue;
        MOCO_REQUIRE(pairs[1] != '\0', "the recipe's description ends in a comma; leave it out");
        ++pairs;
    }
    return scale_learning_rate(recipe, scale_lr);
}

/* Only what a description may say, so that it can be read again: a caller may have put anything into the fields. */
static moco_status check_text(const moco_recipe *recipe, int32_t section, const moco_config_field *field,
                              const char *value) {
    char scratch[512];
    const size_t bytes = moco_config_sections[section].bytes;
    if (bytes > sizeof scratch) return moco_fail(MOCO_INTERNAL, "%s is in a struct of %zu bytes", field->key, bytes);
    memcpy(scratch, moco_recipe_config((moco_recipe *) recipe, section), bytes);
    MOCO_TRY(moco_config_set_field(field, field->key, value, scratch));
    MOCO_REQUIRE(strchr(value, ',') == NULL, "%s is \"%.64s\", whose comma no description can hold", field->key, value);
    MOCO_REQUIRE(strlen(field->key) + 1 + strlen(value) < LONGEST_PART,
                 "%s is \"%.64s...\", with its key longer than the %d characters that a description can hold",
                 field->key, value, LONGEST_PART - 1);
    return MOCO_OK;
}

moco_status moco_recipe_text(const moco_recipe *recipe, char *text, uint64_t capacity) {
    MOCO_REQUIRE_POINTER(recipe);
    MOCO_REQUIRE_POINTER(text);
    char buffer[MOCO_FIELD_TEXT_SIZE];
    const char *value;
    const size_t room = capacity < SIZE_MAX ? (size_t) capacity : SIZE_MAX;
    size_t used = 0;
    for (int32_t writing = 0; writing <= 1; ++writing) { /* measured first: nothing is written where it does not fit */
        char *end = text;
        used = strlen(recipe->name);
        if (writing) end += snprintf(end, room, "%s", recipe->name);
        for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS; ++s) {
            for (int32_t i = 0; i < moco_config_sections[s].count; ++i) {
                const moco_config_field *field = &moco_config_sections[s].fields[i];
                MOCO_TRY(field_text(recipe, s, field, buffer, &value));
                MOCO_TRY(check_text(recipe, s, field, value));
                const char separator = s == 0 && i == 0 ? ':' : ',';
                used += strlen(field->key) + strlen(value) + 2;
                if (writing) {
                    end += snprintf(end, room - (size_t) (end - text), "%c%s=%s", separator, field->key, value);
                }
            }
        }
        MOCO_REQUIRE(used < capacity, "capacity is %llu; the recipe's text needs %llu bytes",
                     (unsigned long long) capacity, (unsigned long long) used + 1);
    }
    return MOCO_OK;
}
