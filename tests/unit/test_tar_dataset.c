/* Datasets of images inside a tar: the same as the folder that it was made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

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
    context = context_with_log(&logged, 2);
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

static void add_png(const char *name, int w, int h, uint32_t rgb) {
    uint8_t png[PNG_ROOM];
    tar_file(&tar, name, png, make_png(png, w, h, rgb));
}

/* Writes the tar and opens it, or the part of it. */
static moco_status open_tar(moco_dataset **dataset, const char *part) {
    char description[TEST_PATH_SIZE + 128];
    write_bytes_at(&folder, "x.tar", tar.bytes, tar.size);
    snprintf(description, sizeof description, "tar:%s/x.tar%s", folder.path, part);
    return moco_dataset_open(dataset, context, description);
}

/* "name label" of image `index`, below FILE/. */
static const char *line_of(const moco_dataset *dataset, int64_t index) {
    static char line[8400];
    char name[8300];
    int64_t h = 0, w = 0;
    int32_t label = -2;
    assert_succeeds(moco_dataset_name(dataset, index, name, sizeof name));
    assert_memory_equal(name, folder.path, strlen(folder.path));
    assert_memory_equal(name + strlen(folder.path), "/x.tar/", 7);
    (void) dataset->ops->info(dataset, index, &h, &w, &label);
    snprintf(line, sizeof line, "%s %d", name + strlen(folder.path) + 7, label);
    return line;
}

#define ASSERT_IMAGES(dataset, ...)                                                    \
    do {                                                                               \
        const char *const lines_[] = {__VA_ARGS__};                                    \
        assert_int_equal(moco_dataset_count(dataset), sizeof lines_ / sizeof *lines_); \
        for (size_t i_ = 0; i_ < sizeof lines_ / sizeof *lines_; ++i_) {               \
            assert_string_equal(line_of(dataset, (int64_t) i_), lines_[i_]);           \
        }                                                                              \
    } while (0)

static void test_classes(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    char record[256];
    tar_pax(&tar, 'g', "13 comment=x\n");
    tar_header(&tar, "./", '5', 0, NULL);
    tar_header(&tar, "./zebra/", '5', 0, NULL);
    add_png("./zebra/b.png", 4, 3, 0xFF0000);
    add_png("./ant/deep/er/a", 2, 5, 0x336699);
    tar_pax(&tar, 'x', pax_record(record, "path", "./zebra/a long name of PAX.png"));
    add_png("short", 1, 1, 0);
    tar_long_name(&tar, 'L', "ant hill//x.png");
    add_png("short", 1, 1, 0);
    tar_file(&tar, "notes/readme.txt", "no image", 8);
    tar_file(&tar, "zebra/empty.ppm", "", 0);
    tar_file(&tar, "zebra/text.pnm", "text", 4);
    add_png("zebra/.hidden.png", 1, 1, 0);
    add_png(".git/x.png", 1, 1, 0);
    add_png("zebra/._x/x.png", 1, 1, 0);
    add_png("/absolute.png", 1, 1, 0);
    tar_header(&tar, "zebra/link.png", '2', 0, NULL);
    tar_header(&tar, "zebra/device.png", '3', 0, NULL);
    tar_header(&tar, "bare", '5', 0, NULL); /* a folder without a '/' */
    tar_end(&tar);
    assert_succeeds(open_tar(&dataset, ""));
    ASSERT_IMAGES(dataset, "absolute.png -1", "ant/deep/er/a 0", "ant hill/x.png 1", "zebra/a long name of PAX.png 4",
                  "zebra/b.png 4", "zebra/empty.ppm 4", "zebra/text.pnm 4");
    assert_int_equal(moco_dataset_classes(dataset), 5);
    assert_string_equal(moco_dataset_class_name(dataset, 1), "ant hill");
    assert_string_equal(moco_dataset_class_name(dataset, 2), "bare");
    assert_string_equal(moco_dataset_class_name(dataset, 3), "notes");
    assert_non_null(strstr(logged.text, "x.tar/zebra/link.png is left out: its link leads to nothing in the tar"));
    assert_non_null(strstr(logged.text, "1 sparse files, devices and the like are skipped"));
    assert_non_null(strstr(logged.text, "1: the class folder "));
    assert_non_null(strstr(logged.text, "x.tar/bare holds no image"));
    assert_non_null(strstr(logged.text, "x.tar/notes holds no image"));
    assert_null(strstr(logged.text, "ant holds no image"));
    int64_t h = 0, w = 0;
    assert_succeeds(moco_dataset_info(dataset, 1, &h, &w, NULL));
    assert_true(h == 5 && w == 2);
    float pixels[30];
    assert_succeeds(moco_dataset_read(dataset, 1, pixels, 30));
    for (int i = 0; i < 10; ++i) {
        assert_true(pixels[i] == 0x33 / 255.0f && pixels[10 + i] == 0x66 / 255.0f && pixels[20 + i] == 0x99 / 255.0f);
    }
    assert_refuses(moco_dataset_info(dataset, 5, &h, &w, NULL), MOCO_FORMAT, "x.tar/zebra/empty.ppm is empty");
    assert_refuses(moco_dataset_info(dataset, 6, &h, &w, NULL), MOCO_FORMAT, "x.tar/zebra/text.pnm: ");
    moco_dataset_destroy(dataset);
}

