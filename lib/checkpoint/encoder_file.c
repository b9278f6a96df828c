/* Encoders as safetensors files: torchvision's names for the tensors, the configuration in the metadata. */
#include <stdio.h>
#include <string.h>

#include "core/checked.h"
#include "core/config_fields.h"
#include "encoder/encoder_internal.h"
#include "io/safetensors.h"

#define MEAN_SUFFIX    ".running_mean"
#define TRACKED_SUFFIX ".num_batches_tracked"

/* --- The configuration as metadata: "moco." and the name of each field of moco_encoder_config --- */

#define KEY_SIZE    64
#define MOST_FIELDS 32

/* The fields that a file keeps, in their order; how many. */
static int32_t list_fields(const moco_config_field *fields[MOST_FIELDS]) {
    const moco_config_section *encoder = &moco_config_sections[MOCO_CONFIG_ENCODER];
    int32_t count = 0;
    for (int32_t i = 0; i < encoder->count && count < MOST_FIELDS; ++i) {
        if (!encoder->fields[i].of_run) fields[count++] = &encoder->fields[i];
    }
    return count;
}

static void metadata_key(const moco_config_field *field, char key[KEY_SIZE]) {
    snprintf(key, KEY_SIZE, "moco.%s", field->name);
}

/* --- BatchNorm's num_batches_tracked: one int64 scalar beside each running_mean --- */

/* Where MEAN_SUFFIX begins in `name`; 0 if it does not end so. */
static size_t mean_prefix(const char *name) {
    const size_t length = strlen(name);
    const size_t suffix = strlen(MEAN_SUFFIX);
    return length > suffix && strcmp(name + length - suffix, MEAN_SUFFIX) == 0 ? length - suffix : 0;
}

