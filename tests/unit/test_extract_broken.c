/* Evaluation goes on past broken images: their rows are zeros under a label of their own, all other rows are as if
 * nothing were broken; a host's own failures and a dataset without any good image still end it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <moco/evaluation.h>

#include "support/fake_images.h"
#include "support/image_files.h"

enum { SIDE = 8, VIEW = 3 * SIDE * SIDE, COUNT = 50 };

static void test_broken_images(void **state) {
    (void) state;
    static fake_images images;
    static float good[COUNT * VIEW], rows[COUNT * VIEW];
    static const float zeros[VIEW];
    static kept_log log;
    int32_t labels[COUNT];
    moco_context *context = context_with_log(&log, 2);
    moco_dataset *dataset = fake_dataset(context, &images, COUNT);
    moco_augment_config config;
    moco_augment *augment = NULL;
    assert_succeeds(moco_augment_config_init(&config, sizeof config, MOCO_AUGMENT_PLAIN));
    config.height = config.width = SIDE;
    assert_succeeds(moco_augment_create(&augment, context, &config));
    assert_succeeds(moco_extract(NULL, dataset, augment, MOCO_OUTPUT_PIXELS, 0, COUNT, 8, good, labels));
    images.statuses[0] = MOCO_IO;
    images.statuses[17] = MOCO_FORMAT;
    images.statuses[18] = MOCO_NOT_FOUND;
    images.statuses[49] = MOCO_UNSUPPORTED;
    for (int64_t batch = 1; batch <= COUNT; batch += 7) {
        assert_succeeds(moco_extract(NULL, dataset, augment, MOCO_OUTPUT_PIXELS, 0, COUNT, batch, rows, labels));
        for (int64_t i = 0; i < COUNT; ++i) {
            const int broken = images.statuses[i] != MOCO_OK;
            assert_int_equal(labels[i], broken ? MOCO_UNREADABLE : fake_label(i));
            assert_memory_equal(rows + i * VIEW, broken ? zeros : good + i * VIEW, VIEW * sizeof(float));
        }
    }
    const char *first = strstr(log.text, "1: image 17 is broken and left out: fake-17.jpg: it is cut short");
    assert_non_null(first);
    assert_null(strstr(first + strlen("1: image"), "image 17 is broken")); /* once in all these evaluations */
    assert_succeeds(moco_extract(NULL, dataset, augment, MOCO_OUTPUT_PIXELS, 0, COUNT, 8, rows, NULL));
    assert_refuses(moco_extract(NULL, dataset, augment, MOCO_OUTPUT_PIXELS, 17, 2, 8, rows, labels), MOCO_FORMAT,
                   "fake-17.jpg");
    images.statuses[30] = MOCO_CALLBACK;
    assert_refuses(moco_extract(NULL, dataset, augment, MOCO_OUTPUT_PIXELS, 0, COUNT, COUNT, rows, labels),
                   MOCO_CALLBACK, "fake-30.jpg");
    moco_augment_destroy(augment);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_broken_images)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
