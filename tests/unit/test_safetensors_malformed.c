/* safetensors files that are wrong: each is refused as FORMAT with a sentence that names the file and the trouble, and
 * no truncation or flipped bit does harm (run it under AddressSanitizer).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <moco/weights.h>
#include <sys/stat.h>

#include "io/safetensors.h"
#include "support/reading_built_in.h"
#include "support/temporary_folder.h"

static temporary_folder folder;
static char path[TEST_PATH_SIZE];

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    path_in(&folder, "malformed.safetensors", path);
    return 0;
}

static int tear_down(void **state) {
    (void) state;
    remove_temporary_folder(&folder);
    return 0;
}

/* Length, header, and `data_bytes` bytes of data. */
static void write_header(const char *header, size_t header_bytes, size_t data_bytes) {
    unsigned char *file = (unsigned char *) calloc(1, 8 + header_bytes + data_bytes);
    assert_non_null(file);
    for (int i = 0; i < 8; ++i) file[i] = (unsigned char) ((uint64_t) header_bytes >> (8 * i));
    memcpy(file + 8, header, header_bytes);
    write_whole_file(path, file, 8 + header_bytes + data_bytes);
    free(file);
}

static void assert_format_error(const char *header, const char *word) {
    moco_safetensors *file = NULL;
    const moco_status status = moco_safetensors_open(&file, NULL, path);
    if (status != MOCO_FORMAT) fail_msg("%s: status %d", header, status);
    assert_null(file);
    if (strstr(moco_last_error(), path) == NULL || strstr(moco_last_error(), word) == NULL) {
        fail_msg("%s: \"%s\" does not say %s", header, moco_last_error(), word);
    }
}

