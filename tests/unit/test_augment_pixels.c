/* Views of 8-bit images: against the float path, of parts of images and of reduced ones, of hostile sizes, with failing
 * memory; the same bits from every kernel set. Pixels are in test_augment_pixels_golden.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <moco/dataset.h>
#include <stdlib.h>
#include <string.h>

#include "augment/augment_kernels.h"
#include "core/checked.h"
#include "core/random.h"

static moco_context *context;
static int64_t allocations, allocations_left = INT64_MAX;

static void *allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
    if (allocations_left-- <= 0) return NULL;
    ++allocations;
    return aligned_alloc((size_t) alignment, (size_t) ((size + alignment - 1) / alignment * alignment));
}

static void deallocate(void *memory, void *user) {
    (void) user;
    free(memory);
}

static int setup(void **state) {
    (void) state;
    moco_context_config config;
    if (moco_context_config_init(&config, sizeof config) != MOCO_OK) return -1;
    config.allocate = allocate;
    config.deallocate = deallocate;
    return moco_context_create(&context, &config);
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

static moco_augment *create(int32_t recipe, int32_t h, int32_t w, int32_t interpolation) {
    moco_augment_config config;
    moco_augment *augment = NULL;
    assert_int_equal(moco_augment_config_init(&config, sizeof config, recipe), MOCO_OK);
    config.height = h;
    config.width = w;
    config.interpolation = interpolation;
    config.reduced_decoding = 1;
    assert_int_equal(moco_augment_create(&augment, context, &config), MOCO_OK);
    return augment;
}

/* Smooth, so that a reduced image looks like it. */
static uint8_t *make_picture(int64_t h, int64_t w) {
    uint8_t *pixels = (uint8_t *) malloc((size_t) (3 * h * w));
    assert_non_null(pixels);
    for (int64_t i = 0; i < h * w; ++i) {
        const double y = (double) (i / w), x = (double) (i % w);
        for (int c = 0; c < 3; ++c) {
            pixels[3 * i + c] = (uint8_t) (128.0 + 100.0 * sin(0.04 * x + c) * cos(0.03 * y - c) + 20.0 * sin(0.2 * x));
        }
    }
    return pixels;
}

/* The window of an image, every `reduction` x `reduction` pixels of it averaged, as decoders give it. */
static moco_image_part reduced(const uint8_t *pixels, int64_t h, int64_t w, const moco_image_window *window,
                               int32_t reduction) {
    const int64_t top = window->top / reduction * reduction, left = window->left / reduction * reduction;
    const int64_t rows = (window->top + window->h - top + reduction - 1) / reduction;
    const int64_t columns = (window->left + window->w - left + reduction - 1) / reduction;
    uint8_t *held = (uint8_t *) malloc((size_t) (3 * rows * columns));
    assert_non_null(held);
    for (int64_t i = 0; i < 3 * rows * columns; ++i) {
        const int64_t y = top + i / 3 / columns * reduction, x = left + i / 3 % columns * reduction, c = i % 3;
        int64_t sum = 0, count = 0;
        for (int64_t dy = 0; dy < reduction && y + dy < h; ++dy) {
            for (int64_t dx = 0; dx < reduction && x + dx < w; ++dx, ++count) {
                sum += pixels[3 * ((y + dy) * w + x + dx) + c];
            }
        }
        held[i] = (uint8_t) ((sum + count / 2) / count);
    }
    const moco_image_window lies = {top, left, moco_min_i64(rows * reduction, h - top),
                                    moco_min_i64(columns * reduction, w - left)};
    return (moco_image_part){held, rows, columns, lies, reduction, 0, h, w};
}

static double largest_apart(const uint8_t *a, const uint8_t *b, int64_t count) {
    double largest = 0.0;
    for (int64_t i = 0; i < count; ++i) largest = fmax(largest, fabs((double) a[i] - (double) b[i]));
    return largest;
}

/* --- The float path --- */

