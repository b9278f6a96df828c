/* What loader, evaluation and tests need of an augment beside its public functions. */
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
} moco_view_draw;

/* What moco_augment_apply draws; the arguments are valid. */
void moco_augment_draw(const moco_augment *augment, int64_t h, int64_t w, int64_t epoch, int64_t sample, int32_t view,
                       moco_view_draw *draw);
/* The view that `draw` describes. */
moco_status moco_augment_render(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                const moco_view_draw *draw, float *out);

void moco_augment_retain(moco_augment *augment);
moco_context *moco_augment_context(const moco_augment *augment);

#endif
