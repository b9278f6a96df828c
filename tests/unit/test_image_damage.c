/* Damaged, cut and hostile images, limits and failing memory: each is refused with a reason, nothing crashes or leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/image_decoders.h"
#include "support/image_encoders.h"

#ifdef MOCO_HAVE_JPEG
#include <jerror.h>
#endif

static moco_context *context;
static moco_image image;

/* Counts what is held, and fails call number fail_at. */
static int64_t allocated, live, fail_at;

static void *allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
    if (++allocated == fail_at) return NULL;
    void *memory = aligned_alloc((size_t) alignment, (size_t) ((size + alignment - 1) / alignment * alignment));
    if (memory != NULL) ++live;
    return memory;
}

static void deallocate(void *memory, void *user) {
    (void) user;
    --live;
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
    return live != 0;
}

#define assert_fails(call, status, word)                                                                         \
    do {                                                                                                         \
        assert_int_equal(call, status);                                                                          \
        if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" lacks \"%s\"", moco_last_error(), (word)); \
    } while (0)

/* --- One small file of each kind --- */

enum { H = 19, W = 27, KINDS = 9 };
static const char *const kinds[KINDS] = {"JPEG",     "progressive JPEG", "JPEG with restarts",
                                         "PNG",      "interlaced PNG",   "lossy WebP",
                                         "lossless", "WebP with alpha",  "animated WebP"};

/* No bytes where this build lacks the format. */
static encoded make_file(int kind) {
    encoded file = {0};
    uint8_t *rgb = make_picture(H, W, 3), *rgba = make_picture(H, W, 4);
#ifdef MOCO_HAVE_JPEG
    const jpeg_spec plain = {3, 2, 2, 0, 0, 0, 6}, progressive = {3, 2, 2, 1, 0, 0, 0},
                    restarts = {3, 1, 1, 0, 2, 0, 0};
    if (kind < 3) file = encode_jpeg(rgb, H, W, kind == 0 ? plain : kind == 1 ? progressive : restarts);
#endif
#ifdef MOCO_HAVE_PNG
    if (kind == 3 || kind == 4) {
        uint16_t samples[H * W * 4];
        for (int i = 0; i < H * W * 4; ++i) samples[i] = rgba[i];
        file = encode_png(samples, H, W, (png_spec){8, PNG_COLOR_TYPE_RGB_ALPHA, kind == 4, 0, 0, 3});
    }
#endif
#ifdef MOCO_HAVE_WEBP
    if (kind >= 5) file = encode_webp(kind >= 7 ? rgba : rgb, H, W, kind >= 7 ? 4 : 3, kind == 6 ? -1.0f : 80.0f);
    if (kind == 8) file = wrap_webp(file, H, W, 6, 1, H + 4, W + 6, 2, 4);
#endif
    (void) kind;
    free(rgb);
    free(rgba);
    return file;
}

/* Decodes a copy of exactly this size, so that a sanitizer sees every byte read behind it. */
static moco_status decode_copy(const uint8_t *bytes, size_t size, const moco_image_request *request) {
    const moco_image_limits limits = {4096, 1 << 20, 64 << 20, 5.0};
    uint8_t *copy = (uint8_t *) malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const moco_status status = moco_image_decode(context, copy, size, &limits, request, &image);
    moco_image_header header;
    const moco_status probed = moco_image_probe(context, copy, size, &limits, &header);
    free(copy);
    if (status != MOCO_OK) {
        assert_int_equal(image.held.h, 0);
        assert_int_equal(image.held.w, 0);
        assert_true(strlen(moco_last_error()) > 10);
    } else { /* what decodes has a header that says so */
        assert_int_equal(probed, MOCO_OK);
        assert_int_equal(image.held.full_h, header.h);
        assert_int_equal(image.held.full_w, header.w);
    }
    return status;
}

