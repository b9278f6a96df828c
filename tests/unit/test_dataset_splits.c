/* What people give for a data set: its root with train/ and val/ in it, the CIFAR archives' folders or what holds them,
 * paths with ~ or relative ones. Which folder must be meant is told by the words of dataset.h.
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
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

static void write_images(const char *inner, int count) {
    char name[96];
    for (int i = 0; i < count; ++i) {
        snprintf(name, sizeof name, "%s/%d.ppm", inner, i);
        write_bytes_at(&folder, name, "", 0); /* found by the name; never decoded */
    }
}

/* "kind:FOLDER/inner" */
static const char *describe(const char *kind, const char *inner) {
    static char description[TEST_PATH_SIZE + 96];
    snprintf(description, sizeof description, "%s:%s%s%s", kind, folder.path, *inner == '\0' ? "" : "/", inner);
    return description;
}

/* How many images it has, and its test images (-1: it has none), in "train/test: class class". */
static void assert_set(const char *description, const char *expected) {
    char text[512];
    moco_dataset *train = NULL, *test = NULL;
    forget_log(&logged);
    assert_succeeds(moco_dataset_open(&train, context, description));
    assert_succeeds(moco_dataset_open_test(&test, context, description, 1));
    int length = snprintf(text, sizeof text, "%d/%d:", (int) moco_dataset_count(train),
                          test == NULL ? -1 : (int) moco_dataset_count(test));
    for (int64_t i = 0; i < moco_dataset_classes(train); ++i) {
        length += snprintf(text + length, sizeof text - (size_t) length, " %s", moco_dataset_class_name(train, i));
    }
    assert_string_equal(text, expected);
    moco_dataset_destroy(train);
    moco_dataset_destroy(test);
}

static void roots_of_data_sets(void **state) {
    (void) state;
    const char *said = "is the root of a data set with a train and a test split: its folder train is taken";
    write_images("full/train/b", 1);
    write_images("full/train/a", 1);
    write_images("full/test/a", 4);
    write_images("full/validation/a", 5);
    write_images("full/valid/a", 6);
    write_images("full/devkit", 1);
    assert_set(describe("folder", "full"), "2/6: a b"); /* val, then valid, validation, test */
    assert_non_null(strstr(logged.text, said));
    assert_non_null(strstr(logged.text, "1: ")); /* a warning */
    assert_set(describe("folder", "full/train"), "2/6: a b");
    assert_null(strstr(logged.text, said));
    assert_set(describe("folder", "full/train/"), "2/6: a b");
    assert_set(describe("folder", "full//"), "2/6: a b");
    write_images("full/val/a", 3);
    assert_set(describe("folder", "full"), "2/3: a b");
    write_images("mnist/training/7", 2);
    write_images("mnist/testing/7", 3);
    assert_set(describe("folder", "mnist"), "2/3: 7");
    write_images("alone/train/a", 2);
    write_images("alone/.hidden/a", 2);
    assert_set(describe("folder", "alone"), "2/-1: a");
    assert_non_null(strstr(logged.text, "1: "));
    assert_non_null(strstr(logged.text, "alone has the folder train alone"));
    assert_null(strstr(logged.text, "a train and a test split"));
    write_images("flat/train", 2); /* without classes */
    write_images("flat/test", 3);
    assert_set(describe("folder", "flat"), "2/3:");
    /* What only looks like one. */
    write_images("coco/train", 1);
    write_images("coco/bus", 1);
    assert_set(describe("folder", "coco"), "2/-1: bus train");
    write_images("words/test", 1);
    write_images("words/val", 1);
    assert_set(describe("folder", "words"), "2/-1: test val");
    assert_null(strstr(logged.text, "root"));
    assert_non_null(strstr(logged.text, "1: "));
    assert_non_null(strstr(logged.text, "words has folders that are called as test splits are"));
    write_images("one/test", 1);
    write_images("one/bus", 1);
    assert_set(describe("folder", "one"), "2/-1: bus test");
    assert_null(strstr(logged.text, "1: "));
    /* A train split without images is no set of classes either. */
    write_images("empty/val/a", 1);
    char path[TEST_PATH_SIZE];
    assert_int_equal(mkdir(path_in(&folder, "empty/train", path), 0755), 0);
    moco_dataset *dataset = NULL;
    assert_refuses(moco_dataset_open(&dataset, context, describe("folder", "empty")), MOCO_NOT_FOUND, "empty/train");
    assert_null(dataset);
}

