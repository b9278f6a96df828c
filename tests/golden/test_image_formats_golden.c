/* BMP, PNM and TIFF files, and orientation told by XMP, against Pillow's pixels (make_image_formats_golden.py made the
 * file); and what every decoder promises: windows have the bits of the whole, files that are cut are refused, changed
 * bytes and failing memory do no harm, limits hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"
#include "support/image_invariants.h"

typedef struct golden {
    char name[32];
    int32_t h, w, tolerance, bytes;
} golden;

enum { MAX_RECORDS = 200 };
static golden records[MAX_RECORDS];
static uint8_t *files[MAX_RECORDS], *pixels[MAX_RECORDS];
static int count;
static moco_context *context;
static moco_image image;
static uint32_t noise = 7;

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
    FILE *file = fopen(MOCO_TEST_DATA_DIR "/image_formats_golden.bin", "rb");
    if (file == NULL) return -1;
    while (count < MAX_RECORDS && fread(&records[count], sizeof records[count], 1, file) == 1) {
        const size_t bytes = (size_t) records[count].bytes,
                     area = (size_t) records[count].h * (size_t) records[count].w * 3;
        files[count] = (uint8_t *) malloc(bytes);
        pixels[count] = (uint8_t *) malloc(area);
        if (files[count] == NULL || pixels[count] == NULL || fread(files[count], bytes, 1, file) != 1 ||
            fread(pixels[count], area, 1, file) != 1) {
            return -1;
        }
        ++count;
    }
    fclose(file);
    moco_context_config config;
    if (moco_context_config_init(&config, sizeof config) != MOCO_OK) return -1;
    config.allocate = allocate;
    config.deallocate = deallocate;
    return moco_context_create(&context, &config);
}

static int teardown(void **state) {
    (void) state;
    for (int i = 0; i < count; ++i) {
        free(files[i]);
        free(pixels[i]);
    }
    moco_image_release(context, &image);
    moco_context_destroy(context);
    return live != 0;
}

/* A copy of exactly this size, so that a sanitizer sees every byte read behind it. */
static moco_status decode_copy(const uint8_t *bytes, size_t size, const moco_image_limits *limits,
                               const moco_image_request *request, moco_image_header *header) {
    uint8_t *copy = (uint8_t *) malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const moco_status status = moco_image_decode(context, copy, size, limits, request, &image);
    moco_image_header probed = {0};
    const moco_status known = moco_image_probe(context, copy, size, limits, &probed);
    free(copy);
    if (status == MOCO_OK) {
        const moco_image_request all = {.max_reduction = 1};
        assert_int_equal(known, MOCO_OK);
        assert_null(broken_image_promise(&image, request == NULL ? &all : request, &probed));
    } else {
        assert_int_equal(image.held.h, 0);
        assert_true(strlen(moco_last_error()) > 10);
    }
    if (header != NULL) *header = probed;
    return status;
}

static int is_left_out(int i) {
    moco_image_header header;
    return moco_image_probe(context, files[i], (size_t) records[i].bytes, NULL, &header) == MOCO_UNSUPPORTED;
}

static void test_as_pillow(void **state) {
    (void) state;
    int left_out = 0;
    assert_true(count >= 80);
    for (int i = 0; i < count; ++i) {
        const golden *record = &records[i];
        if (is_left_out(i)) {
            ++left_out;
            continue;
        }
        if (decode_copy(files[i], (size_t) record->bytes, NULL, NULL, NULL) != MOCO_OK) {
            fail_msg("%s: %s", record->name, moco_last_error());
        }
        if (image.held.h != record->h || image.held.w != record->w) {
            fail_msg("%s is %lld x %lld", record->name, (long long) image.held.h, (long long) image.held.w);
        }
        for (int64_t p = 0; p < (int64_t) record->h * record->w * 3; ++p) {
            if (abs((int) image.pixels[p] - (int) pixels[i][p]) > record->tolerance) {
                fail_msg("%s, row %lld, column %lld, channel %d: %d instead of %d", record->name,
                         (long long) (p / 3 / record->w), (long long) (p / 3 % record->w), (int) (p % 3),
                         image.pixels[p], pixels[i][p]);
            }
        }
    }
    print_message("%d files, %d of formats that this build does not read\n", count, left_out);
}

