/* A system that lets a process have fewer threads than a context is to use: the context takes fewer, with a reserve, and
 * says so, where OpenMP's runtime would end the process. pthread_create is this program's own here, for the runtime, too,
 * and a thread that ends counts for a while longer. test_thread_limit has the system's own limit. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <moco/loader.h>

#include "core/context_internal.h"

enum { NO_LIMIT = 1 << 20 };

static atomic_int limit = NO_LIMIT; /* threads beside the first one that may be there at once */
static atomic_int alive;
static atomic_int started; /* since the program began */

typedef struct start {
    void *(*function)(void *);
    void *argument;
} start;

static void *run(void *argument) {
    const start given = *(const start *) argument;
    free(argument);
    void *result = given.function(given.argument);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    atomic_fetch_sub(&alive, 1);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument) {
    if (atomic_fetch_add(&alive, 1) >= atomic_load(&limit)) {
        atomic_fetch_sub(&alive, 1);
        return EAGAIN;
    }
    atomic_fetch_add(&started, 1);
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*) (void *), void *) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&real, &symbol, sizeof real);
    start *given = malloc(sizeof *given);
    *given = (start){function, argument};
    return real(thread, attributes, run, given);
}

static char logged[512];

static void keep_log(int32_t level, const char *message, void *user) {
    (void) user;
    if (level == MOCO_LOG_WARNING) strncpy(logged, message, sizeof logged - 1);
}

static moco_context *create(int32_t threads) {
    moco_context_config config;
    moco_context *context = NULL;
    assert_int_equal(moco_context_config_init(&config, sizeof config), MOCO_OK);
    config.threads = threads;
    config.log = keep_log;
    logged[0] = '\0';
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    return context;
}

enum { TASKS = 1000 };

static void count_task(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    ((int32_t *) argument)[task]++;
}

/* Every task of parallel loops of many sizes runs once. */
static void expect_loops(moco_context *context) {
    static int32_t done[TASKS];
    int started_at_first = 0;
    for (int64_t tasks = TASKS; tasks > 0; tasks = tasks > 40 ? 40 : tasks - 1) {
        memset(done, 0, sizeof done);
        moco_parallel_for(context, tasks, count_task, done);
        moco_parallel_for_static(context, TASKS - tasks, count_task, done + tasks);
        for (int i = 0; i < TASKS; i++) assert_int_equal(done[i], 1);
        if (tasks == TASKS) started_at_first = atomic_load(&started);
    }
    assert_int_equal(atomic_load(&started), started_at_first); /* the team stays the same */
}

static void test_fewer_threads_where_the_system_has_a_limit(void **state) {
    (void) state;
    /* How many may be there beside the first thread, and how many of 64 the context then takes: n where 2 n + 8 may be
     * there, the first one among them. */
    static const struct {
        int limit;
        int32_t threads;
    } cases[] = {{0, 1}, {7, 1}, {10, 1}, {11, 2}, {12, 2}, {13, 3}, {27, 10}, {134, 63}, {135, 64}};
    moco_context *unlimited = create(6);
    assert_int_equal(moco_context_threads(unlimited), 6);
    assert_string_equal(logged, "");
    moco_context_destroy(unlimited);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        const int before = atomic_load(&alive); /* the runtime's, of the loops before */
        atomic_store(&limit, before + cases[i].limit);
        moco_context *limited = create(64);
        assert_int_equal(atomic_load(&alive), before); /* the trial leaves none behind */
        if (moco_context_threads(limited) == 64) {     /* a build without OpenMP starts none, and may keep the number */
            assert_string_equal(logged, "");
        } else {
            assert_int_equal(moco_context_threads(limited), cases[i].threads);
            assert_non_null(strstr(logged, "too near for 64"));
        }
        expect_loops(limited); /* which ends the process if it asks for too many */
        moco_context_destroy(limited);
    }
    atomic_store(&limit, NO_LIMIT);
}

/* How many of 3 workers are there, of a loader whose context has 64 threads. */
static void expect_workers(moco_context *context, int free_threads, int workers) {
    moco_dataset *dataset = NULL;
    moco_augment *augment = NULL;
    moco_loader *loader = NULL;
    moco_augment_config augment_config;
    moco_loader_config loader_config = MOCO_LOADER_CONFIG_INITIALIZER;
    loader_config.workers = 3;
    loader_config.batch_size = 4;
    logged[0] = '\0';
    assert_int_equal(moco_dataset_open(&dataset, context, "synthetic:count=12"), MOCO_OK);
    assert_int_equal(moco_augment_config_init(&augment_config, sizeof augment_config, MOCO_AUGMENT_CIFAR), MOCO_OK);
    assert_int_equal(moco_augment_create(&augment, context, &augment_config), MOCO_OK);
    const int before = atomic_load(&alive);
    atomic_store(&limit, before + free_threads);
    assert_int_equal(moco_loader_create(&loader, dataset, augment, &loader_config), MOCO_OK);
    assert_int_equal(atomic_load(&alive) - before, workers);
    if (workers < 3) {
        char expected[32];
        snprintf(expected, sizeof expected, "only %d of 3", workers);
        assert_non_null(strstr(logged, expected));
    } else {
        assert_string_equal(logged, "");
    }
    assert_int_equal(moco_loader_start_epoch(loader, 0), MOCO_OK);
    moco_batch batch = {.struct_size = sizeof batch};
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(moco_loader_next(loader, &batch), MOCO_OK);
        assert_int_equal(batch.n, 4);
        expect_loops(context);
    }
    moco_loader_destroy(loader);
    moco_augment_destroy(augment);
    moco_dataset_destroy(dataset);
    atomic_store(&limit, NO_LIMIT);
}

static void test_workers_leave_the_team_its_threads(void **state) {
    (void) state;
    atomic_store(&limit, atomic_load(&alive));
    moco_context *context = create(64);
    const int32_t threads = moco_context_threads(context);
    moco_context_destroy(context);
    atomic_store(&limit, NO_LIMIT);
    if (threads == 64) skip(); /* without OpenMP there is no team */
    context = create(64);
    expect_workers(context, 5, 0);
    expect_workers(context, 135, 0); /* 2 n + 8, the first one among them */
    expect_workers(context, 136, 1);
    expect_workers(context, 137, 2);
    expect_workers(context, 138, 3);
    moco_context_destroy(context);
}

/* A warning there would be for a limit that isn't reached. */
static void test_one_thread_needs_none_started(void **state) {
    (void) state;
    atomic_store(&limit, 0);
    moco_context *context = create(1);
    assert_int_equal(moco_context_threads(context), 1);
    assert_string_equal(logged, "");
    expect_loops(context);
    moco_context_destroy(context);
    atomic_store(&limit, NO_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread_needs_none_started),
        cmocka_unit_test(test_fewer_threads_where_the_system_has_a_limit),
        cmocka_unit_test(test_workers_leave_the_team_its_threads), /* with the team of the last one */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
