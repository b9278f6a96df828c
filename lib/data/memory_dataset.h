/* What the file readers use of the memory dataset. */
#ifndef MOCO_MEMORY_DATASET_H
#define MOCO_MEMORY_DATASET_H

#include <moco/dataset.h>

#include "core/status_internal.h"

/* A memory dataset of uint8 images [count x 3 x h x w] that owns both arrays, which came from moco_allocate(context).
 * On failure they are still the caller's. */
moco_status moco_memory_dataset_adopt(moco_dataset **out, moco_context *context, uint8_t *pixels, int32_t *labels,
                                      int64_t count, int64_t h, int64_t w);

#endif
