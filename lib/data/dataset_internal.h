/* A dataset's inside: a small table of functions that each kind fills in. */
#ifndef MOCO_DATASET_INTERNAL_H
#define MOCO_DATASET_INTERNAL_H

#include <moco/dataset.h>

#include "core/context_internal.h"

typedef struct moco_dataset_ops {
    moco_status (*info)(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w, int32_t *label);
    moco_status (*read)(const moco_dataset *dataset, int64_t index, float *pixels);
    void (*destroy)(moco_dataset *dataset); /* the kind's own state only */
} moco_dataset_ops;

struct moco_dataset {
    atomic_int references;
    moco_context *context;
    const moco_dataset_ops *ops;
    void *state;
    int64_t count;
    int64_t channels;
    int64_t classes;
    const char *const *class_names; /* NULL without */
};

/* An empty dataset of one kind, which the kind's constructor then fills; destroying it calls ops->destroy. */
moco_status moco_dataset_allocate(moco_dataset **out, moco_context *context, const moco_dataset_ops *ops, void *state);
void moco_dataset_retain(moco_dataset *dataset);

#endif