#define T(dtype, shape, offsets) "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
    const char *header;
    size_t data_bytes;
    const char *word; /* in the sentence */
} malformed[] = {
    {"", 0, "'{'"},
    {" ", 0, "'{'"},
    {" []", 0, "'{'"},
    {"\v{}", 0, "'{'"},
    {" \xef\xbb\xbf{}", 0, "'{'"},
    {" \xc2\xa0{}", 0, "'{'"},
    {" {}x", 0, "JSON"},
    {"[]", 0, "'{'"},
    {"null", 0, "'{'"},
    {"\xef\xbb\xbf{}", 0, "'{'"},
    {"{", 0, "JSON"},
    {"{}x", 0, "JSON"},
    {"{}{}", 0, "JSON"},
    {"{\"a\":}", 0, "JSON"},
    {"{\"a\":1,}", 0, "JSON"},
    {"{'a':1}", 0, "JSON"},
    {"{\"a\xff\":1}", 0, "JSON"},
    {"{\"a\\u0000\":1}", 0, "JSON"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1]") ",\"a\":" T("\"U8\"", "[1]", "[0,1]") "}", 1, "JSON"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "JSON"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "JSON"},
    {"{\"a\":" T("\"U8\"", "[99999999999999999999]", "[0,1]") "}", 1, "JSON"},
    {"{\"__metadata__\":[]}", 0, "__metadata__"},
    {"{\"__metadata__\":null}", 0, "__metadata__"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "\"k\""},
    {"{\"__metadata__\":{\"k\":null}}", 0, "\"k\""},
    {"{\"a\":1}", 0, "\"a\" is no object"},
    {"{\"a\":[]}", 0, "\"a\" is no object"},
    {"{\"a\":{}}", 0, "dtype"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "data_offsets"},
    {"{\"a\":" T("1", "[1]", "[0,1]") "}", 1, "dtype"},
    {"{\"a\":" T("\"f32\"", "[1]", "[0,4]") "}", 4, "\"f32\""},
    {"{\"a\":" T("\"F128\"", "[1]", "[0,16]") "}", 16, "\"F128\""},
    {"{\"a\":" T("\"U8\"", "1", "[0,1]") "}", 1, "shape"},
    {"{\"a\":" T("\"U8\"", "[\"1\"]", "[0,1]") "}", 1, "shape"},
    {"{\"a\":" T("\"U8\"", "[1.0]", "[0,1]") "}", 1, "shape"},
    {"{\"a\":" T("\"U8\"", "[-1]", "[0,1]") "}", 1, "shape"},
    {"{\"a\":" T("\"U8\"", "[true]", "[0,1]") "}", 1, "shape"},
    {"{\"a\":" T("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, "9 dimensions"},
    {"{\"a\":" T("\"U8\"", "[1]", "1") "}", 1, "data_offsets"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0]") "}", 1, "data_offsets"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1,2]") "}", 1, "data_offsets"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0.0,1.0]") "}", 1, "data_offsets"},
    {"{\"a\":" T("\"U8\"", "[1]", "[\"0\",\"1\"]") "}", 1, "data_offsets"},
    {"{\"a\":" T("\"U8\"", "[1]", "[-1,0]") "}", 1, "data_offsets"},
    {"{\"a\":" T("\"U8\"", "[1]", "[1,0]") "}", 1, "data_offsets"},
    {"{\"a\":" T("\"U8\"", "[2]", "[0,2]") "}", 1, "ends at byte 2"},
    {"{\"a\":" T("\"U8\"", "[1]", "[9223372036854775806,9223372036854775807]") "}", 1, "ends at"},
    {"{\"a\":" T("\"F32\"", "[2]", "[0,4]") "}", 4, "2 elements of F32 but 4 bytes"},
    {"{\"a\":" T("\"F32\"", "[1]", "[0,8]") "}", 8, "1 elements of F32 but 8 bytes"},
    {"{\"a\":" T("\"F32\"", "[]", "[0,0]") "}", 0, "1 elements of F32 but 0 bytes"},
    {"{\"a\":" T("\"U8\"", "[4294967296,4294967296]", "[0,0]") "}", 0, "overflows"},
    {"{\"a\":" T("\"F64\"", "[2305843009213693952]", "[0,0]") "}", 0, "overflows"},
    {"{\"a\":" T("\"U8\"", "[1]", "[1,2]") "}", 2, "gap"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1]") ",\"b\":" T("\"U8\"", "[1]", "[2,3]") "}", 3, "gap"},
    {"{\"a\":" T("\"U8\"", "[2]", "[0,2]") ",\"b\":" T("\"U8\"", "[2]", "[1,3]") "}", 3, "overlaps"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1]") ",\"b\":" T("\"U8\"", "[1]", "[0,1]") "}", 1, "overlaps"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1]") "}", 2, "end at byte 1"},
    {"{}", 1, "end at byte 0"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1]") ",\"\\u0061\":" T("\"U8\"", "[1]", "[0,1]") "}", 1, "JSON"},
    {"{\"a\":" T("\"C128\"", "[1]", "[0,16]") "}", 16, "unknown dtype \"C128\""},
    {"{\"a\":" T("\"U8\"", "[2]", "[0,1]") ",\"b\":" T("\"U8\"", "[0]", "[1,1]") "}", 1, "2 elements of U8 but 1"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,1]") ",\"b\":" T("\"U8\"", "[0]", "[2,2]") "}", 1, "ends at byte 2"},
    {"{\"a\":" T("\"U8\"", "[-9223372036854775808]", "[0,1]") "}", 1, "shape"},
    {"{\"a\":" T("\"U8\"", "[1]", "[0,-9223372036854775808]") "}", 1, "data_offsets"},
};

static void malformed_headers(void **state) {
    (void) state;
    assert_true(sizeof malformed / sizeof malformed[0] >= 60);
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; ++i) {
        write_header(malformed[i].header, strlen(malformed[i].header), malformed[i].data_bytes);
        assert_format_error(malformed[i].header, malformed[i].word);
    }
}

