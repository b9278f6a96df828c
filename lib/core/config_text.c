/* One field of a configuration as text, and back. */
#include <inttypes.h>
#include <math.h>
#include <moco/names.h>
#include <stdio.h>
#include <string.h>

#include "core/config_fields.h"
#include "core/number_text.h"

#define SEPARATOR '/'

static size_t element_bytes(int32_t kind) {
    switch (kind) {
    case MOCO_FIELD_TEXT:
        return sizeof(const char *);
    case MOCO_FIELD_ENUM:
    case MOCO_FIELD_ENUM_LIST:
    case MOCO_FIELD_I32:
        return sizeof(int32_t);
    default:
        return sizeof(int64_t); /* and double, uint64_t */
    }
}

size_t moco_config_field_bytes(const moco_config_field *field) {
    const size_t bytes = element_bytes(field->kind) * (size_t) (field->length > 0 ? field->length : 1);
    return bytes + (field->count > 0 ? sizeof(int32_t) : 0);
}

static int32_t load_i32(const void *address) {
    int32_t value;
    memcpy(&value, address, sizeof value);
    return value;
}

static double load_double(const void *address) {
    double value;
    memcpy(&value, address, sizeof value);
    return value;
}

/* --- To text --- */

static moco_status enum_text(const moco_config_field *field, const char *key, int32_t value, const char **text) {
    *text = moco_enum_name(field->enum_kind, value);
    MOCO_REQUIRE(*text != NULL, "%s is %d, which is no %s", key, value, field->enum_kind);
    return MOCO_OK;
}

static moco_status double_text(const char *key, double value, char text[MOCO_NUMBER_TEXT_SIZE]) {
    MOCO_REQUIRE(isfinite(value), "%s is %g; it must be finite", key, value);
    if (fabs(value) < 1e15 && value == floor(value)) {
        snprintf(text, MOCO_NUMBER_TEXT_SIZE, "%.0f", value); /* 200, not 2e+02 */
    } else {
        moco_double_to_text(value, text);
    }
    return MOCO_OK;
}

static moco_status list_length(const moco_config_field *field, const char *key, const char *config, int32_t *length) {
    *length = field->length;
    if (field->kind == MOCO_FIELD_ENUM_LIST) {
        *length = 0;
        while (*length < field->length && load_i32(config + field->offset + 4 * (size_t) *length) != 0) ++*length;
    } else if (field->count > 0) {
        *length = load_i32(config + field->count);
        MOCO_REQUIRE(*length >= 0 && *length <= field->length, "%s has %d entries; it must have 0 to %d", key, *length,
                     field->length);
    }
    return MOCO_OK;
}

static moco_status list_text(const moco_config_field *field, const char *key, const char *config, char *buffer) {
    int32_t length;
    size_t used = 0;
    MOCO_TRY(list_length(field, key, config, &length));
    *buffer = '\0';
    for (int32_t i = 0; i < length; ++i) {
        char number[MOCO_NUMBER_TEXT_SIZE];
        const char *entry = number;
        const char *address = config + field->offset + element_bytes(field->kind) * (size_t) i;
        if (field->kind == MOCO_FIELD_ENUM_LIST) {
            MOCO_TRY(enum_text(field, key, load_i32(address), &entry));
        } else {
            MOCO_TRY(double_text(key, load_double(address), number));
        }
        used += (size_t) snprintf(buffer + used, MOCO_FIELD_TEXT_SIZE - used, i == 0 ? "%s" : "/%s", entry);
    }
    return MOCO_OK;
}

moco_status moco_config_field_text(const moco_config_field *field, const char *key, const void *config,
                                   char buffer[MOCO_FIELD_TEXT_SIZE], const char **text) {
    const char *address = (const char *) config + field->offset;
    *text = buffer;
    switch (field->kind) {
    case MOCO_FIELD_TEXT:
        memcpy(text, address, sizeof *text);
        MOCO_REQUIRE(*text != NULL, "%s is NULL; it must be a string", key);
        return MOCO_OK;
    case MOCO_FIELD_ENUM:
        return enum_text(field, key, load_i32(address), text);
    case MOCO_FIELD_I32:
        snprintf(buffer, MOCO_FIELD_TEXT_SIZE, "%" PRId32, load_i32(address));
        return MOCO_OK;
    case MOCO_FIELD_I64: {
        int64_t value;
        memcpy(&value, address, sizeof value);
        snprintf(buffer, MOCO_FIELD_TEXT_SIZE, "%" PRId64, value);
        return MOCO_OK;
    }
    case MOCO_FIELD_U64: {
        uint64_t value;
        memcpy(&value, address, sizeof value);
        snprintf(buffer, MOCO_FIELD_TEXT_SIZE, "%" PRIu64, value);
        return MOCO_OK;
    }
    case MOCO_FIELD_F64:
        return double_text(key, load_double(address), buffer);
    default:
        return list_text(field, key, (const char *) config, buffer);
    }
}

