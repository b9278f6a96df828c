/* safetensors files: what the writer writes, byte by byte as the format's description says, and that the reader gives
 * it back.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/safetensors.h"
#include "support/reading_built_in.h"
#include "support/temporary_folder.h"

static temporary_folder folder;

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    return 0;
}

static int tear_down(void **state) {
    (void) state;
    remove_temporary_folder(&folder);
    return 0;
}

/* Byte j of tensor i is i * 31 + j * 7. */
static moco_status fill_pattern(int64_t index, void *values, void *user) {
    const moco_safetensors_entry *entries = (const moco_safetensors_entry *) user;
    int64_t elements;
    size_t bytes;
    MOCO_TRY(moco_safetensors_entry_size(&entries[index], &elements, &bytes));
    for (size_t i = 0; i < bytes; ++i) ((unsigned char *) values)[i] = (unsigned char) ((size_t) index * 31 + i * 7);
    return MOCO_OK;
}

static const moco_safetensors_entry samples[] = {
    {"counter", MOCO_SAFETENSORS_I64, 0, {0}},
    {"layer1.0.conv1.weight", MOCO_SAFETENSORS_F32, 4, {2, 3, 1, 5}},
    {"empty", MOCO_SAFETENSORS_F64, 2, {0, 7}},
    {"quote\" back\\slash \n \xc3\xa4", MOCO_SAFETENSORS_BF16, 1, {3}},
    {"bytes", MOCO_SAFETENSORS_U8, 8, {1, 1, 1, 1, 1, 1, 1, 9}},
};
#define SAMPLES ((int64_t) (sizeof samples / sizeof samples[0]))

static const char *const keys[] = {"format", "note"};
static const char *const values[] = {"pt", "tab\there \"x\" \xe2\x82\xac"};

static void write_samples(const char *path) {
    assert_int_equal(moco_safetensors_write(NULL, path, samples, SAMPLES, keys, values, 2, fill_pattern,
                                            (void *) (uintptr_t) samples),
                     MOCO_OK);
}

/* Read by the rules of the format's README alone, as Python's package does: length, header, offsets into the rest. */
static void file_follows_the_format(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "samples", path);
    write_samples(path);
    size_t size = 0;
    unsigned char *bytes = read_whole_file(path, &size);
    assert_non_null(bytes);
    uint64_t length = 0;
    for (int i = 0; i < 8; ++i) length |= (uint64_t) bytes[i] << (8 * i);
    assert_true(length % 8 == 0);
    assert_true(length < size - 8);

    char *header = (char *) malloc((size_t) length + 1);
    assert_non_null(header);
    memcpy(header, bytes + 8, (size_t) length);
    header[length] = '\0';
    const unsigned char *data = bytes + 8 + length;
    size_t end = strlen(header);
    assert_int_equal(end, length);
    while (header[end - 1] == ' ') header[--end] = '\0';
    assert_string_equal(header,
                        "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"tab\\u0009here \\\"x\\\" \xe2\x82\xac\"},"
                        "\"counter\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                        "\"layer1.0.conv1.weight\":{\"dtype\":\"F32\",\"shape\":[2,3,1,5],\"data_offsets\":[8,128]},"
                        "\"empty\":{\"dtype\":\"F64\",\"shape\":[0,7],\"data_offsets\":[128,128]},"
                        "\"quote\\\" back\\\\slash \\u000a \xc3\xa4\":{\"dtype\":\"BF16\",\"shape\":[3],"
                        "\"data_offsets\":[128,134]},"
                        "\"bytes\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,9],\"data_offsets\":[134,143]}}");
    assert_int_equal(size, 8 + length + 143);
    for (size_t i = 0; i < 120; ++i) assert_int_equal(data[8 + i], (1 * 31 + i * 7) & 255);
    for (size_t i = 0; i < 9; ++i) assert_int_equal(data[134 + i], (4 * 31 + i * 7) & 255);
    free(header);
    free(bytes);
}

static moco_status fill_numbers(int64_t index, void *target, void *user) {
    (void) user;
    if (index == 0) {
        const float numbers[2] = {1.0f, -2.5f};
        memcpy(target, numbers, sizeof numbers);
    } else {
        const int64_t number = 258;
        memcpy(target, &number, sizeof number);
    }
    return MOCO_OK;
}

static void values_are_little_endian(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "numbers", path);
    const moco_safetensors_entry entries[] = {{"f", MOCO_SAFETENSORS_F32, 1, {2}}, {"i", MOCO_SAFETENSORS_I64, 0, {0}}};
    assert_int_equal(moco_safetensors_write(NULL, path, entries, 2, NULL, NULL, 0, fill_numbers, NULL), MOCO_OK);
    size_t size = 0;
    unsigned char *bytes = read_whole_file(path, &size);
    const unsigned char expected[16] = {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0, 2, 1};
    assert_true(size > 16);
    assert_memory_equal(bytes + size - 16, expected, 16);
    free(bytes);
}

