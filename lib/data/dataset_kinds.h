/* The kinds that moco_dataset_open() chooses from. */
#ifndef MOCO_DATASET_KINDS_H
#define MOCO_DATASET_KINDS_H

#include "data/indexed_images.h"

/* `keys`: "key=value,..." or empty. */
moco_status moco_synthetic_open(moco_dataset **out, moco_context *context, const char *keys);

enum { MOCO_CIFAR_KINDS = 4 };
extern const char *const moco_cifar_kind_names[MOCO_CIFAR_KINDS];
moco_status moco_cifar_open(moco_dataset **out, moco_context *context, int32_t kind, const char *folder);
/* Whether training images of the kind's set are there. */
int32_t moco_cifar_can_train(int32_t kind, const char *folder);

/* Encoded images. The path is not empty. */
moco_status moco_folder_open(moco_dataset **out, moco_context *context, const char *folder,
                             const moco_image_options *options);
moco_status moco_filelist_open(moco_dataset **out, moco_context *context, const char *path,
                               const moco_image_options *options);
moco_status moco_tar_open(moco_dataset **out, moco_context *context, const char *path,
                          const moco_image_options *options);

/* The folders of the first level that a tar: description's path has, into an empty table of this context. */
moco_status moco_tar_list_folders(moco_context *context, const char *path, moco_class_table *folders);

#endif
