/* What the parts of image decoding share: the header walkers (image_header.c, image_tiff_header.c), orientation in EXIF
 * and XMP (image_exif.c, image_xmp.c, image_png_text.c), the placement of stored rows in the upright image
 * (image_place.c) and one decoder for each format (image_jpeg.c, image_png.c, image_webp.c, image_tiff.c; with their
 * walkers image_bmp.c, image_pnm.c).
 *
 * "Stored" is the image as the file holds it, "upright" is what its orientation makes of it.
 */
#ifndef MOCO_DATA_IMAGE_DECODERS_H
#define MOCO_DATA_IMAGE_DECODERS_H

#include "data/image.h"

/* Who may say how an image is turned; where several do, the first of these is believed. */
enum { MOCO_SAID_BY_EXIF, MOCO_SAID_BY_PROFILE /* EXIF as a PNG's text */, MOCO_SAID_BY_XMP, MOCO_SAYERS };

/* What a walk through the container finds, without any image library. */
typedef struct moco_stored_header {
    int32_t format;
    int32_t orientation;       /* 1..8 */
    int32_t said[MOCO_SAYERS]; /* during the walk: orientations; 0: nothing said */
    int64_t h;                 /* stored */
    int64_t w;
    int32_t interlaced; /* PNG */
    uint64_t blocks;    /* TIFF: strips or tiles that the directory has offsets for */
    /* WebP: the first picture's chunks, and where it lies on the canvas of h x w. */
    size_t picture_offset, picture_size;
    moco_image_window picture;
} moco_stored_header;

/* FORMAT where the container is cut short or inconsistent. Pixels are not looked at. The walk for one format leaves the
 * orientation in `said`. */
moco_status moco_image_walk(moco_context *context, const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_jpeg_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_png_walk(moco_context *context, const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_webp_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_bmp_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_pnm_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);
moco_status moco_tiff_walk(const uint8_t *bytes, size_t size, moco_stored_header *header);

/* The walkers' sentences: "the BMP file is cut short: it ends inside its header". */
moco_status moco_image_fail_short(const char *format, const char *where);
moco_status moco_image_fail_empty(const char *format, int64_t h, int64_t w);

/* The format that these first bytes of a file begin, MOCO_FORMAT_*, or -1. */
int32_t moco_image_format_of(const uint8_t *bytes, size_t size);

/* EXIF's orientation in a TIFF block of either byte order (with or without "Exif\0\0" before it); 1 for whatever is
 * not a valid one. */
int32_t moco_exif_orientation(const uint8_t *block, size_t size);
/* As above, but 0 where no orientation is in it, not even one that is not valid. */
int32_t moco_exif_find_orientation(const uint8_t *block, size_t size);
/* tiff:Orientation in an XMP packet (UTF-8): 1..8, or 0 where it has none that is valid. */
int32_t moco_xmp_find_orientation(const uint8_t *packet, size_t size);
/* Both as the APP1 segment of a JPEG has them, behind "Exif" or XMP's name. */
void moco_note_app1(const uint8_t *content, size_t size, int32_t exif_sayer, moco_stored_header *header);
/* A PNG's tEXt, zTXt or iTXt chunk: XMP, or the hexadecimal "Raw profile type exif" (APP1, xmp) of ImageMagick. Only
 * OUT_OF_MEMORY is a failure. */
moco_status moco_png_note_text(moco_context *context, const uint8_t *type, const uint8_t *content, size_t size,
                               moco_stored_header *header);
/* Where nothing has been said by `sayer`. */
static inline void moco_note_orientation(moco_stored_header *header, int32_t sayer, int32_t orientation) {
    if (header->said[sayer] == 0) header->said[sayer] = orientation;
}

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
    int32_t check_all;        /* all of the file is to be decoded, whatever the window */
    moco_image *image;
    /* Set by moco_image_begin. */
    int32_t reduction;
    moco_image_window part; /* of the stored image, in reduced pixels: what is held in the end */
    uint64_t room;          /* bytes of the limit that are left */
} moco_image_job;

/* Sets the image up for the window at `reduction` <= max_reduction. `extra` is what the decoder will hold beside it;
 * FORMAT where both together are over the limit. */
moco_status moco_image_begin(moco_image_job *job, int32_t reduction, uint64_t extra);

/* What of the stored image the limits are asked for: the window, or all of it. */
static inline moco_image_window moco_image_counted(const moco_image_job *job) {
    const moco_image_window all = {0, 0, job->header.h, job->header.w};
    return job->check_all ? all : job->window;
}

/* Places stored rows part.top + row, ..., of which `pixels` holds column part.left and the part.w - 1 after it, rows
 * `stride` bytes apart: RGB, or RGBA, laid over white. */
enum { MOCO_RGB = 3, MOCO_RGBA = 4 };
void moco_image_place(const moco_image_job *job, int64_t row, int64_t rows, const uint8_t *pixels, size_t stride,
                      int32_t channels);

/* In place, to red, green and blue as Pillow does: `count` pixels of four inks, stored inverted as Adobe's JPEGs are. */
void moco_image_convert_inks(uint8_t *pixels, int64_t count);

/* How many rows a decoder should collect before it places them; more than one saves time where rows become columns. */
enum { MOCO_PLACE_ROWS = 16 };

/* Sets both deadlines by limits->max_seconds. */
void moco_image_start_clock(moco_image_job *job);

/* Whether the image has taken too long; the decoders ask between rows. */
int moco_image_is_late(const moco_image_job *job);
moco_status moco_image_fail_late(const moco_image_job *job);

/* 1 if this build can decode the format; else moco_image_require_decoder is UNSUPPORTED with the option's name. */
int32_t moco_image_has_decoder(int32_t format);
uint64_t moco_image_decoders(void); /* bit f: it can decode format f */
moco_status moco_image_require_decoder(int32_t format);

/* Called only where the format's library is there. */
moco_status moco_jpeg_decode(moco_image_job *job);
moco_status moco_png_decode(moco_image_job *job);
moco_status moco_webp_decode(moco_image_job *job);
moco_status moco_bmp_decode(moco_image_job *job);
moco_status moco_pnm_decode(moco_image_job *job);
moco_status moco_tiff_decode(moco_image_job *job);

#endif
