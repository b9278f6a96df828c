/* What each recipe is made of, and which values a configuration may have. */
#include <math.h>
#include <stddef.h>

#include "augment/augment_recipes.h"
#include "augment/gaussian_blur.h"
#include "core/config.h"

#define MAX_SIDE 16384
/* The struct of the first release, which ended there. */

#define IMAGENET_MEAN \
    { 0.485, 0.456, 0.406 }
#define IMAGENET_STD \
    { 0.229, 0.224, 0.225 }
/* What all recipes share. */
#define COMMON                                                                                                     \
    .crop_max = 1.0, .ratio_min = 3.0 / 4.0, .ratio_max = 4.0 / 3.0, .blur_sigma_min = 0.1, .blur_sigma_max = 2.0, \
    .solarize_threshold = 128.0 / 255.0

/* Both views alike. */
#define ALIKE .key_blur_p = -1.0, .key_solarize_p = -1.0

static const moco_augment_config recipes[] = {
    [MOCO_AUGMENT_V1] = {COMMON, ALIKE, .recipe = MOCO_AUGMENT_V1, .height = 224, .width = 224, .crop_min = 0.2,
                         .flip_p = 0.5, .jitter_p = 1.0, .brightness = 0.4, .contrast = 0.4, .saturation = 0.4,
                         .hue = 0.4, .grey_p = 0.2, .blur_p = 0.0, .mean = IMAGENET_MEAN, .std = IMAGENET_STD,
                         .eval_resize = 256.0 / 224.0,
                         .order = {MOCO_PART_GREY, MOCO_PART_JITTER, MOCO_PART_BLUR, MOCO_PART_SOLARIZE,
                                   MOCO_PART_FLIP}},
    [MOCO_AUGMENT_V2] = {COMMON, ALIKE, .recipe = MOCO_AUGMENT_V2, .height = 224, .width = 224, .crop_min = 0.2,
                         .flip_p = 0.5, .jitter_p = 0.8, .brightness = 0.4, .contrast = 0.4, .saturation = 0.4,
                         .hue = 0.1, .grey_p = 0.2, .blur_p = 0.5, .mean = IMAGENET_MEAN, .std = IMAGENET_STD,
                         .eval_resize = 256.0 / 224.0,
                         .order = {MOCO_PART_JITTER, MOCO_PART_GREY, MOCO_PART_BLUR, MOCO_PART_SOLARIZE,
                                   MOCO_PART_FLIP}},
    [MOCO_AUGMENT_CIFAR] = {COMMON, ALIKE, .recipe = MOCO_AUGMENT_CIFAR, .height = 32, .width = 32, .crop_min = 0.08,
                            .flip_p = 0.5, .jitter_p = 0.8, .brightness = 0.4, .contrast = 0.4, .saturation = 0.4,
                            .hue = 0.1, .grey_p = 0.2, .blur_p = 0.0, .mean = {0.4914, 0.4822, 0.4465},
                            .std = {0.2023, 0.1994, 0.2010}, .eval_resize = 1.0,
                            .order = {MOCO_PART_FLIP, MOCO_PART_JITTER, MOCO_PART_GREY, MOCO_PART_BLUR,
                                      MOCO_PART_SOLARIZE}},
    [MOCO_AUGMENT_PLAIN] = {COMMON, ALIKE, .recipe = MOCO_AUGMENT_PLAIN, .height = 224, .width = 224, .crop_min = 1.0,
                            .flip_p = 0.0, .jitter_p = 0.0, .brightness = 0.0, .contrast = 0.0, .saturation = 0.0,
                            .hue = 0.0, .grey_p = 0.0, .blur_p = 0.0, .mean = IMAGENET_MEAN, .std = IMAGENET_STD,
                            .eval_resize = 256.0 / 224.0,
                            .order = {MOCO_PART_JITTER, MOCO_PART_GREY, MOCO_PART_BLUR, MOCO_PART_SOLARIZE,
                                      MOCO_PART_FLIP}},
    [MOCO_AUGMENT_V3] = {COMMON, .recipe = MOCO_AUGMENT_V3, .height = 224, .width = 224, .crop_min = 0.08,
                         .flip_p = 0.5, .jitter_p = 0.8, .brightness = 0.4, .contrast = 0.4, .saturation = 0.2,
                         .hue = 0.1, .grey_p = 0.2, .blur_p = 1.0, .key_blur_p = 0.1, .key_solarize_p = 0.2,
                         .mean = IMAGENET_MEAN, .std = IMAGENET_STD, .eval_resize = 256.0 / 224.0,
                         .order = {MOCO_PART_JITTER, MOCO_PART_GREY, MOCO_PART_BLUR, MOCO_PART_SOLARIZE,
                                   MOCO_PART_FLIP}},
    [MOCO_AUGMENT_CUSTOM] = {COMMON, ALIKE, .recipe = MOCO_AUGMENT_CUSTOM, .height = 224, .width = 224,
                             .crop_min = 0.08, .flip_p = 0.0, .jitter_p = 0.0, .brightness = 0.0, .contrast = 0.0,
                             .saturation = 0.0, .hue = 0.0, .grey_p = 0.0, .blur_p = 0.0, .mean = IMAGENET_MEAN,
                             .std = IMAGENET_STD, .eval_resize = 256.0 / 224.0,
                             .order = {MOCO_PART_JITTER, MOCO_PART_GREY, MOCO_PART_BLUR, MOCO_PART_SOLARIZE,
                                       MOCO_PART_FLIP}},
};
enum { RECIPES = sizeof recipes / sizeof recipes[0] };

