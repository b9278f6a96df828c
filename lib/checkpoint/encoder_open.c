/* Opening encoders' files and others', and reading their metadata. */
#include <string.h>

#include "checkpoint/encoder_file.h"
#include "checkpoint/weights_stage.h"
#include "encoder/encoder_internal.h"
#include "io/safetensors.h"

static moco_status read_configuration(const moco_weights *weights, const char *path, moco_encoder_config *config) {
    MOCO_TRY(moco_encoder_config_init(config, sizeof *config));
    int32_t place = 0;
    for (const moco_config_field *field; (field = moco_encoder_file_field(&place)) != NULL;) {
        char key[MOCO_ENCODER_KEY_SIZE];
        moco_encoder_file_key(field, key);
        const char *text = moco_weights_find_note(weights, key);
        if (text == NULL) {
            return moco_fail(MOCO_NOT_FOUND,
                             "%s has no metadata entry %s: it was not written by moco_encoder_save from a built-in "
                             "network",
                             path, key);
        }
        if (moco_config_set_field(field, key, text, config) != MOCO_OK) {
            return moco_fail(MOCO_FORMAT, "%s: the metadata entry %s", path, moco_last_error());
        }
    }
    return MOCO_OK;
}

/* By the configuration, or by the file's where there is none. */
static moco_status make_encoder(moco_encoder **encoder, moco_context *context, const moco_weights *weights,
                                const char *path, const moco_encoder_config *config) {
    moco_encoder_config own;
    if (config != NULL) return moco_encoder_create(encoder, context, config);
    MOCO_TRY(read_configuration(weights, path, &own));
    const moco_status status = moco_encoder_create(encoder, context, &own);
    if (status != MOCO_INVALID_ARGUMENT) return status;
    return moco_fail(MOCO_FORMAT, "%s holds a configuration that is none: %s", path, moco_last_error());
}

moco_status moco_encoder_open_as(moco_encoder **out, moco_context *context, const char *path,
                                 const moco_encoder_config *config, const moco_load_options *options,
                                 moco_load_report *report) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(path);
    moco_load_options wanted;
    moco_match match;
    moco_weights *weights = NULL;
    moco_encoder *encoder = NULL;
    MOCO_TRY(moco_load_options_take(&wanted, options));
    MOCO_TRY(moco_load_report_check(report));
    if (config == NULL && options == NULL) { /* a file that moco_encoder_save wrote has everything, by its name */
        wanted.may_miss = MOCO_MAY_MISS_NOTHING;
        wanted.prefix = "";
    }
    MOCO_TRY(moco_weights_open(&weights, context, path));
    moco_status status = make_encoder(&encoder, context, weights, path, config);
    if (status == MOCO_OK) status = moco_match_find(&match, weights, encoder, path, &wanted);
    if (status == MOCO_OK) {
        status = moco_stage_stream(encoder, &match, path);
        if (status == MOCO_OK) status = moco_load_tell(&match, path, &wanted, report);
        moco_match_release(&match);
    }
    moco_weights_close(weights);
    if (status != MOCO_OK) {
        moco_encoder_destroy(encoder);
        return status;
    }
    *out = encoder;
    return MOCO_OK;
}

moco_status moco_encoder_open(moco_encoder **out, moco_context *context, const char *path) {
    return moco_encoder_open_as(out, context, path, NULL, NULL, NULL);
}

moco_status moco_encoder_load(moco_encoder *encoder, const char *path, const moco_load_options *options,
                              moco_load_report *report) {
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE_POINTER(path);
    moco_load_options wanted;
    moco_stage stage;
    moco_weights *weights = NULL;
    MOCO_TRY(moco_load_options_take(&wanted, options));
    MOCO_TRY(moco_load_report_check(report));
    MOCO_TRY(moco_weights_open(&weights, moco_encoder_context(encoder), path));
    moco_status status = moco_stage_read(&stage, weights, encoder, path, &wanted);
    if (status == MOCO_OK) {
        status = moco_stage_write(&stage, encoder);
        if (status == MOCO_OK) status = moco_load_tell(&stage.match, path, &wanted, report);
        moco_stage_release(&stage);
    }
    moco_weights_close(weights);
    return status;
}

moco_status moco_file_metadata(moco_context *context, const char *path, const char *key, char *value, uint64_t capacity,
                               uint64_t *length) {
    MOCO_REQUIRE_POINTER(path);
    MOCO_REQUIRE_POINTER(key);
    MOCO_REQUIRE(value != NULL || capacity == 0, "value is NULL but capacity is %llu", (unsigned long long) capacity);
    moco_safetensors *file = NULL;
    MOCO_TRY(moco_safetensors_open(&file, context, path));
    const char *text = moco_safetensors_metadata(file, key);
    moco_status status = MOCO_OK;
    if (text == NULL) {
        status = moco_fail(MOCO_NOT_FOUND, "%s has no metadata entry \"%s\"", path, key);
    } else {
        const size_t needed = strlen(text);
        if (length != NULL) *length = needed;
        if (needed < capacity) {
            memcpy(value, text, needed + 1);
        } else {
            status = moco_fail(MOCO_INVALID_ARGUMENT, "capacity is %llu; the entry \"%s\" needs %zu",
                               (unsigned long long) capacity, key, needed + 1);
        }
    }
    moco_safetensors_close(file);
    return status;
}
