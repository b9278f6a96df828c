/* What one tar holds, while it is looked through. */
#ifndef MOCO_TAR_PART_H
#define MOCO_TAR_PART_H

#include "data/image_index.h"
#include "data/left_out.h"
#include "data/tar_reader.h"

/* Starts with moco_tar_part_init. */
typedef struct moco_tar_part {
    moco_context *context;
    const char *path;  /* of the tar, in messages */
    const char *inner; /* only what is below is taken; "" or with '/' at its end */
    int descriptor;
    uint64_t size;
    moco_class_table *folders; /* the classes by folders, of all tars */
    moco_index_builder images; /* names are those in the tar, with `inner`; labels are numbers in `folders` */
    /* Files that may have the label of a sample: the sample's key, with data_at and data_size. */
    moco_index_builder cls, json;
    int64_t links;
    moco_left_out left_out;
} moco_tar_part;

/* Where a file's bytes are. */
typedef struct moco_tar_data {
    uint64_t at, size;
    int32_t is_image; /* by its first bytes */
} moco_tar_data;

void moco_tar_part_init(moco_tar_part *part, moco_context *context, moco_class_table *folders);
void moco_tar_part_release(moco_tar_part *part);
/* Forgets what was added. */
void moco_tar_part_clear(moco_tar_part *part);

/* Whether `name` is below the folder that is taken, and no part of it is hidden. */
int32_t moco_tar_part_has(const moco_tar_part *part, const char *name);
/* A file or folder of a simple name that the part has. A folder of the first level is a class even if it holds no
 * image, so that tar: and folder: agree. */
moco_status moco_tar_part_add_file(moco_tar_part *part, const char *name, const moco_tar_data *data);
moco_status moco_tar_part_add_folder(moco_tar_part *part, const char *name);

/* The part again, with links followed as folder: follows them in a file system that holds the tar's content alone: to
 * files and folders of the tar, each folder once below one class, so that circles end. What leads elsewhere is named in
 * the log and left out. */
moco_status moco_tar_follow_links(moco_tar_part *part);

#endif
