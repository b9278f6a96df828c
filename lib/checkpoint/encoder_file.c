/* Writing encoders as safetensors files: torchvision's names for the tensors, the configuration in the metadata. */
#include <stdio.h>
#include <string.h>

#include "backend/backend_chain.h"
#include "checkpoint/encoder_file.h"
#include "core/checked.h"
#include "core/config_fields.h"
#include "encoder/encoder_internal.h"
#include "io/safetensors.h"

#define MEAN_SUFFIX    ".running_mean"
#define TRACKED_SUFFIX ".num_batches_tracked"

/* --- What a file keeps of the configuration --- */

const moco_config_field *moco_encoder_file_field(int32_t *place) {
    const moco_config_section *encoder = &moco_config_sections[MOCO_CONFIG_ENCODER];
    while (*place < encoder->count && encoder->fields[*place].of_run) ++*place;
    return *place < encoder->count ? &encoder->fields[(*place)++] : NULL;
}

void moco_encoder_file_key(const moco_config_field *field, char key[MOCO_ENCODER_KEY_SIZE]) {
    snprintf(key, MOCO_ENCODER_KEY_SIZE, "moco.%s", field->name);
}

/* --- BatchNorm's num_batches_tracked: one int64 scalar beside each running_mean --- */

size_t moco_mean_prefix(const char *name) {
    const size_t length = strlen(name);
    const size_t suffix = strlen(MEAN_SUFFIX);
    return length > suffix && strcmp(name + length - suffix, MEAN_SUFFIX) == 0 ? length - suffix : 0;
}

char *moco_tracked_name(moco_context *context, const char *name, size_t prefix) {
    const size_t bytes = prefix + sizeof TRACKED_SUFFIX;
    char *tracked = (char *) moco_allocate(context, bytes);
    if (tracked == NULL) return NULL;
    memcpy(tracked, name, prefix);
    memcpy(tracked + prefix, TRACKED_SUFFIX, sizeof TRACKED_SUFFIX);
    return tracked;
}

/* --- Saving --- */

typedef struct saving {
    const moco_encoder *encoder;
    moco_context *context;
    int64_t trackers; /* the first entries are the counters, whose 8 bytes want to be aligned; then the parameters */
    int64_t count;
    moco_safetensors_entry *entries;
    char **tracked_names; /* [trackers] */
    int64_t metadata_count;
    const char **keys;
    const char **values;
    char (*own_keys)[MOCO_ENCODER_KEY_SIZE]; /* one for each field of the configuration, as the texts */
    char (*texts)[MOCO_FIELD_TEXT_SIZE];
} saving;

static moco_status fill_tensor(int64_t index, void *values, void *user) {
    const saving *work = (const saving *) user;
    if (index >= work->trackers) {
        return moco_encoder_read_parameter(work->encoder, index - work->trackers, (float *) values);
    }
    const int64_t batches = moco_encoder_batches_tracked(work->encoder);
    memcpy(values, &batches, sizeof batches);
    return MOCO_OK;
}

static moco_status list_tensors(saving *work) {
    const moco_parameter_table *table = moco_encoder_parameters(work->encoder);
    int64_t trackers = 0;
    for (int64_t i = 0; i < table->count; ++i) trackers += moco_mean_prefix(table->items[i].name) > 0;
    work->entries = (moco_safetensors_entry *) moco_allocate_zeroed(work->context, (size_t) (table->count + trackers),
                                                                    sizeof *work->entries);
    work->tracked_names = (char **) moco_allocate_zeroed(work->context, (size_t) trackers, sizeof *work->tracked_names);
    if (work->entries == NULL || work->tracked_names == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < table->count; ++i) {
        const size_t prefix = moco_mean_prefix(table->items[i].name);
        if (prefix == 0) continue;
        char *name = moco_tracked_name(work->context, table->items[i].name, prefix);
        if (name == NULL) return MOCO_OUT_OF_MEMORY;
        work->tracked_names[work->trackers] = name;
        work->entries[work->trackers].name = name;
        work->entries[work->trackers].dtype = MOCO_SAFETENSORS_I64;
        work->trackers++;
    }
    work->count = work->trackers;
    for (int64_t i = 0; i < table->count; ++i) {
        moco_safetensors_entry *entry = &work->entries[work->count++];
        entry->name = table->items[i].name;
        entry->dtype = MOCO_SAFETENSORS_F32;
        entry->rank = table->items[i].rank;
        memcpy(entry->dims, table->items[i].dims, sizeof table->items[i].dims);
    }
    return MOCO_OK;
}