static void test_cut(void **state) {
    (void) state;
    const moco_image_request corner = {{0, 0, 2, 2}, 1, 0};
    for (int kind = 0; kind < KINDS; ++kind) {
        encoded file = make_file(kind);
        if (file.size == 0) continue;
        for (size_t size = 0; size < file.size; ++size) {
            const moco_image_request *request = size % 2 ? &corner : NULL;
            const moco_status status = decode_copy(file.bytes, size, request);
            if (status != MOCO_FORMAT)
                fail_msg("%s of %zu bytes, cut to %zu: %d", kinds[kind], file.size, size, status);
        }
        /* Bytes behind the end do not count. */
        assert_int_equal(decode_copy(file.bytes, file.size, NULL), MOCO_OK);
        const size_t bytes = (size_t) (image.held.h * image.held.w * 3);
        uint8_t *before = (uint8_t *) malloc(bytes);
        memcpy(before, image.pixels, bytes);
        encoded_append(&file, "more and more", 13);
        assert_int_equal(decode_copy(file.bytes, file.size, NULL), MOCO_OK);
        assert_memory_equal(before, image.pixels, bytes);
        free(before);
        free(file.bytes);
    }
}

static void test_changed_bytes(void **state) {
    (void) state;
    static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x10};
    const moco_image_request requests[] = {{{0}, 1, 0}, {{0}, 4, 0}, {{3, 5, 4, 6}, 1, 0}, {{3, 5, 4, 6}, 2, 1}};
    for (int kind = 0; kind < KINDS; ++kind) {
        encoded file = make_file(kind);
        int64_t refused = 0;
        for (size_t i = 0; i < file.size; ++i) {
            for (int c = 0; c < 4; ++c) {
                file.bytes[i] ^= changes[c];
                const moco_status status = decode_copy(file.bytes, file.size, &requests[(i + (size_t) c) % 4]);
                /* Of a smaller image the window may be outside. */
                if (status != MOCO_OK && status != MOCO_FORMAT && status != MOCO_INVALID_ARGUMENT) {
                    fail_msg("%s, byte %zu changed by %02x: %d, %s", kinds[kind], i, changes[c], status,
                             moco_last_error());
                }
                /* Each byte of a PNG is in its signature, in a checksum, or is one. */
                if (status == MOCO_OK && (kind == 3 || kind == 4)) fail_msg("PNG, byte %zu changed: taken", i);
                refused += status == MOCO_FORMAT;
                file.bytes[i] ^= changes[c];
            }
        }
        assert_true(refused > 0 || file.size == 0);
        free(file.bytes);
    }
}

/* With check_all a window tells what all of the file is, whatever has become of it. */
static void test_one_verdict(void **state) {
    (void) state;
    const moco_image_request windows[] = {{{0, 0, 3, 4}, 1, 1}, {{2, 3, 2, 2}, 2, 1}, {{5, 7, 1, 1}, 8, 1}};
    for (int kind = 0; kind < KINDS; ++kind) {
        encoded file = make_file(kind);
        int64_t refused = 0;
        for (size_t i = 0; i < file.size; ++i) {
            const uint8_t byte = file.bytes[i];
            file.bytes[i] = (uint8_t) (byte ^ 1u << i % 8);
            const moco_status whole = decode_copy(file.bytes, file.size, NULL);
            const moco_status part = decode_copy(file.bytes, file.size, &windows[i % 3]);
            /* Of a smaller image the window may be outside. */
            if (part != whole && part != MOCO_INVALID_ARGUMENT) {
                fail_msg("%s, byte %zu changed: %d in all, %d by its window", kinds[kind], i, whole, part);
            }
            refused += whole == MOCO_FORMAT;
            file.bytes[i] = byte;
        }
        assert_true(refused > 0 || file.size == 0);
        free(file.bytes);
    }
}

#ifdef MOCO_HAVE_JPEG

static size_t find_marker(const encoded *file, int marker) {
    for (size_t i = file->size - 2;; --i) { /* from behind: a scan's data have none */
        if (file->bytes[i] == 0xff && file->bytes[i + 1] == marker) return i;
        assert_true(i > 0);
    }
}

static encoded with_stray(const encoded *file, size_t at, const uint8_t *stray, size_t size) {
    encoded out = {0};
    encoded_append(&out, file->bytes, at);
    encoded_append(&out, stray, size);
    encoded_append(&out, file->bytes + at, file->size - at);
    return out;
}

