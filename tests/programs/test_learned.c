/* A gain is called a gain, a loss a loss, beside the better of the two that need no training. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pretrain/learned.h"

static void gains_and_losses_are_called_so(void **state) {
    (void) state;
    char text[LEARNED_TEXT_SIZE];
    learned_text(0.209, 0.256, 0.576, text);
    assert_string_equal(text, "raw pixels 20.9 %, untrained 25.6 %, trained 57.6 %: 32.0 points better than the "
                              "untrained encoder");
    learned_text(0.5, 0.25, 0.75, text);
    assert_string_equal(text,
                        "raw pixels 50.0 %, untrained 25.0 %, trained 75.0 %: 25.0 points better than raw pixels");
    learned_text(0.5, 0.25, 0.253, text);
    assert_string_equal(text, "raw pixels 50.0 %, untrained 25.0 %, trained 25.3 %: 24.7 points worse than raw pixels. "
                              "Train longer, or with other settings.");
    learned_text(0.5, 1, 1, text);
    assert_string_equal(text, "raw pixels 50.0 %, untrained 100.0 %, trained 100.0 %: no better than the untrained "
                              "encoder. Train longer, or with other settings.");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gains_and_losses_are_called_so)};
    return cmocka_run_group_tests_name("what was learned", tests, NULL, NULL);
}
