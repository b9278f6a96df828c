/* A system that lets a process have fewer threads than a context is to use: the context takes what there is and says so,
 * where OpenMP's runtime would end the process. pthread_create is this program's own here, for the runtime, too. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <moco/context.h>

#include "core/context_internal.h"

enum { NO_LIMIT = 1 << 20 };

static atomic_int limit = NO_LIMIT; /* threads beside the first one that may be there at once */
static atomic_int alive;

typedef struct start {
    void *(*function)(void *);
    void *argument;
} start;

static void *run(void *argument) {
    const start given = *(const start *) argument;
    free(argument);
    void *result = given.function(given.argument);
    atomic_fetch_sub(&alive, 1);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument) {
    if (atomic_fetch_add(&alive, 1) >= atomic_load(&limit)) {
        atomic_fetch_sub(&alive, 1);
        return EAGAIN;
    }
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

/* Every task of a parallel loop runs once. */
static void expect_loop(moco_context *context) {
    static int32_t done[TASKS];
    memset(done, 0, sizeof done);
    moco_parallel_for(context, TASKS, count_task, done);
    for (int i = 0; i < TASKS; i++) assert_int_equal(done[i], 1);
}

static void test_fewer_threads_where_the_system_has_a_limit(void **state) {
    (void) state;
    moco_context *unlimited = create(6);
    assert_int_equal(moco_context_threads(unlimited), 6);
    assert_string_equal(logged, "");
    moco_context_destroy(unlimited);
    assert_int_equal(atomic_load(&alive), 0); /* the trial leaves none behind */
    atomic_store(&limit, 7);
    moco_context *limited = create(64);
    expect_loop(limited);                      /* which here ends the process if it asks for too many */
    if (moco_context_threads(limited) != 64) { /* a build without OpenMP starts none, and may keep the number */
        assert_int_equal(moco_context_threads(limited), 8);
        assert_non_null(strstr(logged, "7 of 63 threads"));
    }
    moco_context_destroy(limited);
    atomic_store(&limit, NO_LIMIT);
}

/* A warning there would be for a limit that isn't reached. */
static void test_one_thread_needs_none_started(void **state) {
    (void) state;
    atomic_store(&limit, 0);
    moco_context *context = create(1);
    assert_int_equal(moco_context_threads(context), 1);
    assert_string_equal(logged, "");
    expect_loop(context);
    moco_context_destroy(context);
    atomic_store(&limit, NO_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread_needs_none_started),
        cmocka_unit_test(test_fewer_threads_where_the_system_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
