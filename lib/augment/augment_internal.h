/* What loader, evaluation and tests need of an augment beside its public functions: what is drawn for a view, which
 * part of an image that needs, and views made of 8-bit pixels with memory that is used again.
 */
#ifndef MOCO_AUGMENT_INTERNAL_H
#define MOCO_AUGMENT_INTERNAL_H

#include <moco/augment.h>

#include "core/context_internal.h"
#include "core/image_part.h"
#include "core/references.h"
#include "core/state.h"

struct moco_augment {
    moco_references references;
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

/* INVALID_ARGUMENT where an image or a view is out of the ranges that moco/augment.h gives. */
moco_status moco_augment_require_image(int64_t h, int64_t w);
moco_status moco_augment_require_view(int64_t epoch, int64_t sample, int32_t view);

/* The view that `draw` describes; `normalized` 1: (x - mean) / std, 0: in 0..1. */
moco_status moco_augment_render(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                const moco_view_draw *draw, int32_t normalized, float *out);

/* --- Views of 8-bit images (core/image_part.h) --- */

/* The union of what `count` >= 1 draws need, and the largest reduction that all of them allow. */
void moco_augment_wanted(const moco_augment *augment, const moco_view_draw *draws, int32_t count, int64_t h, int64_t w,
                         moco_image_request *wanted);

/* A thread's working memory; starts zeroed, grows as needed. */
typedef struct moco_augment_scratch {
    void *memory; /* from moco_allocate(the augment's context) */
    size_t capacity;
} moco_augment_scratch;

void moco_augment_scratch_release(const moco_augment *augment, moco_augment_scratch *scratch);

/* The view that `draw` describes, out[3 x height x width] (NCHW): `pixels` MOCO_PIXELS_FLOAT32 (moco/dataset.h): float
 * and normalized, MOCO_PIXELS_UINT8: uint8, 0..255, not normalized. The image holds what moco_augment_wanted asks for.
 * OUT_OF_MEMORY is the only failure. The parts round to 8 bits as those of Pillow do. */
moco_status moco_augment_render_pixels(const moco_augment *augment, const moco_image_part *image,
                                       const moco_view_draw *draw, moco_augment_scratch *scratch, int32_t pixels,
                                       void *out);

/* core/state.h; the part is "augment". */
moco_status moco_augment_visit(const moco_augment *augment, const moco_state *state);

void moco_augment_retain(moco_augment *augment);
void moco_augment_release(moco_augment *augment); /* NULL is a no-op */
moco_context *moco_augment_context(const moco_augment *augment);

#endif
