/* Recipes, identities, determinism and every refusal. Draws are in test_augment_draw.c, pixels in
 * test_augment_golden.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "augment/augment_internal.h"
#include "core/random.h"

static moco_context *context;

static int setup(void **state) {
    (void) state;
    return moco_context_create(&context, NULL);
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

#define assert_fails(call, status, word)                                                                         \
    do {                                                                                                         \
        assert_int_equal(call, status);                                                                          \
        if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" lacks \"%s\"", moco_last_error(), (word)); \
    } while (0)

static moco_augment_config recipe(int32_t number) {
    moco_augment_config config;
    assert_int_equal(moco_augment_config_init(&config, sizeof config, number), MOCO_OK);
    return config;
}

static moco_augment *create(const moco_augment_config *config) {
    moco_augment *augment = NULL;
    assert_int_equal(moco_augment_create(&augment, context, config), MOCO_OK);
    return augment;
}

static void fill(float *image, int64_t count) {
    moco_random random;
    moco_random_init(&random, 1, MOCO_RANDOM_TEST, 0, 0);
    for (int64_t i = 0; i < count; ++i) image[i] = moco_random_float(&random);
}

/* --- Recipes --- */

/* The published numbers of each recipe, beside those of the draws. */
static void test_recipes(void **state) {
    (void) state;
    moco_augment_config c = recipe(MOCO_AUGMENT_V3);
    assert_true(c.crop_min == 0.08 && c.saturation == 0.2 && c.hue == 0.1 && c.blur_p == 1.0 && c.key_blur_p == 0.1);
    assert_true(c.solarize_p == 0.0 && c.key_solarize_p == 0.2 && c.solarize_threshold == 128.0 / 255.0);
    c = recipe(MOCO_AUGMENT_V1);
    assert_true(c.jitter_p == 1.0 && c.hue == 0.4 && c.blur_p == 0.0 && c.key_blur_p == -1.0 && c.solarize_p == 0.0);
    assert_true(c.order[0] == MOCO_PART_GREY && c.order[1] == MOCO_PART_JITTER);
    c = recipe(MOCO_AUGMENT_CUSTOM);
    assert_true(c.crop_min == 0.08 && c.flip_p == 0.0 && c.jitter_p == 0.0 && c.grey_p == 0.0 && c.blur_p == 0.0);
    assert_int_equal(c.interpolation, MOCO_INTERPOLATION_BILINEAR);
}

/* A program built with the first release's struct gets its recipe's values for what is newer. */
static void test_older_struct(void **state) {
    (void) state;
    enum { OLDEST = offsetof(moco_augment_config, solarize_p) };
    const moco_augment_config whole = recipe(MOCO_AUGMENT_V3);
    moco_augment_config older = whole;
    memset((char *) &older + OLDEST, 0xA5, sizeof older - OLDEST);
    assert_int_equal(moco_augment_config_init(&older, OLDEST, MOCO_AUGMENT_V3), MOCO_OK);
    assert_int_equal(older.struct_size, OLDEST);
    assert_int_equal(*((unsigned char *) &older + OLDEST), 0xA5);
    moco_augment *augment = create(&older);
    assert_memory_equal((const char *) &augment->config + OLDEST, (const char *) &whole + OLDEST,
                        sizeof whole - OLDEST);
    moco_augment_destroy(augment);
    assert_fails(moco_augment_config_init(&older, OLDEST - 1, MOCO_AUGMENT_V3), MOCO_INVALID_ARGUMENT, "struct_size");
}

