/* Folders of images: which files are in, in which order, under which labels; and what happens when they change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "data/dataset_internal.h"
#include "support/image_files.h"

static temporary_folder folder;
static kept_log logged;
static moco_context *context;
static int descriptors; /* open before the test */

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
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

static moco_status open_folder(moco_dataset **dataset, const char *inner) {
    char description[TEST_PATH_SIZE + 128];
    snprintf(description, sizeof description, "folder:%s%s", folder.path, inner);
    return moco_dataset_open(dataset, context, description);
}

static void assert_logged(const char *word) {
    if (strstr(logged.text, word) == NULL) fail_msg("the log \"%s\" lacks \"%s\"", logged.text, word);
}

/* The dataset's names relative to the folder and its labels are exactly these "name label" lines. */
static void assert_images(const moco_dataset *dataset, const char *const *lines, int64_t count) {
    assert_int_equal(moco_dataset_count(dataset), count);
    for (int64_t i = 0; i < count; ++i) {
        char name[8300], line[8400];
        int32_t label = -2;
        assert_succeeds(moco_dataset_name(dataset, i, name, sizeof name));
        assert_memory_equal(name, folder.path, strlen(folder.path));
        /* info would read the header; the label is there without it */
        int64_t h = 0, w = 0;
        if (dataset->ops->info(dataset, i, &h, &w, &label) != MOCO_OK) assert_true(strlen(moco_last_error()) > 0);
        snprintf(line, sizeof line, "%s %d", name + strlen(folder.path) + 1, label);
        assert_string_equal(line, lines[i]);
    }
}

#define ASSERT_IMAGES(dataset, ...)                                                 \
    do {                                                                            \
        const char *const lines_[] = {__VA_ARGS__};                                 \
        assert_images(dataset, lines_, (int64_t) (sizeof lines_ / sizeof *lines_)); \
    } while (0)

/* --- Which images --- */

static void test_classes(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    int64_t h = 0, w = 0;
    int32_t label = 0;
    write_png_at(&folder, "dog/b.png", 4, 3, 0xFF0000);
    write_png_at(&folder, "dog/a.png", 5, 2, 0x00FF00);
    write_png_at(&folder, "dog/a/deep/er/x.png", 6, 2, 0x0000FF);
    write_png_at(&folder, "cat/z.png", 2, 7, 0x336699);
    write_png_at(&folder, "cat two/y.png", 1, 1, 0);
    write_png_at(&folder, "Bird/q.png", 1, 1, 0);
    assert_succeeds(open_folder(&dataset, ""));
    /* "cat" before "cat two", though ' ' is less than '/'; upper case first, as bytes are; a/ before a.png */
    ASSERT_IMAGES(dataset, "Bird/q.png 0", "cat/z.png 1", "cat two/y.png 2", "dog/a/deep/er/x.png 3", "dog/a.png 3",
                  "dog/b.png 3");
    assert_int_equal(moco_dataset_channels(dataset), 3);
    assert_int_equal(moco_dataset_classes(dataset), 4);
    assert_string_equal(moco_dataset_class_name(dataset, 0), "Bird");
    assert_string_equal(moco_dataset_class_name(dataset, 1), "cat");
    assert_string_equal(moco_dataset_class_name(dataset, 2), "cat two");
    assert_string_equal(moco_dataset_class_name(dataset, 3), "dog");
    assert_succeeds(moco_dataset_info(dataset, 5, &h, &w, &label));
    assert_int_equal(h, 3);
    assert_int_equal(w, 4);
    assert_int_equal(label, 3);
    float pixels[3 * 2 * 7];
    assert_succeeds(moco_dataset_read(dataset, 1, pixels, 3 * 2 * 7));
    for (int i = 0; i < 14; ++i) {
        assert_true(pixels[i] == 0x33 / 255.0f && pixels[14 + i] == 0x66 / 255.0f && pixels[28 + i] == 0x99 / 255.0f);
    }
    assert_refuses(moco_dataset_read(dataset, 1, pixels, 41), MOCO_INVALID_ARGUMENT, "capacity is 41");
    moco_dataset_destroy(dataset);
}