/* The name of the counter beside the running_mean `name`, to be freed; NULL without memory. */
static char *tracked_name(moco_context *context, const char *name, size_t prefix) {
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
    char (*own_keys)[KEY_SIZE]; /* [MOST_FIELDS], as are the texts */
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
    for (int64_t i = 0; i < table->count; ++i) trackers += mean_prefix(table->items[i].name) > 0;
    work->entries = (moco_safetensors_entry *) moco_allocate_zeroed(work->context, (size_t) (table->count + trackers),
                                                                    sizeof *work->entries);
    work->tracked_names = (char **) moco_allocate_zeroed(work->context, (size_t) trackers, sizeof *work->tracked_names);
    if (work->entries == NULL || work->tracked_names == NULL) return MOCO_OUT_OF_MEMORY;
    for (int64_t i = 0; i < table->count; ++i) {
        const size_t prefix = mean_prefix(table->items[i].name);
        if (prefix == 0) continue;
        char *name = tracked_name(work->context, table->items[i].name, prefix);
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
    const moco_config_field *fields[MOST_FIELDS];
    const size_t most = MOST_FIELDS + 1 + (size_t) count;
    work->keys = (const char **) moco_allocate_zeroed(work->context, most, sizeof *work->keys);
    work->values = (const char **) moco_allocate_zeroed(work->context, most, sizeof *work->values);
    work->own_keys = moco_allocate_zeroed(work->context, MOST_FIELDS, sizeof *work->own_keys);
    work->texts = moco_allocate_zeroed(work->context, MOST_FIELDS, sizeof *work->texts);
    if (work->keys == NULL || work->values == NULL || work->own_keys == NULL || work->texts == NULL) {
        return MOCO_OUT_OF_MEMORY;
    }
    work->keys[0] = "format"; /* what PyTorch's reader looks for */
    work->values[0] = "pt";
    work->metadata_count = 1;
    const moco_encoder_config *config = moco_encoder_configuration(work->encoder);
    const int32_t field_count = config == NULL ? 0 : list_fields(fields);
    for (int32_t i = 0; i < field_count; ++i) {
        metadata_key(fields[i], work->own_keys[i]);
        work->keys[work->metadata_count] = work->own_keys[i];
        MOCO_TRY(moco_config_field_text(fields[i], fields[i]->name, config, work->texts[i],
                                        &work->values[work->metadata_count]));
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

moco_status moco_encoder_save(const moco_encoder *encoder, const char *path, const char *const *keys,
                              const char *const *values, int64_t count) {
    MOCO_REQUIRE_POINTER(encoder);
    MOCO_REQUIRE_POINTER(path);
    MOCO_REQUIRE(count >= 0 && count <= MOCO_SAFETENSORS_MAX_HEADER, "count is %lld; it must be 0 to %d",
                 (long long) count, MOCO_SAFETENSORS_MAX_HEADER);
    MOCO_REQUIRE(count == 0 || (keys != NULL && values != NULL),
                 "keys or values is NULL but count is %lld; both must hold count strings", (long long) count);
    saving work = {.encoder = encoder, .context = moco_encoder_context(encoder)};
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

/* --- Opening --- */

static moco_status read_configuration(const moco_safetensors *file, const char *path, moco_encoder_config *config) {
    MOCO_TRY(moco_encoder_config_init(config, sizeof *config));
    const moco_config_field *fields[MOST_FIELDS];
    const int32_t count = list_fields(fields);
    for (int32_t i = 0; i < count; ++i) {
        char key[KEY_SIZE];
        metadata_key(fields[i], key);
        const char *text = moco_safetensors_metadata(file, key);
        if (text == NULL) {
            return moco_fail(MOCO_NOT_FOUND,
                             "%s has no metadata entry %s: it was not written by moco_encoder_save from a built-in "
                             "network",
                             path, key);
        }
        if (moco_config_set_field(fields[i], key, text, config) != MOCO_OK) {
            return moco_fail(MOCO_FORMAT, "%s: the metadata entry %s", path, moco_last_error());
        }
    }
    return MOCO_OK;
}

static void shape_text(const int64_t *dims, int32_t rank, char *text, size_t capacity) {
    size_t used = (size_t) snprintf(text, capacity, "[");
    for (int32_t i = 0; i < rank && used < capacity; ++i) {
        used += (size_t) snprintf(text + used, capacity - used, i == 0 ? "%lld" : ", %lld", (long long) dims[i]);
    }
    if (used < capacity) snprintf(text + used, capacity - used, "]");
}

static moco_status find_tensor(const moco_safetensors *file, const char *path, const char *name, int32_t dtype,
                               int32_t rank, const int64_t *dims, int64_t *index) {
    *index = moco_safetensors_find(file, name);
    if (*index < 0) return moco_fail(MOCO_NOT_FOUND, "%s has no tensor \"%s\"", path, name);
    const moco_safetensors_entry *entry = moco_safetensors_get(file, *index);
    if (entry->dtype != dtype) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" is %s; it must be %s", path, name,
                         moco_safetensors_dtype_name(entry->dtype), moco_safetensors_dtype_name(dtype));
    }
    if (entry->rank != rank || (rank > 0 && memcmp(entry->dims, dims, (size_t) rank * sizeof *dims) != 0)) {
        char found[192];
        char wanted[192];
        shape_text(entry->dims, entry->rank, found, sizeof found);
        shape_text(dims, rank, wanted, sizeof wanted);
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" has shape %s; this encoder's is %s", path, name, found,
                         wanted);
    }
    return MOCO_OK;
}

static moco_status load_parameter(moco_encoder *encoder, const moco_safetensors *file, const char *path, int64_t index,
                                  float *values) {
    const moco_parameter *item = &moco_encoder_parameters(encoder)->items[index];
    int64_t place;
    MOCO_TRY(find_tensor(file, path, item->name, MOCO_SAFETENSORS_F32, item->rank, item->dims, &place));
    MOCO_TRY(moco_safetensors_read(file, place, values));
    const moco_status status = moco_encoder_write_parameter(encoder, index, values);
    if (status == MOCO_INVALID_ARGUMENT) {
        return moco_fail(MOCO_FORMAT, "%s: tensor \"%s\" holds a value that is not finite", path, item->name);
    }
    return status;
}

/* All counters of a file agree, since every forward advances them together: the last one counts. */
static moco_status load_tracked(moco_encoder *encoder, const moco_safetensors *file, const char *path,
                                const char *mean_name, size_t prefix) {
    char *name = tracked_name(moco_encoder_context(encoder), mean_name, prefix);
    if (name == NULL) return MOCO_OUT_OF_MEMORY;
    int64_t place;
    int64_t batches = 0;
    moco_status status = find_tensor(file, path, name, MOCO_SAFETENSORS_I64, 0, NULL, &place);
    if (status == MOCO_OK) status = moco_safetensors_read(file, place, &batches);
    if (status == MOCO_OK && batches < 0) {
        status = moco_fail(MOCO_FORMAT, "%s: \"%s\" is %lld; it must be at least 0", path, name, (long long) batches);
    }
    if (status == MOCO_OK) status = moco_encoder_set_batches_tracked(encoder, batches);
    moco_deallocate(moco_encoder_context(encoder), name);
    return status;
}

static moco_status load_tensors(moco_encoder *encoder, const moco_safetensors *file, const char *path) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    int64_t largest = 0;
    int64_t expected = table->count;
    for (int64_t i = 0; i < table->count; ++i) largest = moco_max_i64(largest, table->items[i].elements);
    size_t bytes;
    MOCO_TRY(moco_checked_bytes(largest, sizeof(float), "the largest parameter", &bytes));
    float *values = (float *) moco_allocate(moco_encoder_context(encoder), bytes);
    if (values == NULL) return MOCO_OUT_OF_MEMORY;
    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < table->count && status == MOCO_OK; ++i) {
        status = load_parameter(encoder, file, path, i, values);
        const size_t prefix = mean_prefix(table->items[i].name);
        if (status == MOCO_OK && prefix > 0) {
            status = load_tracked(encoder, file, path, table->items[i].name, prefix);
            expected++;
        }
    }
    moco_deallocate(moco_encoder_context(encoder), values);
    if (status == MOCO_OK && moco_safetensors_count(file) > expected) {
        moco_log(moco_encoder_context(encoder), MOCO_LOG_WARNING,
                 "%s has %lld tensors that its encoder does not use; they are ignored", path,
                 (long long) (moco_safetensors_count(file) - expected));
    }
    return status;
}

moco_status moco_encoder_open(moco_encoder **out, moco_context *context, const char *path) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(path);
    moco_safetensors *file = NULL;
    moco_encoder *encoder = NULL;
    moco_encoder_config config;
    MOCO_TRY(moco_safetensors_open(&file, context, path));
    moco_status status = read_configuration(file, path, &config);
    if (status == MOCO_OK) {
        status = moco_encoder_create(&encoder, context, &config);
        if (status == MOCO_INVALID_ARGUMENT) {
            status = moco_fail(MOCO_FORMAT, "%s holds a configuration that is none: %s", path, moco_last_error());
        }
    }
    if (status == MOCO_OK) status = load_tensors(encoder, file, path);
    moco_safetensors_close(file);
    if (status != MOCO_OK) {
        moco_encoder_destroy(encoder);
        return status;
    }
    *out = encoder;
    return MOCO_OK;
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
