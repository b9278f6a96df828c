/* The class names that a model's file keeps. */
#include <moco/export_model.h>
#include <string.h>

#include "checkpoint/model_metadata.h"
#include "io/json_strings.h"
#include "io/safetensors.h"

moco_status moco_file_class_names(moco_context *context, const char *path, char *names, uint64_t capacity,
                                  uint64_t *length, int64_t *count) {
    MOCO_REQUIRE_POINTER(path);
    MOCO_REQUIRE_POINTER(count);
    MOCO_REQUIRE(names != NULL || capacity == 0, "names is NULL but capacity is %llu", (unsigned long long) capacity);
    moco_safetensors *file = NULL;
    char *strings = NULL;
    size_t bytes = 0;
    int64_t found = 0;
    MOCO_TRY(moco_safetensors_open(&file, context, path));
    const char *text = moco_safetensors_metadata(file, MOCO_CLASS_NAMES_KEY);
    moco_status status = text == NULL ? moco_fail(MOCO_NOT_FOUND, "%s keeps no class names", path)
                                      : moco_json_parse_strings(context, text, &strings, &bytes, &found);
    if (status == MOCO_FORMAT) {
        status = moco_fail(MOCO_FORMAT, "%s: the metadata entry " MOCO_CLASS_NAMES_KEY " %s", path, moco_last_error());
    }
    moco_safetensors_close(file);
    MOCO_TRY(status);
    if (capacity == 0 || bytes <= capacity) {
        if (capacity > 0 && bytes > 0) memcpy(names, strings, bytes);
        if (length != NULL) *length = bytes;
        *count = found;
    } else {
        status = moco_fail(MOCO_INVALID_ARGUMENT, "capacity is %llu; the class names of %s need %zu bytes",
                           (unsigned long long) capacity, path, bytes);
    }
    moco_deallocate(context, strings);
    return status;
}
