#include "io/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/number_text.h"
#include "io/utf8.h"

void moco_json_init(moco_json_writer *json, moco_context *context) {
    memset(json, 0, sizeof *json);
    json->context = context;
}

/* --- Bytes --- */

static void append(moco_json_writer *json, const char *bytes, size_t count) {
    if (json->status != MOCO_OK) return;
    if (count > json->capacity - json->length) {
        size_t capacity = json->capacity < 1024 ? 1024 : json->capacity;
        while (capacity - json->length < count) {
            if (capacity > SIZE_MAX / 2) {
                json->status = moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: a JSON text is too long");
                return;
            }
            capacity *= 2;
        }
        char *grown = (char *) moco_allocate(json->context, capacity);
        if (grown == NULL) {
            json->status = MOCO_OUT_OF_MEMORY;
            return;
        }
        if (json->length > 0) memcpy(grown, json->text, json->length);
        moco_deallocate(json->context, json->text);
        json->text = grown;
        json->capacity = capacity;
    }
    memcpy(json->text + json->length, bytes, count);
    json->length += count;
}

void moco_json_raw(moco_json_writer *json, char byte) {
    append(json, &byte, 1);
}

/* --- Structure --- */

static void begin_value(moco_json_writer *json) {
    if (json->after_key) {
        json->after_key = 0;
        return;
    }
    if (json->need_comma[json->depth]) append(json, ",", 1);
    json->need_comma[json->depth] = 1;
}

static void begin_level(moco_json_writer *json, const char *bracket) {
    begin_value(json);
    append(json, bracket, 1);
    if (json->depth + 1 >= MOCO_JSON_MAX_DEPTH) {
        if (json->status == MOCO_OK) {
            json->status = moco_fail(MOCO_INTERNAL, "JSON nested deeper than %d", MOCO_JSON_MAX_DEPTH);
        }
        return;
    }
    json->depth++;
    json->need_comma[json->depth] = 0;
}

static void end_level(moco_json_writer *json, const char *bracket) {
    append(json, bracket, 1);
    if (json->depth > 0) json->depth--;
}

void moco_json_begin_object(moco_json_writer *json) {
    begin_level(json, "{");
}

void moco_json_end_object(moco_json_writer *json) {
    end_level(json, "}");
}

void moco_json_begin_array(moco_json_writer *json) {
    begin_level(json, "[");
}

void moco_json_end_array(moco_json_writer *json) {
    end_level(json, "]");
}

/* --- Values --- */

/* `lossy`: a byte that is not UTF-8 becomes U+FFFD instead of a failure. */
static void quoted(moco_json_writer *json, const char *value, int32_t lossy) {
    append(json, "\"", 1);
    const unsigned char *at = (const unsigned char *) value;
    while (*at != '\0') {
        const size_t length = moco_utf8_length(at, 4);
        if (length == 0 && lossy) {
            append(json, "\xEF\xBF\xBD", 3);
            ++at;
            continue;
        }
        if (length == 0) {
            if (json->status == MOCO_OK) {
                json->status =
                    moco_fail(MOCO_INVALID_ARGUMENT, "a name or text has byte 0x%02x at offset %zu, which is not UTF-8",
                              *at, (size_t) (at - (const unsigned char *) value));
            }
            return;
        }
        if (*at == '"' || *at == '\\') {
            const char escape[2] = {'\\', (char) *at};
            append(json, escape, 2);
        } else if (*at < 0x20) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", *at);
            append(json, escape, 6);
        } else {
            append(json, (const char *) at, length);
        }
        at += length;
    }
    append(json, "\"", 1);
}

void moco_json_key(moco_json_writer *json, const char *key) {
    begin_value(json);
    quoted(json, key, 0);
    append(json, ":", 1);
    json->after_key = 1;
}

void moco_json_string(moco_json_writer *json, const char *value) {
    begin_value(json);
    quoted(json, value, 0);
}

void moco_json_lossy_string(moco_json_writer *json, const char *value) {
    begin_value(json);
    quoted(json, value, 1);
}

void moco_json_integer(moco_json_writer *json, int64_t value) {
    char text[MOCO_NUMBER_TEXT_SIZE];
    snprintf(text, sizeof text, "%" PRId64, value);
    begin_value(json);
    append(json, text, strlen(text));
}

void moco_json_number(moco_json_writer *json, double value) {
    char text[MOCO_NUMBER_TEXT_SIZE] = "null";
    if (isfinite(value)) moco_double_to_text(value, text);
    begin_value(json);
    append(json, text, strlen(text));
}

void moco_json_boolean(moco_json_writer *json, int32_t value) {
    begin_value(json);
    append(json, value ? "true" : "false", value ? 4 : 5);
}

/* --- End --- */

moco_status moco_json_finish(moco_json_writer *json) {
    append(json, "", 1);
    if (json->status == MOCO_OK) json->length--; /* the NUL is not part of the text */
    return json->status;
}

void moco_json_release(moco_json_writer *json) {
    moco_deallocate(json->context, json->text);
    json->text = NULL;
    json->length = json->capacity = 0;
}
