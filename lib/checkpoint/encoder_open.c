/* Opening encoders' files, and reading their metadata. */
#include <stdio.h>
#include <string.h>

#include "checkpoint/encoder_file.h"
#include "core/checked.h"
#include "encoder/encoder_internal.h"
#include "io/safetensors.h"

static moco_status read_configuration(const moco_safetensors *file, const char *path, moco_encoder_config *config) {
    MOCO_TRY(moco_encoder_config_init(config, sizeof *config));
    int32_t place = 0;
    for (const moco_config_field *field; (field = moco_encoder_file_field(&place)) != NULL;) {
        char key[MOCO_ENCODER_KEY_SIZE];
        moco_encoder_file_key(field, key);
        const char *text = moco_safetensors_metadata(file, key);
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
    char *name = moco_tracked_name(moco_encoder_context(encoder), mean_name, prefix);
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
        const size_t prefix = moco_mean_prefix(table->items[i].name);
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
