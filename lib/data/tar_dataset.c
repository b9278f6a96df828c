/* "tar:FILE": the images in uncompressed tars, read in place. "tar:FILE/FOLDER" is that part of it. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/dataset_kinds.h"
#include "data/dataset_splits.h"
#include "data/file_bytes.h"
#include "data/index_cache.h"
#include "data/tar_places.h"
#include "data/tar_scan.h"

/* The tars of one dataset. */
typedef struct tar_set {
    moco_context *context;
    const char *shown; /* all of them in messages */
    moco_tar_places places;
    int descriptor; /* of the only one; -1 where there are several, each of which is opened when it is needed */
    uint64_t size;
} tar_set;

static moco_status open_one(const tar_set *set, int64_t number, int *descriptor, uint64_t *size) {
    const char *path = set->places.items[number].path;
    *descriptor = set->descriptor;
    *size = set->size;
    if (set->descriptor >= 0) return MOCO_OK;
    return moco_file_open(AT_FDCWD, path, path, descriptor, size);
}

static void close_one(const tar_set *set, int descriptor) {
    if (set->descriptor < 0) close(descriptor);
}

/* --- The index --- */

static moco_status scan_all(const tar_set *set, moco_tar_scan *scan) {
    moco_status status = MOCO_OK;
    for (int64_t i = 0; status == MOCO_OK && i < set->places.count; ++i) {
        int descriptor = -1;
        uint64_t size = 0;
        MOCO_TRY(open_one(set, i, &descriptor, &size));
        status = moco_tar_scan_add(scan, set->places.items[i].path, set->places.items[i].inner, descriptor, size, i);
        close_one(set, descriptor);
    }
    return status;
}

static moco_status refuse_empty(const tar_set *set, const moco_tar_scan *scan) {
    if (scan->outside > 0) {
        return moco_fail(MOCO_NOT_FOUND,
                         "%s holds no image that can be used: %lld of its entries have names that lead out of it, such "
                         "as \"%s\"; make it anew from inside the folder (tar -C FOLDER -cf FILE .)",
                         set->shown, (long long) scan->outside, scan->outside_name);
    }
    const char *inner = set->places.items[0].inner;
    return moco_fail(MOCO_NOT_FOUND, "%s holds no image (JPEG, PNG, WebP, TIFF, BMP, PBM, PGM or PPM)%s%s",
                     set->places.items[0].path, inner[0] == '\0' ? "" : " in the folder ", inner);
}

/* Of the root of a data set only the train split. */
static moco_status scan(tar_set *set, moco_image_index *index) {
    moco_tar_scan found;
    moco_tar_scan_init(&found, set->context);
    moco_status status = scan_all(set, &found);
    moco_splits splits = {0};
    if (status == MOCO_OK) moco_splits_find(&splits, &found.images.classes);
    moco_splits_tell(set->context, set->shown, &splits);
    const char *split = moco_train_split_of(&splits);
    if (split != NULL) {
        moco_tar_scan_release(&found);
        moco_tar_scan_init(&found, set->context);
        status = moco_tar_places_enter(&set->places, split);
        if (status == MOCO_OK) status = scan_all(set, &found);
    }
    if (status == MOCO_OK && found.images.count == 0) status = refuse_empty(set, &found);
    if (status == MOCO_OK) status = moco_tar_scan_finish(&found, set->shown, index);
    moco_tar_scan_release(&found);
    return status;
}

/* "tar:" and for each tar its real path, "/" and the folder in it, with "::" between them; to be freed. And a guard for
 * each. */
static moco_status describe_set(const tar_set *set, char **key, moco_index_guards *guards) {
    void *text = NULL;
    size_t capacity = 0, length = 0;
    moco_status status = MOCO_OK;
    for (int64_t i = 0; status == MOCO_OK && i < set->places.count; ++i) {
        char path[PATH_MAX];
        const moco_tar_place *place = &set->places.items[i];
        int descriptor = -1;
        uint64_t size = 0;
        if (realpath(place->path, path) == NULL) status = moco_file_failure("open", place->path);
        const size_t needed = strlen(path) + strlen(place->inner) + 8;
        if (status == MOCO_OK) status = moco_grow(set->context, &text, length, &capacity, length + needed);
        if (status != MOCO_OK) break;
        length +=
            (size_t) snprintf((char *) text + length, needed, "%s%s/%s", i == 0 ? "tar:" : "::", path, place->inner);
        status = open_one(set, i, &descriptor, &size);
        if (status != MOCO_OK) break;
        status = moco_index_guards_add(guards, descriptor, set->descriptor >= 0 ? "" : path, 1);
        close_one(set, descriptor);
    }
    *key = (char *) text;
    return status;
}

