#include "augment/augment_internal.h"

#include <math.h>

#include "augment/gaussian_blur.h"
#include "core/config.h"

#define MAX_SIDE 16384

static const moco_augment_config recipes[] = {
    [MOCO_AUGMENT_V1] = {.recipe = MOCO_AUGMENT_V1,
                         .height = 224,
                         .width = 224,
                         .crop_min = 0.2,
                         .crop_max = 1.0,
                         .ratio_min = 3.0 / 4.0,
                         .ratio_max = 4.0 / 3.0,
                         .flip_p = 0.5,
                         .jitter_p = 1.0,
                         .brightness = 0.4,
                         .contrast = 0.4,
                         .saturation = 0.4,
                         .hue = 0.4,
                         .grey_p = 0.2,
                         .blur_p = 0.0,
                         .blur_sigma_min = 0.1,
                         .blur_sigma_max = 2.0,
                         .mean = {0.485, 0.456, 0.406},
                         .std = {0.229, 0.224, 0.225},
                         .eval_resize = 256.0 / 224.0},
    [MOCO_AUGMENT_V2] = {.recipe = MOCO_AUGMENT_V2,
                         .height = 224,
                         .width = 224,
                         .crop_min = 0.2,
                         .crop_max = 1.0,
                         .ratio_min = 3.0 / 4.0,
                         .ratio_max = 4.0 / 3.0,
                         .flip_p = 0.5,
                         .jitter_p = 0.8,
                         .brightness = 0.4,
                         .contrast = 0.4,
                         .saturation = 0.4,
                         .hue = 0.1,
                         .grey_p = 0.2,
                         .blur_p = 0.5,
                         .blur_sigma_min = 0.1,
                         .blur_sigma_max = 2.0,
                         .mean = {0.485, 0.456, 0.406},
                         .std = {0.229, 0.224, 0.225},
                         .eval_resize = 256.0 / 224.0},
    [MOCO_AUGMENT_CIFAR] = {.recipe = MOCO_AUGMENT_CIFAR,
                            .height = 32,
                            .width = 32,
                            .crop_min = 0.08,
                            .crop_max = 1.0,
                            .ratio_min = 3.0 / 4.0,
                            .ratio_max = 4.0 / 3.0,
                            .flip_p = 0.5,
                            .jitter_p = 0.8,
                            .brightness = 0.4,
                            .contrast = 0.4,
                            .saturation = 0.4,
                            .hue = 0.1,
                            .grey_p = 0.2,
                            .blur_p = 0.0,
                            .blur_sigma_min = 0.1,
                            .blur_sigma_max = 2.0,
                            .mean = {0.4914, 0.4822, 0.4465},
                            .std = {0.2023, 0.1994, 0.2010},
                            .eval_resize = 1.0},
    [MOCO_AUGMENT_PLAIN] = {.recipe = MOCO_AUGMENT_PLAIN,
                            .height = 224,
                            .width = 224,
                            .crop_min = 1.0,
                            .crop_max = 1.0,
                            .ratio_min = 3.0 / 4.0,
                            .ratio_max = 4.0 / 3.0,
                            .blur_sigma_min = 0.1,
                            .blur_sigma_max = 2.0,
                            .mean = {0.485, 0.456, 0.406},
                            .std = {0.229, 0.224, 0.225},
                            .eval_resize = 256.0 / 224.0},
};

moco_status moco_augment_config_init(moco_augment_config *config, uint32_t struct_size, int32_t recipe) {
    MOCO_REQUIRE(recipe >= MOCO_AUGMENT_V1 && recipe <= MOCO_AUGMENT_PLAIN,
                 "recipe is %d; it must be MOCO_AUGMENT_V1 (0), _V2 (1), _CIFAR (2) or _PLAIN (3)", recipe);
    return moco_config_init(config, struct_size, &recipes[recipe], sizeof recipes[0], sizeof recipes[0],
                            "moco_augment_config");
}

static moco_status require_within(const char *name, double value, double low, double high) {
    MOCO_REQUIRE(value >= low && value <= high, "%s is %g; it must be %g to %g", name, value, low, high);
    return MOCO_OK;
}

static moco_status require_range(const char *name, double low, double high, double most) {
    MOCO_REQUIRE(low > 0.0 && low <= high && high <= most,
                 "%s_min .. %s_max is %g .. %g; it must be 0 < min <= max <= %g", name, name, low, high, most);
    return MOCO_OK;
}

