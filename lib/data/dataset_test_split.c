/* Where the test images of a training set are, by the customs of its kind. */
#include <stdio.h>
#include <string.h>

#include "data/dataset_internal.h"
#include "data/dataset_kinds.h"
#include "data/dataset_splits.h"

static int32_t is_of_kind(const char *description, const char *kind) {
    const size_t length = strlen(kind);
    return strncmp(description, kind, length) == 0 && (description[length] == ':' || description[length] == '\0');
}

/* The first test split that there is of those behind `prefix`, the first `length` bytes of the description; in the case
 * of letters that it was found in. */
static moco_status open_split(moco_dataset **out, moco_context *context, const char *description, int64_t length,
                              const char *separator, const moco_splits *splits, char *text, size_t capacity) {
    for (int i = 0; i < MOCO_TEST_SPLITS; ++i) {
        const char *name = splits->test[i][0] != '\0' ? splits->test[i] : moco_test_splits[i];
        snprintf(text, capacity, "%.*s%s%s", (int) length, description, separator, name);
        const moco_status status = moco_dataset_open(out, context, text);
        if (status != MOCO_NOT_FOUND) return status;
    }
    return MOCO_OK;
}

static moco_status look_into_tar(moco_context *context, const char *path, moco_splits *splits) {
    moco_class_table folders = {.context = context};
    const moco_status status = moco_tar_list_folders(context, path, &folders);
    if (status == MOCO_OK) moco_splits_find(splits, &folders);
    moco_class_table_release(&folders);
    return status == MOCO_NOT_FOUND ? MOCO_OK : status;
}

/* Beside SET/train, or in the root of a data set. `text` has room for both. */
static moco_status open_sibling(moco_dataset **out, moco_context *context, const char *description, const char *path,
                                char *text, size_t capacity) {
    const int64_t at = moco_train_split_at(path), length = at < 0 ? (int64_t) strlen(path) : at;
    const int32_t is_folder = is_of_kind(description, "folder");
    moco_splits splits = {0};
    snprintf(text, capacity, "%.*s", (int) length, path);
    if (is_folder) {
        moco_splits_find_in(&splits, length == 0 ? "." : text);
    } else if (length > 0 && strstr(path, "::") == NULL) {
        MOCO_TRY(look_into_tar(context, text, &splits));
    }
    if (at < 0 && moco_train_split_of(&splits) == NULL) return MOCO_OK;
    return open_split(out, context, description, (int64_t) (path - description) + length, at < 0 ? "/" : "", &splits,
                      text, capacity);
}

/* The CIFAR sets come as folders from which the test batch may have been left out. */
static moco_status open_cifar_test(moco_dataset **out, moco_context *context, const char *description, int32_t kind) {
    const char *path = strchr(description, ':');
    const moco_status status = moco_dataset_open(out, context, description);
    if (status != MOCO_NOT_FOUND || path == NULL || !moco_cifar_can_train(kind, path + 1)) return status;
    moco_log(context, MOCO_LOG_WARNING, "%s: there are no test images: %s", description, moco_last_error());
    return MOCO_OK;
}

static moco_status open_test(moco_dataset **out, moco_context *context, const char *description,
                             int64_t synthetic_count, char *text, size_t capacity) {
    const char *rest = strchr(description, ':');
    if (is_of_kind(description, "folder") || is_of_kind(description, "tar")) {
        if (rest == NULL || rest[1] == '\0') return MOCO_OK;
        return open_sibling(out, context, description, rest + 1, text, capacity);
    }
    if (is_of_kind(description, "synthetic")) {
        const char *separator = rest == NULL ? ":" : rest[1] == '\0' ? "" : ",";
        snprintf(text, capacity, "%s%ssplit=test,count=%lld", description, separator, (long long) synthetic_count);
    } else if (is_of_kind(description, "cifar10") || is_of_kind(description, "cifar100")) {
        const int length = (int) (rest == NULL ? strlen(description) : (size_t) (rest - description));
        snprintf(text, capacity, "%.*s-test%s", length, description, rest == NULL ? "" : rest);
        return open_cifar_test(out, context, text, is_of_kind(description, "cifar10") ? 0 : 2);
    } else {
        return MOCO_OK;
    }
    return moco_dataset_open(out, context, text);
}

moco_status moco_dataset_open_test(moco_dataset **out, moco_context *context, const char *description,
                                   int64_t synthetic_count) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    MOCO_REQUIRE_POINTER(description);
    MOCO_REQUIRE(synthetic_count >= 1, "synthetic_count is %lld; it must be at least 1", (long long) synthetic_count);
    const size_t length = strlen(description);
    MOCO_REQUIRE(length <= INT32_MAX / 2, "description has %zu characters, more than any path", length);
    const size_t capacity = length + 64; /* for what the longest custom adds */
    char *text = (char *) moco_allocate(context, capacity);
    if (text == NULL) return MOCO_OUT_OF_MEMORY;
    moco_dataset *found = NULL;
    const moco_status status = open_test(&found, context, description, synthetic_count, text, capacity);
    moco_deallocate(context, text);
    if (status == MOCO_OK) *out = found;
    return status;
}
