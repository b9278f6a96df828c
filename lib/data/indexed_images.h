/* The dataset over an index of image files: in folders, by a list, or in a tar. */
#ifndef MOCO_INDEXED_IMAGES_H
#define MOCO_INDEXED_IMAGES_H

#include "data/dataset_internal.h"
#include "data/image_index.h"

/* How a kind that holds encoded images is opened. */
typedef struct moco_image_options {
    moco_image_limits limits;
    const char *index_file; /* NULL: the index is not kept */
} moco_image_options;

/* `descriptor` is the folder that names are relative to, or the tar. `place` is what stands before a name in messages,
 * such as "DIR/". Takes over `index` (left empty) and `descriptor`; on failure both are still the caller's. */
moco_status moco_indexed_images_create(moco_dataset **out, moco_context *context, const moco_image_limits *limits,
                                       moco_image_index *index, int descriptor, const char *place);

#endif