/* Bytes before the end and between segments leave the pixels as they are. */
static void test_stray_bytes(void **state) {
    (void) state;
    enum { LARGE_H = 45, LARGE_W = 75 };
    static const size_t sizes[] = {1, 2, 16, 245};
    uint8_t *picture = make_picture(LARGE_H, LARGE_W, 4), stray[245];
    for (int kind = 0; kind < 24; ++kind) {
        const jpeg_spec spec = {
            kind % 3 == 2 ? 1 : 3, 1 + kind % 2, 1 + kind % 2, kind / 3 % 2, kind / 6 % 2 * 3, 0, 0};
        encoded file = encode_jpeg(picture, LARGE_H, LARGE_W, spec);
        assert_int_equal(decode_copy(file.bytes, file.size, NULL), MOCO_OK);
        const size_t bytes = (size_t) (image.held.h * image.held.w * 3);
        uint8_t *before = (uint8_t *) malloc(bytes);
        assert_non_null(before);
        memcpy(before, image.pixels, bytes);
        for (int s = 0; s < 8; ++s) {
            for (int i = 0; i < 245; ++i) stray[i] = (uint8_t) (s % 2 == 0 ? 0 : (i * 89 + kind * 7) & 0x7f);
            /* Before the end; and before the first table, which is between segments. */
            const size_t at = s < 4 ? find_marker(&file, 0xd9) : 20;
            assert_int_equal(file.bytes[at], 0xff);
            encoded longer = with_stray(&file, at, stray, sizes[s % 4]);
            if (decode_copy(longer.bytes, longer.size, NULL) != MOCO_OK) {
                fail_msg("kind %d, %zu stray bytes: %s", kind, sizes[s % 4], moco_last_error());
            }
            assert_memory_equal(image.pixels, before, bytes);
            free(longer.bytes);
        }
        free(before);
        free(file.bytes);
    }
    free(picture);
}

static int left_over, other_warnings;

static void note_warning(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_EXTRANEOUS_DATA) ++left_over;
    if (level < 0 && info->err->msg_code != JWRN_EXTRANEOUS_DATA) ++other_warnings;
}

static void decode_by_libjpeg(const encoded *file) {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    errors.emit_message = note_warning;
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, file->bytes, file->size);
    jpeg_read_header(&info, TRUE);
    jpeg_start_decompress(&info);
    uint8_t row[3 * 75];
    JSAMPROW rows = row;
    while (info.output_scanline < info.output_height) jpeg_read_scanlines(&info, &rows, 1);
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
}

/* A changed bit in the scan of which nothing tells but bytes that are left over: all but a few are refused. */
static void test_left_over(void **state) {
    (void) state;
    enum { LARGE_H = 45, LARGE_W = 75 };
    uint8_t *picture = make_picture(LARGE_H, LARGE_W, 3);
    int only_left_over = 0, taken = 0;
    for (int kind = 0; kind < 4; ++kind) {
        encoded file =
            encode_jpeg(picture, LARGE_H, LARGE_W, (jpeg_spec){3, 1 + kind % 2, 1 + kind % 2, 0, kind / 2 * 4, 0, 0});
        for (size_t i = find_marker(&file, 0xda) + 14; i + 2 < file.size; ++i) {
            const uint8_t byte = file.bytes[i], changed = (uint8_t) (byte ^ 1u << i % 8);
            if (byte == 0xff || changed == 0xff || file.bytes[i - 1] == 0xff) continue; /* markers come and go */
            file.bytes[i] = changed;
            left_over = other_warnings = 0;
            decode_by_libjpeg(&file);
            if (left_over > 0 && other_warnings == 0) {
                ++only_left_over;
                taken += decode_copy(file.bytes, file.size, NULL) == MOCO_OK;
            }
            file.bytes[i] = byte;
        }
        free(file.bytes);
    }
    free(picture);
    print_message("%d of %d files with bytes left over are taken\n", taken, only_left_over);
    assert_true(only_left_over > 100);
    assert_true(50 * taken <= only_left_over);
}

#endif

static void test_random_content(void **state) {
    (void) state;
    uint32_t noise = 5;
    uint8_t bytes[300];
    static const char *const heads[] = {"\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "RIFF\x80\0\0\0WEBPVP8X\x0a\0\0\0",
                                        "GIF8"};
    static const size_t sizes[] = {3, 8, 20, 4};
    for (int i = 0; i < 4000; ++i) {
        for (size_t b = 0; b < sizeof bytes; ++b) {
            noise = noise * 1664525u + 1013904223u;
            bytes[b] = (uint8_t) (noise >> 24 & (i % 3 == 0 ? 0xff : 0x0f));
        }
        memcpy(bytes, heads[i % 4], sizes[i % 4]);
        noise = noise * 1664525u + 1013904223u;
        const moco_status status = decode_copy(bytes, (noise >> 8) % sizeof bytes, NULL);
        assert_true(status == MOCO_FORMAT || status == MOCO_UNSUPPORTED);
    }
}

