/* How a dataset is opened again, from wherever that is asked for. */
#define _POSIX_C_SOURCE 200809L
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "data/dataset_internal.h"

/* The path[length] behind the current folder, unless it is absolute; at *end, which moves on. */
static void append_path(char **end, const char *folder, const char *path, size_t length) {
    if (path[0] != '/') {
        const size_t folder_length = strlen(folder);
        memcpy(*end, folder, folder_length);
        *end += folder_length;
        if (folder_length > 1) *(*end)++ = '/';
        if (length > 2 && path[0] == '.' && path[1] == '/') path += 2, length -= 2;
    }
    memcpy(*end, path, length);
    *end += length;
    **end = '\0';
}

moco_status moco_dataset_describe(moco_dataset *dataset, const char *description, const char *path) {
    char folder[PATH_MAX];
    if (path == NULL || getcwd(folder, sizeof folder) == NULL) {
        dataset->description = moco_duplicate_string(dataset->context, description);
        return dataset->description == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    }
    /* "::" is between several tars; in one that is called so, it is a part of its name. */
    const int32_t has_several = strncmp(description, "tar:", 4) == 0 && access(path, F_OK) != 0;
    size_t parts = 1;
    for (const char *at = path; has_several && (at = strstr(at, "::")) != NULL; at += 2) parts++;
    const size_t kind = (size_t) (path - description);
    char *text = (char *) moco_allocate(dataset->context, strlen(description) + parts * (strlen(folder) + 1) + 1);
    if (text == NULL) return MOCO_OUT_OF_MEMORY;
    char *end = text + kind;
    memcpy(text, description, kind);
    for (const char *part = path; part != NULL;) {
        const char *separator = has_several ? strstr(part, "::") : NULL;
        append_path(&end, folder, part, separator == NULL ? strlen(part) : (size_t) (separator - part));
        if (separator != NULL) {
            memcpy(end, "::", 3);
            end += 2;
        }
        part = separator == NULL ? NULL : separator + 2;
    }
    dataset->description = text;
    return MOCO_OK;
}

const char *moco_dataset_description(const moco_dataset *dataset) {
    return dataset == NULL ? NULL : dataset->description;
}
