/* Writing JSON (RFC 8259) into memory. Calls don't fail one by one: the first failure is kept, later calls do nothing,
 * and moco_json_finish() tells it.
 */
#ifndef MOCO_IO_JSON_WRITER_H
#define MOCO_IO_JSON_WRITER_H

#include "core/context_internal.h"

#define MOCO_JSON_MAX_DEPTH 16

typedef struct moco_json_writer {
    moco_context *context;
    char *text; /* not NUL-terminated before moco_json_finish() */
    size_t length;
    size_t capacity;
    int32_t depth;
    int32_t need_comma[MOCO_JSON_MAX_DEPTH]; /* at each depth: a value has been written */
    int32_t after_key;
    moco_status status;
} moco_json_writer;

void moco_json_init(moco_json_writer *json, moco_context *context);
void moco_json_begin_object(moco_json_writer *json);
void moco_json_end_object(moco_json_writer *json);
void moco_json_begin_array(moco_json_writer *json);
void moco_json_end_array(moco_json_writer *json);
void moco_json_key(moco_json_writer *json, const char *key);
/* Fails with INVALID_ARGUMENT where `value` is not valid UTF-8, which JSON demands. */
void moco_json_string(moco_json_writer *json, const char *value);
/* The same, with U+FFFD for each byte that is not UTF-8. */
void moco_json_lossy_string(moco_json_writer *json, const char *value);
void moco_json_integer(moco_json_writer *json, int64_t value);
/* With as many digits as it takes to read the same value back; null for NaN and infinities, which JSON lacks. */
void moco_json_number(moco_json_writer *json, double value);
void moco_json_boolean(moco_json_writer *json, int32_t value);
/* One byte as it is, for padding after the last value. */
void moco_json_raw(moco_json_writer *json, char byte);

/* The status of all calls; on success `text` is NUL-terminated and `length` long. */
moco_status moco_json_finish(moco_json_writer *json);
/* Frees the text. */
void moco_json_release(moco_json_writer *json);

#endif