static void test_agrees_with_floats(void **state) {
    (void) state;
    enum { H = 90, W = 120, SIDE = 40, N = 3 * SIDE * SIDE };
    uint8_t *pixels = make_picture(H, W);
    float *image = (float *) malloc(sizeof(float) * 3 * H * W);
    static float from_floats[N], from_pixels[N];
    for (int i = 0; i < 3 * H * W; ++i) image[i % 3 * H * W + i / 3] = (float) pixels[i] / 255.0f;
    for (int32_t recipe = MOCO_AUGMENT_V1; recipe <= MOCO_AUGMENT_CUSTOM; ++recipe) {
        moco_augment *augment = create(recipe, SIDE, SIDE, recipe % 2);
        double sum = 0.0;
        for (int sample = 0; sample < 20; ++sample) {
            assert_int_equal(moco_augment_apply(augment, image, H, W, 1, sample, sample % 2, from_floats), MOCO_OK);
            assert_int_equal(moco_augment_apply_pixels(augment, pixels, H, W, 1, sample, sample % 2, from_pixels),
                             MOCO_OK);
            for (int i = 0; i < N; ++i) sum += fabs((double) (from_floats[i] - from_pixels[i]));
        }
        /* Rounding towards zero after each part, of which the jitters make more: about 1/255 on average, in standard
         * deviations of .225. Solarizing may send a value near the threshold to the other side. */
        assert_true(sum / (20.0 * N) < 2.0 / 255.0 / 0.225);
        assert_int_equal(moco_augment_evaluate(augment, image, H, W, from_floats), MOCO_OK);
        assert_int_equal(moco_augment_evaluate_pixels(augment, pixels, H, W, from_pixels), MOCO_OK);
        for (int i = 0; i < N; ++i) {
            assert_true(fabsf(from_floats[i] - from_pixels[i]) < 1.01f / 255.0f / 0.1994f);
        }
        if (recipe == MOCO_AUGMENT_PLAIN) { /* all its views are the evaluation view */
            assert_int_equal(moco_augment_apply_pixels(augment, pixels, H, W, 1, 2, 1, from_floats), MOCO_OK);
            assert_memory_equal(from_floats, from_pixels, sizeof from_pixels);
        }
        moco_augment_destroy(augment);
    }
    free(image);
    free(pixels);
}

/* --- Parts of images --- */

/* A view of the window that moco_augment_wanted asks for is that of the whole image. */
static void test_window(void **state) {
    (void) state;
    enum { H = 150, W = 211, SIDE = 32, N = 3 * SIDE * SIDE };
    uint8_t *pixels = make_picture(H, W);
    const moco_image_part image = moco_image_whole(pixels, H, W);
    moco_augment_scratch scratch = {0};
    uint8_t of_whole[N], of_window[N];
    for (int32_t interpolation = 0; interpolation < 2; ++interpolation) {
        moco_augment *augment = create(MOCO_AUGMENT_V2, SIDE, SIDE, interpolation);
        for (int sample = 0; sample < 40; ++sample) {
            moco_view_draw draws[2];
            for (int view = 0; view < 2; ++view) moco_augment_draw(augment, H, W, 0, sample, view, &draws[view]);
            if (sample % 4 == 3) moco_augment_draw_evaluation(&draws[1]);
            moco_image_request wanted;
            moco_augment_wanted(augment, draws, 2, H, W, &wanted);
            assert_true(wanted.window.top >= 0 && wanted.window.left >= 0 && wanted.window.h >= 1 &&
                        wanted.window.w >= 1);
            assert_true(wanted.window.top + wanted.window.h <= H && wanted.window.left + wanted.window.w <= W);
            const moco_image_part part = reduced(pixels, H, W, &wanted.window, 1);
            for (int view = 0; view < 2; ++view) {
                assert_int_equal(
                    moco_augment_render_pixels(augment, &image, &draws[view], &scratch, MOCO_PIXELS_UINT8, of_whole),
                    MOCO_OK);
                assert_int_equal(
                    moco_augment_render_pixels(augment, &part, &draws[view], &scratch, MOCO_PIXELS_UINT8, of_window),
                    MOCO_OK);
                assert_memory_equal(of_whole, of_window, N);
            }
            free((void *) (size_t) part.pixels);
        }
        moco_augment_scratch_release(augment, &scratch);
        moco_augment_destroy(augment);
    }
    free(pixels);
}

