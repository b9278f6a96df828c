/* Status codes, the error sentence of each thread, checked sizes, and the rules of struct_size. */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/checked.h"
#include "core/config.h"
#include "core/status_internal.h"

static void test_codes_and_texts(void **state) {
    (void) state;
    static const struct {
        moco_status code;
        int32_t number;
    } pinned[] = {
        {MOCO_OK, 0},
        {MOCO_INVALID_ARGUMENT, 10},
        {MOCO_INVALID_STATE, 11},
        {MOCO_UNSUPPORTED, 12},
        {MOCO_OUT_OF_MEMORY, 20},
        {MOCO_IO, 30},
        {MOCO_FORMAT, 31},
        {MOCO_NOT_FOUND, 32},
        {MOCO_BACKEND, 40},
        {MOCO_COMMUNICATOR, 41},
        {MOCO_CALLBACK, 50},
        {MOCO_CANCELLED, 51},
        {MOCO_INTERNAL, 90},
    };
    for (size_t i = 0; i < sizeof pinned / sizeof *pinned; ++i) {
        assert_int_equal(pinned[i].code, pinned[i].number);
        assert_string_not_equal(moco_status_string(pinned[i].code), "unknown status");
    }
    assert_string_equal(moco_status_string(MOCO_OUT_OF_MEMORY), "out of memory");
    assert_string_equal(moco_status_string(1), "unknown status");
    assert_string_equal(moco_status_string(-1), "unknown status");
    assert_string_equal(moco_status_string(INT32_MAX), "unknown status");
}

static void *fail_elsewhere(void *argument) {
    const int fresh = strcmp(moco_last_error(), "") == 0;
    moco_fail(MOCO_IO, "of another thread");
    return fresh && strcmp(moco_last_error(), "of another thread") == 0 ? argument : NULL;
}

static void test_sentence_per_thread(void **state) {
    (void) state;
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(moco_fail(MOCO_FORMAT, "field %d is \"%s\"", 3, "x"), MOCO_FORMAT);
    assert_string_equal(moco_last_error(), "field 3 is \"x\"");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &result), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &result);
    assert_string_equal(moco_last_error(), "field 3 is \"x\"");
    assert_int_equal(moco_fail(MOCO_IO, "while reading: %s", moco_last_error()), MOCO_IO);
    assert_string_equal(moco_last_error(), "while reading: field 3 is \"x\"");
    assert_int_equal(moco_fail_with(MOCO_IO, "100 %s"), MOCO_IO); /* no format */
    assert_string_equal(moco_last_error(), "100 %s");
}

static void test_long_sentence(void **state) {
    (void) state;
    char text[5000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(moco_fail(MOCO_IO, "%s", text), MOCO_IO);
    assert_in_range(strlen(moco_last_error()), 200, 1023);
}

/* What a sentence quotes of a file can't command a terminal, and makes no second line. */
static void test_quoted_controls(void **state) {
    (void) state;
    assert_int_equal(moco_fail(MOCO_FORMAT, "\"%s\" is", "\x1b[31mred\n\t\x01\x7f"), MOCO_FORMAT);
    assert_string_equal(moco_last_error(), "\"\\x1b[31mred\\n\\t\\x01\\x7f\" is");
    assert_int_equal(moco_fail(MOCO_IO, "so %s", moco_last_error()), MOCO_IO); /* twice is once */
    assert_string_equal(moco_last_error(), "so \"\\x1b[31mred\\n\\t\\x01\\x7f\" is");
    moco_fail(MOCO_IO, "%s",
              "\xc2\x9b"
              "2J \xc3\xbc \xe2\x82\xac \xc2\xa0 \xc2"); /* CSI; u umlaut, euro, a space; half of one */
    assert_string_equal(moco_last_error(), "\\x9b"
                                           "2J \xc3\xbc \xe2\x82\xac \xc2\xa0 \xc2");
    char text[3000];
    memset(text, '\x1b', sizeof text);
    text[sizeof text - 1] = '\0';
    moco_fail(MOCO_IO, "%s", text);
    assert_int_equal(strlen(moco_last_error()), 1020); /* no escape is cut in two */
}

static moco_status require_positive(const void *pointer, int n) {
    MOCO_REQUIRE_POINTER(pointer);
    MOCO_REQUIRE(n >= 1, "n is %d; it must be at least 1", n);
    return MOCO_OK;
}

static void test_require(void **state) {
    (void) state;
    assert_int_equal(require_positive(NULL, 1), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "pointer is NULL"));
    assert_int_equal(require_positive(state, 0), MOCO_INVALID_ARGUMENT);
    assert_string_equal(moco_last_error(), "n is 0; it must be at least 1");
    assert_int_equal(require_positive(state, 1), MOCO_OK);
    assert_string_equal(moco_last_error(), "n is 0; it must be at least 1"); /* success leaves it */
}

