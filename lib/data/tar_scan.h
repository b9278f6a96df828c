/* From tars to an index of their images. */
#ifndef MOCO_TAR_SCAN_H
#define MOCO_TAR_SCAN_H

#include "data/label_text.h"
#include "data/tar_part.h"

/* All tars of one dataset. Starts with moco_tar_scan_init. */
typedef struct moco_tar_scan {
    moco_context *context;
    int32_t folders_only;      /* the classes by folders are asked for, and nothing else is read or told */
    moco_index_builder images; /* its classes are those by folders */
    moco_class_table label_names;
    moco_label_reader labels; /* of samples */
    int64_t labelled;         /* images that have one of these */
    int64_t outside;          /* entries whose names lead out of the tar */
    char outside_name[256];   /* one of them */
    int64_t complaints;       /* about samples' labels */
    int32_t told_json;        /* that .json can't be read */
    moco_left_out left_out;
    char first_label[256]; /* the entry that decides whether labels are numbers or names */
} moco_tar_scan;

void moco_tar_scan_init(moco_tar_scan *scan, moco_context *context);
void moco_tar_scan_release(moco_tar_scan *scan);

/* Adds the images of the open tar `descriptor` below `inner`, in their order; `number` is its place among the tars. */
moco_status moco_tar_scan_add(moco_tar_scan *scan, const char *path, const char *inner, int descriptor, uint64_t size,
                              int64_t number);
/* Gives the images of a part the labels of their samples. */
moco_status moco_tar_read_labels(moco_tar_scan *scan, moco_tar_part *part);
/* Labels are those of the samples where there is one, else the folders; `shown` is what the log calls the tars. */
moco_status moco_tar_scan_finish(moco_tar_scan *scan, const char *shown, moco_image_index *index);

#endif
