/* Views of 8-bit images: resized into planes of bytes, on which the recipe's parts then work. A flip is one of the
 * columns' weights, wherever it stands in the order: no other part knows left from right.
 */
#include <math.h>
#include <moco/dataset.h>

#include "augment/augment_kernels.h"
#include "augment/gaussian_blur.h"
#include "augment/pixel_resample.h"
#include "augment/view_axes.h"

/* Steps that wait for their turn over the image: the four jitters, grey and solarize. */
enum { MOST_STEPS = MOCO_JITTER_PARTS + 2 };

typedef struct rendering {
    const moco_augment_config *config;
    const moco_augment_kernels *kernels;
    uint8_t *planes;
    int64_t area;
    void *scratch;
    moco_colour_step steps[MOST_STEPS];
    int32_t count;
} rendering;

static void add_step(rendering *r, int32_t kind, float factor, float level) {
    r->steps[r->count++] = (moco_colour_step){kind, factor, level};
}

static void run_steps(rendering *r, const moco_colour_output *output) {
    r->kernels->colour->run(r->planes, r->area, r->steps, r->count, output);
    r->count = 0;
}

/* The mean grey value of the image after the steps so far, rounded: what contrast goes towards. */
static float mean_grey(rendering *r) {
    int64_t sum = 0;
    run_steps(r, &(moco_colour_output){.bytes = r->count > 0 ? r->planes : NULL, .grey_sum = &sum});
    return (float) floor((double) sum / (double) r->area + 0.5);
}

static void jitter(rendering *r, const moco_view_draw *draw) {
    static const int32_t kinds[MOCO_JITTER_PARTS] = {
        [MOCO_JITTER_BRIGHTNESS] = MOCO_COLOUR_BRIGHTNESS,
        [MOCO_JITTER_CONTRAST] = MOCO_COLOUR_CONTRAST,
        [MOCO_JITTER_SATURATION] = MOCO_COLOUR_SATURATION,
        [MOCO_JITTER_HUE] = MOCO_COLOUR_HUE,
    };
    for (int32_t i = 0; i < MOCO_JITTER_PARTS; ++i) {
        const int32_t part = draw->jitter_order[i];
        const float factor = draw->jitter_factor[part];
        if (factor == (part == MOCO_JITTER_HUE ? 0.0f : 1.0f)) continue;
        const float level = part == MOCO_JITTER_CONTRAST ? mean_grey(r) : 0.0f;
        add_step(r, kinds[part], factor, level);
    }
}

static void blur(rendering *r, double sigma) {
    double exact[MOCO_BLUR_RADIUS_MAX + 1];
    uint16_t weights[MOCO_BLUR_RADIUS_MAX + 1];
    const int64_t radius = moco_gaussian_blur_radius(sigma);
    moco_gaussian_blur_weights(sigma, exact);
    int64_t middle = 1 << 16;
    for (int64_t i = 1; i <= radius; ++i) {
        weights[i] = (uint16_t) lrint(exact[i] * 65536.0);
        middle -= 2 * weights[i];
    }
    weights[0] = (uint16_t) (middle > 65535 ? 65535 : middle);
    if (r->count > 0) run_steps(r, &(moco_colour_output){.bytes = r->planes});
    r->kernels->blur->blur(r->planes, 3, r->config->height, r->config->width, weights, radius, (uint16_t *) r->scratch);
}

static void apply_part(rendering *r, int32_t part, const moco_view_draw *draw) {
    switch (part) {
    case MOCO_PART_JITTER:
        if (draw->jitter) jitter(r, draw);
        break;
    case MOCO_PART_GREY:
        if (draw->grey) add_step(r, MOCO_COLOUR_GREY, 0.0f, 0.0f);
        break;
    case MOCO_PART_BLUR:
        if (draw->blur) blur(r, draw->blur_sigma);
        break;
    case MOCO_PART_SOLARIZE:
        /* The least of 0 .. 255 that is at the threshold or above; 128 for 128/255. */
        if (draw->solarize) {
            add_step(r, MOCO_COLOUR_SOLARIZE, 0.0f, (float) ceil(r->config->solarize_threshold * 255.0 - 1e-6));
        }
        break;
    default:
        break;
    }
}

