/* Which images a folder, list or tar holds: names, labels and places in a few flat arrays, so that millions of them
 * fit. An entry takes 12 bytes and its name (8 without labels), 16 more in a tar, and 8 more in the dataset for its
 * shape.
 */
#ifndef MOCO_IMAGE_INDEX_H
#define MOCO_IMAGE_INDEX_H

#include "data/class_table.h"

#define MOCO_MAX_NAME 4096 /* bytes of an image's name with its NUL, as Linux's paths */

/* Of several tars, the number of an image's is above these bits of its data_at. */
#define MOCO_TAR_NUMBER_AT 48

typedef struct moco_image_index {
    int64_t count;
    char *names; /* NUL-terminated, one after another */
    uint64_t names_size;
    uint64_t *name_at;   /* [count] */
    int32_t *labels;     /* [count]; NULL: no image has one */
    uint64_t *data_at;   /* [count]: where in the tar the image's bytes begin; NULL: images are files */
    uint64_t *data_size; /* [count], with data_at */
    /* [tar_count], one allocation, where there are several tars, which are opened for each image; else NULL. */
    const char *const *tars;
    int64_t tar_count;
    int64_t classes;                /* 0 without labels */
    const char *const *class_names; /* [classes], one allocation; NULL where labels are numbers */
} moco_image_index;

void moco_image_index_release(moco_context *context, moco_image_index *index);

/* --- Building one --- */

enum {
    MOCO_INDEX_SNIFF = 1,   /* the name does not say that it is an image; the content may */
    MOCO_INDEX_DROPPED = 2, /* left out */
    MOCO_INDEX_LABELLED = 4 /* the label is that of its sample, not of its folder */
};

typedef struct moco_index_entry {
    uint64_t name_at;
    uint64_t data_at, data_size;
    int32_t label; /* a number of `classes` before sorting, or the label itself where `classes` is empty */
    int32_t flags; /* MOCO_INDEX_* */
} moco_index_entry;

/* Starts zeroed but for the two contexts; see moco_index_builder_init. */
typedef struct moco_index_builder {
    moco_context *context;
    moco_index_entry *entries;
    size_t entries_capacity; /* bytes */
    int64_t count;
    char *names;
    size_t names_size, names_capacity;
    moco_class_table classes;
} moco_index_builder;

void moco_index_builder_init(moco_index_builder *builder, moco_context *context);
void moco_index_builder_release(moco_index_builder *builder);

/* Appends an image; name[length] has no NUL and is shorter than MOCO_MAX_NAME. The new entry is the last one. */
moco_status moco_index_builder_add(moco_index_builder *builder, const char *name, size_t length, int32_t label);
/* Sorts by name; of entries with one name the last is kept, as extracting a tar does. */
moco_status moco_index_builder_sort(moco_index_builder *builder);
/* The index of all entries that are not dropped; `in_container`: with their places in a tar. The builder is left to be
 * released. Without a label >= 0 anywhere there are no classes. */
moco_status moco_index_builder_finish(const moco_index_builder *builder, int32_t in_container, moco_image_index *index);

/* A warning for each class by its name without an image, which is a folder of `shown`. */
moco_status moco_tell_empty_classes(moco_context *context, const char *shown, const moco_image_index *index);

/* --- What is an image --- */

enum { MOCO_SIGNATURE_BYTES = 16 };

/* 1 if these first bytes of a file begin an image that this build can decode. */
int32_t moco_has_image_signature(const uint8_t *bytes, size_t size);
/* 1 if the name ends with .jpg, .jpeg, .png, .webp, .bmp, .tif, .tiff, .ppm, .pgm, .pbm or .pnm, in any case, whether or not
 * this build can decode it (moco_has_readable_name asks that, too). */
int32_t moco_has_image_name(const char *name, size_t length);

#endif