static moco_status list_metadata(saving *work, const char *const *keys, const char *const *values, int64_t count) {
    const size_t fields = (size_t) moco_config_sections[MOCO_CONFIG_ENCODER].count;
    const size_t most = fields + 1 + (size_t) count;
    work->keys = (const char **) moco_allocate_zeroed(work->context, most, sizeof *work->keys);
    work->values = (const char **) moco_allocate_zeroed(work->context, most, sizeof *work->values);
    work->own_keys = moco_allocate_zeroed(work->context, fields, sizeof *work->own_keys);
    work->texts = moco_allocate_zeroed(work->context, fields, sizeof *work->texts);
    if (work->keys == NULL || work->values == NULL || work->own_keys == NULL || work->texts == NULL) {
        return MOCO_OUT_OF_MEMORY;
    }
    work->keys[0] = "format"; /* what PyTorch's reader looks for */
    work->values[0] = "pt";
    work->metadata_count = 1;
    const moco_encoder_config *config = moco_encoder_configuration(work->encoder);
    int32_t place = 0;
    const moco_config_field *field;
    for (int32_t i = 0; config != NULL && (field = moco_encoder_file_field(&place)) != NULL; ++i) {
        moco_encoder_file_key(field, work->own_keys[i]);
        work->keys[work->metadata_count] = work->own_keys[i];
        MOCO_TRY(
            moco_config_field_text(field, field->name, config, work->texts[i], &work->values[work->metadata_count]));
        work->metadata_count++;
    }
    for (int64_t i = 0; i < count; ++i) {
        MOCO_REQUIRE(keys[i] != NULL && values[i] != NULL, "keys[%lld] or values[%lld] is NULL; both must be strings",
                     (long long) i, (long long) i);
        work->keys[work->metadata_count] = keys[i];
        work->values[work->metadata_count++] = values[i];
    }
    return MOCO_OK;
}

/* What a reader would refuse is not written. Only a run that has exploded, or a caller's own network, has such values. */
static moco_status check_values(const saving *work) {
    const moco_parameter_table *table = moco_encoder_parameters(work->encoder);
    for (int64_t i = 0; i < table->count; ++i) {
        int32_t finite = 1;
        int64_t first = 0;
        MOCO_TRY(moco_all_finite(work->context, &table->items[i].value, &finite, &first));
        if (finite) continue;
        return moco_fail(MOCO_INVALID_STATE,
                         "element %lld of %s is not finite, so the encoder is not saved: nothing could open it, and "
                         "what the path holds is likely of more use",
                         (long long) first, table->items[i].name);
    }
    return MOCO_OK;
}

moco_status moco_encoder_save(const moco_encoder *encoder, const char *path, const char *const *keys,
                              const char *const *values, int64_t count) {
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE_POINTER(path);
    MOCO_REQUIRE(count >= 0 && count <= MOCO_SAFETENSORS_MAX_HEADER, "count is %lld; it must be 0 to %d",
                 (long long) count, MOCO_SAFETENSORS_MAX_HEADER);
    MOCO_REQUIRE(count == 0 || (keys != NULL && values != NULL),
                 "keys or values is NULL but count is %lld; both must hold count strings", (long long) count);
    saving work = {.encoder = encoder, .context = moco_encoder_context(encoder)};
    MOCO_TRY(check_values(&work));
    moco_status status = list_tensors(&work);
    if (status == MOCO_OK) status = list_metadata(&work, keys, values, count);
    if (status == MOCO_OK) {
        status = moco_safetensors_write(work.context, path, work.entries, work.count, work.keys, work.values,
                                        work.metadata_count, fill_tensor, &work);
    }
    for (int64_t i = 0; i < work.trackers; ++i) moco_deallocate(work.context, work.tracked_names[i]);
    moco_deallocate(work.context, (void *) work.tracked_names);
    moco_deallocate(work.context, work.entries);
    moco_deallocate(work.context, (void *) work.keys);
    moco_deallocate(work.context, (void *) work.values);
    moco_deallocate(work.context, work.own_keys);
    moco_deallocate(work.context, work.texts);
    return status;
}
