/* Encoded images -> upright 8-bit RGB: the contract between the decoders (image_*.c), the datasets that hold image
 * files, the augmentations, which work on what is decoded, and the loader that joins them.
 */
#ifndef MOCO_DATA_IMAGE_H
#define MOCO_DATA_IMAGE_H

#include <stddef.h>

#include "core/context_internal.h"
#include "core/image_part.h"

/* Found in the content, never in the name. */
enum {
    MOCO_FORMAT_JPEG = 0,
    MOCO_FORMAT_PNG = 1,
    MOCO_FORMAT_WEBP = 2,
    MOCO_FORMAT_BMP = 3, /* these two need no library */
    MOCO_FORMAT_PNM = 4, /* PBM, PGM and PPM, as text and as bytes */
    MOCO_FORMAT_TIFF = 5
};

/* What one image may cost; more is refused with FORMAT before it is spent. */
typedef struct moco_image_limits {
    int64_t max_side;    /* default 65500, JPEG's own largest */
    int64_t max_pixels;  /* h * w; default 178956970, where Pillow refuses, too */
    uint64_t max_memory; /* bytes that decoding may hold at once; default 1 GiB */
    double max_seconds;  /* of the processor, for one decode; 0: no limit; default 10 */
} moco_image_limits;

moco_image_limits moco_image_default_limits(void);

/* From the header alone. h and w are those of the upright image, after the orientation in EXIF, XMP
 * or TIFF's own tag. */
typedef struct moco_image_header {
    int32_t format;      /* MOCO_FORMAT_* */
    int32_t orientation; /* 1..8, numbered as in EXIF; 1 where there is none */
    int64_t h;
    int64_t w;
} moco_image_header;

/* Decoded pixels in memory of the caller's, grown by the decoders and used again for the next image; starts zeroed. */
typedef struct moco_image {
    uint8_t *pixels;      /* from moco_allocate(context) */
    size_t capacity;      /* bytes */
    moco_image_part held; /* what lies there; its pixels are these */
} moco_image;

/* Room for h x w x 3 bytes at held.pixels; the old content is not kept. */
moco_status moco_image_reserve(moco_context *context, moco_image *image, int64_t h, int64_t w);
void moco_image_release(moco_context *context, moco_image *image); /* as zeroed */

/* `bytes` is the whole file: what a WebP or TIFF says of its orientation is at its end, and a PNG may have it there. NULL limits: the defaults. A window's
 * pixels are those of the same part of the whole image at the same reduction. What lies behind the window is only
 * decoded with `check_all`, so that damage there may go unnoticed without; a file that is cut short is refused whatever
 * the window.
 *
 * Both answer FORMAT with a sentence that says what is wrong with the bytes; UNSUPPORTED where this build lacks the
 * format's decoder (naming MOCO_WITH_JPEG, _PNG, _WEBP or _TIFF); OUT_OF_MEMORY. Any thread may call them.
 * A file that is cut short or damaged is refused, not filled up with grey. Alpha is laid over white. */
moco_status moco_image_probe(moco_context *context, const void *bytes, size_t size, const moco_image_limits *limits,
                             moco_image_header *header);
moco_status moco_image_decode(moco_context *context, const void *bytes, size_t size, const moco_image_limits *limits,
                              const moco_image_request *request, moco_image *image);

#endif
