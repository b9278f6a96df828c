/* TIFF files whose picture is one large strip, as Pillow, tifffile and ImageJ write them: every pixel, windows, and what
 * such a file costs. The files are put together here; their pixels are a formula's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "data/image_decoders.h"

static moco_context *context;
static moco_image image;
static uint64_t largest; /* of what was asked for at once */

static void *allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
    if (size > largest) largest = size;
    return aligned_alloc((size_t) alignment, (size_t) ((size + alignment - 1) / alignment * alignment));
}

static void deallocate(void *memory, void *user) {
    (void) user;
    free(memory);
}

static int setup(void **state) {
    (void) state;
    moco_context_config config;
    moco_context_config_init(&config, sizeof config);
    config.allocate = allocate;
    config.deallocate = deallocate;
    return moco_context_create(&context, &config);
}

static int teardown(void **state) {
    (void) state;
    moco_image_release(context, &image);
    moco_context_destroy(context);
    return 0;
}

static uint8_t sample(int64_t y, int64_t x, int64_t c) {
    return (uint8_t) (y * 7 + x * 13 + c * 50 + (y * x >> 3));
}

typedef struct file_bytes {
    uint8_t *bytes;
    size_t size;
} file_bytes;

static void put(file_bytes *file, uint64_t value, int count) {
    for (int i = 0; i < count; ++i) file->bytes[file->size++] = (uint8_t) (value >> 8 * i);
}

/* LZW without any string: codes of 9 bits, and the table emptied before they would have to be longer. */
static void put_lzw(file_bytes *file, const uint8_t *bytes, size_t count) {
    uint32_t held = 0;
    int bits = 0;
    for (size_t i = 0; i <= count; ++i) {
        const int code[2] = {256, i == count ? 257 : bytes[i]};
        for (int k = i % 200 == 0 ? 0 : 1; k < 2; ++k) {
            held = held << 9 | (uint32_t) code[k];
            for (bits += 9; bits >= 8; bits -= 8) put(file, held >> (bits - 8), 1);
        }
    }
    put(file, bits > 0 ? held << (8 - bits) : 0, 1);
}

/* Grey or RGB of 8 bits, uncompressed (1) or LZW (5), in one strip. */
static file_bytes make_tiff(int64_t h, int64_t w, int64_t channels, int compression) {
    const size_t count = (size_t) (h * w * channels);
    file_bytes file = {(uint8_t *) malloc(count * 2 + 512), 0};
    uint8_t *samples = (uint8_t *) malloc(count), *at = samples;
    assert_non_null(file.bytes);
    assert_non_null(samples);
    for (int64_t i = 0; i < h * w; ++i) {
        for (int64_t c = 0; c < channels; ++c) *at++ = sample(i / w, i % w, c);
    }
    put(&file, 0x002a4949, 4);
    put(&file, 0, 4);
    if (compression == 5) {
        put_lzw(&file, samples, count);
    } else {
        memcpy(file.bytes + 8, samples, count);
        file.size += count;
    }
    free(samples);
    const size_t stored = file.size - 8;
    if (file.size % 2 != 0) put(&file, 0, 1);
    const size_t bits = file.size;
    for (int i = 0; i < 4; ++i) put(&file, 8, 2);
    const size_t directory = file.size;
    const uint64_t entries[][4] = {
        {256, 4, 1, (uint64_t) w},
        {257, 4, 1, (uint64_t) h},
        {258, 3, (uint64_t) channels, channels == 1 ? 8 : bits},
        {259, 3, 1, (uint64_t) compression},
        {262, 3, 1, channels == 1 ? 1 : 2},
        {273, 4, 1, 8},
        {277, 3, 1, (uint64_t) channels},
        {278, 4, 1, (uint64_t) h},
        {279, 4, 1, stored},
    };
    put(&file, 9, 2);
    for (int i = 0; i < 9; ++i) {
        put(&file, entries[i][0], 2);
        put(&file, entries[i][1], 2);
        put(&file, entries[i][2], 4);
        put(&file, entries[i][3], 4);
    }
    put(&file, 0, 4);
    const size_t end = file.size;
    file.size = 4;
    put(&file, directory, 4);
    file.size = end;
    return file;
}

