/* "tar:FILE": the images in an uncompressed tar, read in place. "tar:FILE/FOLDER" is that part of it. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/dataset_kinds.h"
#include "data/file_bytes.h"
#include "data/index_cache.h"
#include "data/tar_reader.h"

#define PATH_SIZE MOCO_MAX_NAME

typedef struct tar_place {
    char path[PATH_SIZE];  /* of the tar file */
    char inner[PATH_SIZE]; /* the folder inside, "" or with '/' at its end */
    int descriptor;
    uint64_t size;
} tar_place;

/* --- Which images --- */

/* Without "./" and empty parts: "/./a//b" -> "a/b". A folder keeps its '/' at the end. */
static size_t simplify_name(char *name) {
    const char *from = name;
    char *to = name;
    while (*from != '\0') {
        const size_t length = strcspn(from, "/");
        const int32_t has_slash = from[length] == '/';
        if (length > 0 && !(length == 1 && from[0] == '.')) {
            memmove(to, from, length + (size_t) has_slash);
            to += length + (size_t) has_slash;
        }
        from += length + (size_t) has_slash;
    }
    *to = '\0';
    return (size_t) (to - name);
}

/* Hidden as in a folder: any part begins with a dot. */
static int32_t is_hidden(const char *name) {
    return name[0] == '.' || strstr(name, "/.") != NULL;
}

static moco_status add_entry(moco_index_builder *builder, const tar_place *place, moco_tar_entry *entry,
                             int64_t *others) {
    simplify_name(entry->name);
    const size_t skipped = strlen(place->inner);
    if (strncmp(entry->name, place->inner, skipped) != 0) return MOCO_OK;
    const char *name = entry->name + skipped;
    if (*name == '\0' || is_hidden(name)) return MOCO_OK;
    /* A folder is a class even if it holds no image, so that tar: and folder: agree. */
    int32_t label = MOCO_NO_LABEL;
    const char *slash = strchr(name, '/');
    const size_t length = strlen(name);
    if (slash != NULL) MOCO_TRY(moco_class_table_add(&builder->classes, name, (size_t) (slash - name), &label));
    if (slash == NULL && entry->kind == MOCO_TAR_FOLDER) {
        return moco_class_table_add(&builder->classes, name, length, &label);
    }
    if (entry->kind == MOCO_TAR_OTHER) ++*others;
    if (entry->kind != MOCO_TAR_FILE) return MOCO_OK;
    if (!moco_has_image_name(name, length) && !moco_has_image_signature(entry->first, entry->first_size)) {
        return MOCO_OK;
    }
    MOCO_TRY(moco_index_builder_add(builder, entry->name, skipped + length, label));
    builder->entries[builder->count - 1].data_at = entry->data_at;
    builder->entries[builder->count - 1].data_size = entry->data_size;
    return MOCO_OK;
}

static moco_status scan_entries(moco_context *context, const tar_place *place, moco_index_builder *builder) {
    moco_tar_entry *entry = (moco_tar_entry *) moco_allocate(context, sizeof *entry);
    if (entry == NULL) return MOCO_OUT_OF_MEMORY;
    moco_tar_reader reader;
    int64_t others = 0;
    int32_t found = 0;
    moco_tar_read_file(&reader, place->descriptor, place->size, place->path);
    moco_status status;
    do {
        status = moco_tar_next(&reader, entry, &found);
        if (status == MOCO_OK && found) status = add_entry(builder, place, entry, &others);
    } while (status == MOCO_OK && found);
    moco_deallocate(context, entry);
    if (status == MOCO_OK && reader.ended == MOCO_TAR_NO_END_MARK) {
        moco_log(context, MOCO_LOG_WARNING, "%s has no end mark: it may have been cut short after a whole entry",
                 place->path);
    }
    if (status == MOCO_OK && others > 0) {
        moco_log(context, MOCO_LOG_INFO, "%s: %lld links, sparse files and the like are skipped", place->path,
                 (long long) others);
    }
    return status;
}