/* --- Checked sizes --- */

static void test_checked_sizes(void **state) {
    (void) state;
    int64_t out = -7;
    size_t bytes = 7;
    assert_int_equal(moco_checked_multiply(3, 5, "a", &out), MOCO_OK);
    assert_int_equal(out, 15);
    assert_int_equal(moco_checked_multiply(0, INT64_MAX, "a", &out), MOCO_OK);
    assert_int_equal(out, 0);
    assert_int_equal(moco_checked_multiply(1, INT64_MAX, "a", &out), MOCO_OK);
    assert_true(out == INT64_MAX);
    assert_int_equal(moco_checked_multiply((int64_t) 1 << 32, (int64_t) 1 << 31, "the queue", &out),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "the queue"));
    assert_int_equal(moco_checked_multiply(-1, 5, "a", &out), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_checked_multiply(5, INT64_MIN, "a", &out), MOCO_INVALID_ARGUMENT);
    assert_true(out == INT64_MAX); /* failures leave it */

    const int64_t dims[4] = {2, 3, 5, 7}, large[3] = {(int64_t) 1 << 21, (int64_t) 1 << 21, (int64_t) 1 << 21},
                  negative[2] = {0, -1};
    assert_int_equal(moco_checked_product(dims, 4, "a", &out), MOCO_OK);
    assert_int_equal(out, 210);
    assert_int_equal(moco_checked_product(dims, 0, "a", &out), MOCO_OK);
    assert_int_equal(out, 1);
    assert_int_equal(moco_checked_product(large, 3, "a", &out), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_checked_product(negative, 2, "a", &out), MOCO_INVALID_ARGUMENT);
    assert_int_equal(out, 1);

    assert_int_equal(moco_checked_bytes(10, 8, "a", &bytes), MOCO_OK);
    assert_int_equal(bytes, 80);
    assert_int_equal(moco_checked_bytes(INT64_MAX / 4, 8, "a", &bytes), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_checked_bytes(-1, 8, "a", &bytes), MOCO_INVALID_ARGUMENT);
    assert_int_equal(bytes, 80);
    assert_int_equal(moco_ceil_divide(0, 4), 0);
    assert_int_equal(moco_ceil_divide(1, 4), 1);
    assert_int_equal(moco_ceil_divide(8, 4), 2);
    assert_int_equal(moco_min_i64(-1, 2), -1);
    assert_int_equal(moco_max_i64(-1, 2), 2);
}

/* --- struct_size --- */

typedef struct config_v2 {
    uint32_t struct_size;
    int32_t oldest;
    int64_t newer;
} config_v2;

typedef struct config_v3 {
    config_v2 known;
    int64_t unknown;
} config_v3;

#define OLDEST offsetof(config_v2, newer)

static const config_v2 defaults = {sizeof defaults, 11, 22};

