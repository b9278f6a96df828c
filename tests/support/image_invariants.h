/* What data/image.h promises of every decoded image, whatever the file held. */
#ifndef MOCO_TEST_IMAGE_INVARIANTS_H
#define MOCO_TEST_IMAGE_INVARIANTS_H

#include "data/image.h"

/* NULL, or which promise is broken. `header` is what probing the same bytes gave. */
static inline const char *broken_image_promise(const moco_image *image, const moco_image_request *request,
                                               const moco_image_header *header) {
    const moco_image_window all = {0, 0, image->held.full_h, image->held.full_w};
    const moco_image_window *held = &image->held.window, *wanted = request->window.h > 0 ? &request->window : &all;
    const int32_t r = image->held.reduction;
    if (image->pixels == NULL || image->held.h < 1 || image->held.w < 1) return "there are pixels";
    if ((uint64_t) image->held.h * (uint64_t) image->held.w * 3 > image->capacity) return "they fit into the capacity";
    if (image->held.full_h != header->h || image->held.full_w != header->w)
        return "decoding and probing agree on the size";
    if (r != 1 && r != 2 && r != 4 && r != 8) return "the reduction is 1, 2, 4 or 8";
    if (r > request->max_reduction) return "the reduction is no more than asked for";
    if (held->top < 0 || held->left < 0 || held->h < 1 || held->w < 1 || held->top > image->held.full_h - held->h ||
        held->left > image->held.full_w - held->w) {
        return "the window is inside the image";
    }
    if (held->top % r != 0 || held->left % r != 0) return "the window begins at a multiple of the reduction";
    if (held->h > image->held.h * r || held->h <= (image->held.h - 1) * r || held->w > image->held.w * r ||
        held->w <= (image->held.w - 1) * r) {
        return "the window has as many pixels as are held";
    }
    if (held->top > wanted->top || held->left > wanted->left || held->top + held->h < wanted->top + wanted->h ||
        held->left + held->w < wanted->left + wanted->w) {
        return "all of the wanted window is held";
    }
    return NULL;
}

#endif
