/* The names of enum values, and the table of all configurations' fields: it holds every byte of every struct, each value
 * comes back from its text bit for bit, and wrong text changes nothing and is told.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <moco.h>

#include "core/config_fields.h"

enum { MOST_BYTES = 512 };

/* --- Names --- */

static void names_lead_to_their_values(void **state) {
    (void) state;
    int32_t kinds = 0, values = 0;
    for (const char *kind; (kind = moco_enum_kind(kinds)) != NULL; ++kinds) {
        int32_t value = 0;
        for (const char *name; (name = moco_enum_name(kind, value)) != NULL; ++value, ++values) {
            int32_t back = -1;
            assert_int_equal(moco_enum_value(kind, name, &back), MOCO_OK);
            assert_int_equal(back, value);
        }
        assert_true(value >= 1);
        assert_null(moco_enum_name(kind, -1));
        int32_t untouched = 77;
        assert_int_equal(moco_enum_value(kind, "nonesuch", &untouched), MOCO_INVALID_ARGUMENT);
        assert_int_equal(untouched, 77);
        assert_non_null(strstr(moco_last_error(), moco_enum_name(kind, value - 1))); /* what would be right */
    }
    assert_true(kinds >= 17 && values >= 50);
    assert_string_equal(moco_enum_name("head", MOCO_HEAD_MLP), "mlp");
    assert_string_equal(moco_enum_name("compute", MOCO_COMPUTE_BF16_REQUIRED), "bf16-required");
    assert_null(moco_enum_name("heads", 0));
    assert_null(moco_enum_name(NULL, 0));
    assert_null(moco_enum_kind(-1));
    int32_t value;
    assert_int_equal(moco_enum_value("heads", "mlp", &value), MOCO_INVALID_ARGUMENT);
    assert_non_null(strstr(moco_last_error(), "bn-layout"));
    assert_int_equal(moco_enum_value(NULL, "mlp", &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_enum_value("head", NULL, &value), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_enum_value("head", "mlp", NULL), MOCO_INVALID_ARGUMENT);
}

/* --- The table --- */

typedef struct hole {
    int32_t section;
    size_t offset;
    size_t bytes;
} hole;

/* What is no setting. */
static const hole holes[] = {
    {MOCO_CONFIG_AUGMENT, offsetof(moco_augment_config, reserved), 4},
    {MOCO_CONFIG_MOMENTUM_ENCODER, offsetof(moco_momentum_encoder_config, reserved), 4},
    {MOCO_CONFIG_QUEUE, offsetof(moco_queue_config, reserved), 4},
    {MOCO_CONFIG_OPTIMIZER, offsetof(moco_optimizer_config, reserved), 4},
    {MOCO_CONFIG_TRAINER, offsetof(moco_trainer_config, learning_rate), sizeof(void *)}, /* the section "schedule" */
};

static void mark(unsigned char *bytes, size_t offset, size_t count) {
    for (size_t i = offset; i < offset + count; ++i) bytes[i]++;
}

static void every_byte_has_one_field(void **state) {
    (void) state;
    for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS; ++s) {
        const moco_config_section *section = &moco_config_sections[s];
        unsigned char seen[MOST_BYTES] = {0};
        assert_true(section->bytes <= MOST_BYTES);
        mark(seen, 0, sizeof(uint32_t));
        for (size_t i = 0; i < sizeof holes / sizeof *holes; ++i) {
            if (holes[i].section == s) mark(seen, holes[i].offset, holes[i].bytes);
        }
        for (int32_t i = 0; i < section->count; ++i) {
            const moco_config_field *field = &section->fields[i];
            const size_t count = field->count > 0 ? sizeof(int32_t) : 0;
            mark(seen, field->offset, moco_config_field_bytes(field) - count);
            mark(seen, field->count, count);
            assert_ptr_equal(moco_config_find_field(s, field->name), field);
        }
        for (size_t i = 0; i < section->bytes; ++i) {
            if (seen[i] != 1) fail_msg("byte %zu of the section %s is in %d fields", i, section->name, seen[i]);
        }
    }
    assert_null(moco_config_find_field(MOCO_CONFIG_QUEUE, "size"));
}

/* --- Text --- */

/* `text` read into a struct of zeros, written, and read again into other memory gives the same bytes. */
static void assert_comes_back(const moco_config_field *field, const char *text) {
    unsigned char first[MOST_BYTES] = {0}, second[MOST_BYTES];
    char buffer[MOCO_FIELD_TEXT_SIZE];
    const char *written = NULL;
    memset(second, 0xa5, sizeof second);
    if (moco_config_set_field(field, "key", text, first) != MOCO_OK) fail_msg("%s", moco_last_error());
    if (moco_config_field_text(field, "key", first, buffer, &written) != MOCO_OK) fail_msg("%s", moco_last_error());
    if (field->kind == MOCO_FIELD_F64) {
        assert_true(strtod(written, NULL) == strtod(text, NULL)); /* 1e-05 for 0.00001 */
    } else {
        assert_string_equal(written, text);
    }
    assert_int_equal(moco_config_set_field(field, "key", written, second), MOCO_OK);
    const size_t count = field->count > 0 ? sizeof(int32_t) : 0;
    assert_memory_equal(first + field->offset, second + field->offset, moco_config_field_bytes(field) - count);
    assert_memory_equal(first + field->count, second + field->count, count);
}

