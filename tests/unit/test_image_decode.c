/* Every kind of JPEG, PNG and WebP decodes to the upright RGB that the format's meaning, computed here, gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/image_encoders.h"

static moco_context *context;
static moco_image image;

static int setup(void **state) {
    (void) state;
    return moco_context_create(&context, NULL);
}

static int teardown(void **state) {
    (void) state;
    moco_image_release(context, &image);
    moco_context_destroy(context);
    return 0;
}

/* Decodes all of it at full size, and the header agrees; frees the bytes. */
UNUSED_HERE static void decode(encoded file, int32_t format, const char *what) {
    moco_image_header header;
    if (moco_image_decode(context, file.bytes, file.size, NULL, NULL, &image) != MOCO_OK) {
        fail_msg("%s: %s", what, moco_last_error());
    }
    assert_int_equal(moco_image_probe(context, file.bytes, file.size, NULL, &header), MOCO_OK);
    assert_int_equal(header.format, format);
    assert_int_equal(header.h, image.held.h);
    assert_int_equal(header.w, image.held.w);
    assert_int_equal(image.held.reduction, 1);
    assert_int_equal(image.held.full_h, image.held.h);
    assert_int_equal(image.held.full_w, image.held.w);
    assert_int_equal(image.held.window.h, image.held.h);
    assert_int_equal(image.held.window.w, image.held.w);
    assert_int_equal(image.held.window.top, 0);
    assert_int_equal(image.held.window.left, 0);
    free(file.bytes);
}

/* Over white, rounded. */
UNUSED_HERE static uint8_t white_under(double value, double alpha) {
    return (uint8_t) floor(value * alpha + 255.0 * (1.0 - alpha) + 0.5);
}

/* --- JPEG --- */

#ifdef MOCO_HAVE_JPEG

/* The average difference to the picture that was encoded, in 1/255. */
static double mean_difference(const uint8_t *a, const uint8_t *b, int count) {
    double sum = 0.0;
    for (int i = 0; i < count; ++i) sum += fabs((double) a[i] - (double) b[i]);
    return sum / count;
}

static void test_jpeg(void **state) {
    (void) state;
    static const int samples[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}};
    const int h = 45, w = 75;
    uint8_t *noisy = make_picture(h, w, 3);
    for (int x = 0; x < h * w; ++x) { /* chroma that survives its subsampling */
        for (int c = 0; c < 3; ++c) noisy[3 * x + c] = (uint8_t) (noisy[3 * x] / 2 + 20 * c + 30);
    }
    for (int i = 0; i < 5; ++i) {
        for (int kind = 0; kind < 4; ++kind) {
            const jpeg_spec spec = {3, samples[i][0], samples[i][1], kind == 1, kind == 2 ? 3 : 0, kind == 3, 0};
            if (spec.rgb && i > 0) continue;
            decode(encode_jpeg(noisy, h, w, spec), MOCO_FORMAT_JPEG, "JPEG");
            const double difference = mean_difference(image.pixels, noisy, h * w * 3);
            if (difference > 2.5) fail_msg("subsampling %d, kind %d: off by %.2f on average", i, kind, difference);
        }
    }
    free(noisy);
}

static void test_jpeg_grey(void **state) {
    (void) state;
    const int h = 33, w = 50;
    uint8_t *grey = make_picture(h, w, 1);
    decode(encode_jpeg(grey, h, w, (jpeg_spec){.components = 1}), MOCO_FORMAT_JPEG, "grey");
    for (int i = 0; i < h * w; ++i) {
        const uint8_t *p = image.pixels + 3 * i;
        assert_true(p[0] == p[1] && p[1] == p[2] && abs(p[0] - grey[i]) < 24);
    }
    free(grey);
}

/* The four inks of a smooth picture; the file holds them inverted, as Adobe's. */
static void test_jpeg_cmyk(void **state) {
    (void) state;
    enum { H = 24, W = 40 };
    uint8_t inverted[H * W * 4];
    for (int i = 0; i < H * W; ++i) {
        for (int c = 0; c < 4; ++c) inverted[4 * i + c] = (uint8_t) (255 - ((c + 1) * (i / W) + (4 - c) * (i % W)));
    }
    for (int inks = 0; inks < 2; ++inks) {
        decode(encode_jpeg(inverted, H, W, (jpeg_spec){.components = 4, .rgb = inks}), MOCO_FORMAT_JPEG, "CMYK");
        for (int i = 0; i < H * W; ++i) {
            const double key = inverted[4 * i + 3] / 255.0;
            for (int c = 0; c < 3; ++c) {
                const double value = key * inverted[4 * i + c];
                assert_true(fabs(image.pixels[3 * i + c] - value) < 8.0);
            }
        }
    }
}

