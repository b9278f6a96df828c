/* Making a view: the recipe's operations in their order, on one working image in the caller's output. */
#include <math.h>

#include "augment/augment_internal.h"
#include "augment/colour_jitter.h"
#include "augment/gaussian_blur.h"
#include "augment/resample.h"
#include "core/checked.h"

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

static void normalise(const moco_augment_config *config, int64_t area, float *image) {
    for (int32_t c = 0; c < 3; ++c, image += area) {
        const float mean = (float) config->mean[c], std = (float) config->std[c];
        for (int64_t i = 0; i < area; ++i) image[i] = (image[i] - mean) / std;
    }
}

static moco_status require_image(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                 const float *out) {
    MOCO_REQUIRE_POINTER(augment);
    MOCO_REQUIRE_POINTER(image);
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE(h >= 1 && h <= MAX_IMAGE_SIDE && w >= 1 && w <= MAX_IMAGE_SIDE,
                 "h x w is %lld x %lld; both must be 1 to %lld", (long long) h, (long long) w,
                 (long long) MAX_IMAGE_SIDE);
    return MOCO_OK;
}

moco_status moco_augment_render(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                const moco_view_draw *draw, float *out) {
    const moco_augment_config *config = &augment->config;
    const int64_t height = config->height, width = config->width, area = height * width;
    const moco_resample_axis vertical = {draw->crop_h, height, 0, height};
    const moco_resample_axis horizontal = {draw->crop_w, width, 0, width};
    size_t bytes = moco_resample_scratch(&vertical, &horizontal);
    if (draw->blur) {
        const size_t blur_bytes = moco_gaussian_blur_scratch(height, width, draw->blur_sigma);
        bytes = bytes > blur_bytes ? bytes : blur_bytes;
    }
    void *scratch = moco_allocate(augment->context, bytes);
    if (scratch == NULL) return MOCO_OUT_OF_MEMORY;

    moco_resample(image + draw->crop_top * w + draw->crop_left, w, 3, h * w, &vertical, &horizontal, scratch, out);
    switch (config->recipe) {
    case MOCO_AUGMENT_V1:
        if (draw->grey) moco_to_grey(out, area);
        if (draw->jitter) jitter(draw, area, out);
        if (draw->blur) moco_gaussian_blur(out, 3, height, width, draw->blur_sigma, scratch);
        if (draw->flip) flip(height, width, out);
        break;
    case MOCO_AUGMENT_CIFAR:
        if (draw->flip) flip(height, width, out);
        if (draw->jitter) jitter(draw, area, out);
        if (draw->grey) moco_to_grey(out, area);
        if (draw->blur) moco_gaussian_blur(out, 3, height, width, draw->blur_sigma, scratch);
        break;
    default: /* MOCO_AUGMENT_V2 */
        if (draw->jitter) jitter(draw, area, out);
        if (draw->grey) moco_to_grey(out, area);
        if (draw->blur) moco_gaussian_blur(out, 3, height, width, draw->blur_sigma, scratch);
        if (draw->flip) flip(height, width, out);
        break;
    }
    normalise(config, area, out);
    moco_deallocate(augment->context, scratch);
    return MOCO_OK;
}

moco_status moco_augment_apply(const moco_augment *augment, const float *image, int64_t h, int64_t w, int64_t epoch,
                               int64_t sample, int32_t view, float *out) {
    MOCO_TRY(require_image(augment, image, h, w, out));
    MOCO_REQUIRE(epoch >= 0 && epoch < (int64_t) 1 << 32, "epoch is %lld; it must be 0 to 2^32 - 1", (long long) epoch);
    MOCO_REQUIRE(sample >= 0 && sample < (int64_t) 1 << 40, "sample is %lld; it must be 0 to 2^40 - 1",
                 (long long) sample);
    MOCO_REQUIRE(view >= 0 && view < 256, "view is %d; it must be 0 (query) or 1 (key), at most 255", view);
    if (augment->config.recipe == MOCO_AUGMENT_PLAIN) return moco_augment_evaluate(augment, image, h, w, out);
    moco_view_draw draw;
    moco_augment_draw(augment, h, w, epoch, sample, view, &draw);
    return moco_augment_render(augment, image, h, w, &draw, out);
}

moco_status moco_augment_evaluate(const moco_augment *augment, const float *image, int64_t h, int64_t w, float *out) {
    MOCO_TRY(require_image(augment, image, h, w, out));
    const moco_augment_config *config = &augment->config;
    const int64_t height = config->height, width = config->width;
    /* As torchvision's Resize(shorter) and CenterCrop: the longer side is rounded down, the crop's corner to even. Only
     * the pixels within the crop are made. */
    const int64_t shorter = (int64_t) rint(config->eval_resize * (double) moco_max_i64(height, width));
    const int64_t resized_h = h <= w ? shorter : (int64_t) ((double) shorter * (double) h / (double) w);
    const int64_t resized_w = w <= h ? shorter : (int64_t) ((double) shorter * (double) w / (double) h);
    const int64_t top = (int64_t) rint((double) (resized_h - height) / 2.0);
    const int64_t left = (int64_t) rint((double) (resized_w - width) / 2.0);
    const moco_resample_axis vertical = {h, resized_h, top, height};
    const moco_resample_axis horizontal = {w, resized_w, left, width};
    const size_t bytes = moco_resample_scratch(&vertical, &horizontal);
    MOCO_REQUIRE(bytes > 0, "h x w is %lld x %lld; an image of that size is more than can be addressed", (long long) h,
                 (long long) w);
    void *scratch = moco_allocate(augment->context, bytes);
    if (scratch == NULL) return MOCO_OUT_OF_MEMORY;
    moco_resample(image, w, 3, h * w, &vertical, &horizontal, scratch, out);
    normalise(config, height * width, out);
    moco_deallocate(augment->context, scratch);
    return MOCO_OK;
}
