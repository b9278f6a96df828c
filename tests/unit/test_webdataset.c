/* WebDataset shards: labels from .cls and .json files beside the images, and several tars by braces and "::". The
 * labels, keys and orders are worked out by hand from WebDataset's rule: a sample is what shares the name up to the
 * first dot behind the last slash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/dataset_internal.h"
#include "data/sample_label.h"
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

static int json_is_missing(void) {
    char label[MOCO_LABEL_BYTES];
    size_t length = 0;
    return moco_sample_label(MOCO_SAMPLE_JSON, "{}", 2, label, &length) == MOCO_UNSUPPORTED;
}

static void add_png(const char *name, int w) {
    uint8_t png[PNG_ROOM];
    tar_file(&tar, name, png, make_png(png, w, 1, 0));
}

static void add_text(const char *name, const char *text) {
    tar_file(&tar, name, text, strlen(text));
}

static void write_tar(const char *name) {
    tar_end(&tar);
    write_bytes_at(&folder, name, tar.bytes, tar.size);
    tar_free(&tar);
}

/* "tar:" and the text, in which each % is the folder. */
static moco_status open_tars_with(moco_dataset **dataset, const char *text, const char *index_file) {
    char description[2048] = "tar:";
    moco_image_dataset_config config;
    size_t length = 4;
    for (; *text != '\0'; ++text) {
        if (*text == '%') {
            length += (size_t) snprintf(description + length, sizeof description - length, "%s/", folder.path);
        } else {
            description[length++] = *text;
            description[length] = '\0';
        }
    }
    assert_succeeds(moco_image_dataset_config_init(&config, sizeof config));
    config.index_file = index_file;
    return moco_dataset_open_with(dataset, context, description, &config);
}

static moco_status open_tars(moco_dataset **dataset, const char *text) {
    return open_tars_with(dataset, text, NULL);
}

/* "name=label(width)|..." with names below the folder, and class names where there are any. */
static void assert_images(const char *text, const char *index_file, const char *expected) {
    static char lines[8192], name[8300];
    moco_dataset *dataset = NULL;
    size_t length = 0;
    lines[0] = '\0';
    assert_succeeds(open_tars_with(&dataset, text, index_file));
    for (int64_t i = 0; i < moco_dataset_count(dataset); ++i) {
        int64_t w = 0;
        int32_t label = -2;
        char number[16];
        assert_succeeds(moco_dataset_info(dataset, i, NULL, &w, &label));
        assert_succeeds(moco_dataset_name(dataset, i, name, sizeof name));
        assert_memory_equal(name, folder.path, strlen(folder.path));
        snprintf(number, sizeof number, "%d", label);
        const char *class_name = moco_dataset_class_name(dataset, label);
        length += (size_t) snprintf(lines + length, sizeof lines - length, "%s%s=%s(%d)", i == 0 ? "" : "|",
                                    name + strlen(folder.path) + 1, class_name == NULL ? number : class_name, (int) w);
        float pixels[3 * 64];
        assert_succeeds(moco_dataset_read(dataset, i, pixels, 3 * 64));
    }
    assert_string_equal(lines, expected);
    moco_dataset_destroy(dataset);
}

/* --- Labels --- */

static void labels_of_samples(void **state) {
    (void) state;
    add_png("000.jpg", 1); /* by content a PNG; the name counts */
    add_text("000.cls", "7\n");
    add_text("001.cls", " 0");
    add_png("001.png", 2);
    add_png("dir.x/002.left.png", 3); /* two images of one sample; the folder's dot is none of the key's */
    add_png("dir.x/002.right.png", 4);
    add_text("dir.x/002.cls", "3");
    add_png("003.png", 5);
    add_text("003.txt", "5");      /* a caption, say */
    add_text("003.meta.cls", "6"); /* the key is 003, but it is called .meta.cls */
    write_tar("x.tar");
    assert_images("%x.tar", NULL,
                  "x.tar/000.jpg=7(1)|x.tar/001.png=0(2)|x.tar/003.png=-1(5)|x.tar/dir.x/002.left.png=3(3)|"
                  "x.tar/dir.x/002.right.png=3(4)");
    assert_non_null(strstr(logged.text, "2: "));
    assert_non_null(strstr(logged.text, "x.tar: labels are those in the samples' .cls and .json files"));
    assert_non_null(strstr(logged.text, "1 of 5 images have no .cls or .json with a label beside them"));
}