static void test_part_of_a_tar(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    add_png("set/train/b/1.png", 1, 1, 0);
    add_png("set/train/a/2.png", 1, 1, 0);
    add_png("set/train2/c/4.png", 1, 1, 0);
    add_png("set/val/a/3.png", 1, 1, 0);
    tar_end(&tar);
    assert_succeeds(open_tar(&dataset, "/set/train"));
    ASSERT_IMAGES(dataset, "set/train/a/2.png 0", "set/train/b/1.png 1");
    assert_int_equal(moco_dataset_classes(dataset), 2);
    moco_dataset_destroy(dataset);
    assert_succeeds(open_tar(&dataset, "/./set//val/"));
    ASSERT_IMAGES(dataset, "set/val/a/3.png 0");
    moco_dataset_destroy(dataset);
    dataset = NULL;
    assert_refuses(open_tar(&dataset, "/none"), MOCO_NOT_FOUND,
                   "x.tar holds no image (JPEG, PNG, WebP, TIFF, BMP, PBM, PGM or PPM) in the folder none/");
    assert_refuses(open_tar(&dataset, "y"), MOCO_NOT_FOUND, "x.tary: No such file");
    assert_null(dataset);
}

/* cat a.tar b.tar */
static void test_joined_tars(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    add_png("a/1.png", 1, 1, 0);
    tar_end(&tar);
    add_png("a/2.png", 1, 1, 0);
    add_png("b/3.png", 2, 1, 0xFF);
    tar_end(&tar);
    assert_succeeds(open_tar(&dataset, ""));
    ASSERT_IMAGES(dataset, "a/1.png 0", "a/2.png 0", "b/3.png 1");
    assert_non_null(strstr(logged.text, "1: "));
    assert_non_null(strstr(logged.text, "x.tar is 2 tars one behind another; all of them are read"));
    float pixels[6];
    assert_succeeds(moco_dataset_read(dataset, 2, pixels, 6));
    assert_true(pixels[0] == 0.0f && pixels[4] == 1.0f);
    moco_dataset_destroy(dataset);
    forget_log(&logged);
    tar_append(&tar, "signature", 9);
    assert_succeeds(open_tar(&dataset, ""));
    assert_int_equal(moco_dataset_count(dataset), 3);
    assert_non_null(strstr(logged.text, "behind the tar's end, from byte "));
    moco_dataset_destroy(dataset);
}

/* tar cPf x.tar ../set */
static void test_names_that_lead_out(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    add_png("../set/a/1.png", 1, 1, 0);
    add_png("set/../../b.png", 1, 1, 0);
    tar_end(&tar);
    assert_refuses(
        open_tar(&dataset, ""), MOCO_NOT_FOUND,
        "2 of its entries have names that lead out of it, such as \"../set/a/1.png\"; make it anew from inside");
    assert_null(dataset);
    tar_free(&tar);
    add_png("../set/a/1.png", 1, 1, 0);
    add_png("a/2.png", 1, 1, 0);
    tar_end(&tar);
    assert_succeeds(open_tar(&dataset, ""));
    ASSERT_IMAGES(dataset, "a/2.png 0");
    assert_non_null(strstr(logged.text, "1 entries are left out, as their names lead out of the tar"));
    moco_dataset_destroy(dataset);
}

