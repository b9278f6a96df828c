/* Every allocation of opening folders, lists, tars and kept indices, and of reading their images, fails once in turn:
 * the call answers OUT_OF_MEMORY and leaves its output alone, the same call made again succeeds, and nothing is left
 * over, neither memory nor an open file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/dataset_internal.h"
#include "support/image_files.h"
#include "support/tar_bytes.h"

typedef struct failing_allocator {
    atomic_llong calls;
    atomic_llong live;
    long long fail_at;
    atomic_int failed;
} failing_allocator;

static void *allocate(uint64_t size, uint64_t alignment, void *user) {
    failing_allocator *allocator = (failing_allocator *) user;
    if (atomic_fetch_add(&allocator->calls, 1) == allocator->fail_at) {
        atomic_store(&allocator->failed, 1);
        return NULL;
    }
    void *memory = aligned_alloc((size_t) alignment, (size_t) size);
    if (memory != NULL) atomic_fetch_add(&allocator->live, 1);
    return memory;
}

static void deallocate(void *memory, void *user) {
    atomic_fetch_sub(&((failing_allocator *) user)->live, 1);
    free(memory);
}

static temporary_folder folder;

enum { CLASSES = 80, EACH = 3 }; /* so many that the tables grow */

static void age(const char *name) {
    char path[TEST_PATH_SIZE];
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path_in(&folder, name, path), times, 0), 0);
}

/* The images as links to one hidden file, and their labels beside them. */
static void write_shards(void) {
    for (int shard = 0; shard < 2; ++shard) {
        uint8_t png[PNG_ROOM];
        tar_bytes tar = {0};
        char name[64], label[32];
        tar_file(&tar, ".data/image", png, make_png(png, 2, 2, 0));
        for (int i = shard; i < CLASSES * EACH; i += 2) {
            snprintf(name, sizeof name, "%04d.png", i);
            tar_link(&tar, name, i % 4 < 2 ? '1' : '2', ".data/image");
            snprintf(name, sizeof name, "%04d.cls", i);
            snprintf(label, sizeof label, "class %02d", i % CLASSES);
            tar_file(&tar, name, label, strlen(label));
        }
        tar_end(&tar);
        snprintf(name, sizeof name, "w-%d.tar", shard);
        write_bytes_at(&folder, name, tar.bytes, tar.size);
        tar_free(&tar);
        age(name);
    }
}

static int setup(void **state) {
    (void) state;
    uint8_t png[PNG_ROOM];
    char *list = (char *) malloc(65536);
    size_t length = 0;
    tar_bytes tar = {0};
    make_temporary_folder(&folder);
    for (int c = 0; c < CLASSES; ++c) {
        for (int i = 0; i < EACH; ++i) {
            char name[64], path[96], record[256];
            snprintf(name, sizeof name, "class %02d/%s%d%s", c * 7 % CLASSES, i == 0 ? "deep/" : "", i,
                     i == 1 ? "" : ".png");
            snprintf(path, sizeof path, "set/%s", name);
            const size_t size = make_png(png, 2, 2, 0);
            write_bytes_at(&folder, path, png, size);
            if (i == 2) tar_pax(&tar, 'x', pax_record(record, "path", name));
            tar_file(&tar, i == 2 ? "short" : name, png, size);
            length += (size_t) sprintf(list + length, "set/%s\tclass %02d\n", name, c);
        }
    }
    tar_end(&tar);
    write_bytes_at(&folder, "x.tar", tar.bytes, tar.size);
    write_bytes_at(&folder, "list.txt", list, length);
    free(list);
    tar_free(&tar);
    write_shards();
    /* Long unchanged, or a kept index would not be trusted. */
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    for (int c = -2; c < CLASSES; ++c) {
        char name[64], path[TEST_PATH_SIZE];
        snprintf(name, sizeof name, c == -2 ? "x.tar" : c == -1 ? "set" : "set/class %02d", c);
        assert_int_equal(utimensat(AT_FDCWD, path_in(&folder, name, path), times, 0), 0);
        if (c < 0) continue;
        snprintf(name, sizeof name, "set/class %02d/deep", c);
        assert_int_equal(utimensat(AT_FDCWD, path_in(&folder, name, path), times, 0), 0);
    }
    return 0;
}

static int teardown(void **state) {
    (void) state;
    remove_tree(folder.path);
    return 0;
}

static int refusals;