static void test_jpeg_orientation(void **state) {
    (void) state;
    const int h = 20, w = 37;
    uint8_t *pixels = make_picture(h, w, 3);
    decode(encode_jpeg(pixels, h, w, (jpeg_spec){.components = 3}), MOCO_FORMAT_JPEG, "upright");
    uint8_t *stored = (uint8_t *) malloc((size_t) (h * w * 3));
    memcpy(stored, image.pixels, (size_t) (h * w * 3));
    for (int o = 1; o <= 9; ++o) { /* 9 is none */
        decode(encode_jpeg(pixels, h, w, (jpeg_spec){.components = 3, .orientation = o}), MOCO_FORMAT_JPEG, "turned");
        assert_upright(&image, stored, h, w, o <= 8 ? o : 1, "JPEG");
    }
    free(stored);
    free(pixels);
}

#endif

/* --- PNG --- */

#ifdef MOCO_HAVE_PNG

/* The 8-bit RGB of stored samples, over white. */
static void png_expectation(uint8_t *rgb, const uint16_t *samples, int count, png_spec spec) {
    const int channels = png_spec_channels(spec), greys = channels < 3;
    const int largest = (1 << spec.depth) - 1;
    for (int i = 0; i < count; ++i) {
        const uint16_t *s = samples + i * channels;
        double value[3], alpha = 1.0;
        for (int c = 0; c < 3; ++c) {
            const int sample = s[greys ? 0 : c];
            value[c] = spec.depth == 16 ? sample >> 8 : sample * 255.0 / largest; /* of 16 bits, the high ones */
        }
        if (spec.palette > 0) {
            const png_color colour = palette_entry(s[0]);
            value[0] = colour.red;
            value[1] = colour.green;
            value[2] = colour.blue;
            if (spec.tRNS && s[0] < 16) alpha = 16 * s[0] / 255.0;
        } else if (spec.tRNS) {
            if (memcmp(s, samples, sizeof *s * (size_t) channels) == 0) alpha = 0.0;
        } else if (spec.colour_type & PNG_COLOR_MASK_ALPHA) {
            alpha = (spec.depth == 16 ? s[channels - 1] >> 8 : s[channels - 1]) / 255.0;
        }
        for (int c = 0; c < 3; ++c) rgb[3 * i + c] = white_under(value[c], alpha);
    }
}

static void test_png(void **state) {
    (void) state;
    static const png_spec specs[] = {
        {.depth = 1, .colour_type = PNG_COLOR_TYPE_GRAY},
        {.depth = 2, .colour_type = PNG_COLOR_TYPE_GRAY},
        {.depth = 4, .colour_type = PNG_COLOR_TYPE_GRAY},
        {.depth = 8, .colour_type = PNG_COLOR_TYPE_GRAY},
        {.depth = 16, .colour_type = PNG_COLOR_TYPE_GRAY},
        {.depth = 2, .colour_type = PNG_COLOR_TYPE_GRAY, .tRNS = 1},
        {.depth = 16, .colour_type = PNG_COLOR_TYPE_GRAY, .tRNS = 1},
        {.depth = 8, .colour_type = PNG_COLOR_TYPE_GRAY_ALPHA},
        {.depth = 16, .colour_type = PNG_COLOR_TYPE_GRAY_ALPHA},
        {.depth = 8, .colour_type = PNG_COLOR_TYPE_RGB},
        {.depth = 16, .colour_type = PNG_COLOR_TYPE_RGB},
        {.depth = 8, .colour_type = PNG_COLOR_TYPE_RGB, .tRNS = 1},
        {.depth = 8, .colour_type = PNG_COLOR_TYPE_RGB_ALPHA},
        {.depth = 16, .colour_type = PNG_COLOR_TYPE_RGB_ALPHA},
        {.depth = 1, .colour_type = PNG_COLOR_TYPE_PALETTE, .palette = 2},
        {.depth = 2, .colour_type = PNG_COLOR_TYPE_PALETTE, .palette = 4, .tRNS = 1},
        {.depth = 4, .colour_type = PNG_COLOR_TYPE_PALETTE, .palette = 16, .tRNS = 1},
        {.depth = 8, .colour_type = PNG_COLOR_TYPE_PALETTE, .palette = 256, .tRNS = 1},
    };
    enum { H = 21, W = 35 };
    static uint16_t samples[H * W * 4];
    static uint8_t expected[H * W * 3];
    uint32_t noise = 1;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; ++i) {
        for (int variant = 0; variant < 4; ++variant) {
            png_spec spec = specs[i];
            spec.interlaced = variant % 2;
            spec.orientation = variant < 2 ? 0 : (int) i % 8 + 1;
            for (int s = 0; s < H * W * 4; ++s) {
                noise = noise * 1664525u + 1013904223u;
                samples[s] = (uint16_t) (noise >> 16 & ((1u << spec.depth) - 1));
            }
            char what[64];
            snprintf(what, sizeof what, "PNG %d, variant %d", (int) i, variant);
            png_expectation(expected, samples, H * W, spec);
            decode(encode_png(samples, H, W, spec), MOCO_FORMAT_PNG, what);
            assert_upright(&image, expected, H, W, spec.orientation > 0 ? spec.orientation : 1, what);
        }
    }
}

#endif

/* --- WebP --- */

#ifdef MOCO_HAVE_WEBP
#include <webp/decode.h>