static void test_flat_and_mixed(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    write_png_at(&folder, "b.png", 1, 1, 0);
    write_png_at(&folder, "a.png", 1, 1, 0);
    write_bytes_at(&folder, "notes/readme.txt", "hello", 5);
    assert_succeeds(open_folder(&dataset, "/")); /* a folder without an image is no class where there are none */
    ASSERT_IMAGES(dataset, "a.png -1", "b.png -1");
    assert_int_equal(moco_dataset_classes(dataset), 0);
    assert_null(moco_dataset_class_name(dataset, 0));
    moco_dataset_destroy(dataset);

    write_png_at(&folder, "aa/x.png", 1, 1, 0);
    forget_log(&logged);
    assert_succeeds(open_folder(&dataset, ""));
    ASSERT_IMAGES(dataset, "a.png -1", "aa/x.png 0", "b.png -1");
    assert_int_equal(moco_dataset_classes(dataset), 2);
    assert_string_equal(moco_dataset_class_name(dataset, 1), "notes");
    assert_logged("notes holds no image");
    moco_dataset_destroy(dataset);
}

static void test_content_decides(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    uint8_t jpeg[20] = {0xFF, 0xD8, 0xFF, 0xE0}, webp[20] = "RIFF\4\0\0\0WEBPVP8 ";
    if (!moco_image_has_decoder(MOCO_FORMAT_JPEG)) memcpy(jpeg, "P5 1 1 255", 10);
    if (!moco_image_has_decoder(MOCO_FORMAT_WEBP)) memcpy(webp, "P6 1 1 255", 10);
    write_png_at(&folder, "c/photo", 2, 2, 0);
    write_png_at(&folder, "c/.hidden.png", 2, 2, 0);
    write_png_at(&folder, "c/.hidden/x.png", 2, 2, 0);
    write_png_at(&folder, ".git/x.png", 2, 2, 0);
    write_bytes_at(&folder, "c/jpeg.bin", jpeg, sizeof jpeg);
    write_bytes_at(&folder, "c/webp.dat", webp, sizeof webp);
    write_bytes_at(&folder, "c/text.txt", "no image at all", 15);
    write_bytes_at(&folder, "c/short", jpeg, 2);
    write_bytes_at(&folder, "c/empty", "", 0);
    write_bytes_at(&folder, "c/empty.PPM", "", 0);
    write_bytes_at(&folder, "c/text.pgm", "no image at all", 15);
    write_bytes_at(&folder, "c/text.BmP", "no image at all", 15);
    write_bytes_at(&folder, "c/.png", "no image at all", 15);
    write_bytes_at(&folder, "c/png", "no image at all", 15);
    char pipe[TEST_PATH_SIZE];
    assert_int_equal(mkfifo(path_in(&folder, "c/pipe.jpg", pipe), 0600), 0);
    assert_succeeds(open_folder(&dataset, ""));
    ASSERT_IMAGES(dataset, "c/empty.PPM 0", "c/jpeg.bin 0", "c/photo 0", "c/text.BmP 0", "c/text.pgm 0",
                  "c/webp.dat 0");
    assert_refuses(moco_dataset_info(dataset, 0, NULL, NULL, NULL), MOCO_FORMAT, "c/empty.PPM is empty");
    assert_refuses(moco_dataset_info(dataset, 4, NULL, NULL, NULL), MOCO_FORMAT, "c/text.pgm: ");
    assert_succeeds(moco_dataset_info(dataset, 2, NULL, NULL, NULL));
    moco_dataset_destroy(dataset);
}

