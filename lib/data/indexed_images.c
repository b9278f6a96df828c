#define _POSIX_C_SOURCE 200809L
#include "data/indexed_images.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/checked.h"
#include "data/file_bytes.h"

#define IS_WHOLE     (UINT64_C(1) << 63)      /* all of the file has been decoded once, and nothing was wrong */
#define SHOWN_SIZE   (2 * MOCO_MAX_NAME + 16) /* a place and a name */
#define HEADER_BYTES 65536                    /* of a JPEG; enough for most, with a thumbnail and a colour profile */

typedef struct indexed_images {
    moco_image_index index;
    char *place;
    int descriptor;
    /* [count] h << 32 | w of the upright image, 0 before it is asked for; and IS_WHOLE. Once known it stays, though the
     * file may change: the caller of moco_dataset_read has made room for this much and no more. */
    _Atomic uint64_t *shapes;
} indexed_images;

static const char *name_of(const indexed_images *images, int64_t index) {
    return images->index.names + images->index.name_at[index];
}

static const char *tar_of(const indexed_images *images, int64_t index) {
    return images->index.tars[images->index.data_at[index] >> MOCO_TAR_NUMBER_AT];
}

static void indexed_describe(const moco_dataset *dataset, int64_t index, char *text, size_t capacity) {
    const indexed_images *images = (const indexed_images *) dataset->state;
    const char *name = name_of(images, index);
    const int32_t absolute = name[0] == '/' && images->index.data_at == NULL;
    if (images->index.tars != NULL) {
        snprintf(text, capacity, "%s/%s", tar_of(images, index), name);
    } else {
        snprintf(text, capacity, "%s%s", absolute ? "" : images->place, name);
    }
}

/* --- The encoded bytes --- */

/* An image's file, or its part of the tar. */
typedef struct opened_image {
    int descriptor;
    uint64_t at, size;
    int32_t is_own_file;
} opened_image;

static moco_status open_image(const moco_dataset *dataset, int64_t index, const char *shown, opened_image *image) {
    const indexed_images *images = (const indexed_images *) dataset->state;
    if (images->index.tars != NULL) {
        uint64_t tar_size = 0;
        *image = (opened_image){.at = images->index.data_at[index] & (((uint64_t) 1 << MOCO_TAR_NUMBER_AT) - 1),
                                .size = images->index.data_size[index],
                                .is_own_file = 1};
        MOCO_TRY(moco_file_open(AT_FDCWD, tar_of(images, index), shown, &image->descriptor, &tar_size));
    } else if (images->index.data_at != NULL) {
        *image = (opened_image){images->descriptor, images->index.data_at[index], images->index.data_size[index], 0};
    } else {
        *image = (opened_image){.is_own_file = 1};
        MOCO_TRY(moco_file_open(images->descriptor, name_of(images, index), shown, &image->descriptor, &image->size));
    }
    return MOCO_OK;
}

static void close_image(const opened_image *image) {
    if (image->is_own_file) close(image->descriptor);
}

static moco_status check_size(const moco_dataset *dataset, const opened_image *image, const char *shown) {
    if (image->size == 0) return moco_fail(MOCO_FORMAT, "%s is empty", shown);
    if (image->size > dataset->limits.max_memory || image->size > SIZE_MAX / 4) {
        return moco_fail(MOCO_FORMAT, "%s has %llu bytes; an image may take %llu bytes of memory (max_memory)", shown,
                         (unsigned long long) image->size, (unsigned long long) dataset->limits.max_memory);
    }
    return MOCO_OK;
}

static moco_status reserve(moco_context *context, moco_image_scratch *scratch, size_t bytes) {
    if (bytes <= scratch->capacity) return MOCO_OK;
    const size_t wanted = bytes + bytes / 4; /* photos differ a little in size */
    uint8_t *encoded = (uint8_t *) moco_allocate(context, wanted);
    if (encoded == NULL) return MOCO_OUT_OF_MEMORY;
    moco_deallocate(context, scratch->encoded);
    scratch->encoded = encoded;
    scratch->capacity = wanted;
    return MOCO_OK;
}

static moco_status read_bytes(const moco_dataset *dataset, const opened_image *image, const char *shown, size_t size,
                              moco_image_scratch *scratch) {
    MOCO_TRY(check_size(dataset, image, shown));
    MOCO_TRY(reserve(dataset->context, scratch, size));
    return moco_file_read(image->descriptor, scratch->encoded, size, image->at, shown);
}