static moco_status require_recipe(int32_t recipe) {
    MOCO_REQUIRE(
        recipe >= 0 && recipe < RECIPES,
        "recipe is %d; it must be MOCO_AUGMENT_V1 (0), _V2 (1), _CIFAR (2), _PLAIN (3), _V3 (4) or _CUSTOM (5)",
        recipe);
    return MOCO_OK;
}

moco_status moco_augment_config_init(moco_augment_config *config, uint32_t struct_size, int32_t recipe) {
    MOCO_TRY(require_recipe(recipe));
    return moco_config_init(config, struct_size, &recipes[recipe], sizeof recipes[0], MOCO_AUGMENT_OLDEST_SIZE,
                            "moco_augment_config");
}

static moco_status require_within(const char *name, double value, double low, double high) {
    MOCO_REQUIRE(value >= low && value <= high, "%s is %g; it must be %g to %g", name, value, low, high);
    return MOCO_OK;
}

/* The probability of a part: 0 to 1, or -1 where that stands for the query view's. */
static moco_status require_key_probability(const char *name, double value) {
    MOCO_REQUIRE((value >= 0.0 && value <= 1.0) || value == -1.0,
                 "%s is %g; it must be 0 to 1, or -1 for the query view's", name, value);
    return MOCO_OK;
}

static moco_status require_range(const char *name, double low, double high, double most) {
    MOCO_REQUIRE(low > 0.0 && low <= high && high <= most,
                 "%s_min .. %s_max is %g .. %g; it must be 0 < min <= max <= %g", name, name, low, high, most);
    return MOCO_OK;
}

static moco_status check_order(const moco_augment_config *c) {
    static const char *const names[] = {"NONE", "FLIP", "JITTER", "GREY", "BLUR", "SOLARIZE"};
    int32_t seen[MOCO_PART_SOLARIZE + 1] = {0};
    for (int32_t i = 0; i < MOCO_AUGMENT_ORDER; ++i) {
        const int32_t part = c->order[i];
        MOCO_REQUIRE(part >= MOCO_PART_NONE && part <= MOCO_PART_SOLARIZE,
                     "order[%d] is %d; it must be one of MOCO_PART_*, 0 to %d", i, part, MOCO_PART_SOLARIZE);
        MOCO_REQUIRE(part == MOCO_PART_NONE || !seen[MOCO_PART_NONE],
                     "order[%d] is MOCO_PART_%s, but MOCO_PART_NONE before it ends the order", i, names[part]);
        MOCO_REQUIRE(part == MOCO_PART_NONE || !seen[part],
                     "order[%d] is MOCO_PART_%s once more; each part may stand there once", i, names[part]);
        seen[part] = 1;
    }
    const double p[] = {
        0.0, c->flip_p, c->jitter_p, c->grey_p, fmax(c->blur_p, c->key_blur_p), fmax(c->solarize_p, c->key_solarize_p)};
    for (int32_t part = MOCO_PART_FLIP; part <= MOCO_PART_SOLARIZE; ++part) {
        MOCO_REQUIRE(seen[part] || p[part] <= 0.0,
                     "order lacks MOCO_PART_%s (%d), whose probability is %g; put it in, or make that 0", names[part],
                     part, p[part]);
    }
    return MOCO_OK;
}