/* --- EXIF --- */

static int32_t orientation_of(const void *block, size_t size) {
    uint8_t *copy = (uint8_t *) malloc(size + (size == 0));
    if (size > 0) memcpy(copy, block, size);
    const int32_t orientation = moco_exif_orientation(copy, size);
    free(copy);
    return orientation;
}

static void test_exif(void **state) {
    (void) state;
    uint8_t block[64] = "Exif\0";
    for (int little = 0; little < 2; ++little) {
        for (int o = 0; o < 10; ++o) {
            make_exif(block + 6, o, little);
            const int32_t expected = o >= 1 && o <= 8 ? o : 1;
            assert_int_equal(orientation_of(block + 6, EXIF_BYTES), expected);
            assert_int_equal(orientation_of(block, EXIF_BYTES + 6), expected);
        }
        make_exif(block + 6, 6, little);
        for (size_t size = 0; size < EXIF_BYTES - 4; ++size) assert_int_equal(orientation_of(block + 6, size), 1);
    }
    /* The second of two entries; then other types and counts, and directories that are not there. */
    uint8_t two[] = {'I', 'I', 42, 0, 8,    0, 0, 0, 2, 0, 0x0f, 1, 2, 0, 9, 0, 0,   0,
                     99,  0,   0,  0, 0x12, 1, 3, 0, 1, 0, 0,    0, 8, 0, 0, 0, 255, 255};
    assert_int_equal(orientation_of(two, sizeof two), 8);
    two[24] = 4; /* LONG */
    assert_int_equal(orientation_of(two, sizeof two), 1);
    two[24] = 3;
    two[26] = 2;
    assert_int_equal(orientation_of(two, sizeof two), 1);
    two[26] = 1;
    two[8] = two[9] = 255; /* more entries than bytes */
    assert_int_equal(orientation_of(two, sizeof two), 8);
    for (int offset = 0; offset < 256; ++offset) {
        two[4] = (uint8_t) offset;
        two[7] = (uint8_t) (offset % 2 ? 255 : 0);
        const int32_t orientation = orientation_of(two, sizeof two);
        assert_int_equal(orientation, offset == 8 ? 8 : 1);
    }
    uint32_t noise = 3;
    for (int i = 0; i < 20000; ++i) {
        for (size_t b = 8; b < sizeof two; ++b) {
            noise = noise * 1664525u + 1013904223u;
            two[b] = (uint8_t) (noise >> 28);
        }
        two[4] = (uint8_t) (noise >> 16 & 31);
        two[7] = 0;
        const int32_t orientation = orientation_of(two, sizeof two - noise % 9);
        assert_true(orientation >= 1 && orientation <= 8);
    }
}

/* --- Limits and arguments --- */

