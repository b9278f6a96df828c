/* Reading an array of strings: what RFC 8259 allows, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "io/json_strings.h"
#include "io/json_writer.h"

static void arrays_are_read(void **state) {
    (void) state;
    static const struct {
        const char *text;
        const char *strings; /* with a NUL behind each, and one more */
        size_t bytes;
        int64_t count;
    } rows[] = {
        {"[]", "", 0, 0},
        {" [ \"a\" ,\n\"\"\t,\r\"b c\" ] ", "a\0\0b c\0", 7, 3},
        {"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", "\"\\/\b\f\n\r\t\0", 9, 1},
        {"[\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"]", "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\0", 11, 1},
        {"[\"\xC3\xA9\"]", "\xC3\xA9\0", 3, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        char *strings = NULL;
        size_t bytes = 99;
        int64_t count = 99;
        assert_int_equal(moco_json_parse_strings(NULL, rows[i].text, &strings, &bytes, &count), MOCO_OK);
        assert_int_equal(bytes, rows[i].bytes);
        assert_int_equal(count, rows[i].count);
        if (bytes > 0) assert_memory_equal(strings, rows[i].strings, bytes);
        moco_deallocate(NULL, strings);
    }
}

static void others_are_refused(void **state) {
    (void) state;
    static const char *const texts[] = {
        "",
        " ",
        "[",
        "]",
        "[\"a\"",
        "[\"a\",]",
        "[,]",
        "[\"a\" \"b\"]",
        "[\"a\"] x",
        "{}",
        "\"a\"",
        "[1]",
        "[null]",
        "[[\"a\"]]",
        "[\"",
        "[\"a",
        "[\"\\\"]",
        "[\"\\x\"]",
        "[\"\\u12\"]",
        "[\"\\u12g4\"]",
        "[\"\\ud83d\"]",
        "[\"\\ud83d\\n\"]",
        "[\"\\ud83d\\u0041\"]",
        "[\"\\ude00\"]",
        "[\"\\u0000\"]",
        "[\"\n\"]",
        "[\"\\",
        "[\"\\u",
        "[\"\\ud83d\\u",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; ++i) {
        char *strings = NULL;
        size_t bytes;
        int64_t count;
        if (moco_json_parse_strings(NULL, texts[i], &strings, &bytes, &count) != MOCO_FORMAT) fail_msg("%s", texts[i]);
        assert_null(strings);
    }
}

/* What the writer makes of any name, the reader gives back; bytes that are no UTF-8 as U+FFFD. */
static void names_come_back(void **state) {
    (void) state;
    moco_json_writer json;
    char *strings = NULL;
    size_t bytes;
    int64_t count;
    moco_json_init(&json, NULL);
    moco_json_begin_array(&json);
    moco_json_lossy_string(&json, "a\"\\\x01\x1F\xC3\xA9");
    moco_json_lossy_string(&json, "\xE9t\xC3");
    moco_json_end_array(&json);
    assert_int_equal(moco_json_finish(&json), MOCO_OK);
    assert_int_equal(moco_json_parse_strings(NULL, json.text, &strings, &bytes, &count), MOCO_OK);
    assert_int_equal(count, 2);
    assert_string_equal(strings, "a\"\\\x01\x1F\xC3\xA9");
    assert_string_equal(strings + strlen(strings) + 1, "\xEF\xBF\xBDt\xEF\xBF\xBD");
    moco_deallocate(NULL, strings);
    moco_json_release(&json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_read),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(names_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
