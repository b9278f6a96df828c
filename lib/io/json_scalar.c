#include "io/json_scalar.h"

#include <stdio.h>
#include <string.h>

#ifdef MOCO_HAVE_JANSSON
#include <jansson.h>

static moco_status copy_scalar(const json_t *member, const char *key, char *value, size_t capacity, size_t *length) {
    char digits[32];
    const char *text = digits;
    if (json_is_string(member)) {
        text = json_string_value(member);
    } else if (json_is_integer(member)) {
        snprintf(digits, sizeof digits, "%lld", (long long) json_integer_value(member));
    } else {
        return moco_fail(MOCO_FORMAT, "its \"%s\" is neither a whole number nor a text", key);
    }
    const size_t bytes = strlen(text);
    if (bytes >= capacity) {
        return moco_fail(MOCO_FORMAT, "its \"%s\" has %zu bytes, more than %zu", key, bytes, capacity - 1);
    }
    memcpy(value, text, bytes + 1);
    *length = bytes;
    return MOCO_OK;
}

moco_status moco_json_find_scalar(const char *json, size_t size, const char *const *keys, int32_t key_count,
                                  char *value, size_t capacity, size_t *length) {
    json_error_t error = {0};
    moco_status status = MOCO_OK;
    *length = 0;
    json_t *object = json_loadb(json, size, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL && json_error_code(&error) == json_error_out_of_memory) {
        return moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: a JSON text of %zu bytes", size);
    }
    if (object == NULL) return moco_fail(MOCO_FORMAT, "it is no JSON: %s (byte %d)", error.text, error.position);
    if (!json_is_object(object)) {
        status = moco_fail(MOCO_FORMAT, "it is no JSON object");
    }
    for (int32_t i = 0; status == MOCO_OK && i < key_count; ++i) {
        const json_t *member = json_object_get(object, keys[i]);
        if (member == NULL || json_is_null(member)) continue;
        status = copy_scalar(member, keys[i], value, capacity, length);
        break;
    }
    json_decref(object);
    return status;
}

#else /* without Jansson */

moco_status moco_json_find_scalar(const char *json, size_t size, const char *const *keys, int32_t key_count,
                                  char *value, size_t capacity, size_t *length) {
    (void) json;
    (void) size;
    (void) keys;
    (void) key_count;
    (void) value;
    (void) capacity;
    *length = 0;
    return moco_fail(MOCO_UNSUPPORTED, "this libmoco was built without Jansson, which reads JSON (MOCO_WITH_JANSSON)");
}

#endif