static void test_symbolic_links(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    write_png_at(&folder, "out/real.png", 3, 3, 0);
    write_png_at(&folder, "data/a/x.png", 3, 3, 0);
    write_png_at(&folder, "data/b/y.png", 3, 3, 0);
    link_at(&folder, "../out", "data/linked");          /* a class that is a link */
    link_at(&folder, "../out", "data/other");           /* and another one to the same folder */
    link_at(&folder, "../../out/real.png", "data/a/l"); /* an image by its content */
    link_at(&folder, "..", "data/a/up");                /* a loop */
    link_at(&folder, ".", "data/a/self");               /* another one */
    link_at(&folder, "../b", "data/a/m");               /* to a folder that links back */
    link_at(&folder, "../a", "data/b/n");
    link_at(&folder, "gone", "data/a/gone.ppm");     /* a link to nothing, called an image */
    link_at(&folder, "gone", "data/a/gone.txt");     /* and not */
    link_at(&folder, "loop.pgm", "data/a/loop.pgm"); /* a link to itself */
    assert_succeeds(open_folder(&dataset, "/data"));
    ASSERT_IMAGES(dataset, "data/a/gone.ppm 0", "data/a/l 0", "data/a/loop.pgm 0", "data/a/m/y.png 0", "data/a/x.png 0",
                  "data/b/n/gone.ppm 1", "data/b/n/l 1", "data/b/n/loop.pgm 1", "data/b/n/x.png 1", "data/b/y.png 1",
                  "data/linked/real.png 2", "data/other/real.png 3");
    assert_logged("a/up is skipped: it leads to a folder that has been read already");
    assert_logged("a/self is skipped");
    assert_logged("a/m/n is skipped");
    assert_logged("a/gone.txt is left out: cannot read it: No such file");
    assert_null(strstr(logged.text, "gone.ppm"));
    assert_refuses(moco_dataset_info(dataset, 0, NULL, NULL, NULL), MOCO_NOT_FOUND, "a/gone.ppm: No such file");
    assert_refuses(moco_dataset_info(dataset, 2, NULL, NULL, NULL), MOCO_NOT_FOUND, "a/loop.pgm: Too many levels");
    moco_dataset_destroy(dataset);
}

/* Many folders that link to one another: each is read once for each class, not once for each way through them. */
static void test_links_do_not_multiply(void **state) {
    (void) state;
    enum { FOLDERS = 12 };
    moco_dataset *dataset = NULL;
    for (int i = 0; i < FOLDERS; ++i) {
        char name[64], target[64];
        snprintf(name, sizeof name, "f%02d/x.png", i);
        write_png_at(&folder, name, 1, 1, 0);
        for (int j = 0; j < FOLDERS; ++j) {
            snprintf(name, sizeof name, "f%02d/to%02d", i, j);
            snprintf(target, sizeof target, "../f%02d", j);
            link_at(&folder, target, name);
        }
    }
    assert_succeeds(open_folder(&dataset, ""));
    assert_int_equal(moco_dataset_count(dataset), FOLDERS * FOLDERS);
    assert_int_equal(moco_dataset_classes(dataset), FOLDERS);
    assert_logged("more files and folders are left out"); /* the log stays short */
    moco_dataset_destroy(dataset);
}

static void test_unreadable(void **state) {
    (void) state;
    if (geteuid() == 0) skip(); /* who may read everything */
    moco_dataset *dataset = NULL;
    char path[TEST_PATH_SIZE];
    write_png_at(&folder, "a/x.png", 1, 1, 0);
    write_png_at(&folder, "a/locked.png", 1, 1, 0);
    write_png_at(&folder, "a/locked", 1, 1, 0);
    write_png_at(&folder, "closed/x.png", 1, 1, 0);
    chmod(path_in(&folder, "a/locked.png", path), 0);
    chmod(path_in(&folder, "a/locked", path), 0);
    chmod(path_in(&folder, "closed", path), 0);
    assert_succeeds(open_folder(&dataset, ""));
    ASSERT_IMAGES(dataset, "a/locked.png 0", "a/x.png 0");
    assert_logged("closed is left out: cannot read it: Permission denied");
    assert_logged("a/locked is left out: cannot read it: Permission denied");
    assert_refuses(moco_dataset_info(dataset, 0, NULL, NULL, NULL), MOCO_IO, "a/locked.png: Permission denied");
    moco_dataset_destroy(dataset);
}

