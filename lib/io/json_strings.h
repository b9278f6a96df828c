/* Reading a JSON array of strings. */
#ifndef MOCO_IO_JSON_STRINGS_H
#define MOCO_IO_JSON_STRINGS_H

#include "core/context_internal.h"

/* The strings of `text`, one behind the other, each with its NUL: *strings, to be freed with moco_deallocate, has `bytes`
 * bytes and `count` strings. FORMAT, with a sentence that begins "is ...": `text` is no array of strings, or one of them
 * holds a NUL. */
moco_status moco_json_parse_strings(moco_context *context, const char *text, char **strings, size_t *bytes,
                                    int64_t *count);

#endif