/* The status of a call that is made again where the allocator has failed it. */
#define TWICE(output, call)                                                                     \
    do {                                                                                        \
        moco_status status_ = (call);                                                           \
        if (status_ == MOCO_OUT_OF_MEMORY) {                                                    \
            refusals++;                                                                         \
            assert_null(output);                                                                \
            assert_true(strlen(moco_last_error()) > 0);                                         \
            status_ = (call);                                                                   \
        }                                                                                       \
        if (status_ != MOCO_OK) fail_msg("%s gives %d: %s", #call, status_, moco_last_error()); \
    } while (0)

static void open_and_read(failing_allocator *allocator, const char *description, const char *index_file) {
    moco_context *context = NULL;
    moco_dataset *dataset = NULL;
    moco_context_config settings;
    moco_image_dataset_config config;
    assert_succeeds(moco_context_config_init(&settings, sizeof settings));
    settings.allocate = allocate;
    settings.deallocate = deallocate;
    settings.allocator_user = allocator;
    settings.backend = "reference";
    settings.threads = 1;
    refusals = 0;
    TWICE(context, moco_context_create(&context, &settings));
    assert_succeeds(moco_image_dataset_config_init(&config, sizeof config));
    config.index_file = index_file;
    TWICE(dataset, moco_dataset_open_with(&dataset, context, description, &config));
    assert_int_equal(moco_dataset_count(dataset), CLASSES * EACH);
    assert_int_equal(moco_dataset_classes(dataset), CLASSES);
    assert_string_equal(moco_dataset_class_name(dataset, 41), "class 41");
    float pixels[12];
    int64_t h = 0;
    TWICE(NULL, moco_dataset_info(dataset, 5, &h, NULL, NULL));
    assert_int_equal(h, 2);
    TWICE(NULL, moco_dataset_read(dataset, 6, pixels, 12));
    moco_image_scratch scratch = {0};
    moco_image image = {0};
    const moco_image_request whole = {.max_reduction = 1};
    TWICE(NULL, dataset->ops->load(dataset, 7, &whole, &scratch, &image));
    assert_int_equal(image.held.w, 2);
    moco_deallocate(context, scratch.encoded);
    moco_image_release(context, &image);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
}

/* `keep`: with an index file, which the second opening uses. */
static void fail_each(const char *kind, const char *name, int keep) {
    char description[TEST_PATH_SIZE + 64], index_file[TEST_PATH_SIZE];
    failing_allocator allocator = {.fail_at = -1};
    const int descriptors = open_descriptors();
    snprintf(description, sizeof description, "%s:%s/%s", kind, folder.path, name);
    path_in(&folder, "kept.index", index_file);
    for (int is_kept = 0; is_kept <= keep; ++is_kept) {
        long long allocations = 0;
        for (long long fail_at = -1; fail_at < allocations; ++fail_at) {
            if (!is_kept) remove(index_file);
            atomic_store(&allocator.calls, 0);
            atomic_store(&allocator.failed, 0);
            allocator.fail_at = fail_at;
            open_and_read(&allocator, description, keep ? index_file : NULL);
            if (fail_at < 0) allocations = atomic_load(&allocator.calls);
            if (atomic_load(&allocator.live) != 0 || refusals != atomic_load(&allocator.failed)) {
                fail_msg("with allocation %lld failed, %lld are left over, and OUT_OF_MEMORY came %d times", fail_at,
                         (long long) atomic_load(&allocator.live), refusals);
            }
        }
        print_message("%s, %s: each of %lld allocations failed once\n", kind,
                      keep == 0 ? "no index"
                      : is_kept ? "a kept index"
                                : "an index to keep",
                      allocations);
        assert_true(allocations > 10);
    }
    assert_int_equal(open_descriptors(), descriptors);
    assert_int_equal(files_in(&folder), 5 + keep); /* no half-written index */
    remove(index_file);
}

static void folders(void **state) {
    (void) state;
    fail_each("folder", "set", 0);
    fail_each("folder", "set", 1);
}

static void lists(void **state) {
    (void) state;
    fail_each("filelist", "list.txt", 0);
}

static void tars(void **state) {
    (void) state;
    fail_each("tar", "x.tar", 0);
    fail_each("tar", "x.tar", 1);
}

static void shards(void **state) {
    (void) state;
    fail_each("tar", "w-{0..1}.tar", 0);
    fail_each("tar", "w-{0..1}.tar", 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folders, setup, teardown),
        cmocka_unit_test_setup_teardown(lists, setup, teardown),
        cmocka_unit_test_setup_teardown(tars, setup, teardown),
        cmocka_unit_test_setup_teardown(shards, setup, teardown),
    };
    if (png_is_missing()) return 77;
    return cmocka_run_group_tests_name("datasets without memory", tests, NULL, NULL);
}