/* From the kept index, where there is one that holds, or from the tars. */
static moco_status make_index(tar_set *set, const char *index_file, moco_image_index *index) {
    if (index_file == NULL) return scan(set, index);
    char *key = NULL;
    int32_t loaded = 0;
    moco_index_guards guards;
    moco_index_guards_init(&guards, set->context);
    moco_status status = describe_set(set, &key, &guards);
    if (status == MOCO_OK) {
        status = moco_index_cache_load(set->context, index_file, key, set->descriptor, index, &loaded);
    }
    if (status == MOCO_OK && !loaded) status = scan(set, index);
    if (status == MOCO_OK && !loaded) status = moco_index_cache_save(set->context, index_file, key, &guards, index);
    moco_index_guards_release(&guards);
    moco_deallocate(set->context, key);
    return status;
}

/* --- Opening --- */

/* The tars' real paths, so that they are found wherever the process goes. */
static moco_status keep_paths(const tar_set *set, moco_image_index *index) {
    const size_t count = (size_t) set->places.count;
    if (set->descriptor >= 0) return MOCO_OK;
    char path[PATH_MAX];
    size_t bytes = count * sizeof(char *);
    for (size_t i = 0; i < count; ++i) {
        if (realpath(set->places.items[i].path, path) == NULL) {
            return moco_file_failure("open", set->places.items[i].path);
        }
        bytes += strlen(path) + 1;
    }
    char *block = (char *) moco_allocate(set->context, bytes);
    if (block == NULL) return MOCO_OUT_OF_MEMORY;
    const char **paths = (const char **) (void *) block;
    char *text = block + count * sizeof(char *), *end = block + bytes;
    index->tars = paths;
    index->tar_count = (int64_t) count;
    for (size_t i = 0; i < count; ++i) {
        if (realpath(set->places.items[i].path, path) == NULL || strlen(path) >= (size_t) (end - text)) {
            return moco_fail(MOCO_IO, "cannot open %s: it was moved meanwhile", set->places.items[i].path);
        }
        memcpy(text, path, strlen(path) + 1);
        paths[i] = text;
        text += strlen(path) + 1;
    }
    return MOCO_OK;
}

static moco_status open_set(moco_dataset **out, tar_set *set, const moco_image_options *options) {
    const int64_t start = moco_now_ns();
    char place[MOCO_MAX_NAME + 2]; /* FILE/NAME, which is also how a part of the tar is opened */
    moco_image_index index = {0};
    moco_status status = make_index(set, options->index_file, &index);
    if (status == MOCO_OK) status = keep_paths(set, &index);
    if (status == MOCO_OK) {
        const char *inner = set->places.items[0].inner;
        const int length = (int) strlen(inner);
        snprintf(place, sizeof place, "%s%s%.*s", set->shown, length > 0 ? "/" : "", length > 0 ? length - 1 : 0,
                 inner);
        status = moco_tell_empty_classes(set->context, place, &index);
    }
    if (status == MOCO_OK) {
        moco_log(set->context, MOCO_LOG_INFO, "%s: %lld images in %lld classes, found in %.3f s", set->shown,
                 (long long) index.count, (long long) index.classes, (double) (moco_now_ns() - start) * 1e-9);
        snprintf(place, sizeof place, "%s/", set->places.items[0].path);
        status = moco_indexed_images_create(out, set->context, &options->limits, &index, set->descriptor, place);
    }
    if (status != MOCO_OK) moco_image_index_release(set->context, &index);
    return status;
}

/* Finds the tars, and opens the only one. */
static moco_status begin_set(tar_set *set, moco_context *context, const char *path) {
    *set = (tar_set){.context = context, .shown = path, .places = {.context = context}, .descriptor = -1};
    MOCO_TRY(moco_tar_find_places(&set->places, path));
    if (set->places.count > 1) return MOCO_OK;
    set->shown = set->places.items[0].path;
    return moco_file_open(AT_FDCWD, set->shown, set->shown, &set->descriptor, &set->size);
}

moco_status moco_tar_open(moco_dataset **out, moco_context *context, const char *path,
                          const moco_image_options *options) {
    tar_set set;
    moco_status status = begin_set(&set, context, path);
    if (status == MOCO_OK) status = open_set(out, &set, options);
    if (status != MOCO_OK && set.descriptor >= 0) close(set.descriptor);
    moco_tar_places_release(&set.places);
    return status;
}

moco_status moco_tar_list_folders(moco_context *context, const char *path, moco_class_table *folders) {
    tar_set set;
    moco_tar_scan found;
    moco_tar_scan_init(&found, context);
    found.folders_only = 1;
    moco_status status = begin_set(&set, context, path);
    if (status == MOCO_OK) status = scan_all(&set, &found);
    if (status == MOCO_OK) {
        const moco_class_table swap = *folders;
        *folders = found.images.classes;
        found.images.classes = swap;
    }
    if (set.descriptor >= 0) close(set.descriptor);
    moco_tar_places_release(&set.places);
    moco_tar_scan_release(&found);
    return status;
}