static void labels_of_samples_are_names_or_numbers(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    add_png("a.png", 1);
    add_text("a.cls", "zebra\r\n");
    add_png("b.png", 2);
    add_text("b.cls", "ant hill");
    write_tar("x.tar");
    assert_images("%x.tar", NULL, "x.tar/a.png=zebra(1)|x.tar/b.png=ant hill(2)");
    add_png("a.png", 1);
    add_text("a.cls", "1");
    add_png("b.png", 2);
    add_text("b.cls", "ant hill");
    write_tar("x.tar");
    assert_refuses(open_tars(&dataset, "%x.tar"), MOCO_FORMAT,
                   "x.tar/b.cls: the label \"ant hill\" is no number from 0 to 2147483646 (or -1 for none), as that of "
                   "a.cls is");
    add_png("a.png", 1);
    add_text("a.cls", "");
    add_png("b.png", 2);
    add_text("b.cls", "1\n2\n");
    add_png("c.png", 3);
    add_text("c.cls", "1");
    add_text("c.cls", "2"); /* the later one counts, as when the tar is extracted */
    write_tar("x.tar");
    forget_log(&logged);
    assert_images("%x.tar", NULL, "x.tar/a.png=-1(1)|x.tar/b.png=-1(2)|x.tar/c.png=2(3)");
    assert_non_null(strstr(logged.text, "x.tar/a.cls has no label that can be read: it is empty"));
    assert_non_null(strstr(logged.text, "x.tar/b.cls has no label that can be read: it has more than one line"));
    assert_null(dataset);
}

static void labels_in_json(void **state) {
    (void) state;
    add_png("0.png", 1);
    add_text("0.json", "{\"caption\": \"x\", \"label\": 5, \"cls\": 7}");
    add_png("1.png", 2);
    add_text("1.JSON", "{\"label\": null, \"cls\": 2}");
    add_png("2.png", 3);
    add_text("2.json", "{\"class\": \"3\"}");
    add_png("3.png", 4);
    add_text("3.json", "{\"width\": 3}"); /* none */
    add_png("4.png", 5);
    add_text("4.json", "{\"label\": [1]}");
    add_png("5.png", 6);
    add_text("5.json", "{\"label\": 1"); /* cut short */
    add_png("6.png", 7);
    add_text("6.json", "{\"label\": 1}");
    add_text("6.cls", "4"); /* goes before it */
    write_tar("x.tar");
    if (json_is_missing()) {
        assert_images("%x.tar", NULL,
                      "x.tar/0.png=-1(1)|x.tar/1.png=-1(2)|x.tar/2.png=-1(3)|x.tar/3.png=-1(4)|x.tar/4.png=-1(5)|"
                      "x.tar/5.png=-1(6)|x.tar/6.png=4(7)");
        assert_non_null(strstr(logged.text, "if its .json files have labels, they are not read"));
        assert_non_null(strstr(logged.text, "MOCO_WITH_JANSSON"));
        return;
    }
    assert_images("%x.tar", NULL,
                  "x.tar/0.png=5(1)|x.tar/1.png=2(2)|x.tar/2.png=3(3)|x.tar/3.png=-1(4)|x.tar/4.png=-1(5)|"
                  "x.tar/5.png=-1(6)|x.tar/6.png=4(7)");
    assert_non_null(strstr(logged.text, "x.tar/4.json has no label that can be read: its \"label\" is neither"));
    assert_non_null(strstr(logged.text, "x.tar/5.json has no label that can be read: it is no JSON"));
    assert_non_null(strstr(logged.text, "3 of 7 images have no .cls or .json with a label"));
    /* LAION's and the like: what has no label there leaves the folders what they are. */
    add_png("b/0.png", 1);
    add_text("b/0.json", "{\"caption\": \"x\"}");
    add_png("a/1.png", 2);
    write_tar("x.tar");
    assert_images("%x.tar", NULL, "x.tar/a/1.png=a(2)|x.tar/b/0.png=b(1)");
}