/* A smooth image reduced by what moco_augment_wanted allows gives nearly the same view, in the same place. */
static void test_reduction(void **state) {
    (void) state;
    enum { H = 761, W = 1003, SIDE = 16, N = 3 * SIDE * SIDE };
    uint8_t *pixels = make_picture(H, W);
    const moco_image_part image = moco_image_whole(pixels, H, W);
    moco_augment *augment = create(MOCO_AUGMENT_CUSTOM, SIDE, SIDE, 0);
    moco_augment_scratch scratch = {0};
    uint8_t exact[N], made[N];
    int32_t seen = 0;
    for (int sample = 0; sample < 60; ++sample) {
        moco_view_draw draw;
        moco_augment_draw(augment, H, W, 0, sample, 0, &draw);
        if (sample == 0) moco_augment_draw_evaluation(&draw);
        moco_image_request wanted;
        moco_augment_wanted(augment, &draw, 1, H, W, &wanted);
        seen |= wanted.max_reduction;
        assert_int_equal(moco_augment_render_pixels(augment, &image, &draw, &scratch, MOCO_PIXELS_UINT8, exact),
                         MOCO_OK);
        for (int32_t reduction = 2; reduction <= wanted.max_reduction; reduction *= 2) {
            const moco_image_part part = reduced(pixels, H, W, &wanted.window, reduction);
            assert_int_equal(moco_augment_render_pixels(augment, &part, &draw, &scratch, MOCO_PIXELS_UINT8, made),
                             MOCO_OK);
            assert_true(largest_apart(exact, made, N) <= 3.0);
            free((void *) (size_t) part.pixels);
        }
    }
    assert_int_equal(seen & 12, 12); /* 4 and 8 came up */
    moco_augment_scratch_release(augment, &scratch);
    moco_augment_destroy(augment);
    free(pixels);
}

/* The rule: a factor r where rows and columns are at least 5 r times the view's, in all of the views, and only if asked
 * for. */
static void test_reduction_rule(void **state) {
    (void) state;
    moco_augment *augment = create(MOCO_AUGMENT_V2, 10, 20, 0);
    const struct {
        int64_t h, w;
        int32_t reduction;
    } cases[] = {{10, 20, 1},   {99, 1600, 1}, {100, 199, 1}, {100, 200, 2},  {199, 400, 2},
                 {200, 400, 4}, {400, 799, 4}, {400, 800, 8}, {1000, 2000, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        moco_view_draw draws[2] = {{.crop_h = cases[i].h, .crop_w = cases[i].w, .crop_top = 5, .crop_left = 6},
                                   {.crop_h = 1000, .crop_w = 2000, .crop_top = 5, .crop_left = 6}};
        moco_image_request wanted;
        moco_augment_wanted(augment, draws, 1, 2000, 3000, &wanted);
        assert_int_equal(wanted.max_reduction, cases[i].reduction);
        assert_true(wanted.window.top == 5 && wanted.window.left == 6 && wanted.window.h == cases[i].h &&
                    wanted.window.w == cases[i].w);
        moco_augment_wanted(augment, draws, 2, 2000, 3000, &wanted);
        assert_int_equal(wanted.max_reduction, cases[i].reduction);
        assert_true(wanted.window.top == 5 && wanted.window.left == 6 && wanted.window.h == 1000 &&
                    wanted.window.w == 2000);
    }
    moco_augment_destroy(augment);

    moco_augment_config config;
    moco_image_request wanted;
    const moco_view_draw huge = {.crop_h = 1000, .crop_w = 2000};
    assert_int_equal(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_V2), MOCO_OK);
    assert_int_equal(config.reduced_decoding, 0);
    config.height = config.width = 10;
    assert_int_equal(moco_augment_create(&augment, context, &config), MOCO_OK);
    moco_augment_wanted(augment, &huge, 1, 2000, 3000, &wanted);
    assert_int_equal(wanted.max_reduction, 1);
    moco_augment_destroy(augment);
    config.reduced_decoding = 2;
    assert_int_equal(moco_augment_create(&augment, context, &config), MOCO_INVALID_ARGUMENT);
}

/* --- The same bits from every kernel set, at sizes that leave rests of every vector --- */

