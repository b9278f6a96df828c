/* Views with pinned parameters against Pillow and torchvision; make_augment_golden.py made the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "augment/augment_internal.h"

typedef struct golden {
    char name[16];
    int32_t in_h, in_w, out_h, out_w;
    double parameters[16];
} golden;

static moco_augment *create_augment(moco_context *context, const golden *record) {
    const int32_t recipe = record->name[0] == 'c'   ? MOCO_AUGMENT_CIFAR
                           : record->name[0] == 'e' ? MOCO_AUGMENT_PLAIN
                           : record->name[1] == '1' ? MOCO_AUGMENT_V1
                                                    : MOCO_AUGMENT_V2;
    moco_augment_config config;
    moco_augment *augment = NULL;
    assert_int_equal(moco_augment_config_init(&config, sizeof config, recipe), MOCO_OK);
    config.height = record->out_h;
    config.width = record->out_w;
    for (int i = 0; i < 3; ++i) { /* the goldens are not normalised */
        config.mean[i] = 0.0;
        config.std[i] = 1.0;
    }
    assert_int_equal(moco_augment_create(&augment, context, &config), MOCO_OK);
    return augment;
}

static moco_view_draw draw_of(const double p[16]) {
    moco_view_draw draw = {.crop_top = (int64_t) p[0],
                           .crop_left = (int64_t) p[1],
                           .crop_h = (int64_t) p[2],
                           .crop_w = (int64_t) p[3],
                           .flip = p[4] != 0.0,
                           .jitter = p[5] != 0.0,
                           .grey = p[6] != 0.0,
                           .blur = p[7] != 0.0,
                           .blur_sigma = p[7]};
    for (int i = 0; i < 4; ++i) {
        draw.jitter_order[i] = (int32_t) p[8 + i];
        draw.jitter_factor[i] = (float) p[12 + i];
    }
    return draw;
}

/* The largest difference in 1/255; `margin` pixels at the edge are left out. */
static double largest_difference(const float *a, const float *b, int64_t h, int64_t w, int64_t margin) {
    double largest = 0.0;
    for (int64_t c = 0; c < 3; ++c) {
        for (int64_t y = margin; y < h - margin; ++y) {
            for (int64_t x = margin; x < w - margin; ++x) {
                const int64_t i = (c * h + y) * w + x;
                largest = fmax(largest, fabs((double) a[i] - (double) b[i]) * 255.0);
            }
        }
    }
    return largest;
}

static double tolerance(const golden *record) {
    if (strstr(record->name, "blur") != NULL) return 2.5; /* Pillow rounds to 8 bits six times on its way */
    if (record->parameters[5] != 0.0) return record->parameters[7] != 0.0 ? 2.5 : 1.0; /* on floats */
    return record->name[0] == 'e' || record->parameters[2] != record->in_h ? 2.0 : 1.0;
}

static void test_views(void **state) {
    (void) state;
    FILE *file = fopen(MOCO_TEST_DATA_DIR "/augment_golden.bin", "rb");
    assert_non_null(file);
    moco_context *context = NULL;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    golden record;
    int records = 0;
    while (fread(&record, sizeof record, 1, file) == 1) {
        const size_t in = (size_t) (3 * record.in_h * record.in_w), out = (size_t) (3 * record.out_h * record.out_w);
        uint8_t *bytes = (uint8_t *) malloc(in);
        float *image = (float *) malloc(in * sizeof *image);
        float *wanted = (float *) malloc(out * sizeof *wanted), *made = (float *) malloc(out * sizeof *made);
        assert_int_equal(fread(bytes, 1, in, file), in);
        assert_int_equal(fread(wanted, sizeof *wanted, out, file), out);
        for (size_t i = 0; i < in; ++i) image[i] = (float) bytes[i] / 255.0f;

        moco_augment *augment = create_augment(context, &record);
        if (record.name[0] == 'e') {
            assert_int_equal(moco_augment_evaluate(augment, image, record.in_h, record.in_w, made), MOCO_OK);
        } else {
            const moco_view_draw draw = draw_of(record.parameters);
            assert_int_equal(moco_augment_render(augment, image, record.in_h, record.in_w, &draw, 1, made), MOCO_OK);
        }
        /* Pillow extends the edge before each of the three filters, which differs there. */
        const int64_t margin = record.parameters[7] != 0.0 ? 4 : 0;
        const double difference = largest_difference(made, wanted, record.out_h, record.out_w, margin);
        if (getenv("MOCO_TEST_VERBOSE") != NULL) print_message("%-16s %.3f / 255\n", record.name, difference);
        if (difference > tolerance(&record)) {
            fail_msg("%s differs by %.3f / 255 (allowed: %.1f)", record.name, difference, tolerance(&record));
        }
        moco_augment_destroy(augment);
        free(bytes);
        free(image);
        free(wanted);
        free(made);
        ++records;
    }
    assert_int_equal(records, 26);
    fclose(file);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_views)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
