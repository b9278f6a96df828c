/* One value out of a small JSON object. */
#ifndef MOCO_IO_JSON_SCALAR_H
#define MOCO_IO_JSON_SCALAR_H

#include <stddef.h>

#include "core/status_internal.h"

/* The value of the first of `keys` that the object json[size] has and that is not null, as text in value[capacity]: a
 * whole number in decimal, or a string; *length is 0 where it has none. FORMAT: it is no JSON object, the value is
 * something else or has more than capacity - 1 bytes; UNSUPPORTED: built without Jansson; OUT_OF_MEMORY. */
moco_status moco_json_find_scalar(const char *json, size_t size, const char *const *keys, int32_t key_count,
                                  char *value, size_t capacity, size_t *length);

#endif