/* The order decides: grey before the jitter leaves nothing to turn the hue of; solarizing before it does. */
static void test_custom_order(void **state) {
    (void) state;
    enum { SIDE = 6, N = 3 * SIDE * SIDE };
    float image[N], first[N], second[N];
    fill(image, N);
    moco_augment_config c = recipe(MOCO_AUGMENT_CUSTOM);
    c.height = c.width = SIDE;
    c.grey_p = c.solarize_p = 1.0;
    moco_view_draw d = {.crop_h = SIDE, .crop_w = SIDE, .grey = 1, .solarize = 1};
    const int32_t orders[2][2] = {{MOCO_PART_GREY, MOCO_PART_SOLARIZE}, {MOCO_PART_SOLARIZE, MOCO_PART_GREY}};
    for (int i = 0; i < 2; ++i) {
        memset(c.order, 0, sizeof c.order);
        memcpy(c.order, orders[i], sizeof orders[i]);
        moco_augment *augment = create(&c);
        assert_int_equal(moco_augment_render(augment, image, SIDE, SIDE, &d, 1, i == 0 ? first : second), MOCO_OK);
        moco_augment_destroy(augment);
    }
    const float threshold = (float) c.solarize_threshold;
    for (int i = 0; i < SIDE * SIDE; ++i) {
        float rgb[3], grey = 0.0f, grey_after = 0.0f;
        const float luma[3] = {0.299f, 0.587f, 0.114f};
        for (int k = 0; k < 3; ++k) {
            rgb[k] = image[k * SIDE * SIDE + i];
            grey += luma[k] * rgb[k];
            grey_after += luma[k] * (rgb[k] >= threshold ? 1.0f - rgb[k] : rgb[k]);
        }
        const float wanted = grey >= threshold ? 1.0f - grey : grey;
        const float mean = (float) c.mean[0], std = (float) c.std[0];
        if (fabsf(grey - threshold) > 1e-5f) assert_true(fabsf(first[i] - (wanted - mean) / std) < 1e-5f);
        assert_true(fabsf(second[i] - (grey_after - mean) / std) < 1e-5f);
    }
}

/* --- Identities --- */

static void test_identity(void **state) {
    (void) state;
    enum { H = 13, W = 18, N = 3 * H * W };
    float image[N], out[N];
    fill(image, N);
    for (int32_t number = MOCO_AUGMENT_V1; number <= MOCO_AUGMENT_CUSTOM; ++number) {
        if (number == MOCO_AUGMENT_PLAIN) continue;
        moco_augment_config c = recipe(number);
        c.height = H;
        c.width = W;
        for (int i = 0; i < 3; ++i) {
            c.mean[i] = 0.0;
            c.std[i] = 1.0;
        }
        moco_augment *augment = create(&c);
        moco_view_draw d = {.crop_h = H,
                            .crop_w = W,
                            .jitter = 1,
                            .jitter_order = {3, 2, 1, 0},
                            .jitter_factor = {1.0f, 1.0f, 1.0f, 0.0f}};
        assert_int_equal(moco_augment_render(augment, image, H, W, &d, 1, out), MOCO_OK);
        assert_memory_equal(image, out, sizeof out);
        d.flip = 1;
        assert_int_equal(moco_augment_render(augment, image, H, W, &d, 1, out), MOCO_OK);
        for (int i = 0; i < N; ++i) assert_true(out[i] == image[i / W * W + W - 1 - i % W]);
        /* Blurring keeps a constant; so does every crop of it. */
        float flat[N];
        for (int i = 0; i < N; ++i) flat[i] = 0.25f;
        d = (moco_view_draw){.crop_top = 2, .crop_left = 3, .crop_h = 7, .crop_w = 5, .blur = 1, .blur_sigma = 1.7};
        assert_int_equal(moco_augment_render(augment, flat, H, W, &d, 1, out), MOCO_OK);
        for (int i = 0; i < N; ++i) assert_true(fabsf(out[i] - 0.25f) < 1e-6f);
        moco_augment_destroy(augment);
    }
}

static void test_normalization(void **state) {
    (void) state;
    enum { SIDE = 8, AREA = SIDE * SIDE };
    float image[3 * AREA], out[3 * AREA];
    fill(image, 3 * AREA);
    moco_augment_config c = recipe(MOCO_AUGMENT_PLAIN);
    c.height = SIDE;
    c.width = SIDE;
    c.eval_resize = 1.0;
    moco_augment *augment = create(&c);
    assert_int_equal(moco_augment_apply(augment, image, SIDE, SIDE, 0, 0, 0, out), MOCO_OK);
    const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    for (int i = 0; i < 3 * AREA; ++i) {
        assert_true(fabs((double) out[i] - ((double) image[i] - mean[i / AREA]) / std[i / AREA]) < 1e-6);
    }
    moco_augment_destroy(augment);
}