static int64_t draw(int64_t below) {
    noise = noise * 1664525u + 1013904223u;
    return (int64_t) (noise >> 8) % below;
}

static void test_windows(void **state) {
    (void) state;
    for (int i = 0; i < count; ++i) {
        const golden *record = &records[i];
        if (is_left_out(i)) continue;
        moco_image whole = {0};
        for (int32_t r = 1; r <= 8; r *= 8) {
            moco_image_request request = {.max_reduction = r};
            assert_int_equal(moco_image_decode(context, files[i], (size_t) record->bytes, NULL, &request, &whole),
                             MOCO_OK);
            for (int n = 0; n < 12; ++n) {
                moco_image_window *window = &request.window;
                window->h = 1 + draw(whole.held.full_h);
                window->w = 1 + draw(whole.held.full_w);
                window->top = draw(whole.held.full_h - window->h + 1);
                window->left = draw(whole.held.full_w - window->w + 1);
                assert_int_equal(decode_copy(files[i], (size_t) record->bytes, NULL, &request, NULL), MOCO_OK);
                const int64_t reduction = whole.held.reduction;
                assert_int_equal(image.held.reduction, reduction);
                for (int64_t y = 0; y < image.held.h; ++y) {
                    const uint8_t *be = whole.pixels + 3 * ((y + image.held.window.top / reduction) * whole.held.w +
                                                            image.held.window.left / reduction);
                    if (memcmp(image.pixels + 3 * y * image.held.w, be, (size_t) (3 * image.held.w)) != 0) {
                        fail_msg("%s: row %lld of a window differs", record->name, (long long) y);
                    }
                }
            }
        }
        moco_image_release(context, &whole);
    }
}

/* The held part, if that is all or the corner. */
static int is_as_pillow(int i) {
    for (int64_t p = 0; p < image.held.h * image.held.w * 3; ++p) {
        const int64_t y = p / 3 / image.held.w, x = p / 3 % image.held.w;
        if (abs((int) image.pixels[p] - (int) pixels[i][(y * records[i].w + x) * 3 + p % 3]) > records[i].tolerance)
            return 0;
    }
    return 1;
}

/* A file of text may end after any digit of its last number. */
static int may_lose(const char *name) {
    return strncmp(name, "pnm-2", 5) == 0 || strncmp(name, "pnm-3", 5) == 0 ? 6 : 1;
}

static void test_cut(void **state) {
    (void) state;
    const moco_image_request corner = {{0, 0, 2, 2}, 1, 0};
    for (int i = 0; i < count; ++i) {
        const golden *record = &records[i];
        if (is_left_out(i)) continue;
        const int is_tiff = strncmp(record->name, "tiff", 4) == 0; /* their directory may be anywhere */
        const size_t size = (size_t) record->bytes, step = size > 1500 ? 7 : 1;
        for (size_t cut = 0; cut + (size_t) may_lose(record->name) < size; cut += step) {
            const moco_status status = decode_copy(files[i], cut, NULL, cut % 2 ? &corner : NULL, NULL);
            if (status == MOCO_OK && is_tiff && is_as_pillow(i)) continue; /* what is lost is a second picture */
            if (status != MOCO_FORMAT) fail_msg("%s of %zu bytes, cut to %zu: %d", record->name, size, cut, status);
        }
        /* Bytes behind the end do not count. */
        uint8_t *longer = (uint8_t *) malloc(size + 14);
        assert_non_null(longer);
        memcpy(longer, files[i], size);
        memcpy(longer + size, " 7 more and...", 14);
        if (strncmp(record->name, "pnm-2", 5) != 0 && strncmp(record->name, "pnm-3", 5) != 0) {
            assert_int_equal(decode_copy(longer, size + 14, NULL, NULL, NULL), MOCO_OK);
        }
        free(longer);
    }
}