static void check_sets(const moco_augment *augment, const moco_image_part *image, const moco_view_draw *draw,
                       moco_augment_scratch *scratch, int64_t count) {
    int32_t sets = 0;
    const moco_augment_kernels *kernels = moco_augment_kernel_sets(&sets);
    float *first = (float *) malloc((size_t) count * sizeof *first);
    float *again = (float *) malloc((size_t) count * sizeof *again);
    assert_true(sets >= 1);
    for (int32_t set = 0; set < sets; ++set) {
        assert_int_equal(moco_augment_render_with(augment, &kernels[set], image, draw, scratch, MOCO_PIXELS_FLOAT32,
                                                  set == 0 ? first : again),
                         MOCO_OK);
        if (set > 0) assert_memory_equal(first, again, (size_t) count * sizeof *first);
    }
    for (int64_t i = 0; i < count; ++i) assert_true(isfinite(first[i]));
    free(first);
    free(again);
}

static void test_kernel_sets(void **state) {
    (void) state;
    static const int64_t sizes[][2] = {{1, 1}, {2, 3}, {33, 17}, {64, 64}, {100, 333}, {230, 60}};
    static const int32_t views[][2] = {{1, 1}, {3, 5}, {16, 16}, {31, 33}, {7, 65}};
    moco_augment_scratch scratch = {0};
    for (size_t v = 0; v < sizeof views / sizeof views[0]; ++v) {
        moco_augment *augment = create(MOCO_AUGMENT_V3, views[v][0], views[v][1], (int32_t) v % 2);
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
            const int64_t h = sizes[s][0], w = sizes[s][1];
            uint8_t *pixels = make_picture(h, w);
            const moco_image_part image = moco_image_whole(pixels, h, w);
            for (int sample = 0; sample < 12; ++sample) {
                moco_view_draw draw;
                moco_augment_draw(augment, h, w, 2, sample, sample % 2, &draw);
                if (sample == 11) moco_augment_draw_evaluation(&draw);
                check_sets(augment, &image, &draw, &scratch, 3 * views[v][0] * views[v][1]);
            }
            free(pixels);
        }
        moco_augment_scratch_release(augment, &scratch);
        moco_augment_destroy(augment);
    }
}

static void test_hostile_sizes(void **state) {
    (void) state;
    static const int64_t sizes[][2] = {{1, 65000}, {65000, 1}, {3, 20000}, {20000, 2}};
    moco_augment_scratch scratch = {0};
    for (int32_t interpolation = 0; interpolation < 2; ++interpolation) {
        moco_augment *augment = create(MOCO_AUGMENT_V2, 32, 32, interpolation);
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
            const int64_t h = sizes[s][0], w = sizes[s][1];
            uint8_t *pixels = (uint8_t *) malloc((size_t) (3 * h * w));
            memset(pixels, 200, (size_t) (3 * h * w));
            const moco_image_part image = moco_image_whole(pixels, h, w);
            moco_view_draw draw;
            for (int sample = 0; sample < 3; ++sample) {
                moco_augment_draw(augment, h, w, 0, sample, 0, &draw);
                check_sets(augment, &image, &draw, &scratch, 3 * 32 * 32);
            }
            /* Squeezed by a factor of thousands, what is constant stays so. */
            uint8_t made[3 * 32 * 32];
            draw = (moco_view_draw){.crop_h = h, .crop_w = w};
            assert_int_equal(moco_augment_render_pixels(augment, &image, &draw, &scratch, MOCO_PIXELS_UINT8, made),
                             MOCO_OK);
            for (size_t i = 0; i < sizeof made; ++i) assert_int_equal(made[i], 200);
            moco_augment_draw_evaluation(&draw);
            check_sets(augment, &image, &draw, &scratch, 3 * 32 * 32);
            free(pixels);
        }
        moco_augment_scratch_release(augment, &scratch);
        moco_augment_destroy(augment);
    }
}

/* --- Determinism, memory, refusals --- */

static void test_determinism(void **state) {
    (void) state;
    enum { H = 40, W = 50, N = 3 * 32 * 32 };
    uint8_t *pixels = make_picture(H, W);
    static float first[N], other[N];
    moco_augment *augment = create(MOCO_AUGMENT_CIFAR, 32, 32, 0);
    assert_int_equal(moco_augment_apply_pixels(augment, pixels, H, W, 2, 7, 1, first), MOCO_OK);
    const int64_t streams[][3] = {{3, 7, 1}, {2, 8, 1}, {2, 7, 0}};
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(moco_augment_apply_pixels(augment, pixels, H, W, streams[i][0], streams[i][1],
                                                   (int32_t) streams[i][2], other),
                         MOCO_OK);
        assert_memory_not_equal(first, other, sizeof first);
    }
    assert_int_equal(moco_augment_apply_pixels(augment, pixels, H, W, 2, 7, 1, other), MOCO_OK);
    assert_memory_equal(first, other, sizeof first);
    moco_augment_destroy(augment);
    free(pixels);
}

