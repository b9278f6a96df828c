/* "filelist:FILE": one image per line, path<TAB>label. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "core/number_text.h"
#include "data/dataset_kinds.h"
#include "data/file_bytes.h"

#define MAX_SHOWN 200 /* bytes of a line in a message */

typedef struct file_list {
    const char *path;
    moco_index_builder builder;
    int64_t line;           /* counted from 1 */
    int64_t first_labelled; /* the line that decides whether labels are numbers or names; 0: none yet */
    int32_t are_numbers;
} file_list;

static moco_status refuse(const file_list *list, const char *what, const char *text, size_t length) {
    const int shown = (int) (length < MAX_SHOWN ? length : MAX_SHOWN);
    return moco_fail(MOCO_FORMAT, "%s, line %lld: %s: \"%.*s\"", list->path, (long long) list->line, what, shown, text);
}

/* 1 and *number where all of the text is a label as a number: 0 to 2^31 - 2, or -1 for none. */
static int32_t number_label(const char *text, size_t length, int32_t *number) {
    char digits[16];
    int64_t value = 0;
    if (length == 0 || length >= sizeof digits) return 0;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!moco_text_to_i64(digits, &value) || value < MOCO_NO_LABEL || value >= INT32_MAX) return 0;
    *number = (int32_t) value;
    return 1;
}

static moco_status read_label(file_list *list, const char *text, size_t length, int32_t *label) {
    int32_t number = MOCO_NO_LABEL;
    const int32_t is_number = number_label(text, length, &number);
    if (list->first_labelled == 0) {
        list->first_labelled = list->line;
        list->are_numbers = is_number;
    }
    if (!list->are_numbers) return moco_class_table_add(&list->builder.classes, text, length, label);
    if (!is_number) {
        return moco_fail(
            MOCO_FORMAT,
            "%s, line %lld: the label \"%.*s\" is no number from 0 to %d (or -1 for none), as that of line "
            "%lld is",
            list->path, (long long) list->line, (int) (length < MAX_SHOWN ? length : MAX_SHOWN), text, INT32_MAX - 1,
            (long long) list->first_labelled);
    }
    *label = number;
    return MOCO_OK;
}

static moco_status read_line(file_list *list, const char *text, size_t length) {
    if (length > 0 && text[length - 1] == '\r') --length;
    if (length == 0) return MOCO_OK;
    if (memchr(text, '\0', length) != NULL) return refuse(list, "there is a NUL byte", text, length);
    const char *tab = (const char *) memchr(text, '\t', length);
    const size_t path_length = tab == NULL ? length : (size_t) (tab - text);
    int32_t label = MOCO_NO_LABEL;
    if (path_length == 0) return refuse(list, "the path before the tab is missing", text, length);
    if (path_length >= MOCO_MAX_NAME) return refuse(list, "the path is too long", text, length);
    if (tab != NULL) {
        const size_t label_length = length - path_length - 1;
        if (memchr(tab + 1, '\t', label_length) != NULL) {
            return refuse(list, "there is a second tab; a line is path<TAB>label", text, length);
        }
        if (label_length > 0) MOCO_TRY(read_label(list, tab + 1, label_length, &label));
    }
    return moco_index_builder_add(&list->builder, text, path_length, label);
}

static moco_status read_lines(file_list *list, const char *text, size_t size) {
    const char *end = text + size;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3; /* a byte order mark */
    while (text < end) {
        const char *newline = (const char *) memchr(text, '\n', (size_t) (end - text));
        const size_t length = (size_t) ((newline == NULL ? end : newline) - text);
        list->line++;
        MOCO_TRY(read_line(list, text, length));
        text += length + 1;
    }
    if (list->builder.count == 0) return moco_fail(MOCO_FORMAT, "%s names no image", list->path);
    return MOCO_OK;
}

static moco_status read_list(moco_context *context, const char *path, moco_image_index *index) {
    int descriptor = -1;
    uint64_t size = 0;
    MOCO_TRY(moco_file_open(AT_FDCWD, path, path, &descriptor, &size));
    char *text = NULL;
    moco_status status = MOCO_OK;
    if (size > SIZE_MAX / 2) status = moco_fail(MOCO_FORMAT, "%s is too large", path);
    if (status == MOCO_OK) {
        text = (char *) moco_allocate(context, (size_t) size);
        status = text == NULL ? MOCO_OUT_OF_MEMORY : moco_file_read(descriptor, text, (size_t) size, 0, path);
    }
    close(descriptor);
    file_list list = {.path = path};
    moco_index_builder_init(&list.builder, context);
    if (status == MOCO_OK) status = read_lines(&list, text, (size_t) size);
    moco_deallocate(context, text);
    if (status == MOCO_OK) status = moco_index_builder_finish(&list.builder, 0, index);
    moco_index_builder_release(&list.builder);
    return status;
}

moco_status moco_filelist_open(moco_dataset **out, moco_context *context, const char *path,
                               const moco_image_options *options) {
    MOCO_REQUIRE(options->index_file == NULL,
                 "index_file is \"%.200s\"; a file list is read as it is, only folder: and tar: have an index to keep",
                 options->index_file);
    char place[MOCO_MAX_NAME]; /* the list's folder, to which its paths are relative */
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : (size_t) (slash - path) + 1;
    MOCO_REQUIRE(length < sizeof place, "the list's path has %zu bytes; that is too long", strlen(path));
    memcpy(place, path, length);
    place[length] = '\0';
    moco_image_index index = {0};
    MOCO_TRY(read_list(context, path, &index));
    const int descriptor = open(length == 0 ? "." : place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    moco_status status = descriptor < 0 ? moco_file_failure("open the folder of", path) : MOCO_OK;
    if (status == MOCO_OK) {
        status = moco_indexed_images_create(out, context, &options->limits, &index, descriptor, place);
    }
    if (status != MOCO_OK) {
        moco_image_index_release(context, &index);
        if (descriptor >= 0) close(descriptor);
    }
    return status;
}
