/* "filelist:FILE": a list of images, in one of the forms of list_reader.c. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/dataset_kinds.h"
#include "data/file_bytes.h"
#include "data/label_text.h"
#include "data/list_reader.h"

#define MAX_SHOWN    200 /* bytes of a label or path in a message */
#define FIRST_IMAGES 16  /* that are looked for at once */

static moco_status refuse_label(const moco_list_reader *list, const moco_list_row *row, int64_t first_labelled) {
    const int shown = (int) (row->label_length < MAX_SHOWN ? row->label_length : MAX_SHOWN);
    char why[64] = "; a class's name is no number with a sign, nor several numbers";
    if (first_labelled != row->line) {
        snprintf(why, sizeof why, ", as that of line %lld is", (long long) first_labelled);
    }
    return moco_fail(MOCO_FORMAT, "%s, line %lld: the label \"%.*s\" is no number from 0 to %d (or -1 for none)%s",
                     list->shown, (long long) row->line, shown, row->label, MOCO_LARGEST_LABEL, why);
}

static moco_status add_rows(moco_list_reader *list, moco_index_builder *builder) {
    moco_label_reader labels = {.classes = &builder->classes};
    int64_t first_labelled = 0;
    for (;;) {
        moco_list_row row;
        int32_t found = 0, fits = 1, label = MOCO_NO_LABEL;
        MOCO_TRY(moco_list_next(list, &row, &found));
        if (!found) break;
        if (row.label_length > 0) {
            MOCO_TRY(moco_label_read(&labels, row.label, row.label_length, &label, &fits));
            if (first_labelled == 0) first_labelled = row.line;
            if (!fits) return refuse_label(list, &row, first_labelled);
        }
        MOCO_TRY(moco_index_builder_add(builder, row.path, row.path_length, label));
    }
    if (builder->count == 0) return moco_fail(MOCO_FORMAT, "%s names no image", list->shown);
    return MOCO_OK;
}

static moco_status read_text(moco_context *context, const char *path, char *text, size_t size,
                             moco_index_builder *builder) {
    moco_list_reader list;
    moco_list_notes notes;
    MOCO_TRY(moco_list_begin(&list, text, size, path, &notes));
    MOCO_TRY(add_rows(&list, builder));
    if (notes.columns[0] != '\0') moco_log(context, MOCO_LOG_INFO, "%s: %s", path, notes.columns);
    if (notes.warning[0] != '\0') moco_log(context, MOCO_LOG_WARNING, "%s: %s", path, notes.warning);
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
    moco_index_builder builder;
    moco_index_builder_init(&builder, context);
    if (status == MOCO_OK) status = read_text(context, path, text, (size_t) size, &builder);
    moco_deallocate(context, text);
    if (status == MOCO_OK) status = moco_index_builder_finish(&builder, 0, index);
    moco_index_builder_release(&builder);
    return status;
}

/* Paths that are relative to something else, and names without their ending, are the commonest mistakes: where none of
 * the first images is there, a warning says it at once. */
static void tell_missing(moco_context *context, const char *path, const moco_image_index *index, int descriptor) {
    const int64_t tried = index->count < FIRST_IMAGES ? index->count : FIRST_IMAGES;
    for (int64_t i = 0; i < tried; ++i) {
        if (faccessat(descriptor, index->names + index->name_at[i], F_OK, 0) == 0) return;
    }
    moco_log(
        context, MOCO_LOG_WARNING,
        "%s: none of the first %lld images is there, such as \"%.*s\"; paths are relative to the list's folder, and "
        "names have their ending",
        path, (long long) tried, MAX_SHOWN, index->names + index->name_at[0]);
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
        tell_missing(context, path, &index, descriptor);
        status = moco_indexed_images_create(out, context, &options->limits, &index, descriptor, place);
    }
    if (status != MOCO_OK) {
        moco_image_index_release(context, &index);
        if (descriptor >= 0) close(descriptor);
    }
    return status;
}
