/* The system's limit of a user's processes (ulimit -u), which a child sets before it trains: it trains with fewer threads,
 * and to the same bits as with that many where there is no limit. Without the right to become another user, skipped. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moco.h>

#include "support/temporary_folder.h"

enum { NO_BACKEND = 3, NO_RIGHT = 4, NO_OPENMP = 5 };

typedef struct outcome {
    int32_t threads;
    uint64_t checksum;
} outcome;

/* A user that has no other process: none of this program's children, which run one after another, goes on. */
static int become_limited(rlim_t limit) {
    const struct rlimit both = {limit, limit};
    const uid_t user = 60000 + (uid_t) getppid() % 5000;
    return setgroups(0, NULL) == 0 && setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0 &&
           setrlimit(RLIMIT_NPROC, &both) == 0;
}

static moco_status train(moco_context *context, const char *path, uint64_t *checksum) {
    moco_dataset *dataset = NULL;
    moco_recipe *recipe = NULL;
    moco_trainer *trainer = NULL;
    moco_checkpoint *checkpoint = NULL;
    moco_status status = moco_dataset_open(&dataset, context, "synthetic:count=48,size=8");
    if (status == MOCO_OK) {
        status = moco_recipe_create(&recipe, context,
                                    "quick:arch=cifar_resnet8,batch_size=8,queue_size=64,epochs=1,workers=4");
    }
    if (status == MOCO_OK) status = moco_trainer_create_for(&trainer, dataset, recipe);
    if (status == MOCO_OK) status = moco_trainer_run(trainer, NULL, 0, 2, NULL, NULL);
    if (status == MOCO_OK) status = moco_checkpoint_create(&checkpoint, context);
    if (status == MOCO_OK) status = moco_checkpoint_save(checkpoint, trainer, path, NULL, NULL, 0);
    if (status == MOCO_OK) status = moco_trainer_run(trainer, NULL, 0, 2, NULL, NULL);
    if (status == MOCO_OK) status = moco_checkpoint_wait(checkpoint);
    if (status == MOCO_OK) status = moco_trainer_checksum(trainer, checksum);
    moco_checkpoint_destroy(checkpoint);
    moco_trainer_destroy(trainer);
    moco_recipe_destroy(recipe);
    moco_dataset_destroy(dataset);
    return status;
}

/* A build without OpenMP keeps any number. It does not choose how many threads oneDNN's own OpenMP starts. */
static int has_openmp(void) {
    moco_context_config config = MOCO_CONTEXT_CONFIG_INITIALIZER;
    moco_context *context = NULL;
    config.threads = 64;
    if (moco_context_create(&context, &config) != MOCO_OK) return 1;
    const int32_t threads = moco_context_threads(context);
    moco_context_destroy(context);
    return threads < 64;
}

static int train_as_child(const char *backend, int32_t threads, rlim_t limit, const char *path, int out) {
    if (limit > 0 && !become_limited(limit)) return NO_RIGHT;
    if (limit > 0 && strcmp(backend, "onednn") == 0 && !has_openmp()) return NO_OPENMP;
    moco_context_config config = MOCO_CONTEXT_CONFIG_INITIALIZER;
    moco_context *context = NULL;
    outcome found = {0};
    config.backend = backend;
    config.threads = threads;
    const moco_status created = moco_context_create(&context, &config);
    if (created != MOCO_OK) return created == MOCO_NOT_FOUND ? NO_BACKEND : EXIT_FAILURE;
    found.threads = moco_context_threads(context);
    const moco_status status = train(context, path, &found.checksum);
    moco_context_destroy(context);
    return status == MOCO_OK && write(out, &found, sizeof found) == sizeof found ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The child's exit status; this process itself has no threads of a runtime. */
static int train_in_child(const char *backend, int32_t threads, rlim_t limit, outcome *found) {
    int ends[2], status = 0;
    temporary_folder folder;
    make_temporary_folder(&folder);
    assert_int_equal(chmod(folder.path, 0777), 0);
    char path[sizeof folder.path + 8];
    snprintf(path, sizeof path, "%s/run", folder.path);
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(train_as_child(backend, threads, limit, path, ends[1]));
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    const ssize_t got = read(ends[0], found, sizeof *found);
    close(ends[0]);
    remove_temporary_folder(&folder);
    if (!WIFEXITED(status)) return -1;
    return WEXITSTATUS(status) != 0 || got == (ssize_t) sizeof *found ? WEXITSTATUS(status) : -1;
}

static void expect_same_training(const char *backend) {
    static const rlim_t limits[] = {5, 9, 20};
    static const int32_t threads[] = {4, 6, 16, 64};
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; ++l) {
        outcome unlimited = {0};
        for (size_t t = 0; t < sizeof threads / sizeof threads[0]; ++t) {
            outcome limited = {0};
            const int result = train_in_child(backend, threads[t], limits[l], &limited);
            if (result == NO_RIGHT) print_message("no right to become another user\n");
            if (result == NO_BACKEND) print_message("no backend %s\n", backend);
            if (result == NO_OPENMP) print_message("libmoco has no OpenMP\n");
            if (result == NO_RIGHT || result == NO_BACKEND || result == NO_OPENMP) skip();
            assert_int_equal(result, 0);
            assert_in_range(limited.threads, 1, threads[t]);
            if (unlimited.threads != limited.threads) {
                assert_int_equal(train_in_child(backend, limited.threads, 0, &unlimited), 0);
                assert_int_equal(unlimited.threads, limited.threads);
            }
            assert_true(limited.checksum == unlimited.checksum);
        }
    }
}

static void test_cblas(void **state) {
    (void) state;
    expect_same_training("cblas");
}

static void test_onednn(void **state) {
    (void) state;
    expect_same_training("onednn");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cblas), cmocka_unit_test(test_onednn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
