/* What lies beside images that can be read, in a folder or a tar, is counted by kind and told in one line: a warning where
 * some of it looks like images. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "data/left_out.h"
#include "support/image_files.h"
#include "support/tar_bytes.h"

static const char ppm[] = "P6\n2 1\n255\nabcdef";
static temporary_folder folder;
static kept_log logged;
static moco_context *context;

static int setup(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    context = context_with_log(&logged, 2);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

static int lines_with(const char *word) {
    int lines = 0;
    for (const char *at = logged.text; (at = strstr(at, word)) != NULL; ++at) ++lines;
    return lines;
}

/* The line about what is left out of `place` is this one, and there is no other. */
static void assert_told(int level, const char *place, const char *what) {
    char line[1024];
    snprintf(line, sizeof line, "%d: %s%s: left out %s\n", level, folder.path, place, what);
    if (strstr(logged.text, line) == NULL) fail_msg("the log \"%s\" lacks \"%s\"", logged.text, line);
    assert_int_equal(lines_with("left out"), 1);
}

static moco_dataset *open_place(const char *kind, const char *place) {
    char description[TEST_PATH_SIZE + 64];
    moco_dataset *dataset = NULL;
    snprintf(description, sizeof description, "%s:%s%s", kind, folder.path, place);
    forget_log(&logged);
    assert_succeeds(moco_dataset_open(&dataset, context, description));
    return dataset;
}

typedef struct named_bytes {
    const char *name, *bytes;
    size_t size;
} named_bytes;

#define TEXT(name) \
    { name, "no image", 8 }
#define RAW(name) \
    { name, "II*\0\x08\0\0\0\0\0\0\0", 12 }
static const named_bytes files[] = {
    {"c/a.ppm", ppm, sizeof ppm - 1},
    {"c/content-decides.gif", ppm, sizeof ppm - 1},
    {"c/content-decides", ppm, sizeof ppm - 1},
    TEXT("c/1.gif"),
    TEXT("c/2.GIF"),
    TEXT("c/d/3.gif"),
    TEXT("c/readme.txt"),
    TEXT("LICENSE"),
    TEXT("c/photo.Heic"),
    RAW("c/camera.dng"), /* TIFF outside, with a thumbnail */
    RAW("c/camera.NEF"),
    TEXT("c/.hidden.gif"),
    TEXT("c/odd.e\x01g"),
    TEXT("c/dot."),
    TEXT("c/too.long-an-ending-to-be-one"),
};
enum { FILES = (int) (sizeof files / sizeof files[0]) };
#define LEFT_OUT "3 .gif, 1 .dng, 1 .heic, 1 .nef, 4 (no ending) and 1 .txt files, which are not read here"

static void test_folder(void **state) {
    (void) state;
    for (int i = 0; i < FILES; ++i) write_bytes_at(&folder, files[i].name, files[i].bytes, files[i].size);
    moco_dataset *dataset = open_place("folder", "");
    assert_int_equal(moco_dataset_count(dataset), 3);
    assert_told(MOCO_LOG_WARNING, "", LEFT_OUT);
    float pixels[6];
    for (int i = 0; i < 3; ++i) {
        assert_succeeds(moco_dataset_read(dataset, i, pixels, 6));
        assert_true(pixels[0] == 'a' / 255.0f && pixels[5] == 'f' / 255.0f);
    }
    moco_dataset_destroy(dataset);
}

static void test_tar(void **state) {
    (void) state;
    tar_bytes tar = {0};
    for (int i = 0; i < FILES; ++i) tar_file(&tar, files[i].name, files[i].bytes, files[i].size);
    tar_end(&tar);
    write_bytes_at(&folder, "x.tar", tar.bytes, tar.size);
    moco_dataset *dataset = open_place("tar", "/x.tar");
    assert_int_equal(moco_dataset_count(dataset), 3);
    assert_told(MOCO_LOG_WARNING, "/x.tar", LEFT_OUT);
    moco_dataset_destroy(dataset);
    tar_free(&tar);
}

static void test_no_images(void **state) {
    (void) state;
    write_bytes_at(&folder, "c/a.ppm", ppm, sizeof ppm - 1);
    moco_dataset *dataset = open_place("folder", "");
    assert_int_equal(lines_with("left out"), 0);
    moco_dataset_destroy(dataset);
    write_bytes_at(&folder, "c/a.txt", "text", 4);
    write_bytes_at(&folder, "c/b.txt", "text", 4);
    write_bytes_at(&folder, "c/a.csv", "text", 4);
    dataset = open_place("folder", "");
    assert_told(MOCO_LOG_INFO, "", "2 .txt and 1 .csv files, which are not read here");
    moco_dataset_destroy(dataset);
}

/* Also where nothing else is in the folder. */
static void test_only_others(void **state) {
    (void) state;
    char description[TEST_PATH_SIZE + 64];
    moco_dataset *dataset = NULL;
    snprintf(description, sizeof description, "folder:%s", folder.path);
    write_bytes_at(&folder, "a.gif", "GIF89a", 6);
    assert_refuses(moco_dataset_open(&dataset, context, description), MOCO_NOT_FOUND, "holds no image");
    assert_told(MOCO_LOG_WARNING, "", "1 .gif file, which is not read here");
}

static void test_many_kinds(void **state) {
    (void) state;
    write_bytes_at(&folder, "a.ppm", ppm, sizeof ppm - 1);
    for (int i = 0; i < MOCO_LEFT_OUT_KINDS + 4; ++i) {
        char name[32];
        snprintf(name, sizeof name, "a%02d.x%02d", i, i);
        write_bytes_at(&folder, name, "text", 4);
    }
    moco_dataset *dataset = open_place("folder", "");
    assert_non_null(strstr(logged.text, "left out 1 .x00, 1 .x01, "));
    assert_non_null(strstr(logged.text, ", 1 .x15 and 4 other files, which are not read here\n"));
    moco_dataset_destroy(dataset);
}

/* By their names, and by their content, of formats that this build lacks. */
static void test_missing_decoders(void **state) {
    (void) state;
    write_bytes_at(&folder, "a.ppm", ppm, sizeof ppm - 1);
    write_bytes_at(&folder, "b.png", "\x89PNG\r\n\x1a\n", 8);
    write_bytes_at(&folder, "c", "\x89PNG\r\n\x1a\n", 8);
    write_bytes_at(&folder, "ppm.png", ppm, sizeof ppm - 1);
    moco_dataset *dataset = open_place("folder", "");
    if (moco_image_has_decoder(MOCO_FORMAT_PNG)) {
        assert_int_equal(moco_dataset_count(dataset), 4);
        assert_int_equal(lines_with("left out"), 0);
    } else {
        assert_int_equal(moco_dataset_count(dataset), 2);
        assert_told(MOCO_LOG_WARNING, "",
                    "1 .png and 1 (no ending) files, which are not read here (this libmoco was built without a "
                    "decoder for .png)");
    }
    moco_dataset_destroy(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_images, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_decoders, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
