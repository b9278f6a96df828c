/* The recipes' probabilities and parameter ranges: 100,000 draws, to 4 standard deviations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "augment/augment_internal.h"

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

enum { DRAWS = 100000 };

/* Within 4 standard deviations of a binomial count; exact for 0 and 1. */
static void assert_count_of(const char *what, int64_t count, int64_t draws, double p) {
    const double sigma = sqrt(p * (1.0 - p) * (double) draws);
    if (fabs((double) count - p * (double) draws) > 4.0 * sigma)
        fail_msg("%s: %lld of %lld, p %g", what, (long long) count, (long long) draws, p);
}
static void assert_count(const char *what, int64_t count, double p) {
    assert_count_of(what, count, DRAWS, p);
}

/* A uniform distribution on [low, high]: range, mean and variance. */
typedef struct moments {
    double least, most, sum, squares;
} moments;

static void note(moments *m, double x) {
    m->least = fmin(m->least, x);
    m->most = fmax(m->most, x);
    m->sum += x;
    m->squares += x * x;
}

static void assert_uniform(const char *what, const moments *m, double low, double high) {
    const double width = high - low, mean = m->sum / DRAWS, variance = m->squares / DRAWS - mean * mean;
    const double sd = width / sqrt(12.0);
    if (m->least < low - 1e-6 || m->most > high + 1e-6 || m->least > low + 1e-3 * width ||
        m->most < high - 1e-3 * width) {
        fail_msg("%s ranges over %g .. %g, not %g .. %g", what, m->least, m->most, low, high);
    }
    if (fabs(mean - (low + high) / 2.0) > 4.0 * sd / sqrt(DRAWS)) fail_msg("%s has the mean %g", what, mean);
    /* The variance of the sample variance of a uniform is width^4 / (180 n). */
    if (fabs(variance - sd * sd) > 4.0 * width * width / sqrt(180.0 * DRAWS)) {
        fail_msg("%s has the variance %g, not %g", what, variance, sd * sd);
    }
}

static const moments no_moments = {INFINITY, -INFINITY, 0.0, 0.0};

static void check_recipe(int32_t number) {
    const moco_augment_config c = recipe(number);
    moco_augment *augment = create(&c);
    int64_t flips = 0, jitters = 0, greys = 0, blurs[2] = {0}, solarized[2] = {0}, orders[4][4] = {{0}};
    moments factors[4], sigma = no_moments, area = no_moments, ratio = no_moments;
    for (int i = 0; i < 4; ++i) factors[i] = no_moments;
    /* So large an image that rounding and misfit are small: every attempt that the ratio allows fits but for areas
     * near 1, which are counted apart. */
    const int64_t side = 100000;
    for (int64_t i = 0; i < DRAWS; ++i) {
        moco_view_draw d;
        moco_augment_draw(augment, side, side, 3, i, (int32_t) (i & 1), &d);
        flips += d.flip;
        jitters += d.jitter;
        greys += d.grey;
        blurs[i & 1] += d.blur;
        solarized[i & 1] += d.solarize;
        assert_int_equal(d.evaluation, 0);
        int seen = 0;
        for (int j = 0; j < 4; ++j) {
            seen |= 1 << d.jitter_order[j];
            orders[j][d.jitter_order[j]]++;
            note(&factors[j], (double) d.jitter_factor[j]);
        }
        assert_int_equal(seen, 15);
        note(&sigma, d.blur_sigma);
        note(&area, (double) d.crop_h * (double) d.crop_w / ((double) side * (double) side));
        note(&ratio, (double) d.crop_w / (double) d.crop_h);
        assert_true(d.crop_top >= 0 && d.crop_left >= 0 && d.crop_h >= 1 && d.crop_w >= 1);
        assert_true(d.crop_top + d.crop_h <= side && d.crop_left + d.crop_w <= side);
    }
    assert_count("flip", flips, c.flip_p);
    assert_count("jitter", jitters, c.jitter_p);
    assert_count("grey", greys, c.grey_p);
    const double key_blur_p = c.key_blur_p < 0.0 ? c.blur_p : c.key_blur_p;
    const double key_solarize_p = c.key_solarize_p < 0.0 ? c.solarize_p : c.key_solarize_p;
    assert_count_of("blur", blurs[0], DRAWS / 2, c.blur_p);
    assert_count_of("blur of the key view", blurs[1], DRAWS / 2, key_blur_p);
    assert_count_of("solarize", solarized[0], DRAWS / 2, c.solarize_p);
    assert_count_of("solarize of the key view", solarized[1], DRAWS / 2, key_solarize_p);
    for (int j = 0; j < 4; ++j) {
        for (int k = 0; k < 4; ++k) assert_count("a place in the jitters' order", orders[j][k], 0.25);
    }
    assert_uniform("brightness", &factors[0], 1.0 - c.brightness, 1.0 + c.brightness);
    assert_uniform("contrast", &factors[1], 1.0 - c.contrast, 1.0 + c.contrast);
    assert_uniform("saturation", &factors[2], 1.0 - c.saturation, 1.0 + c.saturation);
    assert_uniform("hue", &factors[3], -c.hue, c.hue);
    assert_uniform("blur sigma", &sigma, c.blur_sigma_min, c.blur_sigma_max);
    assert_true(area.least >= c.crop_min - 1e-4 && area.least < c.crop_min + 0.001 && area.most > 0.99);
    assert_true(ratio.least >= 0.75 - 1e-4 && ratio.least < 0.751 && ratio.most <= 4.0 / 3.0 + 1e-4 &&
                ratio.most > 1.33);
    moco_augment_destroy(augment);
}