/* Names in an order of the folder's own, and a name that is only bytes. */
static void test_order_is_by_name(void **state) {
    (void) state;
    char first[2][64][64];
    for (int round = 0; round < 2; ++round) {
        moco_dataset *dataset = NULL;
        char name[64];
        for (int i = 0; i < 64; ++i) {
            const int number = round == 0 ? i * 37 % 64 : 63 - i;
            snprintf(name, sizeof name, "r%d/c%d/\xFF%c%d.png", round, number % 5, "zaQ\x80"[number % 4], number);
            write_png_at(&folder, name, 1, 1, 0);
        }
        snprintf(name, sizeof name, "/r%d", round);
        assert_succeeds(open_folder(&dataset, name));
        assert_int_equal(moco_dataset_count(dataset), 64);
        for (int i = 0; i < 64; ++i) {
            char path[8300];
            assert_succeeds(moco_dataset_name(dataset, i, path, sizeof path));
            snprintf(first[round][i], sizeof first[round][i], "%s", path + strlen(folder.path) + 4);
            if (i > 0) assert_true(strcmp(first[round][i - 1], first[round][i]) < 0);
        }
        moco_dataset_destroy(dataset);
    }
    for (int i = 0; i < 64; ++i) assert_string_equal(first[0][i], first[1][i]);
}

/* --- Files that change --- */

static void test_changing_files(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    char path[TEST_PATH_SIZE];
    float pixels[3 * 100];
    uint8_t png[PNG_ROOM];
    int64_t h = 0, w = 0;
    for (int i = 0; i < 6; ++i) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        write_png_at(&folder, name, 4, 4, 0x010203);
    }
    assert_succeeds(open_folder(&dataset, ""));
    assert_succeeds(moco_dataset_info(dataset, 1, &h, &w, NULL));
    /* It vanishes, before its header was read and after. */
    for (int i = 0; i < 2; ++i) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        assert_int_equal(remove(path_in(&folder, name, path)), 0);
        assert_refuses(moco_dataset_read(dataset, i, pixels, 300), MOCO_NOT_FOUND, name);
    }
    assert_succeeds(moco_dataset_info(dataset, 1, &h, &w, NULL)); /* known for good */
    /* It becomes larger: what the caller made room for is not exceeded. */
    assert_succeeds(moco_dataset_info(dataset, 2, &h, &w, NULL));
    write_png_at(&folder, "2.png", 10, 10, 0);
    pixels[48] = -7.0f;
    assert_refuses(moco_dataset_read(dataset, 2, pixels, 48), MOCO_FORMAT, "10 x 10 pixels now, and was one of 4 x 4");
    assert_true(pixels[48] == -7.0f);
    /* It is cut short. */
    const size_t size = make_png(png, 4, 4, 0);
    write_bytes_at(&folder, "3.png", png, size / 2);
    assert_refuses(moco_dataset_read(dataset, 3, pixels, 300), MOCO_FORMAT, "3.png: ");
    /* It becomes something else. */
    remove(path_in(&folder, "4.png", path));
    assert_int_equal(mkdir(path, 0755), 0);
    assert_refuses(moco_dataset_read(dataset, 4, pixels, 300), MOCO_IO, "4.png: it is not a regular file");
    remove(path_in(&folder, "5.png", path));
    assert_int_equal(mkfifo(path, 0600), 0); /* which must not be waited for */
    assert_refuses(moco_dataset_read(dataset, 5, pixels, 300), MOCO_IO, "5.png: it is not a regular file");
    remove(path);
    write_png_at(&folder, "5.png", 4, 4, 0x010203); /* and back */
    assert_succeeds(moco_dataset_read(dataset, 5, pixels, 300));
    moco_dataset_destroy(dataset);
}

/* The folder itself is moved away: what was opened stays in reach. */
static void test_moved_folder(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    char from[TEST_PATH_SIZE], to[TEST_PATH_SIZE];
    write_png_at(&folder, "here/x.png", 1, 1, 0);
    assert_succeeds(open_folder(&dataset, "/here"));
    assert_int_equal(rename(path_in(&folder, "here", from), path_in(&folder, "there", to)), 0);
    assert_succeeds(moco_dataset_info(dataset, 0, NULL, NULL, NULL));
    moco_dataset_destroy(dataset);
}

/* --- The loader's way in --- */

