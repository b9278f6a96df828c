/* "folder:DIR": the images below a folder. */
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
#include "data/folder_scan.h"

static moco_status scan(moco_context *context, int descriptor, const char *folder, moco_index_guards *guards,
                        moco_image_index *index) {
    moco_index_builder builder;
    moco_index_builder_init(&builder, context);
    moco_status status = moco_folder_scan(context, descriptor, folder, &builder, guards);
    if (status == MOCO_OK) status = moco_index_builder_finish(&builder, 0, index);
    moco_index_builder_release(&builder);
    return status;
}

/* From the kept index, where there is one that holds, or from the folder. */
static moco_status make_index(moco_context *context, int descriptor, const char *folder, const char *index_file,
                              moco_image_index *index) {
    char key[PATH_MAX + 16] = "folder:";
    int32_t loaded = 0;
    if (index_file != NULL) {
        if (realpath(folder, key + strlen(key)) == NULL) return moco_file_failure("open", folder);
        MOCO_TRY(moco_index_cache_load(context, index_file, key, descriptor, index, &loaded));
        if (loaded) return MOCO_OK;
    }
    moco_index_guards guards;
    moco_index_guards_init(&guards, context);
    moco_status status = scan(context, descriptor, folder, &guards, index);
    if (status == MOCO_OK && index_file != NULL && index->count > 0) {
        status = moco_index_cache_save(context, index_file, key, &guards, index);
    }
    moco_index_guards_release(&guards);
    return status;
}

static moco_status open_folder(moco_dataset **out, moco_context *context, const char *folder,
                               const moco_image_options *options) {
    char place[MOCO_MAX_NAME];
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') --length;
    MOCO_REQUIRE(length + 2 <= sizeof place, "the folder's path has %zu bytes; that is too long", length);
    memcpy(place, folder, length);
    memcpy(place + length, "/", 2);
    if (folder[length - 1] == '/') place[length] = '\0';
    const int64_t start = moco_now_ns();

    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return moco_file_failure("open the folder", folder);
    moco_image_index index = {0};
    moco_status status = make_index(context, descriptor, folder, options->index_file, &index);
    if (status == MOCO_OK && index.count == 0) {
        status = moco_fail(MOCO_NOT_FOUND, "the folder %s holds no image (JPEG, PNG, WebP, TIFF, BMP, PBM, PGM or PPM)",
                           folder);
    }
    if (status == MOCO_OK) status = moco_tell_empty_classes(context, folder, &index);
    if (status == MOCO_OK) {
        moco_log(context, MOCO_LOG_INFO, "%s: %lld images in %lld classes, found in %.3f s", folder,
                 (long long) index.count, (long long) index.classes, (double) (moco_now_ns() - start) * 1e-9);
        status = moco_indexed_images_create(out, context, &options->limits, &index, descriptor, place);
    }
    if (status != MOCO_OK) {
        moco_image_index_release(context, &index);
        close(descriptor);
    }
    return status;
}

/* Of the root of a data set only the train split. */
moco_status moco_folder_open(moco_dataset **out, moco_context *context, const char *folder,
                             const moco_image_options *options) {
    moco_splits splits = {0};
    moco_splits_find_in(&splits, folder);
    moco_splits_tell(context, folder, &splits);
    const char *split = moco_train_split_of(&splits);
    if (split == NULL) return open_folder(out, context, folder, options);
    const size_t length = strlen(folder), capacity = length + strlen(split) + 2;
    char *inner = (char *) moco_allocate(context, capacity);
    if (inner == NULL) return MOCO_OUT_OF_MEMORY;
    snprintf(inner, capacity, "%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", split);
    const moco_status status = open_folder(out, context, inner, options);
    moco_deallocate(context, inner);
    return status;
}