static void test_duplicates(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    int64_t w = 0;
    add_png("a/x.png", 1, 1, 0);
    add_png("a/y.png", 2, 1, 0);
    add_png("./a/x.png", 3, 1, 0); /* as tar -r or -u leaves it: the later one counts */
    tar_end(&tar);
    assert_succeeds(open_tar(&dataset, ""));
    ASSERT_IMAGES(dataset, "a/x.png 0", "a/y.png 0");
    assert_succeeds(moco_dataset_info(dataset, 0, NULL, &w, NULL));
    assert_int_equal(w, 3);
    moco_dataset_destroy(dataset);
}

/* The same images as files and in a tar are the same dataset, in whatever order the tar holds them. */
static void test_like_the_folder(void **state) {
    (void) state;
    enum { IMAGES = 60 };
    moco_dataset *from_tar = NULL, *from_folder = NULL;
    char description[TEST_PATH_SIZE + 128];
    for (int i = 0; i < IMAGES; ++i) {
        const int number = i * 37 % IMAGES;
        char name[64], path[96];
        snprintf(name, sizeof name, "c %c/%s%02d%s", "-+!A"[number % 4], number % 3 == 0 ? "deep/" : "", number,
                 number % 5 == 0 ? "" : ".png");
        snprintf(path, sizeof path, "files/%s", name);
        write_png_at(&folder, path, 1 + number, 1, (uint32_t) number);
        add_png(name, 1 + number, 1, (uint32_t) number);
    }
    tar_end(&tar);
    snprintf(description, sizeof description, "folder:%s/files", folder.path);
    assert_succeeds(open_tar(&from_tar, ""));
    assert_succeeds(moco_dataset_open(&from_folder, context, description));
    assert_int_equal(moco_dataset_count(from_tar), IMAGES);
    assert_int_equal(moco_dataset_count(from_folder), IMAGES);
    assert_int_equal(moco_dataset_classes(from_tar), moco_dataset_classes(from_folder));
    for (int64_t c = 0; c < moco_dataset_classes(from_tar); ++c) {
        assert_string_equal(moco_dataset_class_name(from_tar, c), moco_dataset_class_name(from_folder, c));
    }
    for (int64_t i = 0; i < IMAGES; ++i) {
        float a[3 * 100], b[3 * 100];
        int64_t w[2] = {0, 0};
        int32_t label[2] = {0, 0};
        assert_succeeds(moco_dataset_info(from_tar, i, NULL, &w[0], &label[0]));
        assert_succeeds(moco_dataset_info(from_folder, i, NULL, &w[1], &label[1]));
        assert_true(w[0] == w[1] && label[0] == label[1]);
        assert_succeeds(moco_dataset_read(from_tar, i, a, 300));
        assert_succeeds(moco_dataset_read(from_folder, i, b, 300));
        assert_memory_equal(a, b, 3 * (size_t) w[0] * sizeof *a);
    }
    moco_dataset_destroy(from_tar);
    moco_dataset_destroy(from_folder);
}

static void test_refusals(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    add_png("a/x.png", 30, 30, 0);
    add_png("a/y.png", 30, 30, 0);
    tar_end(&tar);
    const size_t whole = tar.size;
    tar.size = whole - 1024 - 600; /* in the last image */
    assert_refuses(open_tar(&dataset, ""), MOCO_FORMAT, "x.tar is cut short or damaged: the entry at byte");
    tar.size = whole - 1024;
    assert_succeeds(open_tar(&dataset, ""));
    assert_non_null(strstr(logged.text, "x.tar has no end mark"));
    moco_dataset_destroy(dataset);
    dataset = NULL;
    tar.size = 0;
    assert_refuses(open_tar(&dataset, ""), MOCO_FORMAT, "x.tar is empty");
    tar_end(&tar);
    assert_refuses(open_tar(&dataset, ""), MOCO_NOT_FOUND, "x.tar holds no image");
    tar_free(&tar);
    tar_append(&tar, "\x1F\x8B\x08\0\0\0\0\0", 8);
    assert_refuses(open_tar(&dataset, ""), MOCO_FORMAT, "compressed with gzip");
    assert_refuses(moco_dataset_open(&dataset, context, "tar:/nowhere/x.tar"), MOCO_NOT_FOUND, "/nowhere/x.tar");
    assert_refuses(moco_dataset_open(&dataset, context, "tar:/"), MOCO_IO, "not a regular file");
    char *longest = (char *) malloc(10000);
    memset(longest, 'x', 9999);
    longest[9999] = '\0';
    memcpy(longest, "tar:", 4);
    assert_refuses(moco_dataset_open(&dataset, context, longest), MOCO_INVALID_ARGUMENT, "too long");
    free(longest);
    assert_null(dataset);
}