static moco_status check_config(const moco_augment_config *c) {
    MOCO_REQUIRE(c->recipe >= MOCO_AUGMENT_V1 && c->recipe <= MOCO_AUGMENT_PLAIN,
                 "recipe is %d; it must be MOCO_AUGMENT_V1 (0), _V2 (1), _CIFAR (2) or _PLAIN (3)", c->recipe);
    MOCO_REQUIRE(c->height >= 1 && c->height <= MAX_SIDE && c->width >= 1 && c->width <= MAX_SIDE,
                 "height x width is %d x %d; both must be 1 to %d", c->height, c->width, MAX_SIDE);
    MOCO_TRY(require_range("crop", c->crop_min, c->crop_max, 1.0));
    MOCO_TRY(require_range("ratio", c->ratio_min, c->ratio_max, 1e6));
    MOCO_TRY(require_within("flip_p", c->flip_p, 0.0, 1.0));
    MOCO_TRY(require_within("jitter_p", c->jitter_p, 0.0, 1.0));
    MOCO_TRY(require_within("grey_p", c->grey_p, 0.0, 1.0));
    MOCO_TRY(require_within("blur_p", c->blur_p, 0.0, 1.0));
    MOCO_TRY(require_within("brightness", c->brightness, 0.0, 1e6));
    MOCO_TRY(require_within("contrast", c->contrast, 0.0, 1e6));
    MOCO_TRY(require_within("saturation", c->saturation, 0.0, 1e6));
    MOCO_TRY(require_within("hue", c->hue, 0.0, 0.5));
    MOCO_TRY(require_range("blur_sigma", c->blur_sigma_min, c->blur_sigma_max, MOCO_BLUR_SIGMA_MAX));
    for (int32_t i = 0; i < 3; ++i) {
        MOCO_REQUIRE(isfinite(c->mean[i]), "mean[%d] is %g; it must be finite", i, c->mean[i]);
        MOCO_REQUIRE(isfinite(c->std[i]) && c->std[i] > 0.0, "std[%d] is %g; it must be finite and above 0", i,
                     c->std[i]);
    }
    MOCO_TRY(require_within("eval_resize", c->eval_resize, 1.0, 16.0));
    MOCO_REQUIRE(c->recipe != MOCO_AUGMENT_PLAIN || (c->crop_min == 1.0 && c->flip_p == 0.0 && c->jitter_p == 0.0 &&
                                                     c->grey_p == 0.0 && c->blur_p == 0.0),
                 "recipe is MOCO_AUGMENT_PLAIN with a random part; crop_min must be 1 and flip_p, jitter_p, grey_p and "
                 "blur_p 0, or choose another recipe");
    return MOCO_OK;
}

moco_status moco_augment_create(moco_augment **out, moco_context *context, const moco_augment_config *config) {
    MOCO_REQUIRE_POINTER(out);
    MOCO_REQUIRE_POINTER(context);
    moco_augment_config wanted = recipes[MOCO_AUGMENT_V2];
    MOCO_TRY(moco_config_read(&wanted, config, sizeof wanted, sizeof wanted, "moco_augment_config"));
    MOCO_TRY(check_config(&wanted));
    moco_augment *augment = (moco_augment *) moco_allocate(context, sizeof *augment);
    if (augment == NULL) return MOCO_OUT_OF_MEMORY;
    atomic_init(&augment->references, 1);
    moco_context_retain(context);
    augment->context = context;
    augment->config = wanted;
    *out = augment;
    return MOCO_OK;
}

void moco_augment_retain(moco_augment *augment) {
    atomic_fetch_add_explicit(&augment->references, 1, memory_order_relaxed);
}

void moco_augment_destroy(moco_augment *augment) {
    if (augment == NULL || atomic_fetch_sub_explicit(&augment->references, 1, memory_order_acq_rel) != 1) return;
    moco_context *context = augment->context;
    moco_deallocate(context, augment);
    moco_context_destroy(context);
}

moco_context *moco_augment_context(const moco_augment *augment) {
    return augment->context;
}

int32_t moco_augment_height(const moco_augment *augment) {
    return augment == NULL ? 0 : augment->config.height;
}

int32_t moco_augment_width(const moco_augment *augment) {
    return augment == NULL ? 0 : augment->config.width;
}
