/* A dataset's inside: a small table of functions that each kind fills in. */
#ifndef MOCO_DATASET_INTERNAL_H
#define MOCO_DATASET_INTERNAL_H

#include <moco/dataset.h>

#include "core/context_internal.h"
#include "core/references.h"
#include "data/broken_images.h"
#include "data/image.h"

/* A thread's memory for loading images from one dataset; starts zeroed. */
typedef struct moco_image_scratch {
    uint8_t *encoded; /* the file's bytes, from moco_allocate(context) */
    size_t capacity;
} moco_image_scratch;

typedef struct moco_dataset_ops {
    moco_status (*info)(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w, int32_t *label);
    moco_status (*read)(const moco_dataset *dataset, int64_t index, float *pixels);
    void (*destroy)(moco_dataset *dataset); /* the kind's own state only */
    /* NULL where the pixels are float32. Loads (a part of) an image as 8-bit RGB, decoded as `request` allows.
     * FORMAT, IO, NOT_FOUND and UNSUPPORTED: this image is broken, others may not be; the sentence names the file. */
    moco_status (*load)(const moco_dataset *dataset, int64_t index, const moco_image_request *request,
                        moco_image_scratch *scratch, moco_image *image);
    /* The encoded bytes of an image, in `scratch`; NULL where there are none. What a cache of encoded images keeps. */
    moco_status (*fetch)(const moco_dataset *dataset, int64_t index, moco_image_scratch *scratch, size_t *size);
    /* The file's name or another name for messages, written into text[capacity]; NULL: the index alone names it. */
    void (*describe)(const moco_dataset *dataset, int64_t index, char *text, size_t capacity);
    /* The label alone, where `info` costs more than that; else NULL. */
    int32_t (*label)(const moco_dataset *dataset, int64_t index);
    /* What `load` makes of the bytes that `fetch` gave; there where `fetch` is. */
    moco_status (*decode)(const moco_dataset *dataset, int64_t index, const void *bytes, size_t size,
                          const moco_image_request *request, moco_image *image);
} moco_dataset_ops;

struct moco_dataset {
    moco_references references;
    moco_context *context;
    const moco_dataset_ops *ops;
    void *state;
    int64_t count;
    int64_t channels;
    int64_t classes;
    const char *const *class_names; /* NULL without */
    char *description;              /* see moco_dataset_description; NULL without */
    moco_image_limits limits;       /* of the kinds that decode */
    moco_broken_images broken;      /* found so far, by loaders and evaluations */
};

/* An empty dataset of one kind, which the kind's constructor then fills; destroying it calls ops->destroy. */
moco_status moco_dataset_allocate(moco_dataset **out, moco_context *context, const moco_dataset_ops *ops, void *state);
void moco_dataset_retain(moco_dataset *dataset);
void moco_dataset_release(moco_dataset *dataset); /* NULL is a no-op */

/* Keeps how the dataset was opened: `path` is the part of `description` that is one, or NULL. */
moco_status moco_dataset_describe(moco_dataset *dataset, const char *description, const char *path);

/* Without a look at the file, where there is one. */
moco_status moco_dataset_label(const moco_dataset *dataset, int64_t index, int32_t *label);

#endif
