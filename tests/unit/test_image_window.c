/* A window holds the very pixels of the same part of the whole image, at every reduction and orientation; and the whole
 * image at a reduction is libjpeg's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/image_encoders.h"

static moco_context *context;
static moco_image whole, part;
static uint32_t noise = 99;

static int setup(void **state) {
    (void) state;
    return moco_context_create(&context, NULL);
}

static int teardown(void **state) {
    (void) state;
    moco_image_release(context, &whole);
    moco_image_release(context, &part);
    moco_context_destroy(context);
    return 0;
}

UNUSED_HERE static int64_t draw(int64_t below) {
    noise = noise * 1664525u + 1013904223u;
    return (int64_t) (noise >> 8) % below;
}

/* `part` lies where it says, covers what was asked, and has whole's pixels. */
UNUSED_HERE static void assert_part(const moco_image_window *asked, const char *what) {
    const int64_t r = whole.held.reduction;
    const moco_image_window *held = &part.held.window;
    assert_int_equal(part.held.reduction, r);
    assert_int_equal(part.held.full_h, whole.held.full_h);
    assert_int_equal(part.held.full_w, whole.held.full_w);
    assert_true(held->top % r == 0 && held->left % r == 0);
    assert_true(held->top <= asked->top && held->left <= asked->left);
    assert_true(held->top + held->h >= asked->top + asked->h && held->left + held->w >= asked->left + asked->w);
    assert_true(held->top + held->h <= whole.held.full_h && held->left + held->w <= whole.held.full_w);
    assert_true(held->h <= part.held.h * r && held->h > (part.held.h - 1) * r);
    assert_true(held->w <= part.held.w * r && held->w > (part.held.w - 1) * r);
    for (int64_t y = 0; y < part.held.h; ++y) {
        const uint8_t *be = whole.pixels + 3 * ((y + held->top / r) * whole.held.w + held->left / r);
        if (memcmp(part.pixels + 3 * y * part.held.w, be, (size_t) (3 * part.held.w)) != 0) {
            fail_msg("%s, reduction %d, window %lld x %lld at %lld, %lld: row %lld differs", what, (int) r,
                     (long long) asked->h, (long long) asked->w, (long long) asked->top, (long long) asked->left,
                     (long long) y);
        }
    }
}

/* Frees the file. */
UNUSED_HERE static void try_windows(encoded file, const char *what) {
    for (int32_t r = 1; r <= 8; r *= 2) {
        moco_image_request request = {.max_reduction = r};
        if (moco_image_decode(context, file.bytes, file.size, NULL, &request, &whole) != MOCO_OK) {
            fail_msg("%s: %s", what, moco_last_error());
        }
        assert_true(whole.held.reduction <= r);
        for (int i = 0; i < 12; ++i) {
            moco_image_window *window = &request.window;
            window->h = 1 + draw(whole.held.full_h);
            window->w = 1 + draw(whole.held.full_w);
            window->top = draw(whole.held.full_h - window->h + 1);
            window->left = draw(whole.held.full_w - window->w + 1);
            if (moco_image_decode(context, file.bytes, file.size, NULL, &request, &part) != MOCO_OK) {
                fail_msg("%s: %s", what, moco_last_error());
            }
            assert_part(window, what);
        }
    }
    free(file.bytes);
}

#ifdef MOCO_HAVE_JPEG

static void test_jpeg_windows(void **state) {
    (void) state;
    static const int samples[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {4, 2}, {2, 4}};
    static const int sizes[][2] = {{97, 131}, {64, 48}, {33, 17}, {1, 40}, {40, 1}};
    for (int s = 0; s < 5; ++s) {
        const int h = sizes[s][0], w = sizes[s][1];
        uint8_t *pixels = make_picture(h, w, 4);
        for (int i = 0; i < 7; ++i) {
            for (int kind = 0; kind < 3; ++kind) {
                const jpeg_spec spec = {3, samples[i][0], samples[i][1], kind == 1, kind == 2 ? 2 : 0, 0, 0};
                try_windows(encode_jpeg(pixels, h, w, spec), "colours");
            }
        }
        for (int o = 2; o <= 8; ++o) {
            try_windows(encode_jpeg(pixels, h, w,
                                    (jpeg_spec){.components = 3, .h_samples = 2, .v_samples = 2, .orientation = o}),
                        "turned");
        }
        try_windows(encode_jpeg(pixels, h, w, (jpeg_spec){.components = 1}), "grey");
        try_windows(encode_jpeg(pixels, h, w, (jpeg_spec){.components = 4, .h_samples = 2, .v_samples = 2}), "inks");
        free(pixels);
    }
}