static void test_limits(void **state) {
    (void) state;
    const moco_image_limits defaults = moco_image_default_limits();
    assert_int_equal(defaults.max_side, 65500);
    assert_int_equal(defaults.max_pixels, 178956970);
    assert_int_equal(defaults.max_memory, 1 << 30);
    for (int kind = 0; kind < KINDS; ++kind) {
        encoded file = make_file(kind);
        if (file.size == 0) continue;
        assert_int_equal(moco_image_decode(context, file.bytes, file.size, NULL, NULL, &image), MOCO_OK);
        const int64_t side = image.held.h > image.held.w ? image.held.h : image.held.w,
                      pixels = image.held.h * image.held.w;
        moco_image_header header;
        moco_image_limits limits = defaults;
        limits.max_side = side;
        limits.max_pixels = pixels;
        assert_int_equal(moco_image_decode(context, file.bytes, file.size, &limits, NULL, &image), MOCO_OK);
        limits.max_side = side - 1;
        assert_fails(moco_image_decode(context, file.bytes, file.size, &limits, NULL, &image), MOCO_FORMAT, "limit");
        assert_fails(moco_image_probe(context, file.bytes, file.size, &limits, &header), MOCO_FORMAT, "limit");
        limits.max_side = side;
        limits.max_pixels = pixels - 1;
        assert_fails(moco_image_decode(context, file.bytes, file.size, &limits, NULL, &image), MOCO_FORMAT, "limit");
        limits = defaults;
        limits.max_memory = (uint64_t) pixels * 3 + 100;
        assert_fails(moco_image_decode(context, file.bytes, file.size, &limits, NULL, &image), MOCO_FORMAT, "memory");
        limits.max_memory = 4 << 20;
        assert_int_equal(moco_image_decode(context, file.bytes, file.size, &limits, NULL, &image), MOCO_OK);
        limits = defaults;
        if (kind < 5) { /* a small WebP is decoded at once */
            limits.max_seconds = 1e-9;
            assert_fails(moco_image_decode(context, file.bytes, file.size, &limits, NULL, &image), MOCO_FORMAT,
                         "longer");
        }
        limits.max_seconds = 0;
        assert_int_equal(moco_image_decode(context, file.bytes, file.size, &limits, NULL, &image), MOCO_OK);
        free(file.bytes);
    }
}

static void test_arguments(void **state) {
    (void) state;
    const moco_image_request request = {.max_reduction = 1};
    moco_image_header header;
    assert_fails(moco_image_decode(context, NULL, 0, NULL, &request, &image), MOCO_FORMAT, "empty");
    assert_fails(moco_image_decode(context, NULL, 9, NULL, &request, &image), MOCO_INVALID_ARGUMENT, "bytes");
    assert_fails(moco_image_decode(context, "x", 1, NULL, &request, NULL), MOCO_INVALID_ARGUMENT, "image");
    assert_fails(moco_image_probe(context, "x", 1, NULL, NULL), MOCO_INVALID_ARGUMENT, "header");
    assert_fails(moco_image_probe(context, "GIF89a.....", 11, NULL, &header), MOCO_FORMAT, "47 49 46 38 39 61 2e 2e");
    for (int kind = 0; kind < KINDS; ++kind) {
        encoded file = make_file(kind);
        if (file.size == 0) continue;
        const int32_t reductions[] = {0, -1, 3, 16};
        for (int i = 0; i < 4; ++i) {
            const moco_image_request bad = {.max_reduction = reductions[i]};
            assert_fails(moco_image_decode(context, file.bytes, file.size, NULL, &bad, &image), MOCO_INVALID_ARGUMENT,
                         "max_reduction");
        }
        const moco_image_window windows[] = {{0, 0, 1000, 1}, {0, 0, 1, 1000}, {-1, 0, 1, 1},
                                             {0, -1, 1, 1},   {50, 0, 1, 1},   {0, INT64_MAX, 1, INT64_MAX},
                                             {0, 0, 1, 0},    {0, 0, -1, 1}};
        for (int i = 0; i < 8; ++i) {
            const moco_image_request bad = {.window = windows[i], .max_reduction = 1};
            assert_fails(moco_image_decode(context, file.bytes, file.size, NULL, &bad, &image), MOCO_INVALID_ARGUMENT,
                         "window");
        }
        free(file.bytes);
    }
}

static void test_out_of_memory(void **state) {
    (void) state;
    for (int kind = 0; kind < KINDS; ++kind) {
        encoded file = make_file(kind);
        if (file.size == 0) continue;
        moco_status status = MOCO_OUT_OF_MEMORY;
        int failures = 0;
        for (int64_t call = 1; status != MOCO_OK; ++call) {
            moco_image fresh = {0};
            const int64_t before = live;
            allocated = 0;
            fail_at = call;
            status = moco_image_decode(context, file.bytes, file.size, NULL, NULL, &fresh);
            fail_at = 0;
            if (status != MOCO_OK && status != MOCO_OUT_OF_MEMORY) {
                fail_msg("%s, allocation %d: %d, %s", kinds[kind], (int) call, status, moco_last_error());
            }
            failures += status != MOCO_OK;
            moco_image_release(context, &fresh);
            assert_int_equal(live, before);
        }
        assert_true(failures >= 2);
        free(file.bytes);
    }
}

