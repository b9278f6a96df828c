/* How the rows and columns of an image become those of a view. */
#ifndef MOCO_VIEW_AXES_H
#define MOCO_VIEW_AXES_H

#include "augment/augment_internal.h"
#include "augment/resample_taps.h"

/* Of a whole image of h x w pixels, without the flip. */
void moco_view_axes(const moco_augment *augment, const moco_view_draw *draw, int64_t h, int64_t w,
                    moco_resample_axis *vertical, moco_resample_axis *horizontal);

#endif
