/* Parts of images: what augment asks for, data decodes, and loader hands from one to the other. An image here is upright,
 * and rows and columns are those of its full size unless said otherwise. */
#ifndef MOCO_CORE_IMAGE_PART_H
#define MOCO_CORE_IMAGE_PART_H

#include <stdint.h>

/* Rows [top, top + h) and columns [left, left + w) of the image. */
typedef struct moco_image_window {
    int64_t top, left, h, w;
} moco_image_window;

/* What is wanted of an image. */
typedef struct moco_image_request {
    moco_image_window window; /* h = 0: all of it. More than the window may be decoded, never less */
    int32_t max_reduction;    /* 1, 2, 4 or 8: the image may be made smaller by up to so much, where that saves work */
    /* 1: what is outside the window is decoded, too, and the limits are those of all of it, so that the verdict on a
     * file does not depend on the window. */
    int32_t check_all;
} moco_image_request;

/* What is held of an image, perhaps at a reduced size; the pixels are another's. */
typedef struct moco_image_part {
    const uint8_t *pixels; /* h x w x 3: red, green and blue side by side, rows without gaps */
    int64_t h;             /* of what is held, in its own (reduced) pixels */
    int64_t w;
    /* What is held lies in the full image at `window`; one held pixel covers reduction x reduction of its pixels (the
     * last row and column may cover fewer, so window.h <= h * reduction). window.top and .left are multiples of
     * reduction. */
    moco_image_window window;
    int32_t reduction; /* 1, 2, 4 or 8 */
    int32_t reserved;
    int64_t full_h; /* the whole image */
    int64_t full_w;
} moco_image_part;

/* All of an image of h x w pixels at its full size. */
static inline moco_image_part moco_image_whole(const uint8_t *pixels, int64_t h, int64_t w) {
    return (moco_image_part){pixels, h, w, {0, 0, h, w}, 1, 0, h, w};
}

#endif
