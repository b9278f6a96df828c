/* Where the test images of a training set are, by the customs of its kind. */
#include <stdio.h>
#include <string.h>

#include "data/dataset_internal.h"

static int32_t is_of_kind(const char *description, const char *kind) {
    const size_t length = strlen(kind);
    return strncmp(description, kind, length) == 0 && (description[length] == ':' || description[length] == '\0');
}

/* SET/train: SET/val or SET/test, where there is one. `text` has room for it. */
static moco_status open_sibling(moco_dataset **out, moco_context *context, const char *description, char *text,
                                size_t capacity) {
    static const char *const names[] = {"val", "test"};
    static const char train[] = "/train";
    size_t length = strlen(description);
    while (length > 0 && description[length - 1] == '/') --length;
    if (length < strlen(train) || strncmp(description + length - strlen(train), train, strlen(train)) != 0) {
        return MOCO_OK;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        snprintf(text, capacity, "%.*s/%s", (int) (length - strlen(train)), description, names[i]);
        const moco_status status = moco_dataset_open(out, context, text);
        if (status != MOCO_NOT_FOUND) return status;
    }
    return MOCO_OK;
}

static moco_status open_test(moco_dataset **out, moco_context *context, const char *description,
                             int64_t synthetic_count, char *text, size_t capacity) {
    const char *rest = strchr(description, ':');
    if (is_of_kind(description, "folder") || is_of_kind(description, "tar")) {
        return open_sibling(out, context, description, text, capacity);
    }
    if (is_of_kind(description, "synthetic")) {
        const char *separator = rest == NULL ? ":" : rest[1] == '\0' ? "" : ",";
        snprintf(text, capacity, "%s%ssplit=test,count=%lld", description, separator, (long long) synthetic_count);
    } else if (is_of_kind(description, "cifar10") || is_of_kind(description, "cifar100")) {
        const int length = (int) (rest == NULL ? strlen(description) : (size_t) (rest - description));
        snprintf(text, capacity, "%.*s-test%s", length, description, rest == NULL ? "" : rest);
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
