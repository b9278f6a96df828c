/* Making a view: the recipe's operations in their order, on one working image in the caller's output. */
#include <moco/dataset.h>

#include "augment/augment_internal.h"
#include "augment/colour_jitter.h"
#include "augment/gaussian_blur.h"
#include "augment/resample.h"
#include "augment/view_axes.h"

#define MAX_IMAGE_SIDE ((int64_t) 1 << 24)

static void jitter(const moco_view_draw *draw, int64_t area, float *image) {
    for (int32_t i = 0; i < MOCO_JITTER_PARTS; ++i) {
        const int32_t part = draw->jitter_order[i];
        const float factor = draw->jitter_factor[part];
        switch (part) {
        case MOCO_JITTER_BRIGHTNESS:
            moco_jitter_brightness(image, area, factor);
            break;
        case MOCO_JITTER_CONTRAST:
            moco_jitter_contrast(image, area, factor);
            break;
        case MOCO_JITTER_SATURATION:
            moco_jitter_saturation(image, area, factor);
            break;
        default:
            moco_jitter_hue(image, area, factor);
            break;
        }
    }
}

static void flip(int64_t h, int64_t w, float *image) {
    for (int64_t y = 0; y < 3 * h; ++y, image += w) {
        for (int64_t x = 0; x < w / 2; ++x) {
            const float left = image[x];
            image[x] = image[w - 1 - x];
            image[w - 1 - x] = left;
        }
    }
}

static void normalize(const moco_augment_config *config, int64_t area, float *image) {
    for (int32_t c = 0; c < 3; ++c, image += area) {
        const float mean = (float) config->mean[c], std = (float) config->std[c];
        for (int64_t i = 0; i < area; ++i) image[i] = (image[i] - mean) / std;
    }
}

moco_status moco_augment_require_image(int64_t h, int64_t w) {
    MOCO_REQUIRE(h >= 1 && h <= MAX_IMAGE_SIDE && w >= 1 && w <= MAX_IMAGE_SIDE,
                 "h x w is %lld x %lld; both must be 1 to %lld", (long long) h, (long long) w,
                 (long long) MAX_IMAGE_SIDE);
    return MOCO_OK;
}

moco_status moco_augment_require_view(int64_t epoch, int64_t sample, int32_t view) {
    MOCO_REQUIRE(epoch >= 0 && epoch < (int64_t) 1 << 32, "epoch is %lld; it must be 0 to 2^32 - 1", (long long) epoch);
    MOCO_REQUIRE(sample >= 0 && sample < (int64_t) 1 << 40, "sample is %lld; it must be 0 to 2^40 - 1",
                 (long long) sample);
    MOCO_REQUIRE(view >= 0 && view < 256, "view is %d; it must be 0 (query) or 1 (key), at most 255", view);
    return MOCO_OK;
}

static moco_status require_arguments(const moco_augment *augment, const void *image, int64_t h, int64_t w,
                                     const void *out) {
    MOCO_REQUIRE_POINTER(augment);
    MOCO_REQUIRE_POINTER(image);
    MOCO_REQUIRE_POINTER(out);
    return moco_augment_require_image(h, w);
}

static void apply_part(const moco_augment_config *config, int32_t part, const moco_view_draw *draw, void *scratch,
                       float *image) {
    const int64_t height = config->height, width = config->width, area = height * width;
    switch (part) {
    case MOCO_PART_FLIP:
        if (draw->flip) flip(height, width, image);
        break;
    case MOCO_PART_JITTER:
        if (draw->jitter) jitter(draw, area, image);
        break;
    case MOCO_PART_GREY:
        if (draw->grey) moco_to_grey(image, area);
        break;
    case MOCO_PART_BLUR:
        if (draw->blur) moco_gaussian_blur(image, 3, height, width, draw->blur_sigma, scratch);
        break;
    case MOCO_PART_SOLARIZE:
        if (draw->solarize) moco_solarize(image, area, (float) config->solarize_threshold);
        break;
    default:
        break;
    }
}