static void test_draws(void **state) {
    (void) state;
    check_recipe(MOCO_AUGMENT_V1);
    check_recipe(MOCO_AUGMENT_V2);
    check_recipe(MOCO_AUGMENT_CIFAR);
    check_recipe(MOCO_AUGMENT_V3);
}

/* Areas small enough that every attempt fits: area and log ratio are uniform, the place is too. */
static void test_crop_distribution(void **state) {
    (void) state;
    moco_augment_config c = recipe(MOCO_AUGMENT_V2);
    c.crop_min = 0.1;
    c.crop_max = 0.5;
    moco_augment *augment = create(&c);
    moments area = no_moments, log_ratio = no_moments, top = no_moments, left = no_moments;
    const int64_t h = 200000, w = 300000;
    for (int64_t i = 0; i < DRAWS; ++i) {
        moco_view_draw d;
        moco_augment_draw(augment, h, w, 0, i, 0, &d);
        note(&area, (double) d.crop_h * (double) d.crop_w / ((double) h * (double) w));
        note(&log_ratio, log((double) d.crop_w / (double) d.crop_h));
        note(&top, (double) d.crop_top / (double) (h - d.crop_h));
        note(&left, (double) d.crop_left / (double) (w - d.crop_w));
    }
    assert_uniform("area", &area, 0.1, 0.5);
    assert_uniform("log ratio", &log_ratio, log(0.75), log(4.0 / 3.0));
    assert_uniform("top", &top, 0.0, 1.0);
    assert_uniform("left", &left, 0.0, 1.0);
    moco_augment_destroy(augment);
}

/* An image that no allowed ratio fits gets the largest centred crop of the nearest ratio. */
static void test_crop_fallback(void **state) {
    (void) state;
    moco_augment_config c = recipe(MOCO_AUGMENT_V2);
    c.crop_min = 1.0;
    moco_augment *augment = create(&c);
    moco_view_draw d;
    moco_augment_draw(augment, 30, 300, 0, 0, 0, &d);
    assert_int_equal(d.crop_h, 30);
    assert_int_equal(d.crop_w, 40);
    assert_int_equal(d.crop_top, 0);
    assert_int_equal(d.crop_left, 130);
    moco_augment_draw(augment, 300, 30, 0, 0, 0, &d);
    assert_int_equal(d.crop_h, 40);
    assert_int_equal(d.crop_w, 30);
    assert_int_equal(d.crop_top, 130);
    moco_augment_draw(augment, 1, 1, 0, 0, 0, &d);
    assert_int_equal(d.crop_h * d.crop_w, 1);
    moco_augment_destroy(augment);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_crop_distribution),
        cmocka_unit_test(test_crop_fallback),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
