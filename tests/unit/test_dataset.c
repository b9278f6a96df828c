#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moco/dataset.h>

static moco_context *context;

static int setup(void **state) {
    (void) state;
    return moco_context_create(&context, NULL);
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    return 0;
}

/* The call fails with `status` and its sentence holds `word`. */
#define assert_fails(call, status, word)                                                                         \
    do {                                                                                                         \
        assert_int_equal(call, status);                                                                          \
        if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" lacks \"%s\"", moco_last_error(), (word)); \
    } while (0)

/* --- Memory --- */

static void test_memory_float(void **state) {
    (void) state;
    float pixels[2 * 3 * 2 * 4], read[24];
    const int32_t labels[2] = {5, MOCO_NO_LABEL};
    for (int i = 0; i < 48; ++i) pixels[i] = (float) i / 48.0f;
    for (int32_t copy = 0; copy < 2; ++copy) {
        moco_dataset *dataset = NULL;
        int64_t h = 0, w = 0;
        int32_t label = 0;
        assert_int_equal(
            moco_dataset_create_memory(&dataset, context, pixels, MOCO_PIXELS_FLOAT32, labels, 2, 3, 2, 4, copy),
            MOCO_OK);
        assert_int_equal(moco_dataset_count(dataset), 2);
        assert_int_equal(moco_dataset_channels(dataset), 3);
        assert_int_equal(moco_dataset_classes(dataset), 6);
        assert_null(moco_dataset_class_name(dataset, 0));
        assert_int_equal(moco_dataset_info(dataset, 1, &h, &w, &label), MOCO_OK);
        assert_int_equal(h, 2);
        assert_int_equal(w, 4);
        assert_int_equal(label, MOCO_NO_LABEL);
        assert_int_equal(moco_dataset_info(dataset, 0, NULL, NULL, &label), MOCO_OK);
        assert_int_equal(label, 5);
        /* What is written to the host's array afterwards shows only where it was not copied. */
        pixels[24] = 0.75f;
        assert_int_equal(moco_dataset_read(dataset, 1, read, 24), MOCO_OK);
        assert_true(read[0] == (copy ? 0.5f : 0.75f));
        assert_memory_equal(read + 1, pixels + 25, 23 * sizeof(float));
        pixels[24] = 0.5f;
        assert_fails(moco_dataset_read(dataset, 1, read, 23), MOCO_INVALID_ARGUMENT, "capacity is 23");
        assert_fails(moco_dataset_read(dataset, 2, read, 24), MOCO_INVALID_ARGUMENT, "index is 2");
        assert_fails(moco_dataset_read(dataset, -1, read, 24), MOCO_INVALID_ARGUMENT, "index is -1");
        assert_fails(moco_dataset_read(dataset, 0, NULL, 24), MOCO_INVALID_ARGUMENT, "pixels is NULL");
        moco_dataset_destroy(dataset);
    }
}

static void test_memory_bytes(void **state) {
    (void) state;
    uint8_t pixels[256];
    float read[256];
    for (int i = 0; i < 256; ++i) pixels[i] = (uint8_t) i;
    moco_dataset *dataset = NULL;
    assert_int_equal(moco_dataset_create_memory(&dataset, context, pixels, MOCO_PIXELS_UINT8, NULL, 1, 1, 16, 16, 1),
                     MOCO_OK);
    assert_int_equal(moco_dataset_classes(dataset), 0);
    assert_int_equal(moco_dataset_read(dataset, 0, read, 256), MOCO_OK);
    for (int i = 0; i < 256; ++i) assert_true(read[i] == (float) i / 255.0f);
    moco_dataset_destroy(dataset);
}