static moco_status scan(moco_context *context, const tar_place *place, moco_image_index *index) {
    moco_index_builder builder;
    moco_index_builder_init(&builder, context);
    moco_status status = scan_entries(context, place, &builder);
    if (status == MOCO_OK) status = moco_index_builder_sort(&builder);
    if (status == MOCO_OK) status = moco_index_builder_finish(&builder, 1, index);
    moco_index_builder_release(&builder);
    return status;
}

/* From the kept index, where there is one that holds, or from the tar. */
static moco_status make_index(moco_context *context, const tar_place *place, const char *index_file,
                              moco_image_index *index) {
    char key[PATH_MAX + PATH_SIZE + 16] = "tar:";
    int32_t loaded = 0;
    if (index_file == NULL) return scan(context, place, index);
    if (realpath(place->path, key + strlen(key)) == NULL) return moco_file_failure("open", place->path);
    strcat(key, "/");
    strcat(key, place->inner);
    MOCO_TRY(moco_index_cache_load(context, index_file, key, place->descriptor, index, &loaded));
    if (loaded) return MOCO_OK;
    moco_index_guards guards;
    moco_index_guards_init(&guards, context);
    moco_status status = moco_index_guards_add(&guards, place->descriptor, "", 1);
    if (status == MOCO_OK) status = scan(context, place, index);
    if (status == MOCO_OK && index->count > 0) {
        status = moco_index_cache_save(context, index_file, key, &guards, index);
    }
    moco_index_guards_release(&guards);
    return status;
}

/* --- Opening --- */

/* The file is the longest beginning of `text` that is one; the rest is the folder in it. */
static moco_status find_file(const char *text, tar_place *place) {
    struct stat info;
    size_t length = strlen(text);
    MOCO_REQUIRE(length + 2 <= sizeof place->path, "the tar's path has %zu bytes; that is too long", length);
    memcpy(place->path, text, length + 1);
    while (stat(place->path, &info) != 0 || !S_ISREG(info.st_mode)) {
        char *slash = strrchr(place->path, '/');
        if (slash == NULL || slash == place->path) break;
        *slash = '\0';
    }
    length = strlen(place->path);
    if (stat(place->path, &info) != 0 || !S_ISREG(info.st_mode)) { /* then the message is about all of it */
        memcpy(place->path, text, strlen(text) + 1);
        length = strlen(text);
    }
    memcpy(place->inner, text + length, strlen(text + length) + 1);
    length = simplify_name(place->inner);
    if (length > 0 && place->inner[length - 1] != '/') memcpy(place->inner + length, "/", 2);
    return moco_file_open(AT_FDCWD, place->path, place->path, &place->descriptor, &place->size);
}

static moco_status open_place(moco_dataset **out, moco_context *context, const tar_place *place,
                              const moco_image_options *options) {
    char shown[PATH_SIZE + 2]; /* FILE/NAME, which is also how a part of the tar is opened */
    const int64_t start = moco_now_ns();
    moco_image_index index = {0};
    moco_status status = make_index(context, place, options->index_file, &index);
    if (status == MOCO_OK && index.count == 0) {
        status = moco_fail(MOCO_NOT_FOUND, "%s holds no image (JPEG, PNG or WebP)%s%s", place->path,
                           place->inner[0] == '\0' ? "" : " in the folder ", place->inner);
    }
    if (status == MOCO_OK) {
        moco_log(context, MOCO_LOG_INFO, "%s: %lld images in %lld classes, found in %.3f s", place->path,
                 (long long) index.count, (long long) index.classes, (double) (moco_now_ns() - start) * 1e-9);
        snprintf(shown, sizeof shown, "%s/", place->path);
        status = moco_indexed_images_create(out, context, &options->limits, &index, place->descriptor, shown);
    }
    if (status != MOCO_OK) moco_image_index_release(context, &index);
    return status;
}

moco_status moco_tar_open(moco_dataset **out, moco_context *context, const char *path,
                          const moco_image_options *options) {
    tar_place *place = (tar_place *) moco_allocate(context, sizeof *place);
    if (place == NULL) return MOCO_OUT_OF_MEMORY;
    place->descriptor = -1;
    moco_status status = find_file(path, place);
    if (status == MOCO_OK) status = open_place(out, context, place, options);
    if (status != MOCO_OK && place->descriptor >= 0) close(place->descriptor);
    moco_deallocate(context, place);
    return status;
}