/* Rows enough for the steps in which they are skipped. */
static void test_jpeg_high(void **state) {
    (void) state;
    const int h = 2300, w = 40;
    uint8_t *pixels = make_picture(h, w, 3);
    for (int kind = 0; kind < 2; ++kind) {
        try_windows(encode_jpeg(pixels, h, w, (jpeg_spec){3, 2, 2, kind, 0, 0, 0}), "high");
        try_windows(encode_jpeg(pixels, h, w, (jpeg_spec){3, 2, 1, kind, 0, 0, 0}), "high");
    }
    free(pixels);
}

/* Whole images at 1/r by libjpeg's plainest use. */
static void test_jpeg_reduction(void **state) {
    (void) state;
    static const int sizes[][2] = {{97, 131}, {64, 48}, {5, 3}};
    for (int s = 0; s < 3; ++s) {
        const int h = sizes[s][0], w = sizes[s][1];
        uint8_t *pixels = make_picture(h, w, 3);
        for (int o = 1; o <= 8; ++o) {
            encoded file = encode_jpeg(pixels, h, w,
                                       (jpeg_spec){.components = 3, .h_samples = 2, .v_samples = 2, .orientation = o});
            for (int r = 1; r <= 8; r *= 2) {
                const moco_image_request request = {.max_reduction = r};
                assert_int_equal(moco_image_decode(context, file.bytes, file.size, NULL, &request, &whole), MOCO_OK);
                struct jpeg_decompress_struct info;
                struct jpeg_error_mgr errors;
                info.err = jpeg_std_error(&errors);
                jpeg_create_decompress(&info);
                jpeg_mem_src(&info, file.bytes, file.size);
                jpeg_read_header(&info, TRUE);
                info.scale_num = 1;
                info.scale_denom = (unsigned) whole.held.reduction;
                jpeg_start_decompress(&info);
                const int out_h = (int) info.output_height, out_w = (int) info.output_width;
                uint8_t *stored = (uint8_t *) malloc((size_t) (out_h * out_w * 3));
                while (info.output_scanline < info.output_height) {
                    JSAMPROW row = stored + (size_t) info.output_scanline * (size_t) out_w * 3;
                    jpeg_read_scanlines(&info, &row, 1);
                }
                jpeg_destroy_decompress(&info);
                assert_upright(&whole, stored, out_h, out_w, o, "reduced");
                free(stored);
                /* All of the reduction is used, except where a mirrored side is no multiple. */
                const int rows = o == 3 || o == 4 || o == 6 || o == 7, columns = o == 2 || o == 3 || o >= 7;
                if ((!rows || h % r == 0) && (!columns || w % r == 0)) assert_int_equal(whole.held.reduction, r);
            }
            free(file.bytes);
        }
        free(pixels);
    }
}

#endif

#ifdef MOCO_HAVE_PNG

static void test_png_windows(void **state) {
    (void) state;
    enum { H = 61, W = 83 };
    static uint16_t samples[H * W * 4];
    for (int i = 0; i < H * W * 4; ++i) samples[i] = (uint16_t) draw(256);
    for (int o = 1; o <= 8; ++o) {
        for (int interlaced = 0; interlaced < 2; ++interlaced) {
            try_windows(encode_png(samples, H, W, (png_spec){8, PNG_COLOR_TYPE_RGB, interlaced, 0, 0, o}), "RGB");
            try_windows(encode_png(samples, H, W, (png_spec){8, PNG_COLOR_TYPE_RGB_ALPHA, interlaced, 0, 0, o}),
                        "RGBA");
        }
    }
}

#endif

#ifdef MOCO_HAVE_WEBP

static void test_webp_windows(void **state) {
    (void) state;
    const int h = 61, w = 83;
    for (int channels = 3; channels <= 4; ++channels) {
        uint8_t *pixels = make_picture(h, w, channels);
        for (int lossless = 0; lossless < 2; ++lossless) {
            const float quality = lossless ? -1.0f : 80.0f;
            for (int o = 1; o <= 8; ++o) {
                encoded file = encode_webp(pixels, h, w, channels, quality);
                try_windows(wrap_webp(file, h, w, o, 0, h, w, 0, 0), "WebP");
            }
            encoded file = encode_webp(pixels, h, w, channels, quality);
            try_windows(wrap_webp(file, h, w, 6, 1, h + 30, w + 41, 16, 22), "animation");
        }
        free(pixels);
    }
}

#endif

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef MOCO_HAVE_JPEG
        cmocka_unit_test(test_jpeg_windows), cmocka_unit_test(test_jpeg_high), cmocka_unit_test(test_jpeg_reduction),
#endif
#ifdef MOCO_HAVE_PNG
        cmocka_unit_test(test_png_windows),
#endif
#ifdef MOCO_HAVE_WEBP
        cmocka_unit_test(test_webp_windows),
#endif
        {NULL, NULL, NULL, NULL, NULL},
    };
    const size_t count = sizeof tests / sizeof tests[0] - 1;
    if (count == 0) return 77; /* no decoder: nothing to test */
    return _cmocka_run_group_tests("tests", tests, count, setup, teardown);
}
