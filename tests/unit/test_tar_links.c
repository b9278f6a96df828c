/* Links in a tar give the images that the same links give in a folder: each tree is made twice, on the disk and as a
 * tar, and the two datasets must be alike. What leads out of the tar or in a circle is left out with a warning.
 */
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
static int descriptors;
static tar_bytes tar;

static int setup(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    context = context_with_log(&logged, 1);
    descriptors = open_descriptors();
    return 0;
}

static int teardown(void **state) {
    (void) state;
    assert_int_equal(open_descriptors(), descriptors);
    tar_free(&tar);
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

/* --- Both ways of making things --- */

static void on_disk(const char *name, char path[TEST_PATH_SIZE]) {
    char inner[TEST_PATH_SIZE];
    snprintf(inner, sizeof inner, "set/%s", name);
    path_in(&folder, inner, path);
    make_folders_of(path);
}

static void put_png(const char *name, int w) {
    uint8_t png[PNG_ROOM];
    char path[TEST_PATH_SIZE];
    const size_t size = make_png(png, w, 1, 0);
    on_disk(name, path);
    write_whole_file(path, png, size);
    tar_file(&tar, name, png, size);
}

static void put_link(const char *name, const char *target) {
    char path[TEST_PATH_SIZE];
    on_disk(name, path);
    if (symlink(target, path) != 0) abort();
    tar_link(&tar, name, '2', target);
}

static void put_hard_link(const char *name, const char *target) {
    char path[TEST_PATH_SIZE], there[TEST_PATH_SIZE];
    on_disk(target, there);
    on_disk(name, path);
    if (link(there, path) != 0) abort();
    tar_link(&tar, name, '1', target);
}

static moco_dataset *open_tar(const char *part) {
    char description[TEST_PATH_SIZE + 64];
    moco_dataset *dataset = NULL;
    write_bytes_at(&folder, "x.tar", tar.bytes, tar.size);
    snprintf(description, sizeof description, "tar:%s/x.tar%s", folder.path, part);
    assert_succeeds(moco_dataset_open(&dataset, context, description));
    return dataset;
}

static moco_dataset *open_folder(const char *part) {
    char description[TEST_PATH_SIZE + 64];
    moco_dataset *dataset = NULL;
    snprintf(description, sizeof description, "folder:%s/set%s", folder.path, part);
    assert_succeeds(moco_dataset_open(&dataset, context, description));
    return dataset;
}

/* The name below the set or tar. */
static const char *inner_name(const moco_dataset *dataset, int64_t index, char name[8300]) {
    assert_succeeds(moco_dataset_name(dataset, index, name, 8300));
    const char *inner = name + strlen(folder.path) + 1;
    return strchr(inner, '/') + 1;
}

/* `count` images that are the same in both. */
static void assert_alike(const char *part, int64_t count) {
    tar_end(&tar);
    moco_dataset *from_tar = open_tar(part), *from_folder = open_folder(part);
    static char name[8300], other[8300];
    for (int64_t i = 0; i < moco_dataset_count(from_folder) && i < moco_dataset_count(from_tar); ++i) {
        int64_t w[2] = {0, 0};
        int32_t label[2] = {-2, -2};
        assert_string_equal(inner_name(from_tar, i, name), inner_name(from_folder, i, other));
        assert_succeeds(moco_dataset_info(from_tar, i, NULL, &w[0], &label[0]));
        assert_succeeds(moco_dataset_info(from_folder, i, NULL, &w[1], &label[1]));
        assert_int_equal(w[0], w[1]);
        assert_int_equal(label[0], label[1]);
    }
    assert_int_equal(moco_dataset_count(from_folder), count);
    assert_int_equal(moco_dataset_count(from_tar), count);
    assert_int_equal(moco_dataset_classes(from_tar), moco_dataset_classes(from_folder));
    for (int64_t c = 0; c < moco_dataset_classes(from_tar); ++c) {
        assert_string_equal(moco_dataset_class_name(from_tar, c), moco_dataset_class_name(from_folder, c));
    }
    moco_dataset_destroy(from_tar);
    moco_dataset_destroy(from_folder);
}

/* --- Like the folder --- */

static void links_to_files(void **state) {
    (void) state;
    put_png("cat/1.png", 1);
    put_png("dog/2.png", 2);
    put_png("dog/raw", 3); /* an image by its content */
    put_hard_link("cat/hard.png", "dog/2.png");
    put_hard_link("cat/hard of hard.png", "cat/hard.png");
    put_link("cat/soft.png", "../dog/2.png");
    put_link("cat/soft of soft.png", "./soft.png");
    put_link("dog/deep/er/up.png", "../../../cat/1.png");
    put_link("dog/named", "raw");
    put_link("dog/text.png", "raw");
    put_link("top.png", "cat/1.png");
    put_link("cat/.hidden.png", "1.png");
    assert_alike("", 11);
}

static void links_to_folders(void **state) {
    (void) state;
    put_png("photos/a/1.png", 1);
    put_png("photos/a/deep/2.png", 2);
    put_png("photos/b/3.png", 3);
    put_link("set/cat", "../photos/a");
    put_link("set/dog", "cat");                 /* a link to a link */
    put_link("set/bird/all", "../../photos");   /* with two folders in it */
    put_link("set/bird/again", "../cat/deep");  /* through a link; read already, or not yet, by its order */
    put_link("set/fish/5.png", "../cat/1.png"); /* a file through a link to a folder */
    put_link("set/round/up", "..");             /* to the root, which is being read */
    put_link("set/round/here", ".");
    put_png("set/round/6.png", 6);
    assert_alike("/set", 9);
}

static void a_part_may_be_a_link(void **state) {
    (void) state;
    put_png("data/train/a/1.png", 1);
    put_png("data/train/b/2.png", 2);
    put_link("set", "data/train");
    put_link("data/train/b/back.png", "../../../set/a/1.png");
    assert_alike("/set", 3);
}

/* tar writes a file that it is given twice as a hard link to itself. */
static void a_file_that_is_there_twice(void **state) {
    (void) state;
    put_png("a/1.png", 1);
    tar_link(&tar, "./a/1.png", '1', "a/1.png");
    tar_link(&tar, "a/1.png", '1', "./a/1.png");
    assert_alike("", 1);
}

static void long_targets(void **state) {
    (void) state;
    char name[240], target[256], text[300], record[320];
    memset(name, 'n', 200);
    snprintf(name + 200, sizeof name - 200, ".png");
    snprintf(text, sizeof text, "cat/%s", name);
    uint8_t png[PNG_ROOM];
    tar_long_name(&tar, 'L', text);
    tar_file(&tar, "cat/n", png, make_png(png, 4, 1, 0));
    snprintf(target, sizeof target, "../cat/%s", name);
    tar_long_name(&tar, 'K', target);
    tar_link(&tar, "dog/gnu.png", '2', "../cat/n");
    tar_pax(&tar, 'x', pax_record(record, "linkpath", target));
    tar_link(&tar, "dog/pax.png", '2', "../cat/n");
    tar_end(&tar);
    moco_dataset *dataset = open_tar("");
    assert_int_equal(moco_dataset_count(dataset), 3);
    for (int64_t i = 0; i < 3; ++i) {
        int64_t w = 0;
        assert_succeeds(moco_dataset_info(dataset, i, NULL, &w, NULL));
        assert_int_equal(w, 4);
    }
    moco_dataset_destroy(dataset);
}

/* --- Left out --- */

static void what_leads_elsewhere_is_left_out(void **state) {
    (void) state;
    uint8_t png[PNG_ROOM];
    tar_file(&tar, "a/1.png", png, make_png(png, 1, 1, 0));
    tar_link(&tar, "a/absolute.png", '2', "/etc/passwd");
    tar_link(&tar, "a/up.png", '2', "../../1.png");
    tar_link(&tar, "a/none.png", '2', "none/1.png");
    tar_link(&tar, "a/through a file.png", '2', "1.png/x");
    tar_link(&tar, "a/empty.png", '2', "");
    tar_link(&tar, "a/hard.png", '1', "a/none.png.x");
    tar_link(&tar, "a/hard out.png", '1', "../a/1.png");
    tar_link(&tar, "a/self.png", '2', "self.png");
    tar_link(&tar, "a/ping.png", '2', "pong.png");
    tar_link(&tar, "a/pong.png", '2', "ping.png");
    tar_link(&tar, "a/hard self.png", '1', "a/hard ping.png");
    tar_link(&tar, "a/hard ping.png", '1', "a/hard self.png");
    tar_end(&tar);
    static const char *const told[] = {
        "x.tar/a/absolute.png is left out: its link leads out of the tar",
        "x.tar/a/up.png is left out: its link leads out of the tar",
        "x.tar/a/none.png is left out: its link leads to nothing in the tar",
        "x.tar/a/through a file.png is left out: its link leads to nothing in the tar",
        "x.tar/a/empty.png is left out: its link leads to nothing in the tar",
        "x.tar/a/hard.png is left out: its link leads to nothing in the tar",
        "x.tar/a/hard out.png is left out: its link leads out of the tar",
        "x.tar/a/self.png is left out: its link leads in a circle",
        "x.tar/a/ping.png is left out: its link leads in a circle",
        "x.tar/a/hard self.png is left out: its link leads in a circle",
    };
    moco_dataset *dataset = open_tar("");
    assert_int_equal(moco_dataset_count(dataset), 1);
    for (size_t i = 0; i < sizeof told / sizeof *told; ++i) {
        if (strstr(logged.text, told[i]) == NULL) fail_msg("\"%s\" is not in the log:\n%s", told[i], logged.text);
    }
    moco_dataset_destroy(dataset);
    for (int i = 0; i < 30; ++i) {
        char name[32];
        snprintf(name, sizeof name, "b/%02d.png", i);
        if (i == 0) tar.size -= 1024;
        tar_link(&tar, name, '2', "nothing");
    }
    tar_end(&tar);
    forget_log(&logged);
    dataset = open_tar("");
    assert_non_null(strstr(logged.text, "22 more links are left out"));
    moco_dataset_destroy(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(links_to_files, setup, teardown),
        cmocka_unit_test_setup_teardown(links_to_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(a_part_may_be_a_link, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_there_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(long_targets, setup, teardown),
        cmocka_unit_test_setup_teardown(what_leads_elsewhere_is_left_out, setup, teardown),
    };
    if (png_is_missing()) return 77;
    return cmocka_run_group_tests_name("links in tars", tests, NULL, NULL);
}