static moco_status indexed_fetch(const moco_dataset *dataset, int64_t index, moco_image_scratch *scratch,
                                 size_t *size) {
    char shown[SHOWN_SIZE];
    opened_image image;
    indexed_describe(dataset, index, shown, sizeof shown);
    MOCO_TRY(open_image(dataset, index, shown, &image));
    const moco_status status = read_bytes(dataset, &image, shown, (size_t) image.size, scratch);
    close_image(&image);
    if (status == MOCO_OK) *size = (size_t) image.size;
    return status;
}

/* --- Decoding --- */

/* The decoders' sentences say what is wrong with the bytes; whose bytes they are is known here. */
static moco_status name_failure(const moco_dataset *dataset, int64_t index, moco_status status) {
    if (status == MOCO_OK || status == MOCO_OUT_OF_MEMORY) return status;
    char shown[SHOWN_SIZE];
    indexed_describe(dataset, index, shown, sizeof shown);
    return moco_fail(status, "%s: %s", shown, moco_last_error());
}

/* Until all of a file has been found whole, all of it is decoded, whatever part is wanted: so one that is damaged is
 * refused each time, not only by the crops that reach the damage. */
static moco_status indexed_decode(const moco_dataset *dataset, int64_t index, const void *bytes, size_t size,
                                  const moco_image_request *request, moco_image *image) {
    const indexed_images *images = (const indexed_images *) dataset->state;
    moco_image_request wanted = *request;
    wanted.check_all = (atomic_load_explicit(&images->shapes[index], memory_order_relaxed) & IS_WHOLE) == 0;
    MOCO_TRY(name_failure(dataset, index,
                          moco_image_decode(dataset->context, bytes, size, &dataset->limits, &wanted, image)));
    if (wanted.check_all) atomic_fetch_or_explicit(&images->shapes[index], IS_WHOLE, memory_order_relaxed);
    return MOCO_OK;
}

static moco_status indexed_load(const moco_dataset *dataset, int64_t index, const moco_image_request *request,
                                moco_image_scratch *scratch, moco_image *image) {
    size_t size = 0;
    MOCO_TRY(indexed_fetch(dataset, index, scratch, &size));
    return indexed_decode(dataset, index, scratch->encoded, size, request, image);
}

/* The upright image's shape from the file's header. */
static moco_status probe(const moco_dataset *dataset, int64_t index, moco_image_scratch *scratch,
                         moco_image_header *header) {
    char shown[SHOWN_SIZE];
    opened_image image;
    indexed_describe(dataset, index, shown, sizeof shown);
    MOCO_TRY(open_image(dataset, index, shown, &image));
    /* What a JPEG says of its shape and orientation comes first; a WebP's orientation may come last. */
    uint8_t signature[2] = {0, 0};
    moco_status status = check_size(dataset, &image, shown);
    if (status == MOCO_OK && image.size > HEADER_BYTES) {
        status = moco_file_read(image.descriptor, signature, sizeof signature, image.at, shown);
    }
    const moco_image_limits *limits = &dataset->limits;
    moco_status probed = MOCO_FORMAT;
    if (status == MOCO_OK && signature[0] == 0xFF && signature[1] == 0xD8) {
        status = read_bytes(dataset, &image, shown, HEADER_BYTES, scratch);
        if (status == MOCO_OK) {
            probed = moco_image_probe(dataset->context, scratch->encoded, HEADER_BYTES, limits, header);
        }
    }
    if (status == MOCO_OK && probed == MOCO_FORMAT) {
        status = read_bytes(dataset, &image, shown, (size_t) image.size, scratch);
        if (status == MOCO_OK) {
            probed = moco_image_probe(dataset->context, scratch->encoded, (size_t) image.size, limits, header);
        }
    }
    close_image(&image);
    return status != MOCO_OK ? status : name_failure(dataset, index, probed);
}

static int32_t indexed_label(const moco_dataset *dataset, int64_t index) {
    const indexed_images *images = (const indexed_images *) dataset->state;
    return images->index.labels == NULL ? MOCO_NO_LABEL : images->index.labels[index];
}