/* The table's near neighbours that are right, so that it refuses for the right reasons. */
static void well_formed_headers(void **state) {
    (void) state;
    static const struct {
        const char *header;
        size_t data_bytes;
        int64_t tensors;
    } good[] = {
        {"{}", 0, 0},
        {"{}      ", 0, 0},
        {" {}", 0, 0},
        {" \t\r\n{}", 0, 0},
        {"\n{\"a\":" T("\"U8\"", "[1]", "[0,1]") "}", 1, 1},
        {"{ \"a\" : " T("\"U8\"", "[1]", "[0,1]") " }\n", 1, 1},
        {"{\"b\":" T("\"U8\"", "[2]", "[1,3]") ",\"a\":" T("\"U8\"", "[1]", "[0,1]") "}", 3, 2},
        {"{\"z\":" T("\"F32\"", "[0]", "[0,0]") ",\"a\":" T("\"I64\"", "[]", "[0,8]") "}", 8, 2},
        {"{\"a\":" T("\"F8_E4M3\"", "[1,1,1,1,1,1,1,1]", "[0,1]") ",\"__metadata__\":{\"k\":\"\"}}", 1, 1},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"later\":true}}", 1, 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; ++i) {
        write_header(good[i].header, strlen(good[i].header), good[i].data_bytes);
        moco_safetensors *file = NULL;
        if (moco_safetensors_open(&file, NULL, path) != MOCO_OK) fail_msg("%s: %s", good[i].header, moco_last_error());
        assert_int_equal(moco_safetensors_count(file), good[i].tensors);
        moco_safetensors_close(file);
    }
}

/* What the format has and libmoco doesn't take is called so, not malformed. */
static void dtypes_that_are_not_supported(void **state) {
    (void) state;
    static const char *const dtypes[] = {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; ++i) {
        char header[128], sentence[64];
        moco_safetensors *file = NULL;
        snprintf(header, sizeof header, "{\"a\":" T("\"%s\"", "[4]", "[0,4]") "}", dtypes[i]);
        snprintf(sentence, sizeof sentence, "tensor \"a\" is %s, a dtype that is not supported", dtypes[i]);
        write_header(header, strlen(header), 4);
        assert_int_equal(moco_safetensors_open(&file, NULL, path), MOCO_UNSUPPORTED);
        assert_non_null(strstr(moco_last_error(), path));
        if (strstr(moco_last_error(), sentence) == NULL) fail_msg("%s", moco_last_error());
    }
}

/* A header of 123 bytes makes the file begin with '{', as an index of shards does. */
static void white_space_is_no_index(void **state) {
    (void) state;
    char header[124];
    moco_weights *weights = NULL;
    snprintf(header, sizeof header, "\n%-122s", "{\"a\":" T("\"U8\"", "[1]", "[0,1]") "}");
    assert_int_equal(strlen(header), '{');
    write_header(header, strlen(header), 1);
    moco_context *context = NULL;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    assert_int_equal(moco_weights_open(&weights, context, path), MOCO_OK);
    assert_int_equal(moco_weights_kind(weights), MOCO_WEIGHTS_SAFETENSORS);
    assert_int_equal(moco_weights_count(weights), 1);
    moco_weights_close(weights);
    moco_context_destroy(context);
}

static void lengths_that_lie(void **state) {
    (void) state;
    static const unsigned char lengths[][8] = {
        {3},                                              /* one more than there is */
        {0, 0, 0, 0, 0, 0, 0, 0x80},                      /* negative as signed */
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, /* overflows with 8 added */
        {0x01, 0xe1, 0xf5, 0x05},                         /* 100,000,001 */
    };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; ++i) {
        unsigned char file[10];
        memcpy(file, lengths[i], 8);
        memcpy(file + 8, "{}", 2);
        write_whole_file(path, file, sizeof file);
        assert_format_error("a length", "header of");
    }
}

static void paths_that_are_no_files(void **state) {
    (void) state;
    moco_safetensors *file = NULL;
    assert_int_equal(moco_safetensors_open(&file, NULL, path), MOCO_NOT_FOUND);
    assert_non_null(strstr(moco_last_error(), path));
    assert_int_equal(moco_safetensors_open(&file, NULL, folder.path), MOCO_IO);
    assert_int_equal(moco_safetensors_open(&file, NULL, "/dev/zero"), MOCO_IO);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(moco_safetensors_open(&file, NULL, path), MOCO_IO);
    assert_int_equal(moco_safetensors_open(&file, NULL, NULL), MOCO_INVALID_ARGUMENT);
    assert_null(file);
}