static void test_memory_refusals(void **state) {
    (void) state;
    const float pixels[3] = {0};
    const int32_t bad_label = -2;
    moco_dataset *dataset = NULL;
    const int64_t huge = (int64_t) 1 << 40;
#define CREATE(out, ctx, p, type, labels, n, c, h, w, copy) \
    moco_dataset_create_memory(out, ctx, p, type, labels, n, c, h, w, copy)
    assert_fails(CREATE(NULL, context, pixels, 0, NULL, 1, 3, 1, 1, 1), MOCO_INVALID_ARGUMENT, "out is NULL");
    assert_fails(CREATE(&dataset, NULL, pixels, 0, NULL, 1, 3, 1, 1, 1), MOCO_INVALID_ARGUMENT, "context is NULL");
    assert_fails(CREATE(&dataset, context, NULL, 0, NULL, 1, 3, 1, 1, 1), MOCO_INVALID_ARGUMENT, "pixels is NULL");
    assert_fails(CREATE(&dataset, context, pixels, 2, NULL, 1, 3, 1, 1, 1), MOCO_INVALID_ARGUMENT, "pixel_type is 2");
    assert_fails(CREATE(&dataset, context, pixels, 0, NULL, 0, 3, 1, 1, 1), MOCO_INVALID_ARGUMENT, "count is 0");
    assert_fails(CREATE(&dataset, context, pixels, 0, NULL, 1, 0, 1, 1, 1), MOCO_INVALID_ARGUMENT, "channels is 0");
    assert_fails(CREATE(&dataset, context, pixels, 0, NULL, 1, 3, 0, 1, 1), MOCO_INVALID_ARGUMENT, "0 x 1");
    assert_fails(CREATE(&dataset, context, pixels, 0, NULL, 1, 3, 1, -1, 1), MOCO_INVALID_ARGUMENT, "1 x -1");
    assert_fails(CREATE(&dataset, context, pixels, 0, NULL, 1, 3, 1, 1, 2), MOCO_INVALID_ARGUMENT, "copy is 2");
    assert_fails(CREATE(&dataset, context, pixels, 0, &bad_label, 1, 3, 1, 1, 1), MOCO_INVALID_ARGUMENT,
                 "labels[0] is -2");
    assert_fails(CREATE(&dataset, context, pixels, 0, NULL, huge, 3, huge, 1, 1), MOCO_INVALID_ARGUMENT, "count x");
#undef CREATE
    assert_null(dataset);
}

/* --- Callback --- */

static int32_t host_info(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user) {
    if (index == 3) return 7;
    *h = index == 4 ? 0 : index + 1;
    *w = 2;
    *label = index == 5 ? -9 : (int32_t) index;
    return *(const int32_t *) user;
}

static int32_t host_read(int64_t index, float *pixels, void *user) {
    (void) user;
    if (index == 2) return 8;
    for (int64_t i = 0; i < (index + 1) * 2; ++i) pixels[i] = (float) index;
    return 0;
}

static void test_callback(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    int32_t answer = 0, label = 0;
    int64_t h = 0;
    float read[32] = {0};
    assert_int_equal(moco_dataset_create_callback(&dataset, context, 6, 1, host_info, host_read, &answer), MOCO_OK);
    assert_int_equal(moco_dataset_info(dataset, 1, &h, NULL, &label), MOCO_OK);
    assert_int_equal(h, 2);
    assert_int_equal(label, 1);
    assert_int_equal(moco_dataset_read(dataset, 1, read, 4), MOCO_OK);
    assert_true(read[3] == 1.0f && read[4] == 0.0f);
    assert_fails(moco_dataset_read(dataset, 2, read, 32), MOCO_CALLBACK, "returned 8 for image 2");
    assert_fails(moco_dataset_read(dataset, 3, read, 32), MOCO_CALLBACK, "returned 7 for image 3");
    assert_fails(moco_dataset_info(dataset, 4, &h, NULL, NULL), MOCO_CALLBACK, "0 x 2");
    assert_fails(moco_dataset_info(dataset, 5, &h, NULL, NULL), MOCO_CALLBACK, "label -9");
    moco_dataset_destroy(dataset);

    dataset = NULL;
    assert_fails(moco_dataset_create_callback(&dataset, context, 1, 1, NULL, host_read, NULL), MOCO_INVALID_ARGUMENT,
                 "info is NULL");
    assert_fails(moco_dataset_create_callback(&dataset, context, 1, 1, host_info, NULL, NULL), MOCO_INVALID_ARGUMENT,
                 "read is NULL");
    assert_fails(moco_dataset_create_callback(&dataset, context, 0, 1, host_info, host_read, NULL),
                 MOCO_INVALID_ARGUMENT, "count is 0");
    assert_fails(moco_dataset_create_callback(&dataset, context, 1, 0, host_info, host_read, NULL),
                 MOCO_INVALID_ARGUMENT, "channels is 0");
    assert_null(dataset);
}

