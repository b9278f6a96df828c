#include "checkpoint/model_metadata.h"

#include <stdio.h>
#include <string.h>

#include "io/json_writer.h"

#define FIRST_CAPACITY 64
#define VIEW_KEY_SIZE  64

/* --- What a file keeps of the configuration --- */

const moco_config_field *moco_encoder_file_field(int32_t *place) {
    const moco_config_section *encoder = &moco_config_sections[MOCO_CONFIG_ENCODER];
    while (*place < encoder->count && encoder->fields[*place].of_run) ++*place;
    return *place < encoder->count ? &encoder->fields[(*place)++] : NULL;
}

void moco_encoder_file_key(const moco_config_field *field, char key[MOCO_ENCODER_KEY_SIZE]) {
    snprintf(key, MOCO_ENCODER_KEY_SIZE, "moco.%s", field->name);
}

/* --- Pairs --- */

void moco_metadata_init(moco_metadata *metadata, moco_context *context) {
    memset(metadata, 0, sizeof *metadata);
    metadata->context = context;
}

void moco_metadata_release(moco_metadata *metadata) {
    for (int64_t i = 0; i < metadata->count; ++i) {
        moco_deallocate(metadata->context, metadata->keys[i]);
        moco_deallocate(metadata->context, metadata->values[i]);
    }
    moco_deallocate(metadata->context, (void *) metadata->keys);
    moco_deallocate(metadata->context, (void *) metadata->values);
    moco_metadata_init(metadata, metadata->context);
}

static moco_status grow(moco_context *context, char ***strings, int64_t count, int64_t capacity) {
    char **grown = (char **) moco_allocate_zeroed(context, (size_t) capacity, sizeof *grown);
    if (grown == NULL) return MOCO_OUT_OF_MEMORY;
    if (count > 0) memcpy((void *) grown, (const void *) *strings, (size_t) count * sizeof *grown);
    moco_deallocate(context, (void *) *strings);
    *strings = grown;
    return MOCO_OK;
}

static moco_status add(moco_metadata *metadata, const char *key, const char *value) {
    moco_context *context = metadata->context;
    if (metadata->count == metadata->capacity) {
        const int64_t capacity = metadata->capacity == 0 ? FIRST_CAPACITY : 2 * metadata->capacity;
        MOCO_TRY(grow(context, &metadata->keys, metadata->count, capacity));
        MOCO_TRY(grow(context, &metadata->values, metadata->count, capacity));
        metadata->capacity = capacity;
    }
    char *own_key = moco_duplicate_string(context, key);
    char *own_value = own_key == NULL ? NULL : moco_duplicate_string(context, value);
    if (own_value == NULL) {
        moco_deallocate(context, own_key);
        return MOCO_OUT_OF_MEMORY;
    }
    metadata->keys[metadata->count] = own_key;
    metadata->values[metadata->count++] = own_value;
    return MOCO_OK;
}

void moco_metadata_add(moco_metadata *metadata, const char *key, const char *value) {
    if (metadata->status == MOCO_OK) metadata->status = add(metadata, key, value);
}

void moco_metadata_add_all(moco_metadata *metadata, const char *const *keys, const char *const *values, int64_t count) {
    for (int64_t i = 0; i < count && metadata->status == MOCO_OK; ++i) {
        if (keys[i] == NULL || values[i] == NULL) {
            metadata->status =
                moco_fail(MOCO_INVALID_ARGUMENT, "keys[%lld] or values[%lld] is NULL; both must be strings",
                          (long long) i, (long long) i);
        }
        moco_metadata_add(metadata, keys[i], values[i]);
    }
}

/* `key`: of the metadata. */
static void add_field(moco_metadata *metadata, const moco_config_field *field, const char *key, const void *config) {
    char buffer[MOCO_FIELD_TEXT_SIZE];
    const char *text = NULL;
    if (metadata->status != MOCO_OK) return;
    metadata->status = moco_config_field_text(field, field->name, config, buffer, &text);
    moco_metadata_add(metadata, key, text);
}

void moco_metadata_add_encoder(moco_metadata *metadata, const moco_encoder_config *config) {
    int32_t place = 0;
    for (const moco_config_field *field; (field = moco_encoder_file_field(&place)) != NULL;) {
        char key[MOCO_ENCODER_KEY_SIZE];
        moco_encoder_file_key(field, key);
        add_field(metadata, field, key, config);
    }
}

void moco_metadata_add_view(moco_metadata *metadata, const moco_augment_config *view) {
    static const char *const kept[] = {"height", "width", "mean", "std", "eval_resize", "interpolation"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; ++i) {
        char key[VIEW_KEY_SIZE];
        snprintf(key, sizeof key, MOCO_VIEW_PREFIX "%s", kept[i]);
        add_field(metadata, moco_config_find_field(MOCO_CONFIG_AUGMENT, kept[i]), key, view);
    }
}

void moco_metadata_add_class_names(moco_metadata *metadata, const char *const *names, int64_t count) {
    moco_json_writer json;
    if (metadata->status != MOCO_OK || count == 0) return;
    moco_json_init(&json, metadata->context);
    moco_json_begin_array(&json);
    for (int64_t i = 0; i < count; ++i) moco_json_lossy_string(&json, names[i]);
    moco_json_end_array(&json);
    metadata->status = moco_json_finish(&json);
    moco_metadata_add(metadata, MOCO_CLASS_NAMES_KEY, json.text);
    moco_json_release(&json);
}
