/* What moco_recipe_text writes, moco_recipe_create reads: whatever a caller has put into the fields, a text is refused, by
 * the name of the field, or makes the same recipe again.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <moco.h>

#include "recipe/recipe_internal.h"

enum { TEXT = 8192, VALUES = 8 };

static moco_recipe *make_recipe(const char *description) {
    moco_recipe *recipe = NULL;
    if (moco_recipe_create(&recipe, NULL, description) != MOCO_OK) fail_msg("%s: %s", description, moco_last_error());
    return recipe;
}

/* Value number i for a field: ends of the type, and what is hardly ever right. */
static size_t odd_value(const moco_config_field *field, int i, char bytes[8]) {
    static const int32_t words[VALUES] = {INT32_MIN, INT32_MAX, -1, 0, 1, -2, 99, 16385};
    static const int64_t longs[VALUES] = {INT64_MIN, INT64_MAX, -1, 0, 1, INT64_C(1) << 53, (INT64_C(1) << 53) + 1, 99};
    static const double numbers[VALUES] = {-1e300, 1e300, -1, 0, 1.0 / 3, 1e-320, NAN, INFINITY};
    switch (field->kind) {
    case MOCO_FIELD_TEXT:
        return 0;
    case MOCO_FIELD_ENUM:
    case MOCO_FIELD_ENUM_LIST:
    case MOCO_FIELD_I32:
        memcpy(bytes, &words[i], sizeof words[i]);
        return sizeof words[i];
    case MOCO_FIELD_F64:
    case MOCO_FIELD_F64_LIST:
        memcpy(bytes, &numbers[i], sizeof numbers[i]);
        return sizeof numbers[i];
    default:
        memcpy(bytes, &longs[i], sizeof longs[i]);
        return sizeof longs[i];
    }
}

/* 1 where the text was written, and then it was read, and written again as it is; 0 where it was refused. */
static int written_and_read(const moco_recipe *recipe, const moco_config_field *field) {
    static char text[TEXT], again[TEXT];
    strcpy(text, "untouched");
    const moco_status status = moco_recipe_text(recipe, text, sizeof text);
    if (status != MOCO_OK) {
        assert_int_equal(status, MOCO_INVALID_ARGUMENT);
        if (strstr(moco_last_error(), field->key) == NULL) fail_msg("%s: \"%s\"", field->key, moco_last_error());
        assert_string_equal(text, "untouched");
        return 0;
    }
    moco_recipe *copy = make_recipe(text);
    assert_int_equal(moco_recipe_text(copy, again, sizeof again), MOCO_OK);
    assert_string_equal(text, again);
    moco_recipe_destroy(copy);
    return 1;
}

static void odd_values_are_refused_or_read_again(void **state) {
    (void) state;
    int written = 0, refused = 0;
    moco_recipe *recipe = make_recipe("v1");
    for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS; ++s) {
        for (int32_t f = 0; f < moco_config_sections[s].count; ++f) {
            const moco_config_field *field = &moco_config_sections[s].fields[f];
            char *address = (char *) moco_recipe_config(recipe, s) + field->offset;
            for (int i = 0; i < VALUES; ++i) {
                char before[8], odd[8];
                const size_t bytes = odd_value(field, i, odd);
                memcpy(before, address, bytes);
                memcpy(address, odd, bytes);
                const int was_written = written_and_read(recipe, field);
                written += was_written;
                refused += !was_written;
                memcpy(address, before, bytes);
            }
        }
    }
    assert_true(written > 100 && refused > 100);
    moco_recipe_destroy(recipe);
}

static void what_the_caller_has_put_there_is_named(void **state) {
    (void) state;
    char text[TEXT], architecture[300];
    moco_recipe *recipe = make_recipe("quick");
    moco_recipe_loader(recipe)->batch_size = -1;
    assert_int_equal(moco_recipe_text(recipe, text, sizeof text), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "loader.batch_size is \"-1\"; it must be a whole number from 1"));
    moco_recipe_loader(recipe)->batch_size = 8;
    moco_recipe_momentum_encoder(recipe)->momentum = 1.5;
    assert_int_equal(moco_recipe_text(recipe, text, sizeof text), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "momentum_encoder.momentum is \"1.5\"; it must be a number from 0 to 1"));
    moco_recipe_momentum_encoder(recipe)->momentum = 0.5;
    memset(architecture, 'a', sizeof architecture);
    architecture[sizeof architecture - 1] = '\0';
    moco_recipe_encoder(recipe)->architecture = architecture;
    assert_int_equal(moco_recipe_text(recipe, text, sizeof text), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "encoder.architecture"));
    architecture[200] = '\0';
    assert_int_equal(moco_recipe_text(recipe, text, sizeof text), MOCO_OK);
    moco_recipe_destroy(recipe);
}

/* A name that several sections have names all of them. */
static void no_section_is_left_out(void **state) {
    (void) state;
    char value[256];
    int ambiguous = 0;
    moco_recipe *recipe = make_recipe("quick");
    for (int32_t i = 0; moco_recipe_key(i) != NULL; ++i) {
        const char *name = strchr(moco_recipe_key(i), '.') + 1;
        if (moco_recipe_get(recipe, name, value, sizeof value) == MOCO_OK) continue;
        char sentence[512];
        snprintf(sentence, sizeof sentence, "%s", moco_last_error());
        ambiguous++;
        for (int32_t k = 0; moco_recipe_key(k) != NULL; ++k) {
            if (strcmp(strchr(moco_recipe_key(k), '.') + 1, name) != 0) continue;
            if (strstr(sentence, moco_recipe_key(k)) == NULL) fail_msg("%s: \"%s\"", moco_recipe_key(k), sentence);
        }
    }
    assert_true(ambiguous > 0);
    moco_recipe_destroy(recipe);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_values_are_refused_or_read_again),
        cmocka_unit_test(what_the_caller_has_put_there_is_named),
        cmocka_unit_test(no_section_is_left_out),
    };
    return cmocka_run_group_tests_name("recipes' text", tests, NULL, NULL);
}