static void test_load_and_fetch(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    uint8_t png[PNG_ROOM];
    write_png_at(&folder, "a.png", 40, 30, 0x112233);
    write_png_at(&folder, "b.png", 4, 3, 0x445566);
    write_bytes_at(&folder, "c.ppm", "rubbish", 7);
    assert_succeeds(open_folder(&dataset, ""));
    moco_image_scratch scratch = {0};
    moco_image image = {0};
    size_t size = 0;
    const size_t expected = make_png(png, 40, 30, 0x112233);
    assert_succeeds(dataset->ops->fetch(dataset, 0, &scratch, &size));
    assert_int_equal(size, expected);
    assert_memory_equal(scratch.encoded, png, expected);
    const moco_image_request part = {.window = {10, 20, 5, 6}, .max_reduction = 1};
    assert_succeeds(dataset->ops->load(dataset, 0, &part, &scratch, &image));
    assert_int_equal(image.held.full_h, 30);
    assert_int_equal(image.held.full_w, 40);
    assert_true(image.held.window.top <= 10 && image.held.window.left <= 20 &&
                image.held.window.top + image.held.window.h >= 15 &&
                image.held.window.left + image.held.window.w >= 26);
    for (int64_t i = 0; i < image.held.h * image.held.w; ++i)
        assert_memory_equal(image.pixels + 3 * i, "\x11\x22\x33", 3);
    const moco_image_request whole = {.max_reduction = 1};
    assert_succeeds(dataset->ops->load(dataset, 1, &whole, &scratch, &image));
    assert_true(image.held.h == 3 && image.held.w == 4);
    assert_refuses(dataset->ops->load(dataset, 2, &whole, &scratch, &image), MOCO_FORMAT, "c.ppm: ");
    assert_succeeds(dataset->ops->load(dataset, 1, &whole, &scratch, &image)); /* as well as before */
    moco_deallocate(context, scratch.encoded);
    moco_image_release(context, &image);
    moco_dataset_destroy(dataset);
}

/* --- Settings and refusals --- */

static void test_limits(void **state) {
    (void) state;
    char description[TEST_PATH_SIZE + 8];
    moco_image_dataset_config config;
    moco_dataset *dataset = NULL;
    write_png_at(&folder, "a.png", 40, 30, 0);
    snprintf(description, sizeof description, "folder:%s", folder.path);
    assert_succeeds(moco_image_dataset_config_init(&config, sizeof config));
    assert_true(config.max_side == 65500 && config.max_pixels == 178956970 && config.max_seconds == 10.0);
    assert_true(config.max_memory == (uint64_t) 1 << 30 && config.index_file == NULL);
    config.max_side = 39;
    assert_succeeds(moco_dataset_open_with(&dataset, context, description, &config));
    assert_refuses(moco_dataset_info(dataset, 0, NULL, NULL, NULL), MOCO_FORMAT, "a.png: ");
    moco_dataset_destroy(dataset);
    config.max_side = 40;
    config.max_pixels = 1199;
    assert_succeeds(moco_dataset_open_with(&dataset, context, description, &config));
    assert_refuses(moco_dataset_info(dataset, 0, NULL, NULL, NULL), MOCO_FORMAT, "1199");
    moco_dataset_destroy(dataset);
    config.max_pixels = 1200;
    config.max_memory = 100; /* less than the file has */
    assert_succeeds(moco_dataset_open_with(&dataset, context, description, &config));
    assert_refuses(moco_dataset_info(dataset, 0, NULL, NULL, NULL), MOCO_FORMAT, "max_memory");
    moco_dataset_destroy(dataset);
    config.max_memory = 1 << 20;
    assert_succeeds(moco_dataset_open_with(&dataset, context, description, &config));
    assert_succeeds(moco_dataset_info(dataset, 0, NULL, NULL, NULL));
    moco_dataset_destroy(dataset);

    dataset = NULL;
#define REFUSED(field, value, word)                                                                                  \
    do {                                                                                                             \
        moco_image_dataset_config wrong = config;                                                                    \
        wrong.field = value;                                                                                         \
        assert_refuses(moco_dataset_open_with(&dataset, context, description, &wrong), MOCO_INVALID_ARGUMENT, word); \
    } while (0)
    REFUSED(max_side, 0, "max_side is 0");
    REFUSED(max_side, (int64_t) 1 << 31, "max_side is 2147483648");
    REFUSED(max_pixels, 0, "max_pixels is 0");
    REFUSED(max_memory, 0, "max_memory is 0");
    REFUSED(max_seconds, -1.0, "max_seconds is -1");
    REFUSED(max_seconds, __builtin_nan(""), "max_seconds is nan");
    REFUSED(index_file, "", "index_file is empty");
    REFUSED(struct_size, 8, "struct_size");
#undef REFUSED
    config.index_file = "x";
    assert_refuses(moco_dataset_open_with(&dataset, context, "synthetic", &config), MOCO_INVALID_ARGUMENT,
                   "\"synthetic\" has no index");
    config.index_file = NULL;
    assert_succeeds(moco_dataset_open_with(&dataset, context, "synthetic", &config));
    moco_dataset_destroy(dataset);
}

