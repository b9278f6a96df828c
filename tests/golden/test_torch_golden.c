/* Files of PyTorch's torch.save, zip and legacy: every tensor bit for bit, every number and text (make_torch_golden.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/weights_internal.h"

static void path_of(const char *name, char path[512]) {
    if (snprintf(path, 512, "%s/torch/%s", MOCO_TEST_DATA_DIR, name) >= 512) abort();
}

static const struct {
    const char *torch;
    int32_t dtype;
} dtypes[] = {
    {"float32", MOCO_SAFETENSORS_F32},   {"float64", MOCO_SAFETENSORS_F64}, {"float16", MOCO_SAFETENSORS_F16},
    {"bfloat16", MOCO_SAFETENSORS_BF16}, {"int64", MOCO_SAFETENSORS_I64},   {"int32", MOCO_SAFETENSORS_I32},
    {"int16", MOCO_SAFETENSORS_I16},     {"int8", MOCO_SAFETENSORS_I8},     {"uint8", MOCO_SAFETENSORS_U8},
    {"bool", MOCO_SAFETENSORS_BOOL},
};

static int32_t dtype_of(const char *torch) {
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; ++i) {
        if (strcmp(dtypes[i].torch, torch) == 0) return dtypes[i].dtype;
    }
    fail_msg("the dtype %s is not in this test's table", torch);
    return -1;
}

static void check_tensor(const moco_weights *weights, const char *name, const char *dtype, const char *shape,
                         const char *hex) {
    int64_t index = -1;
    int64_t elements = 1;
    if (moco_weights_find(weights, name, &index) != MOCO_OK) fail_msg("%s", moco_last_error());
    const moco_weights_item *item = &weights->items[index];
    assert_int_equal(item->dtype, dtype_of(dtype));
    int32_t rank = 0;
    for (const char *at = shape; *at != '-' && *at != '\0'; ++rank) {
        char *end = NULL;
        assert_true(rank < item->rank);
        assert_int_equal(strtoll(at, &end, 10), item->dims[rank]);
        elements *= item->dims[rank];
        at = *end == ',' ? end + 1 : end;
    }
    assert_int_equal(rank, item->rank);
    assert_int_equal(elements, item->elements);
    const size_t bytes = (size_t) elements * moco_safetensors_dtype_size(item->dtype);
    unsigned char *values = (unsigned char *) malloc(bytes + 1);
    assert_non_null(values);
    if (moco_torch_read(weights->torch, item->view, values) != MOCO_OK) fail_msg("%s", moco_last_error());
    assert_int_equal(strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2, bytes);
    for (size_t i = 0; i < bytes; ++i) {
        unsigned expected = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &expected), 1);
        if (values[i] != expected) fail_msg("%s: byte %zu is %02x, not %02x", name, i, values[i], expected);
    }
    free(values);
}

/* Everything that the listing has, and nothing else. */
static void check_file(const char *file, const char *listing, int32_t kind) {
    static char line[4096];
    char path[512];
    moco_weights *weights = NULL;
    path_of(file, path);
    if (moco_weights_open(&weights, NULL, path) != MOCO_OK) fail_msg("%s: %s", file, moco_last_error());
    assert_int_equal(moco_weights_kind(weights), kind);
    path_of(listing, path);
    FILE *lines = fopen(path, "r");
    assert_non_null(lines);
    int64_t tensors = 0;
    int64_t notes = 0;
    while (fgets(line, sizeof line, lines) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *word = strtok(line, " ");
        char *name = strtok(NULL, " ");
        assert_non_null(name);
        if (strcmp(word, "note") == 0) {
            const char *value = moco_weights_find_note(weights, name);
            if (value == NULL) fail_msg("%s lacks %s", file, name);
            const char *expected = strtok(NULL, " ");
            const int is_real = strpbrk(expected, ".e") != NULL && strchr("-0123456789", *expected) != NULL;
            if (is_real ? strtod(value, NULL) != strtod(expected, NULL) : strcmp(value, expected) != 0) {
                fail_msg("%s: %s is %s, not %s", file, name, value, expected);
            }
            ++notes;
            continue;
        }
        const char *dtype = strtok(NULL, " ");
        const char *shape = strtok(NULL, " ");
        check_tensor(weights, name, dtype, shape, strtok(NULL, " "));
        ++tensors;
    }
    fclose(lines);
    assert_true(tensors > 0);
    assert_int_equal(moco_weights_count(weights), tensors);
    assert_int_equal(weights->note_count, notes);
    moco_weights_close(weights);
}

static void every_dtype(void **state) {
    (void) state;
    check_file("dtypes.pt", "dtypes.txt", MOCO_WEIGHTS_TORCH_ZIP);
    check_file("dtypes_legacy.pt", "dtypes.txt", MOCO_WEIGHTS_TORCH_LEGACY);
}

static void views_with_any_strides(void **state) {
    (void) state;
    check_file("views.pt", "views.txt", MOCO_WEIGHTS_TORCH_ZIP);
    check_file("views_legacy.pt", "views.txt", MOCO_WEIGHTS_TORCH_LEGACY);
}

static void a_checkpoint_with_an_optimizer(void **state) {
    (void) state;
    check_file("nested.pt", "nested.txt", MOCO_WEIGHTS_TORCH_ZIP);
    check_file("nested_legacy.pt", "nested.txt", MOCO_WEIGHTS_TORCH_LEGACY);
}

/* The script's values as float32 and int64, whatever their dtype. */
static void values_are_converted(void **state) {
    (void) state;
    char path[512];
    moco_weights *weights = NULL;
    path_of("dtypes.pt", path);
    assert_int_equal(moco_weights_open(&weights, NULL, path), MOCO_OK);
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; ++d) {
        const int is_real = strstr(dtypes[d].torch, "float") != NULL;
        float values[8];
        int64_t integers[8];
        int64_t index = -1;
        assert_int_equal(moco_weights_find(weights, dtypes[d].torch, &index), MOCO_OK);
        assert_int_equal(moco_weights_read(weights, index, values), MOCO_OK);
        for (int i = 0; i < (is_real ? 6 : dtypes[d].dtype == MOCO_SAFETENSORS_BOOL ? 3 : 4); ++i) {
            const double expected = is_real                                    ? (i * 37 % 101 - 50) / 8.0
                                    : dtypes[d].dtype == MOCO_SAFETENSORS_BOOL ? i != 1
                                                                               : i * 29 % 97;
            assert_true((double) values[i] == expected);
        }
        const moco_status status = moco_weights_read_integers(weights, index, integers);
        assert_int_equal(status, is_real ? MOCO_UNSUPPORTED : MOCO_OK);
        for (int i = 0; i < 3 && !is_real; ++i) assert_true((double) integers[i] == (double) values[i]);
    }
    moco_weights_close(weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype),
        cmocka_unit_test(views_with_any_strides),
        cmocka_unit_test(a_checkpoint_with_an_optimizer),
        cmocka_unit_test(values_are_converted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