/* Headers that are right, without pixels: in a build without the decoder its option is named. */
static void test_unsupported(void **state) {
    (void) state;
    static const char jpeg[] =
        "\xff\xd8\xff\xc0\0\x0b\x08\0\x05\0\x07\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xd9";
    static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x07\0\0\0\x05\x08\x02\0\0\0cccc\0\0\0\0IDATcccc"
                              "\0\0\0\0IENDcccc";
    static const char webp[] = "RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f\x06\0\x01\0";
    static const char tiff[] = "II*\0\x08\0\0\0\x04\0" /* compression 4711, one strip of a byte */
                               "\0\1\3\0\1\0\0\0\x07\0\0\0"
                               "\1\1\3\0\1\0\0\0\x05\0\0\0"
                               "\3\1\3\0\1\0\0\0\x67\x12\0\0"
                               "\x11\1\4\0\1\0\0\0\x08\0\0\0\0\0\0";
    const struct {
        const char *bytes;
        size_t size;
        const char *option;
    } files[] = {{jpeg, sizeof jpeg - 1, "MOCO_WITH_JPEG"},
                 {png, sizeof png - 1, "MOCO_WITH_PNG"},
                 {webp, sizeof webp, "MOCO_WITH_WEBP"},
                 {NULL, 0, NULL}, /* BMP and PNM, which every build has */
                 {NULL, 0, NULL},
                 {tiff, sizeof tiff, "MOCO_WITH_TIFF"}};
    for (int32_t format = 0; format < (int32_t) (sizeof files / sizeof files[0]); ++format) {
        if (files[format].bytes == NULL) continue;
        moco_image_header header;
        moco_stored_header stored;
        const uint8_t *bytes = (const uint8_t *) files[format].bytes;
        assert_int_equal(moco_image_walk(context, bytes, files[format].size, &stored), MOCO_OK);
        assert_int_equal(stored.format, format);
        assert_int_equal(stored.h, 5);
        assert_int_equal(stored.w, 7);
        if (moco_image_require_decoder(format) == MOCO_OK) {
            assert_int_equal(moco_image_probe(context, bytes, files[format].size, NULL, &header), MOCO_OK);
            assert_int_equal(moco_image_decode(context, bytes, files[format].size, NULL, NULL, &image), MOCO_FORMAT);
        } else {
            assert_fails(moco_image_probe(context, bytes, files[format].size, NULL, &header), MOCO_UNSUPPORTED,
                         files[format].option);
            assert_fails(moco_image_decode(context, bytes, files[format].size, NULL, NULL, &image), MOCO_UNSUPPORTED,
                         files[format].option);
        }
    }
}

/* Whatever their names say. */
static void test_other_formats_are_named(void **state) {
    (void) state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *word;
    } files[] = {
        {"GIF89a\1\0\1\0", 10, "it is a GIF file, not an image of a known format (JPEG, PNG"},
        {"\0\0\0\x18"
         "ftypheic\0\0\0\0",
         16, "a HEIC file"},
        {"\0\0\0\x1c"
         "ftypavif\0\0\0\0",
         16, "an AVIF file"},
        {"\xff\x0a\x01\x02", 4, "a JPEG XL file"},
        {"\0\0\0\x0cJXL \r\n\x87\n", 12, "a JPEG XL file"},
        {"\0\0\0\x0cjP  \r\n\x87\n", 12, "a JPEG 2000 file"},
        {"8BPS\0\1", 6, "a Photoshop (PSD) file"},
        {"%PDF-1.7", 8, "a PDF file"},
        {"<!DOCTYPE html><html>", 21, "an HTML file"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "git lfs pull"},
        {"GIF", 3, "it is not an image of a known format"},
        {"ftypheic", 8, "it begins with the bytes 66 74 79 70"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        uint8_t *copy = (uint8_t *) malloc(files[i].size); /* of exactly this size, for the sanitizer */
        assert_non_null(copy);
        memcpy(copy, files[i].bytes, files[i].size);
        assert_fails(moco_image_decode(context, copy, files[i].size, NULL, NULL, &image), MOCO_FORMAT, files[i].word);
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_one_verdict),
#ifdef MOCO_HAVE_JPEG
        cmocka_unit_test(test_stray_bytes),
        cmocka_unit_test(test_left_over),
#endif
        cmocka_unit_test(test_random_content),
        cmocka_unit_test(test_exif),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_other_formats_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