static moco_status check_config(const moco_augment_config *c) {
    MOCO_REQUIRE(c->height >= 1 && c->height <= MAX_SIDE && c->width >= 1 && c->width <= MAX_SIDE,
                 "height x width is %d x %d; both must be 1 to %d", c->height, c->width, MAX_SIDE);
    MOCO_TRY(require_range("crop", c->crop_min, c->crop_max, 1.0));
    MOCO_TRY(require_range("ratio", c->ratio_min, c->ratio_max, 1e6));
    MOCO_TRY(require_within("flip_p", c->flip_p, 0.0, 1.0));
    MOCO_TRY(require_within("jitter_p", c->jitter_p, 0.0, 1.0));
    MOCO_TRY(require_within("grey_p", c->grey_p, 0.0, 1.0));
    MOCO_TRY(require_within("blur_p", c->blur_p, 0.0, 1.0));
    MOCO_TRY(require_within("solarize_p", c->solarize_p, 0.0, 1.0));
    MOCO_TRY(require_key_probability("key_blur_p", c->key_blur_p));
    MOCO_TRY(require_key_probability("key_solarize_p", c->key_solarize_p));
    MOCO_TRY(require_within("brightness", c->brightness, 0.0, 1e6));
    MOCO_TRY(require_within("contrast", c->contrast, 0.0, 1e6));
    MOCO_TRY(require_within("saturation", c->saturation, 0.0, 1e6));
    MOCO_TRY(require_within("hue", c->hue, 0.0, 0.5));
    MOCO_TRY(require_range("blur_sigma", c->blur_sigma_min, c->blur_sigma_max, MOCO_BLUR_SIGMA_MAX));
    MOCO_TRY(require_within("solarize_threshold", c->solarize_threshold, 0.0, 1.0));
    for (int32_t i = 0; i < 3; ++i) {
        MOCO_REQUIRE(isfinite(c->mean[i]), "mean[%d] is %g; it must be finite", i, c->mean[i]);
        MOCO_REQUIRE(isfinite(c->std[i]) && c->std[i] > 0.0, "std[%d] is %g; it must be finite and above 0", i,
                     c->std[i]);
    }
    MOCO_TRY(require_within("eval_resize", c->eval_resize, 1.0, 16.0));
    MOCO_REQUIRE(c->interpolation == MOCO_INTERPOLATION_BILINEAR || c->interpolation == MOCO_INTERPOLATION_BICUBIC,
                 "interpolation is %d; it must be MOCO_INTERPOLATION_BILINEAR (0) or _BICUBIC (1)", c->interpolation);
    MOCO_REQUIRE(c->reduced_decoding == 0 || c->reduced_decoding == 1, "reduced_decoding is %d; it must be 0 or 1",
                 c->reduced_decoding);
    MOCO_TRY(check_order(c));
    MOCO_REQUIRE(c->recipe != MOCO_AUGMENT_PLAIN ||
                     (c->crop_min == 1.0 && c->flip_p == 0.0 && c->jitter_p == 0.0 && c->grey_p == 0.0 &&
                      c->blur_p == 0.0 && c->solarize_p == 0.0 && c->key_blur_p <= 0.0 && c->key_solarize_p <= 0.0),
                 "recipe is MOCO_AUGMENT_PLAIN with a random part; crop_min must be 1 and flip_p, jitter_p, grey_p, "
                 "blur_p and solarize_p 0, or choose another recipe");
    return MOCO_OK;
}

moco_status moco_augment_config_resolve(const moco_augment_config *config, moco_augment_config *out) {
    moco_augment_config wanted = recipes[MOCO_AUGMENT_V2];
    /* Twice: what an older struct lacks gets the values of its own recipe. */
    MOCO_TRY(moco_config_read(&wanted, config, sizeof wanted, MOCO_AUGMENT_OLDEST_SIZE, "moco_augment_config"));
    MOCO_TRY(require_recipe(wanted.recipe));
    wanted = recipes[wanted.recipe];
    MOCO_TRY(moco_config_read(&wanted, config, sizeof wanted, MOCO_AUGMENT_OLDEST_SIZE, "moco_augment_config"));
    MOCO_TRY(check_config(&wanted));
    *out = wanted;
    return MOCO_OK;
}
