#include "augment/resample_taps.h"

#include <math.h>
#include <moco/augment.h>

#include "core/checked.h"

static double scale_of(const moco_resample_axis *axis) {
    return axis->extent / (double) axis->out;
}

/* Of the filter, on each side of its middle, in source pixels. */
static double support_of(const moco_resample_axis *axis) {
    const double scale = scale_of(axis), widened = scale > 1.0 ? scale : 1.0;
    return axis->interpolation == MOCO_INTERPOLATION_BICUBIC ? 2.0 * widened : widened;
}

int64_t moco_resample_tap_count(const moco_resample_axis *axis) {
    return moco_min_i64((int64_t) ceil(support_of(axis)) * 2 + 1, axis->in);
}

static double cubic(double x) { /* x >= 0 */
    if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
    if (x < 2.0) return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0;
    return 0.0;
}

typedef struct tap_window {
    double low, high; /* of the source window */
    double centre;    /* of the output pixel */
    double narrow;    /* 1 / the filter's widening */
    int32_t bicubic;
} tap_window;

/* The filter at source pixel x, times the part of the pixel that lies in the window. */
static double weight_at(const tap_window *window, int64_t x) {
    const double distance = fabs((double) x + 0.5 - window->centre) * window->narrow;
    const double weight = window->bicubic ? cubic(distance) : fmax(1.0 - distance, 0.0);
    const double begin = fmax((double) x, window->low), end = fmin((double) x + 1.0, window->high);
    return weight * (end - begin);
}

int64_t moco_resample_weigh(const moco_resample_axis *axis, int64_t i, int64_t taps, float *weights) {
    enum { KEPT = 32 };
    const double scale = scale_of(axis), support = support_of(axis);
    const tap_window window = {axis->origin, axis->origin + axis->extent,
                               axis->origin + ((double) (axis->first + i) + 0.5) * scale,
                               scale > 1.0 ? 1.0 / scale : 1.0, axis->interpolation == MOCO_INTERPOLATION_BICUBIC};
    /* + 0.5 and rounded down: the pixels whose middles the filter reaches. */
    int64_t begin = moco_max_i64((int64_t) floor(window.centre - support + 0.5), (int64_t) floor(window.low));
    int64_t end = moco_min_i64((int64_t) floor(window.centre + support + 0.5), (int64_t) ceil(window.high));
    begin = moco_max_i64(begin, 0);
    end = moco_min_i64(moco_min_i64(end, begin + taps), axis->in);
    /* Near the far edge the row of taps starts earlier, with zeros, so that it ends inside. */
    const int64_t start = moco_min_i64(begin, axis->in - taps);
    double kept[KEPT], sum = 0.0;
    for (int64_t x = begin; x < end; ++x) {
        const double weight = weight_at(&window, x);
        if (x - begin < KEPT) kept[x - begin] = weight;
        sum += weight;
    }
    for (int64_t t = 0; t < taps; ++t) {
        const int64_t x = start + t;
        if (x < begin || x >= end) {
            weights[t] = 0.0f;
        } else {
            weights[t] = (float) ((x - begin < KEPT ? kept[x - begin] : weight_at(&window, x)) / sum);
        }
    }
    return start;
}
