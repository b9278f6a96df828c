/* Lists of image files: paths, labels by number and by name, and lines that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/dataset_internal.h"
#include "support/image_files.h"

static temporary_folder folder;
static kept_log logged;
static moco_context *context;
static int descriptors;

static int setup(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    context = context_with_log(&logged, 1);
    write_png_at(&folder, "lists/a.png", 2, 3, 0xFF0000);
    write_png_at(&folder, "b.png", 4, 5, 0x00FF00);
    descriptors = open_descriptors();
    return 0;
}

static int teardown(void **state) {
    (void) state;
    assert_int_equal(open_descriptors(), descriptors);
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

/* Opens lists/list.txt with this content of `size` bytes. */
static moco_status open_bytes(moco_dataset **dataset, const char *text, size_t size) {
    char description[TEST_PATH_SIZE + 64];
    write_bytes_at(&folder, "lists/list.txt", text, size);
    snprintf(description, sizeof description, "filelist:%s/lists/list.txt", folder.path);
    return moco_dataset_open(dataset, context, description);
}

static moco_status open_list(moco_dataset **dataset, const char *text) {
    return open_bytes(dataset, text, strlen(text));
}

/* The label, whether or not the file is there. */
static int32_t label_of(const moco_dataset *dataset, int64_t index) {
    int64_t h = 0, w = 0;
    int32_t label = -2;
    (void) dataset->ops->info(dataset, index, &h, &w, &label);
    return label;
}

static void test_paths(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    char text[2 * TEST_PATH_SIZE];
    int64_t h = 0, w = 0;
    snprintf(text, sizeof text, "a.png\n../b.png\n%s/b.png\ngone.png\n", folder.path);
    assert_succeeds(open_list(&dataset, text));
    assert_int_equal(moco_dataset_count(dataset), 4);
    assert_int_equal(moco_dataset_channels(dataset), 3);
    assert_int_equal(moco_dataset_classes(dataset), 0);
    char name[8300];
    assert_succeeds(moco_dataset_name(dataset, 1, name, sizeof name)); /* relative to the list's folder */
    assert_string_equal(name + strlen(folder.path), "/lists/../b.png");
    assert_succeeds(moco_dataset_name(dataset, 2, name, sizeof name));
    assert_string_equal(name + strlen(folder.path), "/b.png");
    assert_memory_equal(name, folder.path, strlen(folder.path));
    assert_succeeds(moco_dataset_info(dataset, 0, &h, &w, NULL));
    assert_true(h == 3 && w == 2);
    assert_succeeds(moco_dataset_info(dataset, 1, &h, &w, NULL));
    assert_true(h == 5 && w == 4);
    float pixels[60];
    assert_succeeds(moco_dataset_read(dataset, 2, pixels, 60));
    assert_true(pixels[0] == 0.0f && pixels[20] == 1.0f && pixels[59] == 0.0f);
    assert_refuses(moco_dataset_info(dataset, 3, NULL, NULL, NULL), MOCO_NOT_FOUND, "lists/gone.png");
    moco_dataset_destroy(dataset);
}

static void test_relative_list(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    write_bytes_at(&folder, "here.txt", "b.png\n", 6);
    assert_int_equal(chdir(folder.path), 0);
    const moco_status status = moco_dataset_open(&dataset, context, "filelist:here.txt");
    assert_int_equal(chdir(before), 0); /* the list's folder is still the one it was */
    assert_int_equal(status, MOCO_OK);
    assert_succeeds(moco_dataset_info(dataset, 0, NULL, NULL, NULL));
    char name[16];
    assert_succeeds(moco_dataset_name(dataset, 0, name, sizeof name));
    assert_string_equal(name, "b.png");
    moco_dataset_destroy(dataset);
}

static void test_numbers(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    /* byte order mark, CR LF, empty lines, a label left out, none, spaces in a path, no newline at the end */
    assert_succeeds(open_list(&dataset, "\xEF\xBB\xBF"
                                        "a.png\t3\r\n\r\n\nb.png\r\nc d.png\t0\ne.png\t\nf.png\t-1\ng.png\t7"));
    assert_int_equal(moco_dataset_count(dataset), 6);
    assert_int_equal(moco_dataset_classes(dataset), 8);
    assert_null(moco_dataset_class_name(dataset, 3));
    const int32_t labels[6] = {3, -1, 0, -1, -1, 7};
    for (int64_t i = 0; i < 6; ++i) assert_int_equal(label_of(dataset, i), labels[i]);
    moco_dataset_destroy(dataset);
}