/* --- From text --- */

static moco_status read_enum(const moco_config_field *field, const char *key, const char *text, void *value) {
    int32_t number;
    if (moco_enum_value(field->enum_kind, text, &number) != MOCO_OK) {
        return moco_fail(MOCO_INVALID_ARGUMENT, "%s: %s", key, moco_last_error());
    }
    MOCO_REQUIRE(field->kind == MOCO_FIELD_ENUM || number != 0, "%s has \"%.64s\" as an entry; leave it out", key,
                 text);
    memcpy(value, &number, sizeof number);
    return MOCO_OK;
}

static moco_status read_double(const moco_config_field *field, const char *key, const char *text, void *value) {
    double number;
    char range[80] = "";
    if (!isfinite(field->most)) {
        if (isfinite(field->least)) snprintf(range, sizeof range, " of at least %g", field->least);
    } else {
        snprintf(range, sizeof range, " from %g to %g", field->least, field->most);
    }
    MOCO_REQUIRE(moco_text_to_double(text, &number) && number >= field->least && number <= field->most,
                 "%s is \"%.64s\"; it must be a number%s", key, text, range);
    memcpy(value, &number, sizeof number);
    return MOCO_OK;
}

static moco_status read_integer(const moco_config_field *field, const char *key, const char *text, void *value) {
    int64_t number;
    MOCO_REQUIRE(moco_text_to_i64(text, &number) && (double) number >= field->least && (double) number <= field->most,
                 "%s is \"%.64s\"; it must be a whole number from %.16g to %.16g", key, text, field->least,
                 field->most);
    const int32_t narrow = (int32_t) number;
    if (field->kind == MOCO_FIELD_I32) {
        memcpy(value, &narrow, sizeof narrow);
    } else {
        memcpy(value, &number, sizeof number);
    }
    return MOCO_OK;
}

static moco_status read_u64(const char *key, const char *text, void *value) {
    uint64_t number;
    MOCO_REQUIRE(moco_text_to_u64(text, &number), "%s is \"%.64s\"; it must be a whole number from 0 to 2^64 - 1", key,
                 text);
    memcpy(value, &number, sizeof number);
    return MOCO_OK;
}

/* All entries go into `values` first, so that a wrong one changes nothing. */
static moco_status read_list(const moco_config_field *field, const char *key, const char *text, char *config) {
    double values[MOCO_FIELD_TEXT_SIZE / 8] = {0}; /* room for the longest list, zeros after the last entry */
    const size_t bytes = element_bytes(field->kind);
    int32_t length = 0;
    const char *entry = text;
    while (*text != '\0' && entry != NULL) {
        const char *end = strchr(entry, SEPARATOR);
        const size_t entry_length = end == NULL ? strlen(entry) : (size_t) (end - entry);
        char single[64];
        MOCO_REQUIRE(length < field->length, "%s is \"%.64s\"; it must have at most %d entries with / between them",
                     key, text, field->length);
        MOCO_REQUIRE(entry_length < sizeof single, "%s has the entry \"%.64s...\", which is longer than any that fits",
                     key, entry);
        memcpy(single, entry, entry_length);
        single[entry_length] = '\0';
        void *value = (char *) values + bytes * (size_t) length++;
        if (field->kind == MOCO_FIELD_ENUM_LIST) {
            MOCO_TRY(read_enum(field, key, single, value));
        } else {
            MOCO_TRY(read_double(field, key, single, value));
        }
        entry = end == NULL ? NULL : end + 1;
    }
    const int32_t any_length = field->count > 0 || field->kind == MOCO_FIELD_ENUM_LIST;
    MOCO_REQUIRE(any_length || length == field->length, "%s is \"%.64s\"; it must have %d entries with / between them",
                 key, text, field->length);
    memcpy(config + field->offset, values, bytes * (size_t) field->length);
    if (field->count > 0) memcpy(config + field->count, &length, sizeof length);
    return MOCO_OK;
}

moco_status moco_config_set_field(const moco_config_field *field, const char *key, const char *text, void *config) {
    char *address = (char *) config + field->offset;
    switch (field->kind) {
    case MOCO_FIELD_TEXT:
        memcpy(address, &text, sizeof text);
        return MOCO_OK;
    case MOCO_FIELD_ENUM:
        return read_enum(field, key, text, address);
    case MOCO_FIELD_I32:
    case MOCO_FIELD_I64:
        return read_integer(field, key, text, address);
    case MOCO_FIELD_U64:
        return read_u64(key, text, address);
    case MOCO_FIELD_F64:
        return read_double(field, key, text, address);
    default:
        return read_list(field, key, text, (char *) config);
    }
}