/* One sample with a label is enough: then folders are no classes. */
static void samples_go_before_folders(void **state) {
    (void) state;
    add_png("cat/0.png", 1);
    add_png("dog/1.png", 2);
    add_text("dog/1.cls", "8");
    add_text("dog/9.cls", "not read, as there is no such image");
    write_tar("x.tar");
    assert_images("%x.tar", NULL, "x.tar/cat/0.png=-1(1)|x.tar/dog/1.png=8(2)");
    assert_non_null(strstr(logged.text, "1: "));
    assert_non_null(strstr(logged.text, "folders are no classes where there are such files"));
    assert_null(strstr(logged.text, "holds no image"));
}

/* --- Several tars --- */

static void write_shard(const char *name, int first) {
    char text[32];
    for (int i = first + 1; i >= first; --i) { /* each in another order than it has in the end */
        snprintf(text, sizeof text, "%03d.png", i);
        add_png(text, i + 1);
        snprintf(text, sizeof text, "%03d.cls", i);
        add_text(text, i % 2 == 0 ? "0" : "1");
    }
    write_tar(name);
}

static void braces_and_colons_name_several(void **state) {
    (void) state;
    const char *all = "s-08.tar/000.png=0(1)|s-08.tar/001.png=1(2)|s-09.tar/000.png=0(1)|s-09.tar/001.png=1(2)|"
                      "s-10.tar/004.png=0(5)|s-10.tar/005.png=1(6)";
    write_shard("s-08.tar", 0);
    write_shard("s-09.tar", 0); /* the same names once more: they are other images */
    write_shard("s-10.tar", 4);
    assert_images("%s-{08..10}.tar", NULL, all);
    assert_images("%s-{08,09,10}.tar", NULL, all);
    assert_images("%s-08.tar::%s-09.tar::%s-10.tar", NULL, all);
    assert_images("%s-0{8..9}.tar::%s-{10..10}.tar", NULL, all);
    moco_dataset *dataset = NULL;
    assert_succeeds(open_tars(&dataset, "%s-{08..10}.tar"));
    assert_int_equal(moco_dataset_classes(dataset), 2);
    char path[TEST_PATH_SIZE], name[8300];
    assert_succeeds(moco_dataset_name(dataset, 3, name, sizeof name));
    assert_int_equal(remove(path_in(&folder, "s-09.tar", path)), 0);
    float pixels[6];
    assert_refuses(moco_dataset_read(dataset, 3, pixels, 6), MOCO_NOT_FOUND, "s-09.tar/001.png");
    assert_succeeds(moco_dataset_read(dataset, 1, pixels, 6));
    moco_dataset_destroy(dataset);
    dataset = NULL;
    assert_refuses(open_tars(&dataset, "%s-{08..10}.tar"), MOCO_NOT_FOUND, "s-09.tar: No such file");
    assert_refuses(open_tars(&dataset, "%s-{10..08}.tar"), MOCO_INVALID_ARGUMENT,
                   "has the range {10..08}; it must go from less to more");
    assert_refuses(open_tars(&dataset, "%s-{0..65536}.tar"), MOCO_INVALID_ARGUMENT, "names more than 65536 tars");
    assert_refuses(open_tars(&dataset, "%s-{0..9999}{0..9999}.tar"), MOCO_INVALID_ARGUMENT, "more than 65536 tars");
    assert_refuses(open_tars(&dataset, "%{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"), MOCO_INVALID_ARGUMENT,
                   "more than 8 braces");
    assert_refuses(open_tars(&dataset, "%s-08.tar::"), MOCO_INVALID_ARGUMENT, "a tar's path is empty");
    assert_refuses(open_tars(&dataset, "%s-{}.tar"), MOCO_NOT_FOUND, "s-{}.tar: No such file"); /* as it is */
    assert_refuses(open_tars(&dataset, "%s-{1...3}{.tar"), MOCO_NOT_FOUND, "s-{1...3}{.tar: No such file");
    assert_null(dataset);
    write_shard("a{0..1}::b.tar", 0); /* what is there is taken as it is called */
    assert_images("%a{0..1}::b.tar", NULL, "a{0..1}::b.tar/000.png=0(1)|a{0..1}::b.tar/001.png=1(2)");
}