moco_status moco_augment_render(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                const moco_view_draw *draw, int32_t normalized, float *out) {
    const moco_augment_config *config = &augment->config;
    const int64_t height = config->height, width = config->width;
    moco_resample_axis vertical, horizontal;
    moco_view_axes(augment, draw, h, w, &vertical, &horizontal);
    const float *window = image;
    if (!draw->evaluation) { /* only the crop's rows need working memory */
        window += draw->crop_top * w + draw->crop_left;
        vertical.origin = horizontal.origin = 0.0;
        vertical.in = draw->crop_h;
        horizontal.in = draw->crop_w;
    }
    size_t bytes = moco_resample_scratch(&vertical, &horizontal);
    MOCO_REQUIRE(bytes > 0, "h x w is %lld x %lld; an image of that size is more than can be addressed", (long long) h,
                 (long long) w);
    if (!draw->evaluation && draw->blur) {
        const size_t blur_bytes = moco_gaussian_blur_scratch(height, width, draw->blur_sigma);
        bytes = bytes > blur_bytes ? bytes : blur_bytes;
    }
    void *scratch = moco_allocate(augment->context, bytes);
    if (scratch == NULL) return MOCO_OUT_OF_MEMORY;

    moco_resample(window, w, 3, h * w, &vertical, &horizontal, scratch, out);
    if (config->interpolation == MOCO_INTERPOLATION_BICUBIC) moco_clamp(out, 3 * height * width); /* it overshoots */
    for (int32_t i = 0; i < MOCO_AUGMENT_ORDER && !draw->evaluation; ++i) {
        apply_part(config, config->order[i], draw, scratch, out);
    }
    if (normalized) normalize(config, height * width, out);
    moco_deallocate(augment->context, scratch);
    return MOCO_OK;
}

moco_status moco_augment_apply(const moco_augment *augment, const float *image, int64_t h, int64_t w, int64_t epoch,
                               int64_t sample, int32_t view, float *out) {
    moco_view_draw draw;
    MOCO_TRY(require_arguments(augment, image, h, w, out));
    MOCO_TRY(moco_augment_require_view(epoch, sample, view));
    moco_augment_draw(augment, h, w, epoch, sample, view, &draw);
    return moco_augment_render(augment, image, h, w, &draw, 1, out);
}

moco_status moco_augment_evaluate(const moco_augment *augment, const float *image, int64_t h, int64_t w, float *out) {
    moco_view_draw draw;
    MOCO_TRY(require_arguments(augment, image, h, w, out));
    moco_augment_draw_evaluation(&draw);
    return moco_augment_render(augment, image, h, w, &draw, 1, out);
}

/* A view of a whole 8-bit image, with working memory for this call alone. */
static moco_status render_whole(const moco_augment *augment, const uint8_t *pixels, int64_t h, int64_t w,
                                const moco_view_draw *draw, float *out) {
    const moco_image_part image = moco_image_whole(pixels, h, w);
    moco_augment_scratch scratch = {0};
    const moco_status status = moco_augment_render_pixels(augment, &image, draw, &scratch, MOCO_PIXELS_FLOAT32, out);
    moco_augment_scratch_release(augment, &scratch);
    return status;
}

moco_status moco_augment_apply_pixels(const moco_augment *augment, const uint8_t *pixels, int64_t h, int64_t w,
                                      int64_t epoch, int64_t sample, int32_t view, float *out) {
    moco_view_draw draw;
    MOCO_TRY(require_arguments(augment, pixels, h, w, out));
    MOCO_TRY(moco_augment_require_view(epoch, sample, view));
    moco_augment_draw(augment, h, w, epoch, sample, view, &draw);
    return render_whole(augment, pixels, h, w, &draw, out);
}

moco_status moco_augment_evaluate_pixels(const moco_augment *augment, const uint8_t *pixels, int64_t h, int64_t w,
                                         float *out) {
    moco_view_draw draw;
    MOCO_TRY(require_arguments(augment, pixels, h, w, out));
    moco_augment_draw_evaluation(&draw);
    return render_whole(augment, pixels, h, w, &draw, out);
}