/* Bicubic weights overshoot at an edge; views stay within the range of an image. */
static void test_bicubic_range(void **state) {
    (void) state;
    enum { SIDE = 8, OUT = 29 };
    float image[3 * SIDE * SIDE], out[3 * OUT * OUT], least = 1.0f, most = 0.0f;
    for (int i = 0; i < 3 * SIDE * SIDE; ++i) image[i] = (float) (i / 2 % 2 ^ i / (2 * SIDE) % 2);
    moco_augment_config c = recipe(MOCO_AUGMENT_CUSTOM);
    c.height = c.width = OUT;
    c.interpolation = MOCO_INTERPOLATION_BICUBIC;
    for (int i = 0; i < 3; ++i) {
        c.mean[i] = 0.0;
        c.std[i] = 1.0;
    }
    moco_augment *augment = create(&c);
    assert_int_equal(moco_augment_apply(augment, image, SIDE, SIDE, 0, 0, 0, out), MOCO_OK);
    for (int i = 0; i < 3 * OUT * OUT; ++i) {
        least = fminf(least, out[i]);
        most = fmaxf(most, out[i]);
    }
    assert_true(least == 0.0f && most == 1.0f);
    moco_augment_destroy(augment);
}

static void test_determinism(void **state) {
    (void) state;
    enum { H = 40, W = 50, OUT = 3 * 32 * 32 };
    static float image[3 * H * W];
    float first[OUT], again[OUT];
    fill(image, 3 * H * W);
    moco_augment_config c = recipe(MOCO_AUGMENT_CIFAR);
    moco_augment *augment = create(&c);
    c.seed = 1;
    moco_augment *other = create(&c);
    assert_int_equal(moco_augment_apply(augment, image, H, W, 2, 7, 1, first), MOCO_OK);
    assert_int_equal(moco_augment_apply(augment, image, H, W, 2, 8, 1, again), MOCO_OK);
    assert_memory_not_equal(first, again, sizeof first);
    assert_int_equal(moco_augment_apply(augment, image, H, W, 3, 7, 1, again), MOCO_OK);
    assert_memory_not_equal(first, again, sizeof first);
    assert_int_equal(moco_augment_apply(augment, image, H, W, 2, 7, 0, again), MOCO_OK);
    assert_memory_not_equal(first, again, sizeof first);
    assert_int_equal(moco_augment_apply(other, image, H, W, 2, 7, 1, again), MOCO_OK);
    assert_memory_not_equal(first, again, sizeof first);
    assert_int_equal(moco_augment_apply(augment, image, H, W, 2, 7, 1, again), MOCO_OK);
    assert_memory_equal(first, again, sizeof first);
    moco_augment_destroy(augment);
    moco_augment_destroy(other);
}

/* Any size in, any size out, and pixels that are no numbers: nothing is read or written out of place (the sanitizers
 * watch), and what was finite stays so. */
static void test_sizes(void **state) {
    (void) state;
    const int64_t sides[] = {1, 2, 3, 31, 100};
    static float image[3 * 100 * 100], out[3 * 40 * 40];
    fill(image, 3 * 100 * 100);
    for (int32_t number = MOCO_AUGMENT_V1; number <= MOCO_AUGMENT_CUSTOM; ++number) {
        for (int32_t out_side = 1; out_side <= 40; out_side += 13) {
            moco_augment_config c = recipe(number);
            c.height = out_side;
            c.width = 41 - out_side;
            c.interpolation = number % 2;
            moco_augment *augment = create(&c);
            for (int i = 0; i < 25; ++i) {
                const int64_t h = sides[i / 5], w = sides[i % 5];
                assert_int_equal(moco_augment_evaluate(augment, image, h, w, out), MOCO_OK);
                for (int view = 0; view < 4; ++view) {
                    assert_int_equal(moco_augment_apply(augment, image, h, w, i, i, view, out), MOCO_OK);
                    for (int64_t j = 0; j < 3 * c.height * c.width; ++j) assert_true(isfinite(out[j]));
                }
            }
            moco_augment_destroy(augment);
        }
    }
    for (int i = 0; i < 3 * 100 * 100; i += 7) image[i] = i % 2 ? NAN : INFINITY;
    const moco_augment_config c = recipe(MOCO_AUGMENT_CIFAR);
    moco_augment *augment = create(&c);
    for (int i = 0; i < 50; ++i) {
        assert_int_equal(moco_augment_apply(augment, image, 100, 100, 0, i, 0, out), MOCO_OK);
    }
    moco_augment_destroy(augment);
}