static void a_shape_nested_deep(void **state) {
    (void) state;
    enum { DEPTH = 100000 };
    char *header = (char *) malloc(DEPTH + 16);
    assert_non_null(header);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEPTH);
    write_header(header, DEPTH + 5, 0);
    free(header);
    assert_format_error("[[[[...", "JSON");
}

/* --- Damage to a small, good file --- */

static unsigned char *good_bytes;
static size_t good_size;

static moco_status fill_nothing(int64_t index, void *values, void *user) {
    (void) index;
    (void) user;
    memset(values, 0x5a, 24);
    return MOCO_OK;
}

static void write_good_file(void) {
    static const moco_safetensors_entry entries[] = {{"conv1.weight", MOCO_SAFETENSORS_F32, 2, {2, 3}},
                                                     {"n", MOCO_SAFETENSORS_F64, 1, {3}}};
    static const char *const keys[] = {"format"};
    static const char *const values[] = {"pt"};
    assert_int_equal(moco_safetensors_write(NULL, path, entries, 2, keys, values, 1, fill_nothing, NULL), MOCO_OK);
    good_bytes = read_whole_file(path, &good_size);
    assert_non_null(good_bytes);
}

/* Opens, and reads all that an accepted file claims to hold. */
static moco_status try_file(void) {
    moco_safetensors *file = NULL;
    MOCO_TRY(moco_safetensors_open(&file, NULL, path));
    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < moco_safetensors_count(file) && status == MOCO_OK; ++i) {
        int64_t elements;
        size_t bytes;
        status = moco_safetensors_entry_size(moco_safetensors_get(file, i), &elements, &bytes);
        assert_int_equal(status, MOCO_OK);
        assert_true(bytes <= good_size);
        void *values = malloc(bytes + 1);
        assert_non_null(values);
        status = moco_safetensors_read(file, i, values);
        free(values);
    }
    moco_safetensors_close(file);
    return status;
}

static void every_truncation_is_refused(void **state) {
    (void) state;
    write_good_file();
    assert_int_equal(try_file(), MOCO_OK);
    for (size_t size = 0; size < good_size; ++size) {
        write_whole_file(path, good_bytes, size);
        assert_int_equal(try_file(), MOCO_FORMAT);
    }
    unsigned char *longer = (unsigned char *) calloc(1, good_size + 1);
    assert_non_null(longer);
    memcpy(longer, good_bytes, good_size);
    write_whole_file(path, longer, good_size + 1);
    assert_int_equal(try_file(), MOCO_FORMAT);
    free(longer);
    free(good_bytes);
}

static void flipped_bits_do_no_harm(void **state) {
    (void) state;
    write_good_file();
    const size_t data_bytes = 48;
    for (size_t bit = 0; bit < 8 * good_size; ++bit) {
        good_bytes[bit / 8] ^= (unsigned char) (1u << bit % 8);
        write_whole_file(path, good_bytes, good_size);
        const moco_status status = try_file();
        assert_true(status == MOCO_OK || status == MOCO_FORMAT); /* a flipped bit in a name or value is no error */
        if (bit / 8 >= good_size - data_bytes) assert_int_equal(status, MOCO_OK);
        good_bytes[bit / 8] ^= (unsigned char) (1u << bit % 8);
    }
    free(good_bytes);
}

static void a_file_that_shrinks_while_open(void **state) {
    (void) state;
    write_good_file();
    moco_safetensors *file = NULL;
    assert_int_equal(moco_safetensors_open(&file, NULL, path), MOCO_OK);
    assert_int_equal(truncate(path, (off_t) good_size - 1), 0);
    double values[3];
    assert_int_equal(moco_safetensors_read(file, 1, values), MOCO_FORMAT);
    moco_safetensors_close(file);
    free(good_bytes);
}

int main(void) {
    if (!reading_is_built_in()) return 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(malformed_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(well_formed_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dtypes_that_are_not_supported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(white_space_is_no_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lengths_that_lie, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_that_are_no_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_shape_nested_deep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_truncation_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(flipped_bits_do_no_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_shrinks_while_open, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