/* The file shrinks while it is open: a status, not a signal. */
static void test_shrinking_tar(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    char path[TEST_PATH_SIZE];
    float pixels[3 * 900];
    add_png("a/x.png", 30, 30, 0);
    add_png("a/y.png", 30, 30, 0);
    tar_end(&tar);
    assert_succeeds(open_tar(&dataset, ""));
    assert_succeeds(moco_dataset_read(dataset, 1, pixels, 2700));
    assert_int_equal(truncate(path_in(&folder, "x.tar", path), (off_t) tar.size - 2048), 0);
    assert_refuses(moco_dataset_read(dataset, 1, pixels, 2700), MOCO_IO, "x.tar/a/y.png: it ends after");
    assert_succeeds(moco_dataset_read(dataset, 0, pixels, 2700));
    assert_int_equal(remove(path), 0); /* the open file stays */
    assert_succeeds(moco_dataset_read(dataset, 0, pixels, 2700));
    moco_dataset_destroy(dataset);
}

static void test_large_place(void **state) {
    (void) state;
    /* An image behind 5 GiB of a sparse file: places and sizes beyond 32 bits. */
    moco_dataset *dataset = NULL;
    char path[TEST_PATH_SIZE], description[TEST_PATH_SIZE + 8];
    float pixels[12];
    const uint64_t hole = (uint64_t) 5 << 30;
    tar_header(&tar, "a/large.bin", '0', hole, NULL);
    path_in(&folder, "x.tar", path);
    write_whole_file(path, tar.bytes, tar.size);
    const int file = open(path, O_WRONLY);
    tar_free(&tar);
    add_png("a/x.png", 2, 2, 0x010203);
    tar_end(&tar);
    assert_true(file >= 0);
    const ssize_t written = pwrite(file, tar.bytes, tar.size, (off_t) (512 + hole));
    close(file);
    if (written != (ssize_t) tar.size) skip(); /* a file system without large files */
    snprintf(description, sizeof description, "tar:%s", path);
    assert_succeeds(moco_dataset_open(&dataset, context, description));
    assert_int_equal(moco_dataset_count(dataset), 1);
    assert_succeeds(moco_dataset_read(dataset, 0, pixels, 12));
    assert_true(pixels[8] == 3 / 255.0f);
    moco_dataset_destroy(dataset);
}

typedef struct reading {
    const moco_dataset *dataset;
    atomic_int wrong;
} reading;

static void *read_all(void *argument) {
    reading *all = (reading *) argument;
    for (int64_t i = 0; i < moco_dataset_count(all->dataset); ++i) {
        float pixels[3 * 8];
        if (moco_dataset_read(all->dataset, i, pixels, 24) != MOCO_OK || pixels[0] != (float) (i % 256) / 255.0f) {
            atomic_fetch_add(&all->wrong, 1);
        }
    }
    return NULL;
}

static void test_threads(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    pthread_t threads[4];
    for (int i = 0; i < 300; ++i) {
        char name[32];
        snprintf(name, sizeof name, "%03d.png", i);
        add_png(name, 1 + i % 8, 1, (uint32_t) (i % 256) << 16);
    }
    tar_end(&tar);
    assert_succeeds(open_tar(&dataset, ""));
    reading all = {.dataset = dataset};
    for (int i = 0; i < 4; ++i) assert_int_equal(pthread_create(&threads[i], NULL, read_all, &all), 0);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    assert_int_equal(all.wrong, 0);
    moco_dataset_destroy(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_classes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_part_of_a_tar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_joined_tars, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_lead_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_like_the_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shrinking_tar, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };
    if (png_is_missing()) return 77;
    return cmocka_run_group_tests_name("tar datasets", tests, NULL, NULL);
}