/* --- Refusals --- */

#define assert_refused(field, value, word)                                                       \
    do {                                                                                         \
        moco_augment_config c_ = recipe(MOCO_AUGMENT_V2);                                        \
        moco_augment *refused_ = NULL;                                                           \
        c_.field = (value);                                                                      \
        assert_fails(moco_augment_create(&refused_, context, &c_), MOCO_INVALID_ARGUMENT, word); \
        assert_null(refused_);                                                                   \
    } while (0)

static void test_refusals(void **state) {
    (void) state;
    moco_augment_config c = recipe(MOCO_AUGMENT_V2);
    moco_augment *augment = NULL;
    assert_fails(moco_augment_config_init(&c, sizeof c, 6), MOCO_INVALID_ARGUMENT, "recipe is 6");
    assert_fails(moco_augment_config_init(&c, sizeof c, -1), MOCO_INVALID_ARGUMENT, "recipe is -1");
    assert_fails(moco_augment_config_init(NULL, sizeof c, 0), MOCO_INVALID_ARGUMENT, "NULL");
    assert_fails(moco_augment_create(NULL, context, &c), MOCO_INVALID_ARGUMENT, "out is NULL");
    assert_fails(moco_augment_create(&augment, NULL, &c), MOCO_INVALID_ARGUMENT, "context is NULL");
    assert_fails(moco_augment_create(&augment, context, NULL), MOCO_INVALID_ARGUMENT, "moco_augment_config is NULL");
    assert_refused(struct_size, 3, "struct_size");
    assert_refused(recipe, 9, "recipe is 9");
    assert_refused(height, 0, "0 x 224");
    assert_refused(width, 1 << 20, "224 x 1048576");
    assert_refused(crop_min, 0.0, "crop_min");
    assert_refused(crop_min, (double) NAN, "crop_min");
    assert_refused(crop_max, 0.1, "crop_min");
    assert_refused(crop_max, 1.5, "crop_min");
    assert_refused(ratio_min, -1.0, "ratio_min");
    assert_refused(ratio_max, (double) INFINITY, "ratio_min");
    assert_refused(flip_p, 1.1, "flip_p is 1.1");
    assert_refused(jitter_p, -0.1, "jitter_p");
    assert_refused(grey_p, (double) NAN, "grey_p");
    assert_refused(blur_p, 2.0, "blur_p");
    assert_refused(brightness, -1.0, "brightness");
    assert_refused(contrast, (double) INFINITY, "contrast");
    assert_refused(saturation, (double) NAN, "saturation");
    assert_refused(hue, 0.6, "hue is 0.6");
    assert_refused(blur_sigma_min, 0.0, "blur_sigma_min");
    assert_refused(blur_sigma_max, 1e9, "blur_sigma_min");
    assert_refused(mean[1], (double) NAN, "mean[1]");
    assert_refused(std[2], 0.0, "std[2] is 0");
    assert_refused(eval_resize, 0.5, "eval_resize is 0.5");
    assert_refused(recipe, MOCO_AUGMENT_PLAIN, "MOCO_AUGMENT_PLAIN with a random part");
    assert_refused(solarize_p, 1.5, "solarize_p is 1.5");
    assert_refused(solarize_threshold, (double) NAN, "solarize_threshold");
    assert_refused(key_blur_p, -0.5, "key_blur_p is -0.5");
    assert_refused(key_solarize_p, (double) NAN, "key_solarize_p");
    assert_refused(interpolation, 2, "interpolation is 2");
    assert_refused(order[1], 6, "order[1] is 6");
    assert_refused(order[1], -1, "order[1] is -1");
    assert_refused(order[1], MOCO_PART_JITTER, "order[1] is MOCO_PART_JITTER once more");
    assert_refused(order[1], MOCO_PART_NONE, "MOCO_PART_NONE before it");
    assert_refused(order[4], MOCO_PART_NONE, "order lacks MOCO_PART_FLIP (1), whose probability is 0.5");

    c = recipe(MOCO_AUGMENT_CIFAR);
    augment = create(&c);
    static float image[3 * 32 * 32], out[3 * 32 * 32];
    assert_fails(moco_augment_apply(NULL, image, 32, 32, 0, 0, 0, out), MOCO_INVALID_ARGUMENT, "augment is NULL");
    assert_fails(moco_augment_apply(augment, NULL, 32, 32, 0, 0, 0, out), MOCO_INVALID_ARGUMENT, "image is NULL");
    assert_fails(moco_augment_apply(augment, image, 32, 32, 0, 0, 0, NULL), MOCO_INVALID_ARGUMENT, "out is NULL");
    assert_fails(moco_augment_apply(augment, image, 0, 32, 0, 0, 0, out), MOCO_INVALID_ARGUMENT, "0 x 32");
    assert_fails(moco_augment_apply(augment, image, 32, INT64_MAX, 0, 0, 0, out), MOCO_INVALID_ARGUMENT, "32 x 9");
    assert_fails(moco_augment_apply(augment, image, 32, 32, -1, 0, 0, out), MOCO_INVALID_ARGUMENT, "epoch is -1");
    assert_fails(moco_augment_apply(augment, image, 32, 32, 0, -1, 0, out), MOCO_INVALID_ARGUMENT, "sample is -1");
    assert_fails(moco_augment_apply(augment, image, 32, 32, 0, 0, 256, out), MOCO_INVALID_ARGUMENT, "view is 256");
    assert_fails(moco_augment_evaluate(augment, image, 32, -1, out), MOCO_INVALID_ARGUMENT, "32 x -1");
    assert_int_equal(moco_augment_height(augment), 32);
    assert_int_equal(moco_augment_width(augment), 32);
    moco_augment_destroy(augment);
    moco_augment_destroy(NULL);
    assert_int_equal(moco_augment_height(NULL), 0);
    assert_int_equal(moco_augment_width(NULL), 0);
}

