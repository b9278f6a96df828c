/* Drawing a view's parameters, as torchvision's transforms draw them. */
#include <math.h>

#include "augment/augment_internal.h"
#include "core/checked.h"
#include "core/random.h"

#define CROP_ATTEMPTS 10

/* RandomResizedCrop: an area fraction, an aspect ratio uniform in its logarithm; the largest centred crop of a ratio
 * allowed where no attempt fits. */
static void draw_crop(const moco_augment_config *config, moco_random *random, int64_t h, int64_t w,
                      moco_view_draw *draw) {
    const double area = (double) h * (double) w;
    const double log_min = log(config->ratio_min), log_max = log(config->ratio_max);
    for (int32_t attempt = 0; attempt < CROP_ATTEMPTS; ++attempt) {
        const double target = area * moco_random_uniform(random, config->crop_min, config->crop_max);
        const double ratio = exp(moco_random_uniform(random, log_min, log_max));
        const double crop_w = rint(sqrt(target * ratio)), crop_h = rint(sqrt(target / ratio));
        if (!(crop_w >= 1.0 && crop_w <= (double) w && crop_h >= 1.0 && crop_h <= (double) h)) continue;
        draw->crop_h = (int64_t) crop_h;
        draw->crop_w = (int64_t) crop_w;
        draw->crop_top = (int64_t) moco_random_below(random, (uint64_t) (h - draw->crop_h) + 1);
        draw->crop_left = (int64_t) moco_random_below(random, (uint64_t) (w - draw->crop_w) + 1);
        return;
    }
    const double ratio = (double) w / (double) h;
    draw->crop_h = h;
    draw->crop_w = w;
    if (ratio < config->ratio_min) {
        draw->crop_h = moco_max_i64((int64_t) rint((double) w / config->ratio_min), 1);
    } else if (ratio > config->ratio_max) {
        draw->crop_w = moco_max_i64((int64_t) rint((double) h * config->ratio_max), 1);
    }
    draw->crop_top = (h - draw->crop_h) / 2;
    draw->crop_left = (w - draw->crop_w) / 2;
}

static int32_t draw_event(moco_random *random, double probability) {
    return moco_random_double(random) < probability;
}

static float draw_factor(moco_random *random, double strength) {
    return (float) moco_random_uniform(random, fmax(0.0, 1.0 - strength), 1.0 + strength);
}

void moco_augment_draw(const moco_augment *augment, int64_t h, int64_t w, int64_t epoch, int64_t sample, int32_t view,
                       moco_view_draw *draw) {
    const moco_augment_config *config = &augment->config;
    if (config->recipe == MOCO_AUGMENT_PLAIN) {
        moco_augment_draw_evaluation(draw);
        return;
    }
    const double blur_p = view % 2 == 1 && config->key_blur_p >= 0.0 ? config->key_blur_p : config->blur_p;
    const double solarize_p =
        view % 2 == 1 && config->key_solarize_p >= 0.0 ? config->key_solarize_p : config->solarize_p;
    moco_random random;
    moco_random_init(&random, config->seed, MOCO_RANDOM_AUGMENT, (uint64_t) epoch,
                     ((uint64_t) view << 40) + (uint64_t) sample);
    draw_crop(config, &random, h, w, draw);
    draw->flip = draw_event(&random, config->flip_p);
    draw->jitter = draw_event(&random, config->jitter_p);
    draw->grey = draw_event(&random, config->grey_p);
    draw->blur = draw_event(&random, blur_p);
    int64_t order[MOCO_JITTER_PARTS];
    moco_random_permutation(&random, MOCO_JITTER_PARTS, order);
    for (int32_t i = 0; i < MOCO_JITTER_PARTS; ++i) draw->jitter_order[i] = (int32_t) order[i];
    draw->jitter_factor[MOCO_JITTER_BRIGHTNESS] = draw_factor(&random, config->brightness);
    draw->jitter_factor[MOCO_JITTER_CONTRAST] = draw_factor(&random, config->contrast);
    draw->jitter_factor[MOCO_JITTER_SATURATION] = draw_factor(&random, config->saturation);
    draw->jitter_factor[MOCO_JITTER_HUE] = (float) moco_random_uniform(&random, -config->hue, config->hue);
    draw->blur_sigma = moco_random_uniform(&random, config->blur_sigma_min, config->blur_sigma_max);
    draw->solarize = draw_event(&random, solarize_p); /* after what older versions drew, which so stays the same */
    draw->evaluation = 0;
}

void moco_augment_draw_evaluation(moco_view_draw *draw) {
    *draw = (moco_view_draw){.evaluation = 1};
}
