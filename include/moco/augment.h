/* Random views of an image: the recipes of MoCo v1, v2 and v3 and the official CIFAR demo, in their exact order, or one
 * put together from parts. What is drawn depends only on (seed, epoch, sample, view), never on the thread or on what
 * was drawn before.
 */
#ifndef MOCO_AUGMENT_H
#define MOCO_AUGMENT_H

#include <moco/context.h>

MOCO_BEGIN_DECLS

typedef struct moco_augment moco_augment;

enum {
    MOCO_AUGMENT_V1 = 0,    /* crop .2-1; grey p .2; jitter .4 .4 .4 .4 always; flip p .5; ImageNet mean and std */
    MOCO_AUGMENT_V2 = 1,    /* crop .2-1; jitter .4 .4 .4 .1 p .8; grey p .2; blur sigma .1-2 p .5; flip p .5 */
    MOCO_AUGMENT_CIFAR = 2, /* crop .08-1 to 32; flip p .5; jitter .4 .4 .4 .1 p .8; grey p .2; CIFAR mean and std */
    MOCO_AUGMENT_PLAIN = 3, /* no randomness: evaluation resize, centre crop and normalization only */
    /* Two unlike views: crop .08-1 (v3 takes .2 for ResNet-50); jitter .4 .4 .2 .1 p .8; grey p .2; blur sigma .1-2,
     * always in the query view, p .1 in the key view; solarize p .2 in the key view alone; flip p .5. */
    MOCO_AUGMENT_V3 = 4,
    MOCO_AUGMENT_CUSTOM = 5 /* crop .08-1 and ImageNet mean and std; every other part off: switch on what is wanted */
};

/* The parts that follow the crop, for `order`. */
enum {
    MOCO_PART_NONE = 0, /* ends the order */
    MOCO_PART_FLIP = 1,
    MOCO_PART_JITTER = 2,
    MOCO_PART_GREY = 3,
    MOCO_PART_BLUR = 4,
    MOCO_PART_SOLARIZE = 5
};
enum { MOCO_AUGMENT_ORDER = 7 /* places in `order` */ };

/* Both as Pillow's with antialiasing: where an image is made smaller, every pixel of it counts. */
enum { MOCO_INTERPOLATION_BILINEAR = 0, MOCO_INTERPOLATION_BICUBIC = 1 /* a = -0.5 */ };

/* moco_augment_config_init() fills a recipe's values; every field may then be changed. */
typedef struct moco_augment_config {
    uint32_t struct_size;
    int32_t recipe;  /* MOCO_AUGMENT_* */
    int32_t height;  /* of the views; default 224, CIFAR 32 */
    int32_t width;   /* same */
    double crop_min; /* random resized crop: area fraction, uniform in [crop_min, crop_max]; 0 < min <= max <= 1 */
    double crop_max;
    double ratio_min; /* aspect ratio w / h, log-uniform; default 3/4 .. 4/3 */
    double ratio_max;
    double flip_p;     /* horizontal flip; probabilities are in 0..1 */
    double jitter_p;   /* the four jitters as a whole, in random order */
    double brightness; /* factor uniform in [max(0, 1 - b), 1 + b] */
    double contrast;   /* same */
    double saturation; /* same */
    double hue;        /* shift uniform in [-hue, hue] of a full turn; 0..0.5 */
    double grey_p;     /* to grey: L = .299 R + .587 G + .114 B in all three planes */
    double blur_p;     /* Gaussian blur */
    double blur_sigma_min;
    double blur_sigma_max; /* sigma uniform, in pixels */
    double mean[3];        /* normalization, (x - mean) / std by channel */
    double std[3];
    double eval_resize; /* evaluation: the shorter side becomes round(eval_resize * crop size); 256/224, CIFAR 1 */
    uint64_t seed;      /* default 0 */
    /* What follows is newer: a struct that ends before it gets the recipe's values. */
    double solarize_p;         /* values of at least solarize_threshold become 1 - value; default 0 */
    double solarize_threshold; /* 0..1; default 128/255 */
    double key_blur_p;         /* blur_p of view 1 and all odd ones; -1: blur_p; default -1, v3 .1 */
    double key_solarize_p;     /* solarize_p of view 1 and all odd ones; -1: solarize_p; default -1, v3 .2 */
    int32_t interpolation;     /* MOCO_INTERPOLATION_*, of crops and of the evaluation resize; default bilinear */
    int32_t order[MOCO_AUGMENT_ORDER]; /* MOCO_PART_*, first to last, each at most once, then MOCO_PART_NONE; a part
                                          with a probability above 0 must be there; default: the recipe's order */
    int32_t reduced_decoding; /* 1: a loader may decode a JPEG at 1/2, 1/4 or 1/8 of its size where the crops are at
                                 least 5 times that factor larger than the views: quicker for photos of over 2240 px at
                                 224 px; views differ by a mean of up to 0.5/255 (in 95 % of the crops), single pixels
                                 by up to 7/255. Default 0: every view has the pixels that decoding in full gives */
    int32_t reserved;
} moco_augment_config;

/* The values of `recipe`. INVALID_ARGUMENT for a recipe that is none. */
MOCO_API moco_status moco_augment_config_init(moco_augment_config *config, uint32_t struct_size, int32_t recipe);

MOCO_API moco_status moco_augment_create(moco_augment **out, moco_context *context, const moco_augment_config *config);
MOCO_API void moco_augment_destroy(moco_augment *augment);

/* Its settings, in a struct whose struct_size the caller has set: what belongs to the model that is trained with it, such as
 * mean and std, for moco_export_config.augment. Since 0.2. */
MOCO_API moco_status moco_augment_read_config(const moco_augment *augment, moco_augment_config *config);

MOCO_API int32_t moco_augment_height(const moco_augment *augment);
MOCO_API int32_t moco_augment_width(const moco_augment *augment);

/* One random view: image[3 x h x w] in [0, 1] -> out[3 x height x width], normalized. view: 0 for the query, 1 for the
 * key (others up to 255 are more independent views). Const: many threads may use one augment at once. */
MOCO_API moco_status moco_augment_apply(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                        int64_t epoch, int64_t sample, int32_t view, float *out);

/* The evaluation view: resize the shorter side, centre crop, normalize. */
MOCO_API moco_status moco_augment_evaluate(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                           float *out);

/* The same two for 8-bit images: pixels[h x w x 3], red, green and blue side by side, rows without gaps. Faster, and as
 * the official recipes work, which round to 8 bits after each part: resizing, brightness, contrast, saturation, grey,
 * blur and solarize as Pillow's, hue as torchvision's. The same draws as moco_augment_apply's. */
MOCO_API moco_status moco_augment_apply_pixels(const moco_augment *augment, const uint8_t *pixels, int64_t h, int64_t w,
                                               int64_t epoch, int64_t sample, int32_t view, float *out);
MOCO_API moco_status moco_augment_evaluate_pixels(const moco_augment *augment, const uint8_t *pixels, int64_t h,
                                                  int64_t w, float *out);

MOCO_END_DECLS

#endif