static void test_refusals(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    char name[16];
    assert_refuses(open_folder(&dataset, ""), MOCO_NOT_FOUND, "holds no image");
    assert_refuses(open_folder(&dataset, "/none"), MOCO_NOT_FOUND, "none");
    write_png_at(&folder, "a.png", 1, 1, 0);
    assert_refuses(open_folder(&dataset, "/a.png"), MOCO_NOT_FOUND, "a.png");
    assert_refuses(moco_dataset_open(&dataset, context, "folder"), MOCO_INVALID_ARGUMENT, "write \"folder:DIR\"");
    assert_refuses(moco_dataset_open(&dataset, context, "tar:"), MOCO_INVALID_ARGUMENT, "write \"tar:FILE\"");
    assert_refuses(moco_dataset_open(&dataset, context, "folders:x"), MOCO_INVALID_ARGUMENT,
                   "folder:DIR, filelist:FILE or tar:FILE");
    char *longest = (char *) malloc(10000);
    memset(longest, 'x', 9999);
    longest[9999] = '\0';
    memcpy(longest, "folder:", 7);
    assert_refuses(moco_dataset_open(&dataset, context, longest), MOCO_INVALID_ARGUMENT, "too long");
    free(longest);
    assert_null(dataset);
    assert_succeeds(open_folder(&dataset, ""));
    assert_refuses(moco_dataset_name(dataset, 0, name, 8), MOCO_INVALID_ARGUMENT, "capacity is 8 bytes");
    assert_refuses(moco_dataset_name(dataset, 1, name, 8), MOCO_INVALID_ARGUMENT, "index is 1");
    assert_refuses(moco_dataset_name(dataset, 0, NULL, 8), MOCO_INVALID_ARGUMENT, "text is NULL");
    assert_refuses(moco_dataset_name(NULL, 0, name, 8), MOCO_INVALID_ARGUMENT, "dataset is NULL");
    moco_dataset_destroy(dataset);
    assert_succeeds(moco_dataset_open(&dataset, context, "synthetic"));
    assert_succeeds(moco_dataset_name(dataset, 17, name, sizeof name));
    assert_string_equal(name, "image 17");
    moco_dataset_destroy(dataset);
}

/* Images of bytes in memory load as RGB, too. */
static void test_load_memory(void **state) {
    (void) state;
    uint8_t planes[2 * 3 * 2 * 3];
    for (int i = 0; i < 36; ++i) planes[i] = (uint8_t) i;
    moco_dataset *dataset = NULL;
    moco_image image = {0};
    const moco_image_request part = {.window = {1, 1, 1, 1}, .max_reduction = 8};
    assert_succeeds(moco_dataset_create_memory(&dataset, context, planes, MOCO_PIXELS_UINT8, NULL, 2, 3, 2, 3, 1));
    assert_non_null(dataset->ops->load);
    assert_succeeds(dataset->ops->load(dataset, 1, &part, NULL, &image));
    assert_true(image.held.h == 2 && image.held.w == 3 && image.held.full_h == 2 && image.held.full_w == 3 &&
                image.held.reduction == 1);
    assert_true(image.held.window.top == 0 && image.held.window.left == 0 && image.held.window.h == 2 &&
                image.held.window.w == 3);
    for (int i = 0; i < 6; ++i) {
        for (int c = 0; c < 3; ++c) assert_int_equal(image.pixels[3 * i + c], 18 + 6 * c + i);
    }
    moco_image_release(context, &image);
    moco_dataset_destroy(dataset);
    assert_succeeds(moco_dataset_create_memory(&dataset, context, planes, MOCO_PIXELS_UINT8, NULL, 2, 1, 2, 3, 1));
    assert_null(dataset->ops->load);
    moco_dataset_destroy(dataset);
}