static void assert_refused(const moco_config_field *field, const char *text) {
    unsigned char config[MOST_BYTES], before[MOST_BYTES];
    memset(config, 0xa5, sizeof config);
    memcpy(before, config, sizeof config);
    if (moco_config_set_field(field, "the.key", text, config) == MOCO_OK) fail_msg("%s = %s", field->name, text);
    assert_memory_equal(config, before, sizeof config);
    assert_non_null(strstr(moco_last_error(), "the.key"));
}

static void number_text(double value, int32_t whole, char text[64]) {
    snprintf(text, 64, whole ? "%.0f" : "%.15g", value);
}

static void check_number(const moco_config_field *field) {
    const int32_t whole = field->kind == MOCO_FIELD_I32 || field->kind == MOCO_FIELD_I64;
    char text[64];
    if (field->least > -1e300) {
        number_text(field->least, whole, text), assert_comes_back(field, text);
        number_text(field->least - 1, whole, text), assert_refused(field, text);
    }
    if (field->most < 1e300) {
        number_text(field->most, whole, text), assert_comes_back(field, text);
        number_text(field->most * 1.5 + 1, whole, text), assert_refused(field, text);
    }
    if (!whole) assert_comes_back(field, "0.1");
    if (whole) assert_refused(field, "0.5");
    static const char *const wrong[] = {"", " 1", "1 ", "0x1", "one", "nan", "inf", "1e999", "1,0", "--1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) assert_refused(field, wrong[i]);
}

static void check_list(const moco_config_field *field) {
    char text[MOCO_FIELD_TEXT_SIZE] = "";
    const int32_t any_length = field->kind == MOCO_FIELD_ENUM_LIST || field->count > 0;
    for (int32_t i = 0; i < field->length; ++i) {
        const char *entry = field->kind == MOCO_FIELD_ENUM_LIST ? "flip" : "0.123456789012345";
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i == 0 ? "" : "/", entry);
        if (any_length || i == field->length - 1) {
            assert_comes_back(field, text);
        } else {
            assert_refused(field, text);
        }
    }
    if (any_length) assert_comes_back(field, "");
    snprintf(text + strlen(text), sizeof text - strlen(text), "/1");
    assert_refused(field, text); /* one too many */
    assert_refused(field, "/");
    assert_refused(field, "none");
    assert_refused(field, "0.1/x/0.1");
    assert_refused(field, "1111111111111111111111111111111111111111111111111111111111111111111111111111/1/1");
}

static void values_come_back_from_their_text(void **state) {
    (void) state;
    for (int32_t s = 0; s < MOCO_CONFIG_SECTIONS; ++s) {
        for (int32_t i = 0; i < moco_config_sections[s].count; ++i) {
            const moco_config_field *field = &moco_config_sections[s].fields[i];
            switch (field->kind) {
            case MOCO_FIELD_TEXT:
                assert_comes_back(field, "any string");
                break;
            case MOCO_FIELD_ENUM:
                for (int32_t v = 0; moco_enum_name(field->enum_kind, v) != NULL; ++v) {
                    assert_comes_back(field, moco_enum_name(field->enum_kind, v));
                }
                assert_non_null(moco_enum_name(field->enum_kind, 0));
                assert_refused(field, "0");
                assert_refused(field, "");
                break;
            case MOCO_FIELD_U64:
                assert_comes_back(field, "0");
                assert_comes_back(field, "18446744073709551615");
                assert_refused(field, "18446744073709551616");
                assert_refused(field, "-1");
                break;
            case MOCO_FIELD_F64_LIST:
            case MOCO_FIELD_ENUM_LIST:
                check_list(field);
                break;
            default:
                check_number(field);
            }
        }
    }
}

/* Values that a program put there and no text can say. */
static void unspeakable_values_are_refused(void **state) {
    (void) state;
    char buffer[MOCO_FIELD_TEXT_SIZE];
    const char *text;
    moco_encoder_config encoder;
    assert_int_equal(moco_encoder_config_init(&encoder, sizeof encoder), MOCO_OK);
    encoder.head = 9;
    encoder.bn_eps = (double) NAN;
    encoder.architecture = NULL;
    static const char *const names[] = {"head", "bn_eps", "architecture"};
    for (int i = 0; i < 3; ++i) {
        const moco_config_field *field = moco_config_find_field(MOCO_CONFIG_ENCODER, names[i]);
        assert_int_equal(moco_config_field_text(field, names[i], &encoder, buffer, &text), MOCO_INVALID_ARGUMENT);
        assert_non_null(strstr(moco_last_error(), names[i]));
    }
    moco_schedule schedule;
    assert_int_equal(moco_schedule_init(&schedule, sizeof schedule), MOCO_OK);
    schedule.milestones = MOCO_SCHEDULE_MAX_MILESTONES + 1;
    const moco_config_field *field = moco_config_find_field(MOCO_CONFIG_SCHEDULE, "milestone_epochs");
    assert_int_equal(moco_config_field_text(field, "milestones", &schedule, buffer, &text), MOCO_INVALID_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_their_values),
        cmocka_unit_test(every_byte_has_one_field),
        cmocka_unit_test(values_come_back_from_their_text),
        cmocka_unit_test(unspeakable_values_are_refused),
    };
    return cmocka_run_group_tests_name("config fields", tests, NULL, NULL);
}
