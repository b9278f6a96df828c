/* The atomic file: the new content whole, or the old one untouched and nothing left behind. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "io/atomic_file.h"
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

static moco_status write_file(const char *path, const char *bytes, size_t size) {
    moco_atomic_file *file = NULL;
    MOCO_TRY(moco_atomic_file_open(&file, NULL, path));
    const moco_status status = moco_atomic_file_write(file, bytes, size);
    if (status != MOCO_OK) {
        moco_atomic_file_discard(file);
        return status;
    }
    return moco_atomic_file_commit(file);
}

static void assert_content(const char *path, const char *content) {
    size_t size = 0;
    unsigned char *bytes = read_whole_file(path, &size);
    assert_non_null(bytes);
    assert_int_equal(size, strlen(content));
    assert_memory_equal(bytes, content, size);
    free(bytes);
}

static void new_file(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "new", path);
    const mode_t mask = umask(027);
    assert_int_equal(write_file(path, "hello", 5), MOCO_OK);
    umask(mask);
    assert_content(path, "hello");
    assert_int_equal(files_in(&folder), 1);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640); /* as any program's new file */
}

static void old_file_keeps_its_permissions(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "old", path);
    write_whole_file(path, "before", 6);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(write_file(path, "after!!", 7), MOCO_OK);
    assert_content(path, "after!!");
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0604);
    assert_int_equal(files_in(&folder), 1);
}

static void nothing_changes_before_commit(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "kept", path);
    write_whole_file(path, "before", 6);
    moco_atomic_file *file = NULL;
    assert_int_equal(moco_atomic_file_open(&file, NULL, path), MOCO_OK);
    static const char zeros[1 << 20];
    assert_int_equal(moco_atomic_file_write(file, "x", 1), MOCO_OK);
    assert_int_equal(moco_atomic_file_write(file, zeros, sizeof zeros), MOCO_OK);
    assert_content(path, "before");
    moco_atomic_file_discard(file);
    assert_content(path, "before");
    assert_int_equal(files_in(&folder), 1);
    moco_atomic_file_discard(NULL);
}

static void pieces_of_all_sizes(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "pieces", path);
    static const size_t sizes[] = {1, 0, 262143, 1, 262144, 262145, 7, 600000, 3};
    unsigned char *expected = (unsigned char *) malloc(3000000);
    assert_non_null(expected);
    for (size_t i = 0; i < 3000000; ++i) expected[i] = (unsigned char) (i * 2654435761u >> 13);
    moco_atomic_file *file = NULL;
    assert_int_equal(moco_atomic_file_open(&file, NULL, path), MOCO_OK);
    size_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
        assert_int_equal(moco_atomic_file_write(file, expected + total, sizes[i]), MOCO_OK);
        total += sizes[i];
    }
    assert_int_equal(moco_atomic_file_commit(file), MOCO_OK);
    size_t size = 0;
    unsigned char *bytes = read_whole_file(path, &size);
    assert_int_equal(size, total);
    assert_memory_equal(bytes, expected, total);
    free(bytes);
    free(expected);
}

/* A file that may not grow beyond 64 KiB: what a full disk looks like. */
static void full_disk(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "full", path);
    write_whole_file(path, "before", 6);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = before;
    limit.rlim_cur = 64 * 1024;
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    static const char zeros[1 << 20];
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const moco_status at_write = write_file(path, zeros, sizeof zeros);
    const moco_status at_commit = write_file(path, zeros, 100 * 1024); /* still in the buffer until then */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(at_write, MOCO_IO);
    assert_int_equal(at_commit, MOCO_IO);
    assert_non_null(strstr(moco_last_error(), path));
    assert_content(path, "before");
    assert_int_equal(files_in(&folder), 1);
}

static void devices_are_written_directly(void **state) {
    (void) state;
    assert_int_equal(write_file("/dev/null", "hello", 5), MOCO_OK);
    assert_int_equal(write_file("/dev/full", "hello", 5), MOCO_IO);
    assert_non_null(strstr(moco_last_error(), "/dev/full"));
    struct stat info;
    assert_int_equal(stat("/dev/full", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
}

static void links_stay(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    char link_path[TEST_PATH_SIZE];
    path_in(&folder, "target", path);
    path_in(&folder, "link", link_path);
    write_whole_file(path, "before", 6);
    assert_int_equal(symlink("target", link_path), 0);
    assert_int_equal(write_file(link_path, "after", 5), MOCO_OK);
    assert_content(path, "after");
    struct stat info;
    assert_int_equal(lstat(link_path, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

static void places_that_cannot_be_written(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    assert_int_equal(write_file(path_in(&folder, "no/such/folder", path), "x", 1), MOCO_IO);
    assert_non_null(strstr(moco_last_error(), "no/such/folder"));
    assert_int_equal(write_file(folder.path, "x", 1), MOCO_IO); /* a folder */
    assert_int_equal(write_file("", "x", 1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(write_file(NULL, "x", 1), MOCO_INVALID_ARGUMENT);
    write_whole_file(path_in(&folder, "file", path), "x", 1);
    assert_int_equal(write_file(path_in(&folder, "file/below", path), "x", 1), MOCO_IO);
    assert_int_equal(write_file("/proc/new-file", "x", 1), MOCO_IO);
    assert_int_equal(files_in(&folder), 1);
}

static void rename_that_fails(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "sub", path);
    moco_atomic_file *file = NULL;
    assert_int_equal(moco_atomic_file_open(&file, NULL, path), MOCO_OK);
    assert_int_equal(mkdir(path, 0700), 0); /* comes between */
    assert_int_equal(moco_atomic_file_commit(file), MOCO_IO);
    assert_int_equal(files_in(&folder), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_file_keeps_its_permissions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_changes_before_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pieces_of_all_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(devices_are_written_directly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_that_cannot_be_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rename_that_fails, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