/* --- CIFAR --- */

static char folder[64];

static int make_folder(void **state) {
    (void) state;
    strcpy(folder, "/tmp/moco_test_XXXXXX");
    return mkdtemp(folder) == NULL;
}

static const char *path_of(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int remove_folder(void **state) {
    (void) state;
    const char *const names[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                 "data_batch_5.bin", "test_batch.bin",   "train.bin",        "test.bin"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        remove(path_of(names[i]));
        rmdir(path_of(names[i]));
    }
    return rmdir(folder);
}

/* `records` of label bytes `head` and pixels that start with record number and `first`. */
static void write_file(const char *name, int records, int head_bytes, const uint8_t *head, uint8_t first, int extra) {
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    for (int i = 0; i < records; ++i) {
        uint8_t pixels[3072] = {(uint8_t) i, first};
        pixels[3071] = 255;
        assert_int_equal(fwrite(head, 1, (size_t) head_bytes, file), head_bytes);
        assert_int_equal(fwrite(pixels, 1, sizeof pixels, file), sizeof pixels);
    }
    for (int i = 0; i < extra; ++i) fputc(0, file);
    fclose(file);
}

static moco_status open_kind(moco_dataset **dataset, const char *kind) {
    char description[128];
    snprintf(description, sizeof description, "%s:%s", kind, folder);
    return moco_dataset_open(dataset, context, description);
}

static void test_cifar10(void **state) {
    (void) state;
    float pixels[3072];
    int64_t h = 0, w = 0;
    int32_t label = -1;
    moco_dataset *dataset = NULL;
    for (uint8_t i = 1; i <= 5; ++i) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin", i);
        write_file(name, i, 1, (const uint8_t[]){(uint8_t) (2 * i - 1)}, (uint8_t) (10 * i), 0);
    }
    assert_int_equal(open_kind(&dataset, "cifar10"), MOCO_OK);
    assert_int_equal(moco_dataset_count(dataset), 15);
    assert_int_equal(moco_dataset_channels(dataset), 3);
    assert_int_equal(moco_dataset_classes(dataset), 10);
    assert_string_equal(moco_dataset_class_name(dataset, 0), "airplane");
    assert_string_equal(moco_dataset_class_name(dataset, 9), "truck");
    assert_null(moco_dataset_class_name(dataset, 10));
    assert_null(moco_dataset_class_name(dataset, -1));
    assert_int_equal(moco_dataset_info(dataset, 12, &h, &w, &label), MOCO_OK); /* record 2 of file 5 */
    assert_int_equal(h, 32);
    assert_int_equal(w, 32);
    assert_int_equal(label, 9);
    assert_int_equal(moco_dataset_read(dataset, 12, pixels, 3072), MOCO_OK);
    assert_true(pixels[0] == 2.0f / 255.0f && pixels[1] == 50.0f / 255.0f && pixels[3071] == 1.0f);
    moco_dataset_destroy(dataset);
}

static void test_cifar100(void **state) {
    (void) state;
    int32_t label = -1;
    moco_dataset *dataset = NULL;
    write_file("train.bin", 2, 2, (const uint8_t[]){19, 99}, 0, 0);
    write_file("test.bin", 1, 2, (const uint8_t[]){4, 0}, 0, 0);
    assert_int_equal(open_kind(&dataset, "cifar100"), MOCO_OK);
    assert_int_equal(moco_dataset_count(dataset), 2);
    assert_int_equal(moco_dataset_classes(dataset), 100);
    assert_int_equal(moco_dataset_info(dataset, 1, NULL, NULL, &label), MOCO_OK);
    assert_int_equal(label, 99);
    assert_string_equal(moco_dataset_class_name(dataset, 0), "apple");
    assert_string_equal(moco_dataset_class_name(dataset, 99), "worm");
    for (int64_t i = 1; i < 100; ++i) { /* the names are in alphabetical order */
        assert_true(strcmp(moco_dataset_class_name(dataset, i - 1), moco_dataset_class_name(dataset, i)) < 0);
    }
    moco_dataset_destroy(dataset);
    assert_int_equal(open_kind(&dataset, "cifar100-test"), MOCO_OK);
    assert_int_equal(moco_dataset_count(dataset), 1);
    moco_dataset_destroy(dataset);
}

