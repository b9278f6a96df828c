/* A loader that is given up while images are in work, is stopped and continued by signals, or loses its files in the
 * middle of an epoch: nothing hangs, leaks or stays open. An alarm ends the program where something hangs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <moco/loader.h>

#include "support/fake_images.h"
#include "support/image_files.h"

enum { SIDE = 8, COUNT = 60, BATCH = 4 };

static fake_images images;

static moco_loader *create(moco_context *context, moco_dataset *dataset, int32_t workers) {
    moco_augment_config recipe;
    moco_augment *augment = NULL;
    moco_loader_config config;
    moco_loader *loader = NULL;
    assert_succeeds(moco_augment_config_init(&recipe, sizeof recipe, MOCO_AUGMENT_CIFAR));
    recipe.height = recipe.width = SIDE;
    assert_succeeds(moco_augment_create(&augment, context, &recipe));
    assert_succeeds(moco_loader_config_init(&config, sizeof config));
    config.workers = workers;
    config.batch_size = BATCH;
    config.max_broken_fraction = 1;
    assert_succeeds(moco_loader_create(&loader, dataset, augment, &config));
    moco_augment_destroy(augment);
    return loader;
}

static void pause_ns(int64_t ns) {
    const struct timespec pause = {(time_t) (ns / 1000000000), (long) (ns % 1000000000)};
    nanosleep(&pause, NULL);
}

/* Destroyed and started anew while slow images are in work, with workers that wait for room and a caller that took
 * none, some or all. */
static void test_slow_images(void **state) {
    (void) state;
    moco_context *context = NULL;
    assert_succeeds(moco_context_create(&context, NULL));
    moco_dataset *dataset = fake_dataset(context, &images, COUNT);
    images.slow_ns = 3000000;
    for (int32_t workers = 0; workers <= 5; ++workers) {
        for (int taken = 0; taken <= 2; ++taken) {
            for (int64_t wait = 0; wait <= 4000000; wait += 2000000) {
                moco_loader *loader = create(context, dataset, workers);
                for (int64_t epoch = 0; epoch < 2; ++epoch) {
                    moco_batch batch = {.struct_size = sizeof batch};
                    assert_succeeds(moco_loader_start_epoch(loader, epoch));
                    for (int i = 0; i < taken; ++i) assert_succeeds(moco_loader_next(loader, &batch));
                    pause_ns(wait);
                }
                moco_loader_destroy(loader);
            }
        }
    }
    images.slow_ns = 0;
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
}

static uint64_t load_epoch(moco_loader *loader, int64_t epoch, int64_t pause) {
    uint64_t value = 0xcbf29ce484222325u;
    assert_succeeds(moco_loader_start_epoch(loader, epoch));
    for (;;) {
        moco_batch batch = {.struct_size = sizeof batch};
        assert_succeeds(moco_loader_next(loader, &batch));
        if (batch.n == 0) return value;
        value = hash_bytes(value, batch.sample_ids, (size_t) batch.n * sizeof *batch.sample_ids);
        value = hash_bytes(value, batch.query_images, (size_t) batch.n * 3 * SIDE * SIDE * sizeof(float));
        if (pause > 0) pause_ns(pause);
    }
}

/* A process that is stopped and continued again and again loads what another one loads. */
static void test_stop_and_continue(void **state) {
    (void) state;
    moco_context *context = NULL;
    assert_succeeds(moco_context_create(&context, NULL));
    moco_dataset *dataset = fake_dataset(context, &images, COUNT);
    moco_loader *loader = create(context, dataset, 0);
    const uint64_t wanted = load_epoch(loader, 1, 0);
    moco_loader_destroy(loader);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        images.slow_ns = 1000000;
        loader = create(context, dataset, 3);
        uint64_t value = wanted;
        for (int i = 0; i < 3 && value == wanted; ++i) value = load_epoch(loader, 1, 500000);
        moco_loader_destroy(loader);
        _exit(value == wanted ? 0 : 1);
    }
    int status = 0, stops = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        pause_ns(3000000);
        kill(child, SIGSTOP);
        pause_ns(3000000);
        kill(child, SIGCONT);
        ++stops;
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(stops >= 3);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
}

/* Files that go away, and come back, while an epoch is loaded from them. */
static void test_vanishing_files(void **state) {
    (void) state;
    if (png_is_missing()) skip();
    temporary_folder folder;
    kept_log log;
    make_temporary_folder(&folder);
    for (int i = 0; i < COUNT; ++i) {
        char name[64];
        snprintf(name, sizeof name, "%02d.png", i);
        write_png_at(&folder, name, 10, 10, (uint32_t) i * 0x030509u);
    }
    char description[TEST_PATH_SIZE + 16], path[TEST_PATH_SIZE];
    snprintf(description, sizeof description, "folder:%s", folder.path);
    moco_context *context = context_with_log(&log, 1);
    moco_dataset *dataset = NULL;
    assert_succeeds(moco_dataset_open(&dataset, context, description));
    assert_int_equal(moco_dataset_count(dataset), COUNT);
    moco_loader *loader = create(context, dataset, 2);
    const uint64_t wanted = load_epoch(loader, 0, 0);
    const int before = open_descriptors();
    assert_succeeds(moco_loader_start_epoch(loader, 1));
    for (int i = 0; i < COUNT / BATCH; ++i) {
        moco_batch batch = {.struct_size = sizeof batch};
        char name[64];
        assert_succeeds(moco_loader_next(loader, &batch));
        assert_int_equal(batch.n, BATCH);
        if (i >= 10) continue;
        snprintf(name, sizeof name, "%02d.png", 4 * i);
        assert_int_equal(remove(path_in(&folder, name, path)), 0);
        snprintf(name, sizeof name, "%02d.png", 4 * i + 1);
        write_bytes_at(&folder, name, "\x89PNG\r\n\x1A\n\0\0", 10);
    }
    moco_loader_statistics statistics = {.struct_size = sizeof statistics};
    load_epoch(loader, 2, 0);
    assert_succeeds(moco_loader_read_statistics(loader, &statistics));
    assert_int_equal(statistics.broken, 20);
    assert_int_equal(open_descriptors(), before);
    assert_non_null(strstr(log.text, "04.png: No such file"));
    assert_non_null(strstr(log.text, "05.png"));
    for (int i = 0; i < COUNT; ++i) {
        char name[64];
        snprintf(name, sizeof name, "%02d.png", i);
        write_png_at(&folder, name, 10, 10, (uint32_t) i * 0x030509u);
    }
    assert_true(load_epoch(loader, 0, 0) == wanted);
    moco_loader_destroy(loader);
    moco_dataset_destroy(dataset);
    moco_context_destroy(context);
    remove_tree(folder.path);
}

int main(void) {
    alarm(300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_images),
        cmocka_unit_test(test_stop_and_continue),
        cmocka_unit_test(test_vanishing_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
