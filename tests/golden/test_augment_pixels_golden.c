/* Views of 8-bit images, one part at a time with pinned parameters, against Pillow and torchvision;
 * make_augment_pixels_golden.py made the file. Every kernel set that this processor runs gives the same bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <moco/dataset.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "augment/augment_kernels.h"

typedef struct golden {
    char name[20];
    int32_t crop[4], out_h, out_w, bicubic, flip, grey, solarize, order[4];
    double factors[4], sigma;
} golden;

enum { HEADER = 20 + 14 * 4 + 5 * 8 };

static int read_golden(FILE *file, golden *record) {
    unsigned char bytes[HEADER];
    if (fread(bytes, 1, HEADER, file) != HEADER) return 0;
    memcpy(record->name, bytes, sizeof record->name);
    memcpy(record->crop, bytes + 20, 14 * 4);
    memcpy(record->factors, bytes + 20 + 14 * 4, 5 * 8);
    return 1;
}

static int begins(const golden *record, const char *word) {
    return strncmp(record->name, word, strlen(word)) == 0;
}

static moco_augment *create_augment(moco_context *context, const golden *record) {
    moco_augment_config config;
    moco_augment *augment = NULL;
    assert_int_equal(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_V3), MOCO_OK);
    config.height = record->out_h;
    config.width = record->out_w;
    config.interpolation = record->bicubic;
    config.eval_resize = 32.0 / 28.0;
    assert_int_equal(moco_augment_create(&augment, context, &config), MOCO_OK);
    return augment;
}

static moco_view_draw draw_of(const golden *record) {
    static const float neutral[4] = {1.0f, 1.0f, 1.0f, 0.0f};
    moco_view_draw draw = {.crop_top = record->crop[0],
                           .crop_left = record->crop[1],
                           .crop_h = record->crop[2],
                           .crop_w = record->crop[3],
                           .flip = record->flip,
                           .grey = record->grey,
                           .blur = record->sigma > 0.0,
                           .blur_sigma = record->sigma,
                           .jitter = record->order[0] >= 0,
                           .solarize = record->solarize,
                           .evaluation = begins(record, "evaluate")};
    int32_t places = 0, used = 0;
    for (int i = 0; i < 4; ++i) {
        draw.jitter_factor[i] = neutral[i];
        if (record->order[i] < 0) continue;
        draw.jitter_order[places++] = record->order[i];
        used |= 1 << record->order[i];
    }
    for (int i = 0; i < 4; ++i) {
        if (used & 1 << i) {
            draw.jitter_factor[i] = (float) record->factors[i];
        } else {
            draw.jitter_order[places++] = i;
        }
    }
    return draw;
}

/* The largest and the mean difference, in 1/255; `margin` pixels at the edge are left out. */
static double difference(const uint8_t *made, const uint8_t *wanted, int64_t h, int64_t w, int64_t margin,
                         double *mean) {
    double largest = 0.0, sum = 0.0, count = 0.0;
    for (int64_t c = 0; c < 3; ++c) {
        for (int64_t y = margin; y < h - margin; ++y) {
            for (int64_t x = margin; x < w - margin; ++x) {
                const int64_t i = (c * h + y) * w + x;
                const double apart = fabs((double) made[i] - (double) wanted[i]);
                largest = fmax(largest, apart);
                sum += apart;
                count += 1.0;
            }
        }
    }
    *mean = sum / count;
    return largest;
}

/* What is allowed: Pillow rounds to 8 bits between the axes of a crop and six times in a blur, of which it also extends
 * the edges before each of the three filters; all else is the same arithmetic. */
static void check(const golden *record, const uint8_t *made, const uint8_t *wanted) {
    const int crop = begins(record, "crop") || begins(record, "evaluate"), blur = record->sigma > 0.0;
    const double most = crop || blur ? 2.0 : begins(record, "hue") ? 1.0 : 0.0, most_mean = crop ? 0.5 : most;
    double mean = 0.0;
    const double largest = difference(made, wanted, record->out_h, record->out_w, blur ? 8 : 0, &mean);
    if (getenv("MOCO_TEST_VERBOSE") != NULL) {
        print_message("%-20s at most %.0f, mean %.3f / 255\n", record->name, largest, mean);
    }
    if (largest > most || mean > most_mean) {
        fail_msg("%s differs by at most %.0f, on average %.3f / 255 (allowed: %.0f, %.1f)", record->name, largest, mean,
                 most, most_mean);
    }
}

static void check_normalised(const float *made, const float *wanted, size_t count) {
    for (size_t i = 0; i < count; ++i) assert_true(fabsf(made[i] - wanted[i]) < 2e-6f);
}

static void test_parts(void **state) {
    (void) state;
    FILE *file = fopen(MOCO_TEST_DATA_DIR "/augment_pixels_golden.bin", "rb");
    assert_non_null(file);
    moco_context *context = NULL;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    int32_t size[2];
    assert_int_equal(fread(size, sizeof *size, 2, file), 2);
    const size_t in = (size_t) (3 * size[0] * size[1]);
    uint8_t *pixels = (uint8_t *) malloc(in);
    assert_int_equal(fread(pixels, 1, in, file), in);
    const moco_image_part image = moco_image_whole(pixels, size[0], size[1]);
    moco_augment_scratch scratch = {0};
    int32_t sets = 0;
    const moco_augment_kernels *kernels = moco_augment_kernel_sets(&sets);
    golden record;
    int records = 0;
    while (read_golden(file, &record)) {
        const int32_t output = begins(&record, "normalise") ? MOCO_PIXELS_FLOAT32 : MOCO_PIXELS_UINT8;
        const size_t count = (size_t) (3 * record.out_h * record.out_w);
        const size_t bytes = output == MOCO_PIXELS_FLOAT32 ? count * sizeof(float) : count;
        uint8_t *wanted = (uint8_t *) malloc(bytes), *made = (uint8_t *) malloc(bytes),
                *again = (uint8_t *) malloc(bytes);
        assert_int_equal(fread(wanted, 1, bytes, file), bytes);
        moco_augment *augment = create_augment(context, &record);
        const moco_view_draw draw = draw_of(&record);
        assert_int_equal(moco_augment_render_pixels(augment, &image, &draw, &scratch, output, made), MOCO_OK);
        if (output == MOCO_PIXELS_UINT8) {
            check(&record, made, wanted);
        } else {
            check_normalised((const float *) (const void *) made, (const float *) (const void *) wanted, count);
        }
        for (int32_t set = 0; set < sets; ++set) {
            assert_int_equal(moco_augment_render_with(augment, &kernels[set], &image, &draw, &scratch, output, again),
                             MOCO_OK);
            assert_memory_equal(made, again, bytes);
        }
        moco_augment_scratch_release(augment, &scratch);
        moco_augment_destroy(augment);
        free(wanted);
        free(made);
        free(again);
        ++records;
    }
    assert_int_equal(records, 31);
    fclose(file);
    free(pixels);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