static void assert_pixels(int64_t channels) {
    const int64_t top = image.held.window.top, left = image.held.window.left;
    for (int64_t y = 0; y < image.held.h; ++y) {
        for (int64_t x = 0; x < image.held.w; ++x) {
            for (int64_t c = 0; c < 3; ++c) {
                const int got = image.pixels[(y * image.held.w + x) * 3 + c],
                          wanted = sample(top + y, left + x, channels == 1 ? 0 : c);
                if (got != wanted) fail_msg("row %d, column %d: %d, not %d", (int) y, (int) x, got, wanted);
            }
        }
    }
}

static void assert_decodes(const file_bytes *file, const moco_image_limits *limits, const moco_image_request *request) {
    const moco_status status = moco_image_decode(context, file->bytes, file->size, limits, request, &image);
    if (status != MOCO_OK) fail_msg("%d: %s", status, moco_last_error());
}

static void every_pixel_of_one_strip(void **state) {
    (void) state;
    static const int sizes[][3] = {{64, 64, 3},  {53, 53, 3},  {91, 91, 1}, {90, 91, 1},
                                   {1, 9000, 1}, {9000, 1, 3}, {17, 700, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        for (int compression = 1; compression <= 5; compression += 4) {
            file_bytes file = make_tiff(sizes[i][0], sizes[i][1], sizes[i][2], compression);
            assert_decodes(&file, NULL, NULL);
            assert_int_equal(image.held.h, sizes[i][0]);
            assert_int_equal(image.held.w, sizes[i][1]);
            assert_pixels(sizes[i][2]);
            for (size_t cut = 0; cut < file.size; cut += 1 + file.size / 40) {
                assert_int_equal(moco_image_decode(context, file.bytes, cut, NULL, NULL, &image), MOCO_FORMAT);
            }
            free(file.bytes);
        }
    }
}

/* A strip as it is need not be held to take a window out of it; one that is packed is, within the limit. */
static void what_a_strip_costs(void **state) {
    (void) state;
    enum { H = 2000, W = 3000 };
    const moco_image_request window = {{1234, 2100, 100, 200}, 1, 0}, checked = {{1234, 2100, 100, 200}, 1, 1};
    moco_image_limits limits = moco_image_default_limits();
    file_bytes plain = make_tiff(H, W, 3, 1), packed = make_tiff(H, W, 3, 5);
    moco_image_release(context, &image);
    largest = 0;
    limits.max_memory = 1 << 20;
    assert_decodes(&plain, &limits, &window);
    assert_pixels(3);
    assert_true(largest < 1 << 20);
    assert_int_equal(moco_image_decode(context, packed.bytes, packed.size, &limits, &window, &image), MOCO_FORMAT);
    assert_non_null(strstr(moco_last_error(), "more memory than the limit"));
    assert_true(largest < 1 << 20);
    limits.max_memory = 40 << 20;
    assert_decodes(&packed, &limits, &window);
    assert_pixels(3);
    assert_decodes(&plain, NULL, &checked);
    assert_pixels(3);
    assert_decodes(&plain, NULL, NULL);
    assert_pixels(3);
    assert_decodes(&packed, NULL, NULL);
    assert_pixels(3);
    limits.max_seconds = 1e-6;
    assert_int_equal(moco_image_decode(context, plain.bytes, plain.size, &limits, NULL, &image), MOCO_FORMAT);
    limits.max_memory = 1 << 30;
    assert_int_equal(moco_image_decode(context, plain.bytes, plain.size, &limits, NULL, &image), MOCO_FORMAT);
    assert_non_null(strstr(moco_last_error(), "longer"));
    free(plain.bytes);
    free(packed.bytes);
}

int main(void) {
    if (!moco_image_has_decoder(MOCO_FORMAT_TIFF)) {
        print_message("left out: this build reads no TIFF\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pixel_of_one_strip),
        cmocka_unit_test(what_a_strip_costs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