/* Folders inside, classes by them, and the sets' own train splits, of all tars alike. */
static void folders_of_several(void **state) {
    (void) state;
    add_png("set/b/1.png", 1);
    write_tar("0.tar");
    add_png("set/a/2.png", 2);
    add_png("other/3.png", 3);
    tar_header(&tar, "set/empty/", '5', 0, NULL);
    write_tar("1.tar");
    assert_images("%{0..1}.tar/set", NULL, "0.tar/set/b/1.png=b(1)|1.tar/set/a/2.png=a(2)");
    assert_non_null(strstr(logged.text, "set/empty holds no image"));
    assert_null(strstr(logged.text, "set/a holds no image"));
    assert_images("%0.tar/set::%1.tar/other", NULL, "0.tar/set/b/1.png=b(1)|1.tar/other/3.png=-1(3)");
    assert_images("%1.tar/{set,other}", NULL, "1.tar/set/a/2.png=a(2)|1.tar/other/3.png=-1(3)");
    add_png("train/b/1.png", 1);
    write_tar("0.tar");
    add_png("train/a/2.png", 2);
    add_png("val/a/3.png", 3);
    write_tar("1.tar");
    forget_log(&logged);
    assert_images("%{0..1}.tar", NULL, "0.tar/train/b/1.png=b(1)|1.tar/train/a/2.png=a(2)");
    assert_non_null(
        strstr(logged.text, "is the root of a data set with a train and a test split: its folder train is"));
}

static void relative_paths_stay_where_they_were(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    char before[4096];
    float pixels[3];
    write_shard("s-0.tar", 0);
    write_shard("s-1.tar", 0);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder.path), 0);
    const moco_status status = moco_dataset_open(&dataset, context, "tar:s-{0..1}.tar");
    assert_int_equal(chdir(before), 0);
    assert_int_equal(status, MOCO_OK);
    assert_succeeds(moco_dataset_read(dataset, 2, pixels, 3));
    moco_dataset_destroy(dataset);
}

/* --- The kept index --- */

static void age(const char *name, int64_t seconds) {
    char path[TEST_PATH_SIZE];
    const struct timespec times[2] = {{.tv_sec = (time_t) seconds}, {.tv_sec = (time_t) seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path_in(&folder, name, path), times, 0), 0);
}

static void the_index_of_several_is_kept(void **state) {
    (void) state;
    char kept[TEST_PATH_SIZE];
    const char *two = "s-0.tar/000.png=0(1)|s-0.tar/001.png=1(2)|s-1.tar/002.png=0(3)|s-1.tar/003.png=1(4)";
    write_shard("s-0.tar", 0);
    write_shard("s-1.tar", 2);
    age("s-0.tar", 1000000000);
    age("s-1.tar", 1000000000);
    path_in(&folder, "kept.index", kept);
    assert_images("%s-{0..1}.tar", kept, two);
    assert_non_null(strstr(logged.text, "the index of 4 images is kept"));
    forget_log(&logged);
    assert_images("%s-{0..1}.tar", kept, two); /* and used */
    assert_null(strstr(logged.text, "is kept"));
    assert_images("%s-{0,1}.tar", kept, two); /* whatever the spelling */
    assert_null(strstr(logged.text, "is kept"));
    assert_images("%s-1.tar::%s-0.tar", kept,
                  "s-1.tar/002.png=0(3)|s-1.tar/003.png=1(4)|s-0.tar/000.png=0(1)|s-0.tar/001.png=1(2)");
    assert_non_null(strstr(logged.text, "is not used: it is that of something else"));
    write_shard("s-1.tar", 4);
    age("s-1.tar", 1000000001);
    assert_images("%s-1.tar::%s-0.tar", kept,
                  "s-1.tar/004.png=0(5)|s-1.tar/005.png=1(6)|s-0.tar/000.png=0(1)|s-0.tar/001.png=1(2)");
    assert_non_null(strstr(logged.text, "is not used: something has changed since"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(labels_of_samples, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_of_samples_are_names_or_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_in_json, setup, teardown),
        cmocka_unit_test_setup_teardown(samples_go_before_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(braces_and_colons_name_several, setup, teardown),
        cmocka_unit_test_setup_teardown(folders_of_several, setup, teardown),
        cmocka_unit_test_setup_teardown(relative_paths_stay_where_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(the_index_of_several_is_kept, setup, teardown),
    };
    if (png_is_missing()) return 77;
    return cmocka_run_group_tests_name("WebDataset shards", tests, NULL, NULL);
}