static void test_changed_bytes(void **state) {
    (void) state;
    static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x10};
    const moco_image_limits limits = {4096, 1 << 20, 64 << 20, 5.0};
    const moco_image_request requests[] = {{{0}, 1, 0}, {{0}, 4, 0}, {{1, 2, 4, 6}, 1, 0}, {{1, 2, 4, 6}, 2, 1}};
    for (int i = 0; i < count; ++i) {
        if (is_left_out(i)) continue;
        uint8_t *file = files[i];
        const size_t size = (size_t) records[i].bytes;
        for (size_t at = 0; at < size; at += at < 160 || at + 300 > size ? 1 : 5) {
            const size_t c = at % 4;
            file[at] ^= changes[c];
            const moco_status status = decode_copy(file, size, &limits, &requests[at / 4 % 4], NULL);
            if (status != MOCO_OK && status != MOCO_FORMAT && status != MOCO_INVALID_ARGUMENT) {
                fail_msg("%s, byte %zu changed by %02x: %d, %s", records[i].name, at, changes[c], status,
                         moco_last_error());
            }
            file[at] ^= changes[c];
        }
    }
}

static void test_limits(void **state) {
    (void) state;
    const moco_image_limits defaults = moco_image_default_limits();
    for (int i = 0; i < count; ++i) {
        const int64_t h = records[i].h, w = records[i].w, side = h > w ? h : w;
        const size_t size = (size_t) records[i].bytes;
        if (is_left_out(i)) continue;
        moco_image_limits limits = defaults;
        limits.max_side = side - 1;
        assert_int_equal(decode_copy(files[i], size, &limits, NULL, NULL), MOCO_FORMAT);
        limits = defaults;
        limits.max_pixels = h * w - 1;
        assert_int_equal(decode_copy(files[i], size, &limits, NULL, NULL), MOCO_FORMAT);
        limits = defaults;
        limits.max_memory = (uint64_t) (h * w * 3 + 10);
        assert_int_equal(decode_copy(files[i], size, &limits, NULL, NULL), MOCO_FORMAT);
        assert_non_null(strstr(moco_last_error(), "memory"));
        limits.max_memory = 4 << 20;
        if (strcmp(records[i].name, "tiff-zstd") == 0) limits.max_memory = 200 << 20; /* its window is large */
        assert_int_equal(decode_copy(files[i], size, &limits, NULL, NULL), MOCO_OK);
        limits.max_seconds = 1e-9;
        if (strstr(records[i].name, "webp") == NULL) { /* a small WebP is decoded at once */
            assert_int_equal(decode_copy(files[i], size, &limits, NULL, NULL), MOCO_FORMAT);
            assert_non_null(strstr(moco_last_error(), "longer"));
        }
    }
}

static void test_out_of_memory(void **state) {
    (void) state;
    for (int i = 0; i < count; ++i) {
        if (is_left_out(i)) continue;
        moco_status status = MOCO_OUT_OF_MEMORY;
        int failures = 0;
        for (int64_t call = 1; status != MOCO_OK; ++call) {
            moco_image fresh = {0};
            const int64_t before = live;
            allocated = 0;
            fail_at = call;
            status = moco_image_decode(context, files[i], (size_t) records[i].bytes, NULL, NULL, &fresh);
            fail_at = 0;
            if (status != MOCO_OK && status != MOCO_OUT_OF_MEMORY) {
                fail_msg("%s, allocation %d: %d, %s", records[i].name, (int) call, status, moco_last_error());
            }
            failures += status != MOCO_OK;
            moco_image_release(context, &fresh);
            assert_int_equal(live, before);
        }
        assert_true(failures >= 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_pillow),     cmocka_unit_test(test_windows), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_changed_bytes), cmocka_unit_test(test_limits),  cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