static void finish(rendering *r, int32_t pixels, void *out) {
    moco_colour_output output = {0};
    if (pixels == MOCO_PIXELS_UINT8) {
        output.bytes = (uint8_t *) out;
    } else {
        output.floats = (float *) out;
        for (int32_t c = 0; c < 3; ++c) { /* (x / 255 - mean) / std */
            output.scale[c] = (float) (1.0 / (255.0 * r->config->std[c]));
            output.shift[c] = (float) (-r->config->mean[c] / r->config->std[c]);
        }
    }
    run_steps(r, &output);
}

/* From pixels of the full image to those that are held. */
static void place_axis(moco_resample_axis *axis, int64_t begin, int64_t held, int32_t reduction) {
    axis->origin = (axis->origin - (double) begin) / (double) reduction;
    axis->extent /= (double) reduction;
    axis->in = held;
}

/* Room for `bytes`; the old content is not kept. */
static moco_status reserve(const moco_augment *augment, moco_augment_scratch *scratch, size_t bytes) {
    if (bytes <= scratch->capacity) return MOCO_OK;
    void *memory = moco_allocate(augment->context, bytes);
    if (memory == NULL) return MOCO_OUT_OF_MEMORY;
    moco_deallocate(augment->context, scratch->memory);
    scratch->memory = memory;
    scratch->capacity = bytes;
    return MOCO_OK;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

moco_status moco_augment_render_pixels(const moco_augment *augment, const moco_image_part *image,
                                       const moco_view_draw *draw, moco_augment_scratch *scratch, int32_t pixels,
                                       void *out) {
    int32_t sets = 0;
    const moco_augment_kernels *kernels = moco_augment_kernel_sets(&sets);
    return moco_augment_render_with(augment, kernels, image, draw, scratch, pixels, out);
}

moco_status moco_augment_render_with(const moco_augment *augment, const moco_augment_kernels *kernels,
                                     const moco_image_part *image, const moco_view_draw *draw,
                                     moco_augment_scratch *scratch, int32_t pixels, void *out) {
    const moco_augment_config *config = &augment->config;
    const int64_t height = config->height, width = config->width, area = height * width;
    moco_resample_axis vertical, horizontal;
    moco_view_axes(augment, draw, image->full_h, image->full_w, &vertical, &horizontal);
    place_axis(&vertical, image->window.top, image->h, image->reduction);
    place_axis(&horizontal, image->window.left, image->w, image->reduction);
    /* The planes, and behind them what the resizing needs first and the blur later. */
    const size_t plane_bytes = ((size_t) (3 * area) + 63) & ~(size_t) 63;
    size_t bytes = moco_pixel_resample_scratch(kernels->resample, &vertical, &horizontal);
    if (bytes == 0 || bytes > SIZE_MAX - plane_bytes) {
        return moco_fail(MOCO_OUT_OF_MEMORY, "an image of %lld x %lld pixels is more than can be addressed",
                         (long long) image->full_h, (long long) image->full_w);
    }
    if (draw->blur) {
        const int64_t radius = moco_gaussian_blur_radius(draw->blur_sigma);
        bytes = larger(bytes, (size_t) ((height + 1) * width + 2 * radius + 32) * sizeof(uint16_t));
    }
    MOCO_TRY(reserve(augment, scratch, plane_bytes + bytes));

    rendering r = {.config = config,
                   .kernels = kernels,
                   .planes = (uint8_t *) scratch->memory,
                   .area = area,
                   .scratch = (char *) scratch->memory + plane_bytes};
    moco_pixel_resample(kernels->resample, image->pixels, &vertical, &horizontal, !draw->evaluation && draw->flip,
                        r.scratch, r.planes);
    for (int32_t i = 0; i < MOCO_AUGMENT_ORDER && !draw->evaluation; ++i) apply_part(&r, config->order[i], draw);
    finish(&r, pixels, out);
    return MOCO_OK;
}
