/* What the parts of image decoding share: the header walkers (image_header.c), EXIF (image_exif.c), the placement of
 * stored rows in the upright image (image_place.c) and one decoder for each format (image_jpeg.c, image_png.c,
 * image_webp.c).
 *
 * "Stored" is the image as the file holds it, "upright" is what EXIF's orientation makes of it.
 */
#ifndef MOCO_DATA_IMAGE_DECODERS_H
#define MOCO_DATA_IMAGE_DECODERS_H

#include "data/image.h"

/* What a walk through the container finds, without any library. */
typedef struct moco_stored_header {
    int32_t format;
    int32_t orientation; /* 1..8 */
    int64_t h;           /* stored */
    int64_t w;
    int32_t interlaced; /* PNG */
    /* WebP: the first picture's chunks, and where it lies on the canvas of h x w. */
    size_t picture_offset, picture_size;
    moco_image_window picture;
} moco_stored_header;

/* FORMAT where the container is cut short or inconsistent. Pixels are not looked at. */
moco_status moco_image_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_jpeg_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_png_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_webp_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);

/* EXIF's orientation in a TIFF block of either byte order (with or without "Exif\0\0" before it); 1 for whatever is
 * not a valid one. */
int32_t moco_exif_orientation(const uint8_t *block, size_t size);

/* One decode in work. */
typedef struct moco_image_job {
    moco_context *context;
    const uint8_t *bytes;
    size_t size;
    const moco_image_limits *limits;
    /* Late is what is behind both: the deadline is the thread's own time, so that a process that was stopped, or kept
     * waiting by a busy machine, has lost nothing; it can't have passed before the other one. */
    int64_t deadline_ns;        /* by moco_now_ns(); INT64_MAX: none */
    int64_t thread_deadline_ns; /* by the thread's processor time */
    moco_stored_header header;
    moco_image_window window; /* stored pixels at full size, inside the image */
    int32_t max_reduction;    /* of these, one that the placement allows */
    moco_image *image;
    /* Set by moco_image_begin. */
    int32_t reduction;
    moco_image_window part; /* of the stored image, in reduced pixels: what is held in the end */
    uint64_t room;          /* bytes of the limit that are left */
} moco_image_job;

/* Sets the image up for the window at `reduction` <= max_reduction. `extra` is what the decoder will hold beside it;
 * FORMAT where both together are over the limit. */
moco_status moco_image_begin(moco_image_job *job, int32_t reduction, uint64_t extra);

/* Places stored rows part.top + row, ..., of which `pixels` holds column part.left and the part.w - 1 after it, rows
 * `stride` bytes apart: RGB, or RGBA, laid over white. */
enum { MOCO_RGB = 3, MOCO_RGBA = 4 };
void moco_image_place(const moco_image_job *job, int64_t row, int64_t rows, const uint8_t *pixels, size_t stride,
                      int32_t channels);

/* How many rows a decoder should collect before it places them; more than one saves time where rows become columns. */
enum { MOCO_PLACE_ROWS = 16 };

/* Sets both deadlines by limits->max_seconds. */
void moco_image_start_clock(moco_image_job *job);

/* Whether the image has taken too long; the decoders ask between rows. */
int moco_image_is_late(const moco_image_job *job);
moco_status moco_image_fail_late(const moco_image_job *job);

/* UNSUPPORTED with the option's name in a build without the format's library. */
moco_status moco_image_require_decoder(int32_t format);

/* Called only where the format's library is there. */
moco_status moco_jpeg_decode(moco_image_job *job);
moco_status moco_png_decode(moco_image_job *job);
moco_status moco_webp_decode(moco_image_job *job);

#endif