static moco_status indexed_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w, int32_t *label) {
    indexed_images *images = (indexed_images *) dataset->state;
    *label = indexed_label(dataset, index);
    uint64_t shape = atomic_load_explicit(&images->shapes[index], memory_order_relaxed);
    if ((shape & ~IS_WHOLE) == 0) {
        moco_image_scratch scratch = {0};
        moco_image_header header = {0};
        const moco_status status = probe(dataset, index, &scratch, &header);
        moco_deallocate(dataset->context, scratch.encoded);
        MOCO_TRY(status);
        if (header.h < 1 || header.w < 1 || header.h > INT32_MAX || header.w > INT32_MAX) {
            return name_failure(
                dataset, index,
                moco_fail(MOCO_FORMAT, "a shape of %lld x %lld pixels", (long long) header.h, (long long) header.w));
        }
        const uint64_t found = (uint64_t) header.h << 32 | (uint64_t) header.w;
        /* Where another thread was first, its answer holds: `shape` becomes it. */
        while ((shape & ~IS_WHOLE) == 0) {
            if (atomic_compare_exchange_strong(&images->shapes[index], &shape, shape | found)) shape |= found;
        }
    }
    *h = (int64_t) ((shape & ~IS_WHOLE) >> 32);
    *w = (int64_t) (shape & UINT32_MAX);
    return MOCO_OK;
}

/* RGB bytes -> planes in [0, 1]. */
static void split_planes(const uint8_t *rgb, int64_t area, float *pixels) {
    for (int64_t c = 0; c < 3; ++c) {
        for (int64_t i = 0; i < area; ++i) pixels[c * area + i] = (float) rgb[3 * i + c] / 255.0f;
    }
}

static moco_status indexed_read(const moco_dataset *dataset, int64_t index, float *pixels) {
    int64_t h = 0, w = 0;
    int32_t label = MOCO_NO_LABEL;
    MOCO_TRY(indexed_info(dataset, index, &h, &w, &label));
    moco_image_scratch scratch = {0};
    moco_image image = {0};
    const moco_image_request whole = {.max_reduction = 1};
    moco_status status = indexed_load(dataset, index, &whole, &scratch, &image);
    if (status == MOCO_OK && (image.held.h != h || image.held.w != w)) {
        status =
            name_failure(dataset, index,
                         moco_fail(MOCO_FORMAT, "it is an image of %lld x %lld pixels now, and was one of %lld x %lld",
                                   (long long) image.held.h, (long long) image.held.w, (long long) h, (long long) w));
    }
    if (status == MOCO_OK) split_planes(image.pixels, h * w, pixels);
    moco_image_release(dataset->context, &image);
    moco_deallocate(dataset->context, scratch.encoded);
    return status;
}

/* --- Lifetime --- */

static void indexed_destroy(moco_dataset *dataset) {
    indexed_images *images = (indexed_images *) dataset->state;
    moco_image_index_release(dataset->context, &images->index);
    if (images->descriptor >= 0) close(images->descriptor);
    moco_deallocate(dataset->context, (void *) images->shapes);
    moco_deallocate(dataset->context, images->place);
    moco_deallocate(dataset->context, images);
}

static const moco_dataset_ops indexed_ops = {indexed_info,  indexed_read,     indexed_destroy, indexed_load,
                                             indexed_fetch, indexed_describe, indexed_label,   indexed_decode};

moco_status moco_indexed_images_create(moco_dataset **out, moco_context *context, const moco_image_limits *limits,
                                       moco_image_index *index, int descriptor, const char *place) {
    indexed_images *images = (indexed_images *) moco_allocate_zeroed(context, 1, sizeof *images);
    if (images == NULL) return MOCO_OUT_OF_MEMORY;
    images->descriptor = -1;
    moco_dataset *dataset = NULL;
    if (moco_dataset_allocate(&dataset, context, &indexed_ops, images) != MOCO_OK) {
        moco_deallocate(context, images);
        return MOCO_OUT_OF_MEMORY;
    }
    images->place = moco_duplicate_string(context, place);
    images->shapes = (_Atomic uint64_t *) moco_allocate_zeroed(context, (size_t) index->count, sizeof *images->shapes);
    if (images->place == NULL || images->shapes == NULL) {
        moco_dataset_destroy(dataset);
        return MOCO_OUT_OF_MEMORY;
    }
    images->index = *index;
    images->descriptor = descriptor;
    *index = (moco_image_index){0};
    dataset->count = images->index.count;
    dataset->channels = 3;
    dataset->classes = images->index.classes;
    dataset->class_names = images->index.class_names;
    dataset->limits = *limits;
    *out = dataset;
    return MOCO_OK;
}
