/* The atomic file: the new content whole, or the old one untouched and nothing left behind. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/memory.h"
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

/* --- What a killed process leaves --- */

/* Runs `work` in a process of its own, which ends as it is, as if killed; its result. */
static int in_a_child(int (*work)(void)) {
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(work());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static char child_path[TEST_PATH_SIZE];

static int begin_to_write(void) {
    static const char bytes[300000] = "half";
    moco_atomic_file *file = NULL;
    return moco_atomic_file_open(&file, NULL, child_path) != MOCO_OK ||
           moco_atomic_file_write(file, bytes, sizeof bytes) != MOCO_OK;
}

static void leftovers_are_removed(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "target", path);
    write_whole_file(path, "before", 6);
    path_in(&folder, "target", child_path);
    for (int i = 0; i < 5; ++i) assert_int_equal(in_a_child(begin_to_write), 0);
    assert_int_equal(files_in(&folder), 2); /* each removes the one before it */
    path_in(&folder, "other", child_path);
    assert_int_equal(in_a_child(begin_to_write), 0);
    assert_int_equal(files_in(&folder), 3);
    assert_content(path, "before");
    assert_int_equal(write_file(path, "after", 5), MOCO_OK);
    assert_content(path, "after");
    assert_int_equal(files_in(&folder), 2); /* the other target's stays for the next one who writes that */
    assert_int_equal(write_file(child_path, "other", 5), MOCO_OK);
    assert_int_equal(files_in(&folder), 2);
}

static void what_is_in_use_stays(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "target", path);
    path_in(&folder, "target", child_path);
    moco_atomic_file *first = NULL;
    assert_int_equal(moco_atomic_file_open(&first, NULL, path), MOCO_OK);
    assert_int_equal(moco_atomic_file_write(first, "first", 5), MOCO_OK);
    assert_int_equal(in_a_child(begin_to_write), 0);
    assert_int_equal(write_file(path, "second", 6), MOCO_OK); /* removes the child's alone */
    assert_content(path, "second");
    assert_int_equal(files_in(&folder), 2);
    assert_int_equal(moco_atomic_file_commit(first), MOCO_OK);
    assert_content(path, "first");
    assert_int_equal(files_in(&folder), 1);
}

/* --- Names --- */

static void long_names(void **state) {
    (void) state;
    char name[256], path[TEST_PATH_SIZE];
    for (size_t length = 200; length <= 255; length += length < 245 ? 45 : 1) {
        memset(name, 'n', length);
        name[length] = '\0';
        path_in(&folder, name, path);
        assert_int_equal(write_file(path, "hello", 5), MOCO_OK);
        assert_int_equal(write_file(path, "again", 5), MOCO_OK);
        assert_content(path, "again");
        assert_int_equal(files_in(&folder), 1);
        assert_int_equal(unlink(path), 0);
    }
}

/* A path as long as the system takes, to which nothing can be appended. */
static void long_paths(void **state) {
    (void) state;
    enum { LONGEST = 4095 };
    char *path = (char *) calloc(LONGEST + 1, 1);
    size_t used = (size_t) snprintf(path, LONGEST, "%s", folder.path);
    const size_t base = used;
    while (used < LONGEST - 2) {
        const size_t part = LONGEST - 2 - used - 1 < 200 ? LONGEST - 2 - used - 1 : 200;
        path[used++] = '/';
        if (part == 0) break;
        memset(path + used, 'd', part);
        used += part;
        assert_int_equal(mkdir(path, 0700), 0);
    }
    const size_t depth = used;
    path[used] = path[used - 1] == '/' ? 'f' : '/';
    if (path[used] == '/') path[used + 1] = 'f';
    assert_true(strlen(path) >= LONGEST - 1);
    assert_int_equal(write_file(path, "hello", 5), MOCO_OK);
    assert_content(path, "hello");
    assert_int_equal(unlink(path), 0);
    for (path[depth] = '\0'; strlen(path) > base; *strrchr(path, '/') = '\0') (void) rmdir(path);
    free(path);
}

/* --- Targets that can't be renamed over --- */

static char logged[2048];

static void keep_log(int32_t level, const char *message, void *user) {
    (void) user;
    snprintf(logged, sizeof logged, "%d: %s", level, message);
}

/* Writes "after!" with a context that has a log. 0: written, and warned of; 1: not written; 2: not warned of. */
static int write_with_log(void) {
    moco_context context = {.log = keep_log, .log_level = MOCO_LOG_WARNING};
    context.allocate = moco_default_allocate;
    context.deallocate = moco_default_deallocate;
    logged[0] = '\0';
    moco_atomic_file *file = NULL;
    if (moco_atomic_file_open(&file, &context, child_path) != MOCO_OK) return 1;
    if (moco_atomic_file_write(file, "after!", 6) != MOCO_OK || moco_atomic_file_commit(file) != MOCO_OK) return 1;
    return strstr(logged, "overwritten in place") != NULL && strstr(logged, child_path) != NULL ? 0 : 2;
}

/* Root may write anywhere. */
static int write_as_anyone(void) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 3;
    return write_with_log();
}

static void a_file_in_a_folder_that_takes_no_other(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    path_in(&folder, "kept", path);
    memcpy(child_path, path, sizeof path);
    write_whole_file(path, "before and longer", 17);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(chmod(folder.path, 0555), 0);
    assert_int_equal(in_a_child(write_as_anyone), 0);
    assert_content(path, "after!"); /* cut to its length */
    path_in(&folder, "new", child_path);
    assert_int_equal(in_a_child(write_as_anyone), 1); /* nothing there that could be overwritten */
    assert_int_equal(chmod(folder.path, 0700), 0);
    assert_int_equal(files_in(&folder), 1);
}

/* Another user's file in a folder like /tmp: a new one can be made there, but not renamed over it. */
static void a_file_of_another_user_in_a_sticky_folder(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    if (geteuid() != 0) skip();
    path_in(&folder, "kept", path);
    memcpy(child_path, path, sizeof path);
    write_whole_file(path, "before and longer", 17);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(chmod(folder.path, 01777), 0);
    assert_int_equal(chown(path, 1, 1), 0);
    assert_int_equal(chown(folder.path, 1, 1), 0);
    assert_int_equal(in_a_child(write_as_anyone), 0);
    assert_content(path, "after!");
    assert_int_equal(files_in(&folder), 1);
}

static int mount_and_write(void) {
    char source[TEST_PATH_SIZE + 8];
    snprintf(source, sizeof source, "%s.source", child_path);
    if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount(source, child_path, NULL, MS_BIND, NULL) != 0) {
        return 77;
    }
    return write_with_log();
}

static void a_file_that_is_mounted(void **state) {
    (void) state;
    char source[TEST_PATH_SIZE + 8];
    path_in(&folder, "target", child_path);
    snprintf(source, sizeof source, "%s.source", child_path);
    write_whole_file(child_path, "below", 5);
    write_whole_file(source, "before and longer", 17);
    const int result = in_a_child(mount_and_write);
    if (result == 77) skip();
    assert_int_equal(result, 0);
    assert_content(source, "after!");
    assert_content(child_path, "below");
    assert_int_equal(files_in(&folder), 2);
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
        cmocka_unit_test_setup_teardown(leftovers_are_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_in_use_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_in_a_folder_that_takes_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_of_another_user_in_a_sticky_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_mounted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
