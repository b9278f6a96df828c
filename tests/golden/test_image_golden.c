/* Decoded images against Pillow's; make_image_golden.py made the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"

typedef struct golden {
    char name[32];
    int32_t h, w, tolerance, bytes;
} golden;

static void test_as_pillow(void **state) {
    (void) state;
    FILE *file = fopen(MOCO_TEST_DATA_DIR "/image_golden.bin", "rb");
    assert_non_null(file);
    moco_context *context = NULL;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    moco_image image = {0};
    golden record;
    int records = 0, unsupported = 0;
    while (fread(&record, sizeof record, 1, file) == 1) {
        const size_t pixels = (size_t) record.h * (size_t) record.w * 3;
        uint8_t *encoded = (uint8_t *) malloc((size_t) record.bytes), *expected = (uint8_t *) malloc(pixels);
        assert_true(encoded != NULL && expected != NULL);
        assert_int_equal(fread(encoded, (size_t) record.bytes, 1, file), 1);
        assert_int_equal(fread(expected, pixels, 1, file), 1);
        const moco_status status = moco_image_decode(context, encoded, (size_t) record.bytes, NULL, NULL, &image);
        ++records;
        if (status == MOCO_UNSUPPORTED) {
            ++unsupported;
        } else {
            if (status != MOCO_OK) fail_msg("%s: %s", record.name, moco_last_error());
            assert_int_equal(image.held.h, record.h);
            assert_int_equal(image.held.w, record.w);
            int largest = 0;
            for (size_t i = 0; i < pixels; ++i) {
                const int difference = abs((int) image.pixels[i] - (int) expected[i]);
                if (difference > largest) largest = difference;
            }
            if (largest > record.tolerance) {
                fail_msg("%s: off by %d, which may be %d", record.name, largest, record.tolerance);
            }
        }
        free(expected);
        free(encoded);
    }
    assert_true(records >= 30);
    moco_image_release(context, &image);
    moco_context_destroy(context);
    fclose(file);
    if (unsupported == records) skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_pillow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
