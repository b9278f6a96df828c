/* Zip archives: read back here by the words of PKWARE's APPNOTE, through their directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/crc32.h"
#include "io/zip_writer.h"
#include "support/temporary_folder.h"

static temporary_folder folder;
static char path[TEST_PATH_SIZE];

static int set_up(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    path_in(&folder, "file.zip", path);
    return 0;
}

static int tear_down(void **state) {
    (void) state;
    remove_temporary_folder(&folder);
    return 0;
}

static uint32_t number(const unsigned char *bytes, int count) {
    uint32_t value = 0;
    for (int i = count - 1; i >= 0; --i) value = value << 8 | bytes[i];
    return value;
}

static void write_archive(int entries) {
    moco_zip_writer *zip = NULL;
    assert_int_equal(moco_zip_writer_open(&zip, NULL, path), MOCO_OK);
    for (int i = 0; i < entries; ++i) {
        char name[32];
        char text[200];
        snprintf(name, sizeof name, "archive/data/%d", i);
        memset(text, 'a' + i % 26, sizeof text);
        assert_int_equal(moco_zip_writer_add(zip, name, text, (size_t) i % sizeof text), MOCO_OK);
    }
    assert_int_equal(moco_zip_writer_commit(zip), MOCO_OK);
}

static void entries_are_where_the_directory_says(void **state) {
    (void) state;
    size_t size = 0;
    write_archive(130);
    unsigned char *bytes = read_whole_file(path, &size);
    assert_non_null(bytes);
    const unsigned char *end = bytes + size - 22;
    assert_int_equal(number(end, 4), 0x06054B50u);
    assert_int_equal(number(end + 8, 2), 130);
    assert_int_equal(number(end + 10, 2), 130);
    const uint32_t directory = number(end + 16, 4);
    assert_int_equal(directory + number(end + 12, 4), size - 22);
    const unsigned char *at = bytes + directory;
    uint32_t behind = 0;
    for (uint32_t i = 0; i < 130; ++i) {
        char name[32];
        snprintf(name, sizeof name, "archive/data/%u", i);
        assert_int_equal(number(at, 4), 0x02014B50u);
        const uint32_t length = number(at + 28, 2);
        assert_int_equal(length, strlen(name));
        assert_memory_equal(at + 46, name, length);
        assert_int_equal(number(at + 10, 2), 0); /* stored */
        assert_int_equal(number(at + 24, 4), i);
        const unsigned char *local = bytes + number(at + 42, 4);
        assert_int_equal(number(at + 42, 4), behind);
        assert_int_equal(number(local, 4), 0x04034B50u);
        assert_memory_equal(local + 4, at + 6, 24); /* version, method, time, crc, sizes, length of the name */
        const unsigned char *data = local + 30 + length + number(local + 28, 2);
        assert_int_equal((data - bytes) % 64, 0);
        for (uint32_t j = 0; j < i; ++j) assert_int_equal(data[j], 'a' + i % 26);
        assert_int_equal(number(at + 16, 4), moco_crc32(0, data, i));
        behind = (uint32_t) (data - bytes) + i;
        at += 46 + length;
    }
    assert_int_equal(behind, directory);
    assert_ptr_equal(at, end);
    free(bytes);
}

static void what_needs_zip64_is_refused(void **state) {
    (void) state;
    moco_zip_writer *zip = NULL;
    char name[70000];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(moco_zip_writer_open(&zip, NULL, path), MOCO_OK);
    assert_int_equal(moco_zip_writer_add(zip, "big", name, (size_t) UINT32_MAX - 300), MOCO_UNSUPPORTED);
    if (SIZE_MAX > UINT32_MAX) {
        assert_int_equal(moco_zip_writer_add(zip, "big", name, SIZE_MAX / 2), MOCO_UNSUPPORTED);
    }
    assert_int_equal(moco_zip_writer_add(zip, name, name, 1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_zip_writer_add(zip, "", name, 1), MOCO_INVALID_ARGUMENT);
    for (int i = 0; i < 65535; ++i) assert_int_equal(moco_zip_writer_add(zip, "e", NULL, 0), MOCO_OK);
    assert_int_equal(moco_zip_writer_add(zip, "e", NULL, 0), MOCO_UNSUPPORTED);
    moco_zip_writer_discard(zip);
    assert_int_equal(files_in(&folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_are_where_the_directory_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_needs_zip64_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
