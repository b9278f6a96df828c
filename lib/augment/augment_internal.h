/* What loader, evaluation and tests need of an augment beside its public functions: what is drawn for a view, which
 * part of an image that needs, and views made of 8-bit pixels with memory that is used again.
 */
#ifndef MOCO_AUGMENT_INTERNAL_H
#define MOCO_AUGMENT_INTERNAL_H

#include <moco/augment.h>

#include "core/context_internal.h"

struct moco_augment {
    atomic_int references;
    moco_context *context;
    moco_augment_config config;
};

enum { MOCO_JITTER_BRIGHTNESS, MOCO_JITTER_CONTRAST, MOCO_JITTER_SATURATION, MOCO_JITTER_HUE, MOCO_JITTER_PARTS };

/* All that is random about one view. */
typedef struct moco_view_draw {
    int64_t crop_top, crop_left, crop_h, crop_w; /* in pixels of the image */
    int32_t flip, jitter, grey, blur;            /* 1: applied */
    int32_t jitter_order[MOCO_JITTER_PARTS];     /* of MOCO_JITTER_*, first to last */
    float jitter_factor[MOCO_JITTER_PARTS];      /* by MOCO_JITTER_*; that of the hue is a shift in turns */
    double blur_sigma;
    int32_t solarize;
    int32_t evaluation; /* 1: the evaluation view; nothing else of the draw counts */
} moco_view_draw;

/* What moco_augment_apply draws for an image of h x w pixels; the arguments are valid. The evaluation view where the
 * recipe is MOCO_AUGMENT_PLAIN. */
void moco_augment_draw(const moco_augment *augment, int64_t h, int64_t w, int64_t epoch, int64_t sample, int32_t view,
                       moco_view_draw *draw);
/* The draw of the evaluation view. */
void moco_augment_draw_evaluation(moco_view_draw *draw);

/* The view that `draw` describes. */
moco_status moco_augment_render(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                const moco_view_draw *draw, float *out);

/* --- Views of 8-bit images, of which perhaps only a part is held, perhaps at a reduced size --- */

/* The part of an image of h x w pixels that some views are made of. */
typedef struct moco_augment_window {
    int64_t top, left, h, w;
    int32_t max_reduction; /* 1, 2, 4 or 8: the image may be made smaller by so much on the way */
} moco_augment_window;

/* The union of what `count` >= 1 draws need, and the largest reduction that all of them allow. */
void moco_augment_wanted(const moco_augment *augment, const moco_view_draw *draws, int32_t count, int64_t h, int64_t w,
                         moco_augment_window *wanted);

/* An image as a decoder gives it (data/image.h says the same of moco_image): h x w held pixels, red, green and blue
 * side by side, rows without gaps. One held pixel covers reduction x reduction pixels of the full image, of which it
 * begins at row `top` and column `left`; those are multiples of reduction. */
typedef struct moco_pixels {
    const uint8_t *pixels;
    int64_t h, w;
    int64_t top, left;
    int64_t full_h, full_w;
    int32_t reduction;
} moco_pixels;

/* A thread's working memory; starts zeroed, grows as needed. */
typedef struct moco_augment_scratch {
    void *memory; /* from moco_allocate(the augment's context) */
    size_t capacity;
} moco_augment_scratch;

void moco_augment_scratch_release(const moco_augment *augment, moco_augment_scratch *scratch);

/* The view that `draw` describes, out[3 x height x width] (NCHW): `pixels` MOCO_PIXELS_FLOAT32 (moco/dataset.h): float
 * and normalised, MOCO_PIXELS_UINT8: uint8, 0..255, not normalised. The image holds what moco_augment_wanted asks for.
 * OUT_OF_MEMORY is the only failure. The parts round to 8 bits as those of Pillow do. */
moco_status moco_augment_render_pixels(const moco_augment *augment, const moco_pixels *image,
                                       const moco_view_draw *draw, moco_augment_scratch *scratch, int32_t pixels,
                                       void *out);

void moco_augment_retain(moco_augment *augment);
moco_context *moco_augment_context(const moco_augment *augment);

#endif
