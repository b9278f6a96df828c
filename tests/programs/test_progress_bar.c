/* Progress of an evaluation where there is no terminal: a line every ten seconds, with the time that is left by the rate
 * since the stage began.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/progress_bar.h"

static char text[1024];

static void times_are_short(void **state) {
    (void) state;
    char left[32];
    progress_time_text(75.4, left);
    assert_string_equal(left, "1:15");
    progress_time_text(3700, left);
    assert_string_equal(left, "1:01:40");
    progress_time_text(0, left);
    assert_string_equal(left, "0:00");
}

static void images_are_counted_in_lines(void **state) {
    (void) state;
    FILE *stream = tmpfile();
    progress_bar bar;
    assert_non_null(stream);
    progress_bar_start(&bar, stream);
    assert_false(bar.on_terminal);
    image_progress images = count_images(&bar, "kNN ");
    show_images(&images, 0, 100, 1000); /* silent: ten seconds have not passed */
    bar.last_drawn -= 11;
    images.first_seen -= 11; /* 300 images in 11 seconds: 600 are left, 22 seconds */
    show_images(&images, 0, 400, 1000);
    show_images(&images, 0, 500, 1000);
    bar.last_drawn -= 11;
    show_images(&images, 1, 5, 50); /* another stage: no rate yet */
    rewind(stream);
    text[fread(text, 1, sizeof text - 1, stream)] = '\0';
    assert_string_equal(text, "kNN 400 of 1000 images  0:22 left\nkNN 5 of 50 images\n");
    fclose(stream);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_short),
        cmocka_unit_test(images_are_counted_in_lines),
    };
    return cmocka_run_group_tests_name("progress bar", tests, NULL, NULL);
}