static void round_trip(void **state) {
    (void) state;
    if (!reading_is_built_in()) skip();
    char path[TEST_PATH_SIZE];
    path_in(&folder, "samples", path);
    write_samples(path);
    moco_safetensors *file = NULL;
    assert_int_equal(moco_safetensors_open(&file, NULL, path), MOCO_OK);
    assert_int_equal(moco_safetensors_count(file), SAMPLES);
    for (int64_t i = 0; i < SAMPLES; ++i) {
        const moco_safetensors_entry *entry = moco_safetensors_get(file, i);
        assert_string_equal(entry->name, samples[i].name);
        assert_int_equal(entry->dtype, samples[i].dtype);
        assert_int_equal(entry->rank, samples[i].rank);
        assert_memory_equal(entry->dims, samples[i].dims, sizeof entry->dims);
        assert_int_equal(moco_safetensors_find(file, samples[i].name), i);
        unsigned char read[128];
        unsigned char written[128];
        memset(read, 0, sizeof read);
        memset(written, 0, sizeof written);
        assert_int_equal(moco_safetensors_read(file, i, read), MOCO_OK);
        assert_int_equal(fill_pattern(i, written, (void *) (uintptr_t) samples), MOCO_OK);
        assert_memory_equal(read, written, sizeof read);
    }
    assert_int_equal(moco_safetensors_find(file, "none"), -1);
    assert_null(moco_safetensors_get(file, SAMPLES));
    assert_int_equal(moco_safetensors_read(file, -1, NULL), MOCO_INVALID_ARGUMENT);
    assert_string_equal(moco_safetensors_metadata(file, "format"), values[0]);
    assert_string_equal(moco_safetensors_metadata(file, "note"), values[1]);
    assert_null(moco_safetensors_metadata(file, "none"));
    moco_safetensors_close(file);
    moco_safetensors_close(NULL);
}

static void empty_file_round_trips(void **state) {
    (void) state;
    if (!reading_is_built_in()) skip();
    char path[TEST_PATH_SIZE];
    path_in(&folder, "empty", path);
    assert_int_equal(moco_safetensors_write(NULL, path, NULL, 0, NULL, NULL, 0, fill_pattern, NULL), MOCO_OK);
    moco_safetensors *file = NULL;
    assert_int_equal(moco_safetensors_open(&file, NULL, path), MOCO_OK);
    assert_int_equal(moco_safetensors_count(file), 0);
    assert_null(moco_safetensors_metadata(file, "format"));
    moco_safetensors_close(file);
}

/* --- What the writer refuses --- */

static void assert_refused(const moco_safetensors_entry *entries, int64_t count, const char *const *some_keys,
                           const char *const *some_values, int64_t metadata_count, const char *word) {
    char path[TEST_PATH_SIZE];
    path_in(&folder, "refused", path);
    assert_int_equal(moco_safetensors_write(NULL, path, entries, count, some_keys, some_values, metadata_count,
                                            fill_pattern, (void *) (uintptr_t) entries),
                     MOCO_INVALID_ARGUMENT);
    if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" does not say %s", moco_last_error(), word);
    assert_int_equal(files_in(&folder), 0);
}