static void test_config_init(void **state) {
    (void) state;
    config_v3 config;
    memset(&config, 0xFF, sizeof config);
    /* A host of the first release: nothing behind its struct is written. */
    assert_int_equal(moco_config_init(&config, OLDEST, &defaults, sizeof defaults, OLDEST, "t"), MOCO_OK);
    assert_int_equal(config.known.struct_size, OLDEST);
    assert_int_equal(config.known.oldest, 11);
    assert_int_equal(config.known.newer, -1);
    /* A host that is newer than the library: its own fields are cleared. */
    assert_int_equal(moco_config_init(&config, sizeof config, &defaults, sizeof defaults, OLDEST, "t"), MOCO_OK);
    assert_int_equal(config.known.struct_size, sizeof config);
    assert_int_equal(config.known.newer, 22);
    assert_int_equal(config.unknown, 0);
    assert_int_equal(moco_config_init(&config, OLDEST - 1, &defaults, sizeof defaults, OLDEST, "t"),
                     MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_config_init(NULL, OLDEST, &defaults, sizeof defaults, OLDEST, "moco_t"),
                     MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "moco_t"));
}

static void test_config_read(void **state) {
    (void) state;
    config_v3 given = {.known = {.struct_size = OLDEST, .oldest = 5, .newer = 6}};
    config_v2 settings = defaults;
    assert_int_equal(moco_config_read(&settings, &given, sizeof settings, OLDEST, "t"), MOCO_OK);
    assert_int_equal(settings.oldest, 5);
    assert_int_equal(settings.newer, 22); /* beyond the caller's struct: the default */
    assert_int_equal(settings.struct_size, sizeof settings);

    given.known.struct_size = sizeof given;
    assert_int_equal(moco_config_read(&settings, &given, sizeof settings, OLDEST, "t"), MOCO_OK);
    assert_int_equal(settings.newer, 6);
    assert_int_equal(settings.struct_size, sizeof settings);
    given.unknown = 1;
    given.known.oldest = 8;
    assert_int_equal(moco_config_read(&settings, &given, sizeof settings, OLDEST, "t"), MOCO_UNSUPPORTED);
    assert_int_equal(settings.oldest, 5);

    given.known.struct_size = OLDEST - 1;
    assert_int_equal(moco_config_read(&settings, &given, sizeof settings, OLDEST, "t"), MOCO_INVALID_ARGUMENT);
    given.known.struct_size = 0;
    assert_int_equal(moco_config_read(&settings, &given, sizeof settings, OLDEST, "t"), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "init"));
    assert_int_equal(moco_config_read(&settings, NULL, sizeof settings, OLDEST, "t"), MOCO_INVALID_ARGUMENT);
}

static void test_output_write(void **state) {
    (void) state;
    config_v3 output;
    memset(&output, 0xFF, sizeof output);
    output.known.struct_size = OLDEST;
    assert_int_equal(moco_output_write(&output, &defaults, sizeof defaults, OLDEST, "t"), MOCO_OK);
    assert_int_equal(output.known.struct_size, OLDEST);
    assert_int_equal(output.known.oldest, 11);
    assert_int_equal(output.known.newer, -1);
    output.known.struct_size = sizeof output;
    assert_int_equal(moco_output_write(&output, &defaults, sizeof defaults, OLDEST, "t"), MOCO_OK);
    assert_int_equal(output.known.struct_size, sizeof output);
    assert_int_equal(output.known.newer, 22);
    output.known.struct_size = 2;
    assert_int_equal(moco_output_write(&output, &defaults, sizeof defaults, OLDEST, "t"), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_output_write(NULL, &defaults, sizeof defaults, OLDEST, "t"), MOCO_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_and_texts), cmocka_unit_test(test_sentence_per_thread),
        cmocka_unit_test(test_long_sentence),   cmocka_unit_test(test_quoted_controls),
        cmocka_unit_test(test_require),         cmocka_unit_test(test_checked_sizes),
        cmocka_unit_test(test_config_init),     cmocka_unit_test(test_config_read),
        cmocka_unit_test(test_output_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