static void test_cifar_refusals(void **state) {
    (void) state;
    moco_dataset *dataset = NULL;
    assert_fails(open_kind(&dataset, "cifar10-test"), MOCO_NOT_FOUND, "test_batch.bin");
    write_file("test_batch.bin", 2, 1, (const uint8_t[]){3}, 0, 1);
    assert_fails(open_kind(&dataset, "cifar10-test"), MOCO_FORMAT, "test_batch.bin has 6147 bytes");
    write_file("test_batch.bin", 0, 1, (const uint8_t[]){3}, 0, 0);
    assert_fails(open_kind(&dataset, "cifar10-test"), MOCO_FORMAT, "test_batch.bin has 0 bytes");
    write_file("test_batch.bin", 2, 1, (const uint8_t[]){10}, 0, 0);
    assert_fails(open_kind(&dataset, "cifar10-test"), MOCO_FORMAT, "label 10");
    write_file("test.bin", 1, 2, (const uint8_t[]){0, 100}, 0, 0);
    assert_fails(open_kind(&dataset, "cifar100-test"), MOCO_FORMAT, "label 100");
    remove(path_of("test.bin"));
    assert_int_equal(mkdir(path_of("test.bin"), 0700), 0);
    assert_fails(open_kind(&dataset, "cifar100-test"), MOCO_IO, "not a regular file");
    assert_fails(moco_dataset_open(&dataset, context, "cifar10"), MOCO_INVALID_ARGUMENT, "cifar10:DIR");
    assert_fails(moco_dataset_open(&dataset, context, "cifar10:"), MOCO_INVALID_ARGUMENT, "cifar10:DIR");
    assert_fails(moco_dataset_open(&dataset, context, "imagenet:x"), MOCO_INVALID_ARGUMENT, "imagenet:x");
    assert_fails(moco_dataset_open(&dataset, context, "cifar10x:y"), MOCO_INVALID_ARGUMENT, "cifar10x:y");
    assert_fails(moco_dataset_open(&dataset, context, NULL), MOCO_INVALID_ARGUMENT, "description is NULL");
    assert_fails(moco_dataset_open(&dataset, NULL, "synthetic"), MOCO_INVALID_ARGUMENT, "context is NULL");
    assert_fails(moco_dataset_open(NULL, context, "synthetic"), MOCO_INVALID_ARGUMENT, "out is NULL");
    char *longest = (char *) malloc(10000);
    memset(longest, 'x', 9999);
    longest[9999] = '\0';
    memcpy(longest, "cifar10:", 8);
    assert_fails(moco_dataset_open(&dataset, context, longest), MOCO_INVALID_ARGUMENT, "too long");
    free(longest);
    assert_null(dataset);
}

static void test_null(void **state) {
    (void) state;
    moco_dataset_destroy(NULL);
    assert_int_equal(moco_dataset_count(NULL), 0);
    assert_int_equal(moco_dataset_channels(NULL), 0);
    assert_int_equal(moco_dataset_classes(NULL), 0);
    assert_null(moco_dataset_class_name(NULL, 0));
    assert_fails(moco_dataset_info(NULL, 0, NULL, NULL, NULL), MOCO_INVALID_ARGUMENT, "dataset is NULL");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_float),
        cmocka_unit_test(test_memory_bytes),
        cmocka_unit_test(test_memory_refusals),
        cmocka_unit_test(test_callback),
        cmocka_unit_test_setup_teardown(test_cifar10, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_cifar100, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_cifar_refusals, make_folder, remove_folder),
        cmocka_unit_test(test_null),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
