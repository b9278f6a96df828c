/* The JSON writer: escaping, numbers that read back exactly, failures that are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/number_text.h"
#include "core/random.h"
#include "io/json_writer.h"

static void assert_text(moco_json_writer *json, const char *expected) {
    assert_int_equal(moco_json_finish(json), MOCO_OK);
    assert_string_equal(json->text, expected);
    assert_int_equal(json->length, strlen(expected));
    moco_json_release(json);
}

static void nested_values(void **state) {
    (void) state;
    moco_json_writer json;
    moco_json_init(&json, NULL);
    moco_json_begin_object(&json);
    moco_json_key(&json, "a");
    moco_json_begin_array(&json);
    moco_json_integer(&json, INT64_MIN);
    moco_json_number(&json, 0.1);
    moco_json_number(&json, NAN);
    moco_json_number(&json, -INFINITY);
    moco_json_begin_array(&json);
    moco_json_end_array(&json);
    moco_json_begin_object(&json);
    moco_json_end_object(&json);
    moco_json_end_array(&json);
    moco_json_key(&json, "b");
    moco_json_string(&json, "c");
    moco_json_end_object(&json);
    assert_text(&json, "{\"a\":[-9223372036854775808,0.1,null,null,[],{}],\"b\":\"c\"}");
}

static void strings_are_escaped(void **state) {
    (void) state;
    moco_json_writer json;
    moco_json_init(&json, NULL);
    moco_json_string(&json, "\"\\/\b\n\x01\x1f\x7f z\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_text(&json, "\"\\\"\\\\/\\u0008\\u000a\\u0001\\u001f\x7f z\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

static void invalid_utf8_is_refused(void **state) {
    (void) state;
    static const char *const texts[] = {
        "\x80",
        "\xff",
        "\xc3",
        "\xc0\xaf",
        "\xe0\x80\x80",
        "\xed\xa0\x80",
        "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "ok\xe2\x82",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        moco_json_writer json;
        moco_json_init(&json, NULL);
        moco_json_begin_array(&json);
        moco_json_string(&json, texts[i]);
        moco_json_end_array(&json);
        assert_int_equal(moco_json_finish(&json), MOCO_INVALID_ARGUMENT);
        assert_non_null(strstr(moco_last_error(), "UTF-8"));
        moco_json_release(&json);
    }
}

static void too_deep_is_refused(void **state) {
    (void) state;
    moco_json_writer json;
    moco_json_init(&json, NULL);
    for (int i = 0; i < 2 * MOCO_JSON_MAX_DEPTH; ++i) moco_json_begin_array(&json);
    for (int i = 0; i < 2 * MOCO_JSON_MAX_DEPTH; ++i) moco_json_end_array(&json);
    assert_int_equal(moco_json_finish(&json), MOCO_INTERNAL);
    moco_json_release(&json);
}

static void long_texts_grow(void **state) {
    (void) state;
    moco_json_writer json;
    moco_json_init(&json, NULL);
    moco_json_begin_array(&json);
    for (int i = 0; i < 5000; ++i) moco_json_string(&json, "0123456789");
    moco_json_end_array(&json);
    assert_int_equal(moco_json_finish(&json), MOCO_OK);
    assert_int_equal(json.length, 5000 * 13 + 1);
    moco_json_release(&json);
}

static void doubles_read_back_exactly(void **state) {
    (void) state;
    moco_random random;
    moco_random_init(&random, 1, MOCO_RANDOM_TEST, 0, 0);
    char text[MOCO_NUMBER_TEXT_SIZE];
    double back;
    for (int i = 0; i < 20000; ++i) {
        const uint64_t bits = (uint64_t) moco_random_u32(&random) << 32 | moco_random_u32(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        moco_double_to_text(value, text);
        assert_true(moco_text_to_double(text, &back));
        assert_memory_equal(&back, &value, sizeof value);
    }
    moco_double_to_text(1e-5, text);
    assert_string_equal(text, "1e-05");
    moco_double_to_text(3, text);
    assert_string_equal(text, "3");
}

/* Where this machine has a locale with a decimal comma, it changes nothing. */
static void numbers_ignore_the_locale(void **state) {
    (void) state;
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL && setlocale(LC_ALL, "fr_FR.UTF-8") == NULL) skip();
    char text[MOCO_NUMBER_TEXT_SIZE];
    double value = 0;
    moco_double_to_text(0.5, text);
    const int32_t good = moco_text_to_double("0.25", &value);
    setlocale(LC_ALL, "C");
    assert_string_equal(text, "0.5");
    assert_true(good);
    assert_true(value == 0.25);
}

static void texts_that_are_no_numbers(void **state) {
    (void) state;
    static const char *const texts[] = {"", " 1", "1 ", "x", "1x", "0x10", "nan", "inf", "1e999", "--1", "1,5", "."};
    double value = 7;
    int64_t integer = 7;
    uint64_t natural = 7;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        assert_false(moco_text_to_double(texts[i], &value));
        assert_false(moco_text_to_i64(texts[i], &integer));
        assert_false(moco_text_to_u64(texts[i], &natural));
    }
    assert_false(moco_text_to_i64("9223372036854775808", &integer));
    assert_false(moco_text_to_u64("18446744073709551616", &natural));
    assert_false(moco_text_to_u64("-1", &natural));
    assert_false(moco_text_to_i64("1.5", &integer));
    assert_true(value == 7 && integer == 7 && natural == 7);
    assert_true(moco_text_to_i64("-9223372036854775808", &integer));
    assert_true(integer == INT64_MIN);
    assert_true(moco_text_to_u64("18446744073709551615", &natural));
    assert_true(natural == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nested_values),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(invalid_utf8_is_refused),
        cmocka_unit_test(too_deep_is_refused),
        cmocka_unit_test(long_texts_grow),
        cmocka_unit_test(doubles_read_back_exactly),
        cmocka_unit_test(numbers_ignore_the_locale),
        cmocka_unit_test(texts_that_are_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
