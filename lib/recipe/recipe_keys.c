/* From the keys of recipes to fields: SECTION.FIELD, a field's name alone, or one of a few short names. */
#include <stdio.h>
#include <string.h>

#include "core/text_list.h"
#include "recipe/recipe_internal.h"

enum { LONGEST_KEY = 64, SUGGESTIONS = 3 };

static const struct {
    const char *name;
    const char *keys[MOCO_RECIPE_MOST_TARGETS];
} short_names[] = {
    {"arch", {"encoder.architecture"}},
    {"dim", {"encoder.embedding_dim"}},
    {"m", {"momentum_encoder.momentum"}},
    {"size", {"augment.height", "augment.width"}},
    {"augment", {"augment.recipe"}},
    {"queue_size", {"queue.capacity"}},
    {"lr", {"optimizer.learning_rate", "schedule.base"}},
    {"schedule", {"schedule.kind"}},
    {"epochs", {"schedule.epochs"}}, /* and the milestones: moco_recipe_set */
    {"seed", {"encoder.seed", "momentum_encoder.seed", "queue.seed", "loader.seed", "augment.seed"}},
};
enum { SHORT_NAMES = sizeof short_names / sizeof short_names[0] };

/* There is room: a short name has at most as many keys, a field's name at most one in each section. */
static void add_target(moco_recipe_targets *targets, int32_t section, const moco_config_field *field) {
    targets->sections[targets->count] = section;
    targets->fields[targets->count++] = field;
}

/* Adds the field with this key SECTION.FIELD, if there is one. */
static void add_key(moco_recipe_targets *targets, const char *key) {
    for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS; ++s) {
        for (int32_t i = 0; i < moco_config_sections[s].count; ++i) {
            const moco_config_field *field = &moco_config_sections[s].fields[i];
            if (strcmp(field->key, key) == 0) add_target(targets, s, field);
        }
    }
}

static int32_t add_short_name(moco_recipe_targets *targets, const char *name) {
    for (int32_t i = 0; i < SHORT_NAMES; ++i) {
        if (strcmp(short_names[i].name, name) != 0) continue;
        for (int32_t k = 0; k < MOCO_RECIPE_MOST_TARGETS && short_names[i].keys[k] != NULL; ++k) {
            add_key(targets, short_names[i].keys[k]);
        }
        return 1;
    }
    return 0;
}

static void add_fields_called(moco_recipe_targets *targets, const char *name) {
    for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS; ++s) {
        const moco_config_field *field = moco_config_find_field(s, name);
        if (field != NULL) add_target(targets, s, field);
    }
}

/* --- Keys that may have been meant --- */

static int32_t least(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* Levenshtein's distance: how many characters to put in, take out or replace. */
static int32_t distance(const char *a, const char *b) {
    int32_t row[LONGEST_KEY + 1];
    const int32_t width = (int32_t) strlen(b);
    if (width > LONGEST_KEY) return LONGEST_KEY;
    for (int32_t j = 0; j <= width; ++j) row[j] = j;
    for (int32_t i = 0; a[i] != '\0'; ++i) {
        int32_t diagonal = row[0];
        row[0] = i + 1;
        for (int32_t j = 0; j < width; ++j) {
            const int32_t replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(replaced, least(row[j], row[j + 1]) + 1);
        }
    }
    return row[width];
}

typedef struct suggestions {
    const char *keys[SUGGESTIONS]; /* nearest first */
    int32_t distances[SUGGESTIONS];
    int32_t count;
} suggestions;

static void suggest(suggestions *found, const char *key, int32_t far) {
    int32_t at = found->count;
    while (at > 0 && found->distances[at - 1] > far) --at;
    if (at == SUGGESTIONS) return;
    if (found->count < SUGGESTIONS) found->count++;
    for (int32_t i = found->count - 1; i > at; --i) {
        found->keys[i] = found->keys[i - 1];
        found->distances[i] = found->distances[i - 1];
    }
    found->keys[at] = key;
    found->distances[at] = far;
}

/* A key with a dot is held beside whole keys, one without beside fields and short names. */
static moco_status refuse_unknown(const char *key) {
    const size_t length = strlen(key);
    const int32_t near = 1 + (int32_t) (length < LONGEST_KEY ? length : 0) / 3;
    const int32_t whole = strchr(key, '.') != NULL;
    suggestions found = {.count = 0};
    for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS && length < LONGEST_KEY; ++s) {
        for (int32_t i = 0; i < moco_config_sections[s].count; ++i) {
            const moco_config_field *field = &moco_config_sections[s].fields[i];
            const int32_t far = distance(key, whole ? field->key : field->name);
            if (far <= near) suggest(&found, field->key, far);
        }
    }
    for (int32_t i = 0; i < SHORT_NAMES && !whole && length < LONGEST_KEY; ++i) {
        const int32_t far = distance(key, short_names[i].name);
        if (far <= near) suggest(&found, short_names[i].name, far);
    }
    char list[256] = "";
    int32_t count = 0; /* of those that are about as near as the nearest */
    while (count < found.count && found.distances[count] <= found.distances[0] + 1) ++count;
    for (int32_t i = 0; i < count; ++i) moco_text_list_add(list, sizeof list, found.keys[i], i == count - 1);
    if (count > 0) {
        return moco_fail(MOCO_INVALID_ARGUMENT, "a recipe has no key \"%.64s\"; nearest: %s", key, list);
    }
    return moco_fail(MOCO_INVALID_ARGUMENT,
                     "a recipe has no key \"%.64s\"; it must be SECTION.FIELD, such as encoder.bn_groups "
                     "(moco_recipe_key lists all), or a short name, such as lr or epochs",
                     key);
}

moco_status moco_recipe_find_key(const char *key, moco_recipe_targets *targets) {
    targets->count = 0;
    if (add_short_name(targets, key)) return MOCO_OK;
    if (strchr(key, '.') != NULL) {
        add_key(targets, key);
    } else {
        add_fields_called(targets, key);
    }
    if (targets->count == 0) return refuse_unknown(key);
    if (targets->count == 1) return MOCO_OK;
    char list[256] = "";
    for (int32_t i = 0; i < targets->count; ++i) {
        moco_text_list_add(list, sizeof list, targets->fields[i]->key, i == targets->count - 1);
    }
    return moco_fail(MOCO_INVALID_ARGUMENT, "several parts have a %s; write %s", key, list);
}

const char *moco_recipe_key(int32_t index) {
    for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS && index >= 0; ++s) {
        if (index < moco_config_sections[s].count) return moco_config_sections[s].fields[index].key;
        index -= moco_config_sections[s].count;
    }
    return NULL;
}