static void test_names(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    assert_succeeds(
        open_list(&dataset, "a.png\tzebra\nb.png\tant\nc.png\t12\nd.png\nz.png\tzebra\ne.png\tant hill\r\n"));
    assert_int_equal(moco_dataset_classes(dataset), 4);
    assert_string_equal(moco_dataset_class_name(dataset, 0), "12"); /* a name, as the first label is one */
    assert_string_equal(moco_dataset_class_name(dataset, 1), "ant");
    assert_string_equal(moco_dataset_class_name(dataset, 2), "ant hill");
    assert_string_equal(moco_dataset_class_name(dataset, 3), "zebra");
    const int32_t labels[6] = {3, 1, 0, -1, 3, 2};
    for (int64_t i = 0; i < 6; ++i) assert_int_equal(label_of(dataset, i), labels[i]);
    moco_dataset_destroy(dataset);
}

static void test_many_names(void **state) {
    (void) state;
    enum { NAMES = 5000 };
    moco_dataset *dataset = NULL;
    char *text = (char *) malloc(NAMES * 32);
    size_t size = 0;
    for (int i = 0; i < NAMES; ++i) size += (size_t) sprintf(text + size, "%d.png\tclass %04d\n", i, i * 7 % NAMES);
    assert_succeeds(open_list(&dataset, text));
    free(text);
    assert_int_equal(moco_dataset_classes(dataset), NAMES);
    for (int i = 0; i < NAMES; ++i) {
        char name[16];
        snprintf(name, sizeof name, "class %04d", i);
        assert_string_equal(moco_dataset_class_name(dataset, i), name);
    }
    assert_int_equal(label_of(dataset, 1234), 1234 * 7 % NAMES);
    moco_dataset_destroy(dataset);
}

static void test_wrong_lines(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    assert_refuses(open_list(&dataset, ""), MOCO_FORMAT, "list.txt names no image");
    assert_refuses(open_list(&dataset, "\n\r\n\n"), MOCO_FORMAT, "names no image");
    assert_refuses(
        open_list(&dataset, "a.png\t1\nb.png\tcat\n"), MOCO_FORMAT,
        "line 2: the label \"cat\" is no number from 0 to 2147483646 (or -1 for none), as that of line 1 is");
    assert_refuses(open_list(&dataset, "a.png\n\nc\t5\nd\t2147483647\n"), MOCO_FORMAT,
                   "line 4: the label \"2147483647\"");
    assert_refuses(open_list(&dataset, "a.png\t1\nb.png\t-2\n"), MOCO_FORMAT, "line 2: the label \"-2\"");
    assert_refuses(open_list(&dataset, "a.png\t1\nb.png\t 2\n"), MOCO_FORMAT, "line 2: the label \" 2\"");
    assert_refuses(open_list(&dataset, "a.png\t1\nb.png\t99999999999999999999\n"), MOCO_FORMAT, "line 2");
    assert_refuses(open_list(&dataset, "a.png\n\tcat\n"), MOCO_FORMAT, "line 2: the path before the tab is missing");
    assert_refuses(open_list(&dataset, "a.png\tcat\tdog\n"), MOCO_FORMAT, "line 1: there is a second tab");
    assert_refuses(open_bytes(&dataset, "a.png\nb\0.png\n", 13), MOCO_FORMAT, "line 2: there is a NUL byte");
    char *text = (char *) malloc(6000);
    memset(text, 'x', 5000);
    text[4096] = '\0';
    assert_refuses(open_list(&dataset, text), MOCO_FORMAT, "line 1: the path is too long");
    free(text);
    assert_refuses(moco_dataset_open(&dataset, context, "filelist:/nowhere/list"), MOCO_NOT_FOUND, "/nowhere/list");
    assert_refuses(moco_dataset_open(&dataset, context, "filelist:/"), MOCO_IO, "not a regular file");
    moco_image_dataset_config config;
    assert_succeeds(moco_image_dataset_config_init(&config, sizeof config));
    config.index_file = "kept";
    assert_refuses(moco_dataset_open_with(&dataset, context, "filelist:/x", &config), MOCO_INVALID_ARGUMENT,
                   "index_file is \"kept\"");
    assert_null(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relative_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_lines, setup, teardown),
    };
    if (png_is_missing()) return 77;
    return cmocka_run_group_tests_name("file lists", tests, NULL, NULL);
}