static void writer_refuses_what_no_reader_takes(void **state) {
    (void) state;
    const moco_safetensors_entry twice[] = {
        {"a", MOCO_SAFETENSORS_U8, 0, {0}}, {"b", MOCO_SAFETENSORS_U8, 0, {0}}, {"a", MOCO_SAFETENSORS_U8, 0, {0}}};
    assert_refused(twice, 3, NULL, NULL, 0, "\"a\"");
    const moco_safetensors_entry reserved = {"__metadata__", MOCO_SAFETENSORS_U8, 0, {0}};
    assert_refused(&reserved, 1, NULL, NULL, 0, "__metadata__");
    const moco_safetensors_entry negative = {"neg", MOCO_SAFETENSORS_U8, 1, {-1}};
    assert_refused(&negative, 1, NULL, NULL, 0, "neg");
    const moco_safetensors_entry huge = {"huge", MOCO_SAFETENSORS_U8, 2, {INT64_MAX, 2}};
    assert_refused(&huge, 1, NULL, NULL, 0, "huge");
    const moco_safetensors_entry large[] = {{"large", MOCO_SAFETENSORS_U8, 1, {INT64_MAX / 2}},
                                            {"larger", MOCO_SAFETENSORS_U8, 1, {INT64_MAX / 2}},
                                            {"largest", MOCO_SAFETENSORS_U8, 1, {INT64_MAX / 2}}};
    /* A machine of 32 bits addresses not even the first. */
    assert_refused(large, 3, NULL, NULL, 0, sizeof(size_t) < sizeof(int64_t) ? "more than this machine" : "2^63");
    const moco_safetensors_entry deep = {"deep", MOCO_SAFETENSORS_U8, 9, {0}};
    assert_refused(&deep, 1, NULL, NULL, 0, "deep");
    const moco_safetensors_entry odd_type = {"odd", MOCO_SAFETENSORS_DTYPE_COUNT, 0, {0}};
    assert_refused(&odd_type, 1, NULL, NULL, 0, "odd");
    const moco_safetensors_entry nameless = {NULL, MOCO_SAFETENSORS_U8, 0, {0}};
    assert_refused(&nameless, 1, NULL, NULL, 0, "name");
    const moco_safetensors_entry not_utf8 = {"\xff", MOCO_SAFETENSORS_U8, 0, {0}};
    assert_refused(&not_utf8, 1, NULL, NULL, 0, "UTF-8");
    const char *const same_keys[] = {"k", "k"};
    const char *const null_values[] = {"v", NULL};
    assert_refused(NULL, 0, same_keys, values, 2, "\"k\"");
    assert_refused(NULL, 0, keys, null_values, 2, "NULL");
}

static moco_status fill_fails(int64_t index, void *target, void *user) {
    (void) target;
    (void) user;
    return index == 1 ? moco_fail(MOCO_BACKEND, "no values") : MOCO_OK;
}

static void failures_leave_the_old_file(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "kept", path);
    write_whole_file(path, "before", 6);
    const moco_safetensors_entry entries[] = {{"a", MOCO_SAFETENSORS_F32, 1, {200000}},
                                              {"b", MOCO_SAFETENSORS_F32, 1, {200000}}};
    assert_int_equal(moco_safetensors_write(NULL, path, entries, 2, NULL, NULL, 0, fill_fails, NULL), MOCO_BACKEND);
    assert_int_equal(moco_safetensors_write(NULL, "/dev/full", entries, 1, NULL, NULL, 0, fill_pattern,
                                            (void *) (uintptr_t) entries),
                     MOCO_IO);
    size_t size = 0;
    unsigned char *bytes = read_whole_file(path, &size);
    assert_int_equal(size, 6);
    free(bytes);
    assert_int_equal(files_in(&folder), 1);
}

static void without_jansson_reading_says_so(void **state) {
    (void) state;
    if (reading_is_built_in()) skip();
    assert_non_null(strstr(moco_last_error(), "MOCO_WITH_JANSSON"));
}

/* --- Failing allocations, each in turn --- */

static int64_t allocations_left;

static void *limited_allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
    return allocations_left-- <= 0 ? NULL : aligned_alloc((size_t) alignment, (size_t) size);
}

static void limited_free(void *memory, void *user) {
    (void) user;
    free(memory);
}

static void every_allocation_may_fail(void **state) {
    (void) state;
    if (!reading_is_built_in()) skip();
    char path[TEST_PATH_SIZE];
    path_in(&folder, "samples", path);
    moco_context_config config;
    assert_int_equal(moco_context_config_init(&config, sizeof config), MOCO_OK);
    config.allocate = limited_allocate;
    config.deallocate = limited_free;
    moco_context *context = NULL;
    allocations_left = INT64_MAX;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    int writes = 0;
    moco_status status = MOCO_OUT_OF_MEMORY;
    for (; status != MOCO_OK; ++writes) {
        assert_int_equal(status, MOCO_OUT_OF_MEMORY);
        assert_int_equal(files_in(&folder), 0);
        allocations_left = writes;
        status = moco_safetensors_write(context, path, samples, SAMPLES, keys, values, 2, fill_pattern,
                                        (void *) (uintptr_t) samples);
    }
    assert_true(writes > 5);
    int reads = 0;
    status = MOCO_OUT_OF_MEMORY;
    for (; status != MOCO_OK; ++reads) {
        moco_safetensors *file = NULL;
        assert_int_equal(status, MOCO_OUT_OF_MEMORY);
        allocations_left = reads;
        status = moco_safetensors_open(&file, context, path);
        moco_safetensors_close(file);
    }
    assert_true(reads > 3);
    moco_context_destroy(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(file_follows_the_format, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_are_little_endian, set_up, tear_down),
        cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_file_round_trips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writer_refuses_what_no_reader_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_leave_the_old_file, set_up, tear_down),
        cmocka_unit_test(without_jansson_reading_says_so),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
