/* The kinds that moco_dataset_open() chooses from. */
#ifndef MOCO_DATASET_KINDS_H
#define MOCO_DATASET_KINDS_H

#include <moco/dataset.h>

#include "core/status_internal.h"

/* `keys`: "key=value,..." or empty. */
moco_status moco_synthetic_open(moco_dataset **out, moco_context *context, const char *keys);

enum { MOCO_CIFAR_KINDS = 4 };
extern const char *const moco_cifar_kind_names[MOCO_CIFAR_KINDS];
moco_status moco_cifar_open(moco_dataset **out, moco_context *context, int32_t kind, const char *folder);

#endif