/* Scratch memory grows to what is needed and is then used again; failing memory leaves it as it was. */
static void test_memory(void **state) {
    (void) state;
    enum { H = 100, W = 120, N = 3 * 32 * 32 };
    uint8_t *pixels = make_picture(H, W), made[N];
    const moco_image_part image = moco_image_whole(pixels, H, W);
    moco_augment *augment = create(MOCO_AUGMENT_V3, 32, 32, 0);
    moco_augment_scratch scratch = {0};
    const moco_view_draw draw = {.crop_h = H, .crop_w = W, .blur = 1, .blur_sigma = 2.0};
    allocations_left = 0;
    assert_int_equal(moco_augment_render_pixels(augment, &image, &draw, &scratch, MOCO_PIXELS_UINT8, made),
                     MOCO_OUT_OF_MEMORY);
    assert_null(scratch.memory);
    float view[N];
    assert_int_equal(moco_augment_apply_pixels(augment, pixels, H, W, 0, 0, 0, view), MOCO_OUT_OF_MEMORY);
    allocations_left = INT64_MAX;
    assert_int_equal(moco_augment_render_pixels(augment, &image, &draw, &scratch, MOCO_PIXELS_UINT8, made), MOCO_OK);
    const int64_t before = allocations;
    for (int sample = 0; sample < 50; ++sample) {
        moco_view_draw other;
        moco_augment_draw(augment, H, W, 0, sample, 0, &other);
        assert_int_equal(moco_augment_render_pixels(augment, &image, &other, &scratch, MOCO_PIXELS_UINT8, made),
                         MOCO_OK);
    }
    assert_int_equal(allocations, before);
    moco_augment_scratch_release(augment, &scratch);
    assert_null(scratch.memory);
    moco_augment_destroy(augment);
    free(pixels);
}

#define assert_refuses(call, word)                                                                               \
    do {                                                                                                         \
        assert_int_equal(call, MOCO_INVALID_ARGUMENT);                                                           \
        if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" lacks \"%s\"", moco_last_error(), (word)); \
    } while (0)

static void test_refusals(void **state) {
    (void) state;
    moco_augment *augment = create(MOCO_AUGMENT_CIFAR, 8, 8, 0);
    const uint8_t pixels[3 * 4] = {0};
    float out[3 * 64];
    assert_refuses(moco_augment_apply_pixels(NULL, pixels, 2, 2, 0, 0, 0, out), "augment is NULL");
    assert_refuses(moco_augment_apply_pixels(augment, NULL, 2, 2, 0, 0, 0, out), "image is NULL");
    assert_refuses(moco_augment_apply_pixels(augment, pixels, 2, 2, 0, 0, 0, NULL), "out is NULL");
    assert_refuses(moco_augment_apply_pixels(augment, pixels, 0, 2, 0, 0, 0, out), "0 x 2");
    assert_refuses(moco_augment_apply_pixels(augment, pixels, 2, INT64_MAX, 0, 0, 0, out), "2 x 9");
    assert_refuses(moco_augment_apply_pixels(augment, pixels, 2, 2, -1, 0, 0, out), "epoch is -1");
    assert_refuses(moco_augment_apply_pixels(augment, pixels, 2, 2, 0, -1, 0, out), "sample is -1");
    assert_refuses(moco_augment_apply_pixels(augment, pixels, 2, 2, 0, 0, 256, out), "view is 256");
    assert_refuses(moco_augment_evaluate_pixels(augment, pixels, -1, 2, out), "-1 x 2");
    assert_refuses(moco_augment_evaluate_pixels(NULL, pixels, 2, 2, out), "augment is NULL");
    moco_augment_destroy(augment);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_floats), cmocka_unit_test(test_window),
        cmocka_unit_test(test_reduction),          cmocka_unit_test(test_reduction_rule),
        cmocka_unit_test(test_kernel_sets),        cmocka_unit_test(test_hostile_sizes),
        cmocka_unit_test(test_determinism),        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