/* --- Many --- */

typedef struct reading {
    const moco_dataset *dataset;
    atomic_int wrong;
} reading;

static void *read_all(void *argument) {
    reading *all = (reading *) argument;
    for (int64_t i = 0; i < moco_dataset_count(all->dataset); ++i) {
        float pixels[3 * 64];
        int64_t h = 0, w = 0;
        int32_t label = 0;
        if (moco_dataset_info(all->dataset, i, &h, &w, &label) != MOCO_OK || h != 1 + i % 8 || w != 1 + i % 7 ||
            moco_dataset_read(all->dataset, i, pixels, 3 * 64) != MOCO_OK || pixels[0] != (float) (i % 256) / 255.0f) {
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
        snprintf(name, sizeof name, "%c/%03d", 'a' + i / 100, i);
        write_png_at(&folder, name, 1 + i % 7, 1 + i % 8, (uint32_t) (i % 256) << 16);
    }
    assert_succeeds(open_folder(&dataset, "")); /* 300 files without an ending: sniffed by two threads */
    assert_int_equal(moco_dataset_count(dataset), 300);
    reading all = {.dataset = dataset};
    for (int i = 0; i < 4; ++i) assert_int_equal(pthread_create(&threads[i], NULL, read_all, &all), 0);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    assert_int_equal(all.wrong, 0);
    moco_dataset_destroy(dataset);
}

static void test_20000_files(void **state) {
    (void) state;
    enum { CLASSES = 100, EACH = 200 };
    moco_dataset *dataset = NULL;
    uint8_t png[1024];
    char path[TEST_PATH_SIZE], name[64];
    const size_t size = make_png(png, 1, 1, 0);
    for (int c = 0; c < CLASSES; ++c) {
        snprintf(name, sizeof name, "c%02d/", (c * 37) % CLASSES);
        make_folders_of(path_in(&folder, name, path));
        for (int i = 0; i < EACH; ++i) {
            snprintf(name, sizeof name, "c%02d/%03d.%s", (c * 37) % CLASSES, (i * 77) % EACH, i % 4 == 0 ? "x" : "png");
            write_whole_file(path_in(&folder, name, path), png, size);
        }
    }
    const int64_t start = moco_now_ns();
    assert_succeeds(open_folder(&dataset, ""));
    const double seconds = (double) (moco_now_ns() - start) * 1e-9;
    print_message("20,000 files in 100 folders, a quarter of them told by their content: %.3f s\n", seconds);
    assert_true(seconds < 10.0); /* some 0.05 s on an idle machine */
    assert_int_equal(moco_dataset_count(dataset), CLASSES * EACH);
    for (int64_t i = 0; i < CLASSES * EACH; ++i) {
        char shown[8300], wanted[16];
        assert_succeeds(moco_dataset_name(dataset, i, shown, sizeof shown));
        snprintf(wanted, sizeof wanted, "c%02d/%03d.", (int) (i / EACH), (int) (i % EACH));
        assert_memory_equal(shown + strlen(folder.path) + 1, wanted, 8);
    }
    moco_dataset_destroy(dataset);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_classes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flat_and_mixed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_content_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(test_symbolic_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_links_do_not_multiply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_is_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changing_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load_and_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_load_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_20000_files, setup, teardown),
    };
    if (png_is_missing()) return 77;
    return cmocka_run_group_tests_name("folder datasets", tests, NULL, NULL);
}