/* Fruits-360, Brain-Tumor-MRI and others write them so. */
static void splits_in_capitals(void **state) {
    (void) state;
    static const char *const names[][2] = {{"Training", "Test"}, {"Train", "Test"},    {"TRAIN", "VAL"},
                                           {"train", "Testing"}, {"TRAINING", "tesT"}, {"Train", "Validation"}};
    char inner[64], expected[64];
    for (int i = 0; i < 6; ++i) {
        snprintf(inner, sizeof inner, "set%d/%s/Apple", i, names[i][0]);
        write_images(inner, 2);
        snprintf(inner, sizeof inner, "set%d/%s/Apple", i, names[i][1]);
        write_images(inner, 3);
        snprintf(inner, sizeof inner, "set%d", i);
        assert_set(describe("folder", inner), "2/3: Apple");
        snprintf(expected, sizeof expected, "its folder %s is taken", names[i][0]);
        assert_non_null(strstr(logged.text, expected));
        snprintf(inner, sizeof inner, "set%d/%s/", i, names[i][0]);
        assert_set(describe("folder", inner), "2/3: Apple");
    }
    write_images("both/TRAIN/a", 1); /* small letters come first */
    write_images("both/train/a", 2);
    write_images("both/Val/a", 4);
    write_images("both/val/a", 5);
    assert_set(describe("folder", "both"), "2/5: a");
    write_images("alone/Train/a", 2);
    assert_set(describe("folder", "alone"), "2/-1: a");
    write_images("other/Trains/a", 1); /* a longer word */
    write_images("other/Tes/a", 1);
    assert_set(describe("folder", "other"), "2/-1: Tes Trains");
}

static void relative_splits(void **state) {
    (void) state;
    char before[4096];
    write_images("train/a", 2);
    write_images("val/a", 3);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder.path), 0);
    assert_set("folder:train", "2/3: a"); /* no '/' at all */
    assert_set("folder:./train/", "2/3: a");
    assert_set("folder:.", "2/3: a");
    assert_int_equal(chdir(before), 0);
}

static void write_tar(const char *name, const char *const *names) {
    tar_bytes tar = {0};
    for (; *names != NULL; ++names) tar_file(&tar, *names, "", 0);
    tar_end(&tar);
    write_bytes_at(&folder, name, tar.bytes, tar.size);
    tar_free(&tar);
}

static void roots_in_tars(void **state) {
    (void) state;
    static const char *const set[] = {
        "train/b/1.ppm", "train/a/1.ppm", "test/a/1.ppm", "test/a/2.ppm", "test/a/3.ppm", "readme/1.ppm", NULL};
    static const char *const inner[] = {"./set/training/a/1.ppm", "./set/val/a/1.ppm", "./set/val/a/2.ppm", NULL};
    static const char *const capitals[] = {"Training/a/1.ppm", "Test/a/1.ppm", "Test/a/2.ppm", NULL};
    static const char *const tests[] = {"val/1.ppm", "test/1.ppm", NULL};
    static const char *const plain[] = {"train/1.ppm", "bus/1.ppm", "val.ppm", NULL};
    write_tar("set.tar", set);
    write_tar("inner.tar", inner);
    write_tar("plain.tar", plain);
    assert_set(describe("tar", "set.tar"), "2/3: a b");
    assert_non_null(strstr(logged.text, "set.tar is the root of a data set"));
    assert_set(describe("tar", "set.tar/train"), "2/3: a b");
    assert_set(describe("tar", "inner.tar/set"), "1/2: a");
    assert_set(describe("tar", "inner.tar/set/training/"), "1/2: a");
    assert_set(describe("tar", "plain.tar"), "3/-1: bus train");
    write_tar("capitals.tar", capitals);
    assert_set(describe("tar", "capitals.tar"), "1/2: a");
    assert_non_null(strstr(logged.text, "its folder Training is taken"));
    assert_set(describe("tar", "capitals.tar/Training"), "1/2: a");
    write_tar("tests.tar", tests);
    assert_set(describe("tar", "tests.tar"), "2/-1: test val");
    assert_non_null(strstr(logged.text, "tests.tar has folders that are called as test splits are"));
}

/* --- CIFAR --- */

static void cifar_folders(void **state) {
    (void) state;
    static const uint8_t record[3074];
    moco_dataset *dataset = NULL;
    char name[64], path[TEST_PATH_SIZE];
    for (int i = 1; i <= 5; ++i) {
        snprintf(name, sizeof name, "data/cifar-10-batches-bin/data_batch_%d.bin", i);
        write_bytes_at(&folder, name, record, 3073);
    }
    write_bytes_at(&folder, "data/cifar-100-binary/train.bin", record, 3074);
    assert_set(describe("cifar10", "data/cifar-10-batches-bin"),
               "5/-1: airplane automobile bird cat deer dog frog horse ship truck"); /* without its test batch */
    assert_set(describe("cifar10", "data"), "5/-1: airplane automobile bird cat deer dog frog horse ship truck");
    assert_non_null(strstr(logged.text, "data holds the folder cifar-10-batches-bin, which is taken"));
    write_bytes_at(&folder, "data/cifar-10-batches-bin/test_batch.bin", record, 3073);
    assert_set(describe("cifar10", "data"), "5/1: airplane automobile bird cat deer dog frog horse ship truck");
    assert_succeeds(moco_dataset_open(&dataset, context, describe("cifar100", "data")));
    moco_dataset_destroy(dataset);
    dataset = NULL;
    /* The Python version. */
    write_bytes_at(&folder, "py/cifar-10-batches-py/data_batch_1", "\x80\x02}", 3);
    write_bytes_at(&folder, "py/cifar-100-python/train", "\x80\x02}", 3);
    static const char *const python[] = {"py", "py/cifar-10-batches-py"};
    for (int i = 0; i < 2; ++i) {
        assert_refuses(moco_dataset_open(&dataset, context, describe("cifar10", python[i])), MOCO_NOT_FOUND,
                       "holds the Python version, whose files are pickles (data_batch_1); get the binary version, "
                       "cifar-10-binary.tar.gz, and give its folder, cifar-10-batches-bin");
    }
    assert_refuses(moco_dataset_open(&dataset, context, describe("cifar10-test", "py")), MOCO_NOT_FOUND,
                   "cifar-10-binary.tar.gz");
    assert_refuses(moco_dataset_open(&dataset, context, describe("cifar100", "py")), MOCO_NOT_FOUND,
                   "cifar-100-binary.tar.gz, and give its folder, cifar-100-binary");
    /* Neither: the file that is missing is named, in the folder that is there. */
    assert_refuses(moco_dataset_open(&dataset, context, describe("cifar10", "")), MOCO_NOT_FOUND, "cannot read");
    assert_int_equal(remove(path_in(&folder, "data/cifar-10-batches-bin/data_batch_3.bin", path)), 0);
    assert_refuses(moco_dataset_open(&dataset, context, describe("cifar10", "data")), MOCO_NOT_FOUND,
                   "data/cifar-10-batches-bin/data_batch_3.bin");
    assert_null(dataset);
}