/* The stored RGB of a file without EXIF, by libwebp alone, over white. */
static uint8_t *webp_expectation(encoded file, int *h, int *w) {
    uint8_t *rgba = WebPDecodeRGBA(file.bytes, file.size, w, h);
    assert_non_null(rgba);
    uint8_t *rgb = (uint8_t *) malloc((size_t) (*h * *w * 3));
    for (int i = 0; i < *h * *w; ++i) {
        for (int c = 0; c < 3; ++c) rgb[3 * i + c] = white_under(rgba[4 * i + c], rgba[4 * i + 3] / 255.0);
    }
    WebPFree(rgba);
    return rgb;
}

static void test_webp(void **state) {
    (void) state;
    const int h = 30, w = 47;
    for (int channels = 3; channels <= 4; ++channels) {
        uint8_t *pixels = make_picture(h, w, channels);
        for (int lossless = 0; lossless < 2; ++lossless) {
            const float quality = lossless ? -1.0f : 85.0f;
            int stored_h = 0, stored_w = 0;
            encoded file = encode_webp(pixels, h, w, channels, quality);
            uint8_t *expected = webp_expectation(file, &stored_h, &stored_w);
            if (lossless && channels == 3) assert_memory_equal(expected, pixels, h * w * 3);
            decode(file, MOCO_FORMAT_WEBP, "WebP");
            assert_upright(&image, expected, h, w, 1, "WebP");
            for (int o = 1; o <= 8; ++o) {
                file = wrap_webp(encode_webp(pixels, h, w, channels, quality), h, w, o, 0, h, w, 0, 0);
                decode(file, MOCO_FORMAT_WEBP, "WebP with EXIF");
                assert_upright(&image, expected, h, w, o, "WebP with EXIF");
            }
            /* The first frame of an animation, on a canvas that is white elsewhere. */
            const int top = 6, left = 10, canvas_h = h + 9, canvas_w = w + 20;
            file = wrap_webp(encode_webp(pixels, h, w, channels, quality), h, w, 0, 1, canvas_h, canvas_w, top, left);
            uint8_t *canvas = (uint8_t *) malloc((size_t) (canvas_h * canvas_w * 3));
            memset(canvas, 255, (size_t) (canvas_h * canvas_w * 3));
            for (int y = 0; y < h; ++y) {
                memcpy(canvas + 3 * ((y + top) * canvas_w + left), expected + 3 * y * w, (size_t) (3 * w));
            }
            decode(file, MOCO_FORMAT_WEBP, "animation");
            assert_upright(&image, canvas, canvas_h, canvas_w, 1, "animation");
            free(canvas);
            free(expected);
        }
        free(pixels);
    }
}

/* Over 256 KiB of file, which is decoded in slices. */
static void test_webp_large(void **state) {
    (void) state;
    int h = 400, w = 601;
    for (int lossless = 0; lossless < 2; ++lossless) {
        const int scale = lossless ? 1 : 2;
        uint8_t *pixels = make_picture(h * scale, w * scale, 4);
        uint32_t noise = 7;
        for (int i = 0; i < h * w * scale * scale * 4; ++i) {
            noise = noise * 1664525u + 1013904223u;
            pixels[i] = (uint8_t) (noise >> 24);
        }
        int stored_h = 0, stored_w = 0;
        encoded file = encode_webp(pixels, h * scale, w * scale, 4, lossless ? -1.0f : 95.0f);
        assert_true(file.size > 600000);
        uint8_t *expected = webp_expectation(file, &stored_h, &stored_w);
        decode(file, MOCO_FORMAT_WEBP, "large WebP");
        assert_upright(&image, expected, h * scale, w * scale, 1, "large WebP");
        free(expected);
        free(pixels);
    }
}

#endif

/* --- Without files --- */

static void test_reserve(void **state) {
    (void) state;
    moco_image held = {0};
    assert_int_equal(moco_image_reserve(context, &held, 4, 5), MOCO_OK);
    assert_int_equal(held.capacity, 60);
    uint8_t *first = held.pixels;
    assert_int_equal(moco_image_reserve(context, &held, 2, 10), MOCO_OK);
    assert_ptr_equal(held.pixels, first);
    assert_int_equal(moco_image_reserve(context, &held, INT64_MAX / 2, 3), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_image_reserve(context, &held, 40, 50), MOCO_OK);
    assert_int_equal(held.capacity, 6000);
    moco_image_release(context, &held);
    assert_null(held.pixels);
    moco_image_release(context, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef MOCO_HAVE_JPEG
        cmocka_unit_test(test_jpeg),      cmocka_unit_test(test_jpeg_grey),
        cmocka_unit_test(test_jpeg_cmyk), cmocka_unit_test(test_jpeg_orientation),
#endif
#ifdef MOCO_HAVE_PNG
        cmocka_unit_test(test_png),
#endif
#ifdef MOCO_HAVE_WEBP
        cmocka_unit_test(test_webp),      cmocka_unit_test(test_webp_large),
#endif
        cmocka_unit_test(test_reserve),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
