/* The kept index: used while nothing has changed, made anew where it is stale, damaged, or another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/dataset_internal.h"
#include "support/image_files.h"
#include "support/tar_bytes.h"

static temporary_folder folder;
static kept_log logged;
static moco_context *context;
static char kept[TEST_PATH_SIZE]; /* the index file */

static void set_times(const char *name, int64_t seconds) {
    char path[TEST_PATH_SIZE];
    const struct timespec times[2] = {{.tv_sec = (time_t) seconds}, {.tv_sec = (time_t) seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path_in(&folder, name, path), times, 0), 0);
}

/* The folder long ago, as what has just been changed is never trusted. */
static void age(void) {
    const char *const folders[] = {"set/a/deep", "set/a", "set/b", "set", "x.tar"};
    for (int i = 0; i < 5; ++i) set_times(folders[i], 1000000000 + i);
}

static int setup(void **state) {
    (void) state;
    uint8_t png[PNG_ROOM];
    tar_bytes tar = {0};
    make_temporary_folder(&folder);
    context = context_with_log(&logged, 1);
    path_in(&folder, "kept.index", kept);
    write_png_at(&folder, "set/a/1.png", 1, 1, 0);
    write_png_at(&folder, "set/a/deep/2", 2, 1, 0);
    write_png_at(&folder, "set/b/3.png", 3, 1, 0);
    tar_file(&tar, "b/3.png", png, make_png(png, 3, 1, 0));
    tar_file(&tar, "a/1.png", png, make_png(png, 1, 1, 0));
    tar_file(&tar, "a/deep/2", png, make_png(png, 2, 1, 0));
    tar_end(&tar);
    write_bytes_at(&folder, "x.tar", tar.bytes, tar.size);
    tar_free(&tar);
    age();
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

/* Opens "kind:folder/name" with the index file and checks what is in it. Returns 1 if the kept index was used. */
static int opens(const char *kind, const char *name, int64_t images) {
    char description[TEST_PATH_SIZE + 64];
    moco_image_dataset_config config;
    moco_dataset *dataset = NULL;
    assert_succeeds(moco_image_dataset_config_init(&config, sizeof config));
    config.index_file = kept;
    snprintf(description, sizeof description, "%s:%s/%s", kind, folder.path, name);
    forget_log(&logged);
    assert_succeeds(moco_dataset_open_with(&dataset, context, description, &config));
    assert_int_equal(moco_dataset_count(dataset), images);
    if (images == 3) {
        const char *const names[3] = {"a/1.png", "a/deep/2", "b/3.png"};
        assert_int_equal(moco_dataset_classes(dataset), 2);
        assert_string_equal(moco_dataset_class_name(dataset, 0), "a");
        assert_string_equal(moco_dataset_class_name(dataset, 1), "b");
        for (int64_t i = 0; i < 3; ++i) {
            char path[8300];
            int64_t h = 0, w = 0;
            int32_t label = -2;
            assert_succeeds(moco_dataset_name(dataset, i, path, sizeof path));
            assert_string_equal(path + strlen(path) - strlen(names[i]), names[i]);
            assert_succeeds(moco_dataset_info(dataset, i, &h, &w, &label));
            assert_true(h == 1 && w == 1 + i && label == i / 2);
        }
    }
    moco_dataset_destroy(dataset);
    /* Made anew and kept, or used: one of both is told. */
    const int was_kept = strstr(logged.text, "is kept in") != NULL;
    const int was_refused =
        strstr(logged.text, "is not used: ") != NULL || strstr(logged.text, "no index is at hand") != NULL;
    assert_int_equal(was_kept, was_refused);
    return !was_kept;
}

static void test_used_again(void **state) {
    (void) state;
    assert_false(opens("folder", "set", 3));
    assert_true(opens("folder", "set", 3));
    assert_true(opens("folder", "set/", 3)); /* the same folder by another name */
    assert_true(opens("folder", "set/../set", 3));
    assert_false(opens("folder", "set/a", 2)); /* another one */
    assert_false(opens("folder", "set", 3));
    assert_false(opens("tar", "x.tar", 3));
    assert_true(opens("tar", "x.tar", 3));
    assert_false(opens("tar", "x.tar/a", 2));
    assert_true(opens("tar", "x.tar/a/", 2));
}

/* That it is used at all: the folder says one thing, the index, made before, another. */
static void test_is_really_used(void **state) {
    (void) state;
    assert_false(opens("folder", "set", 3));
    write_png_at(&folder, "set/b/4.png", 4, 1, 0);
    age(); /* so that nothing shows the change */
    assert_true(opens("folder", "set", 3));
    set_times("set/b", 1000000099);
    assert_false(opens("folder", "set", 4));
}

static void test_changes_show(void **state) {
    (void) state;
    char path[TEST_PATH_SIZE];
    assert_false(opens("folder", "set", 3));
    write_png_at(&folder, "set/a/deep/4.png", 4, 1, 0); /* the deepest folder is newer now */
    assert_false(opens("folder", "set", 4));
    assert_false(opens("folder", "set", 4)); /* and was written just before: not to be trusted */
    assert_int_equal(remove(path_in(&folder, "set/a/deep/4.png", path)), 0);
    age();
    assert_false(opens("folder", "set", 3));
    assert_true(opens("folder", "set", 3));
    /* The folder is replaced by another one of the same time. */
    char old[TEST_PATH_SIZE];
    assert_int_equal(rename(path_in(&folder, "set/b", path), path_in(&folder, "elsewhere", old)), 0);
    write_png_at(&folder, "set/b/3.png", 3, 1, 0);
    age();
    assert_false(opens("folder", "set", 3));
    /* A tar that grows. */
    assert_false(opens("tar", "x.tar", 3));
    assert_true(opens("tar", "x.tar", 3));
    FILE *file = fopen(path_in(&folder, "x.tar", path), "ab");
    fputc(0, file);
    fclose(file);
    age();
    assert_false(opens("tar", "x.tar", 3));
}

/* A build with other decoders would have found other images. */
static void test_other_decoders(void **state) {
    (void) state;
    enum { DECODERS_AT = 16 + 11 * 8 };
    size_t size = 0;
    assert_false(opens("folder", "set", 3));
    unsigned char *bytes = read_whole_file(kept, &size);
    assert_non_null(bytes);
    bytes[DECODERS_AT] ^= 1 << MOCO_FORMAT_TIFF;
    write_whole_file(kept, bytes, size);
    assert_false(opens("folder", "set", 3));
    assert_non_null(strstr(logged.text, "is not used: the libmoco that made it reads other formats"));
    assert_true(opens("folder", "set", 3));
    free(bytes);
}

/* Every byte changed, and every length: never a crash, never a wrong image, silently made anew. */
static void test_damage(void **state) {
    (void) state;
    for (int is_tar = 0; is_tar < 2; ++is_tar) {
        const char *kind = is_tar ? "tar" : "folder", *name = is_tar ? "x.tar" : "set";
        size_t size = 0;
        remove(kept);
        assert_false(opens(kind, name, 3));
        assert_true(opens(kind, name, 3));
        unsigned char *bytes = read_whole_file(kept, &size);
        assert_non_null(bytes);
        for (size_t i = 0; i < size; ++i) {
            bytes[i] ^= (unsigned char) (1 << i % 8);
            write_whole_file(kept, bytes, size);
            assert_false(opens(kind, name, 3));
            bytes[i] ^= (unsigned char) (1 << i % 8);
        }
        for (size_t length = 0; length < size; ++length) {
            write_whole_file(kept, bytes, length);
            assert_false(opens(kind, name, 3));
        }
        bytes[size] = 0;
        write_whole_file(kept, bytes, size + 1);
        assert_false(opens(kind, name, 3));
        write_whole_file(kept, bytes, size);
        assert_true(opens(kind, name, 3));
        free(bytes);
    }
}

static void test_not_writable(void **state) {
    (void) state;
    path_in(&folder, "none/kept.index", kept);
    char description[TEST_PATH_SIZE + 64];
    moco_image_dataset_config config;
    moco_dataset *dataset = NULL;
    assert_succeeds(moco_image_dataset_config_init(&config, sizeof config));
    config.index_file = kept;
    snprintf(description, sizeof description, "folder:%s/set", folder.path);
    assert_succeeds(moco_dataset_open_with(&dataset, context, description, &config));
    assert_int_equal(moco_dataset_count(dataset), 3);
    assert_non_null(strstr(logged.text, "1: the index is not kept for the next time: "));
    moco_dataset_destroy(dataset);
    /* A folder in its place. */
    path_in(&folder, "set", kept);
    forget_log(&logged);
    assert_succeeds(moco_dataset_open_with(&dataset, context, description, &config));
    assert_non_null(strstr(logged.text, "1: the index is not kept for the next time: "));
    moco_dataset_destroy(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_is_really_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_show, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_decoders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_writable, setup, teardown),
    };
    if (png_is_missing()) return 77;
    return cmocka_run_group_tests_name("kept index", tests, NULL, NULL);
}