/* --- Paths --- */

static void a_tilde_is_explained(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    static const char *const kinds[] = {"folder", "filelist", "tar", "cifar10"};
    for (int i = 0; i < 4; ++i) {
        char description[64], word[64];
        snprintf(description, sizeof description, "%s:~/no-such-thing-of-moco", kinds[i]);
        snprintf(word, sizeof word, "write %s:\"$HOME\"/...", kinds[i]);
        assert_refuses(moco_dataset_open(&dataset, context, description), MOCO_NOT_FOUND, word);
        assert_non_null(strstr(moco_last_error(), "~/no-such-thing-of-moco"));
    }
    assert_null(dataset);
}

/* The text with the folder for each '%'. */
static void fill_in(const char *text, const char *place, char out[8192]) {
    size_t length = 0;
    for (; *text != '\0'; ++text) {
        length += (size_t) snprintf(out + length, 8192 - length, "%.*s", *text == '%' ? 4096 : 1,
                                    *text == '%' ? place : text);
    }
}

/* What opens the same from anywhere. */
static void descriptions_are_absolute(void **state) {
    (void) state;
    static const struct {
        const char *given, *kept; /* % is the folder */
    } cases[] = {
        {"folder:set", "folder:%/set"},
        {"folder:./set/", "folder:%/set/"},
        {"folder:%/set", "folder:%/set"},
        {"filelist:list.txt", "filelist:%/list.txt"},
        {"tar:x.tar", "tar:%/x.tar"},
        {"tar:x.tar/a", "tar:%/x.tar/a"},
        {"tar:{x,y}.tar::%/x.tar::./y.tar", "tar:%/{x,y}.tar::%/x.tar::%/y.tar"},
        {"synthetic:count=3", "synthetic:count=3"},
    };
    static const char *const names[] = {"a/1.ppm", NULL};
    char before[4096], here[4096];
    write_images("set/a", 1);
    write_bytes_at(&folder, "list.txt", "a.ppm\n", 6);
    write_tar("x.tar", names);
    write_tar("y.tar", names);
    assert_non_null(getcwd(before, sizeof before));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char given[8192], kept[8192];
        moco_dataset *dataset = NULL, *again = NULL;
        assert_int_equal(chdir(folder.path), 0);
        assert_non_null(getcwd(here, sizeof here));
        fill_in(cases[i].given, folder.path, given);
        fill_in(cases[i].kept, here, kept);
        assert_succeeds(moco_dataset_open(&dataset, context, given));
        assert_int_equal(chdir(before), 0);
        assert_string_equal(moco_dataset_description(dataset), kept);
        assert_succeeds(moco_dataset_open(&again, context, moco_dataset_description(dataset)));
        assert_int_equal(moco_dataset_count(again), moco_dataset_count(dataset));
        moco_dataset_destroy(again);
        moco_dataset_destroy(dataset);
    }
    moco_dataset *memory = NULL;
    static const float pixels[3];
    assert_succeeds(moco_dataset_create_memory(&memory, context, pixels, MOCO_PIXELS_FLOAT32, NULL, 1, 3, 1, 1, 0));
    assert_null(moco_dataset_description(memory));
    assert_null(moco_dataset_description(NULL));
    moco_dataset_destroy(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(roots_of_data_sets, setup, teardown),
        cmocka_unit_test_setup_teardown(splits_in_capitals, setup, teardown),
        cmocka_unit_test_setup_teardown(relative_splits, setup, teardown),
        cmocka_unit_test_setup_teardown(roots_in_tars, setup, teardown),
        cmocka_unit_test_setup_teardown(cifar_folders, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tilde_is_explained, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptions_are_absolute, setup, teardown),
    };
    return cmocka_run_group_tests_name("splits and places", tests, NULL, NULL);
}