/* Its settings come back, into a struct of an older program as far as that knows them. */
static void test_settings_come_back(void **state) {
    (void) state;
    moco_augment_config c = recipe(MOCO_AUGMENT_V3);
    c.height = 48;
    c.mean[1] = 0.25;
    c.interpolation = MOCO_INTERPOLATION_BICUBIC;
    moco_augment *augment = create(&c);
    moco_augment_config read = {.struct_size = sizeof read};
    assert_int_equal(moco_augment_read_config(augment, &read), MOCO_OK);
    assert_memory_equal(&read, &c, sizeof c);
    moco_augment_config older = {.struct_size = (uint32_t) offsetof(moco_augment_config, solarize_p),
                                 .interpolation = 77};
    assert_int_equal(moco_augment_read_config(augment, &older), MOCO_OK);
    assert_true(older.height == 48 && older.mean[1] == 0.25 && older.interpolation == 77);
    assert_fails(moco_augment_read_config(NULL, &read), MOCO_INVALID_ARGUMENT, "augment is NULL");
    assert_fails(moco_augment_read_config(augment, NULL), MOCO_INVALID_ARGUMENT, "NULL");
    moco_augment_destroy(augment);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipes),       cmocka_unit_test(test_older_struct),
        cmocka_unit_test(test_custom_order),  cmocka_unit_test(test_identity),
        cmocka_unit_test(test_normalization), cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_bicubic_range), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_settings_come_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
