/* The context: its settings, its memory, its log and its parallel loops. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/context_internal.h"
#include "core/threads.h"

/* libomp keeps its record of a host's thread that has left. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libomp";
}

/* An allocator that counts, and fails once `budget` allocations are made. */
typedef struct counting {
    int64_t live;
    int64_t budget;
    uint64_t last_size;
    uint64_t last_alignment;
} counting;

static void *count_allocate(uint64_t size, uint64_t alignment, void *user) {
    counting *c = (counting *) user;
    if (c->budget == 0) return NULL;
    c->budget--;
    c->live++;
    c->last_size = size;
    c->last_alignment = alignment;
    return aligned_alloc((size_t) alignment, (size_t) size);
}

static void count_deallocate(void *memory, void *user) {
    assert_non_null(memory);
    ((counting *) user)->live--;
    free(memory);
}

static moco_context_config default_config(void) {
    moco_context_config config;
    assert_int_equal(moco_context_config_init(&config, sizeof config), MOCO_OK);
    return config;
}

static void test_defaults(void **state) {
    (void) state;
    const moco_context_config config = default_config();
    assert_int_equal(config.struct_size, sizeof config);
    assert_int_equal(config.threads, 0);
    assert_null(config.backend);
    assert_null(config.log);
    assert_int_equal(config.log_level, MOCO_LOG_WARNING);
    assert_int_equal(moco_context_config_init(NULL, sizeof config), MOCO_INVALID_ARGUMENT);
    moco_context_config small;
    assert_int_equal(moco_context_config_init(&small, 4), MOCO_INVALID_ARGUMENT);

    moco_context *context = NULL;
    assert_int_equal(moco_context_create(&context, NULL), MOCO_OK);
    assert_int_equal(moco_context_threads(context), moco_available_processors());
    assert_in_range(moco_available_processors(), 1, 1024);
    assert_true(strlen(moco_context_backend(context)) > 0);
    moco_context_destroy(context);
    moco_context_destroy(NULL);
    assert_int_equal(moco_context_threads(NULL), 0);
    assert_string_equal(moco_context_backend(NULL), "");
}

static void refuse(const moco_context_config *config, moco_status status, const char *part) {
    moco_context *context = (moco_context *) &context;
    assert_int_equal(moco_context_create(&context, config), status);
    assert_ptr_equal(context, &context); /* untouched */
    if (strstr(moco_last_error(), part) == NULL) fail_msg("\"%s\" does not say %s", moco_last_error(), part);
}

static void test_refused_settings(void **state) {
    (void) state;
    moco_context_config config = default_config();
    assert_int_equal(moco_context_create(NULL, &config), MOCO_INVALID_ARGUMENT);
    config.threads = -1;
    refuse(&config, MOCO_INVALID_ARGUMENT, "threads is -1");
    config.threads = 1025;
    refuse(&config, MOCO_INVALID_ARGUMENT, "threads is 1025");
    config = default_config();
    config.backend = "gpu";
    refuse(&config, MOCO_NOT_FOUND, "\"gpu\"");
    config.backend = "";
    refuse(&config, MOCO_NOT_FOUND, "reference");
    config = default_config();
    config.allocate = count_allocate;
    refuse(&config, MOCO_INVALID_ARGUMENT, "deallocate");
    config = default_config();
    config.log_level = 4;
    refuse(&config, MOCO_INVALID_ARGUMENT, "log_level is 4");
    config = default_config();
    config.struct_size = 3;
    refuse(&config, MOCO_INVALID_ARGUMENT, "struct_size");
}

static void test_backend_names(void **state) {
    (void) state;
    static const char *const names[] = {"reference", "cblas"};
    for (int i = 0; i < 2; ++i) {
        moco_context_config config = default_config();
        moco_context *context = NULL;
        config.backend = names[i];
        config.threads = 3;
        assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
        assert_string_equal(moco_context_backend(context), names[i]);
        assert_int_equal(moco_context_threads(context), 3);
        moco_context_destroy(context);
    }
    moco_context_config config = default_config();
    moco_context *any = NULL, *automatic = NULL;
    assert_int_equal(moco_context_create(&any, &config), MOCO_OK);
    config.backend = "auto";
    assert_int_equal(moco_context_create(&automatic, &config), MOCO_OK);
    assert_string_equal(moco_context_backend(any), moco_context_backend(automatic));
    moco_context_destroy(any);
    moco_context_destroy(automatic);
}

static void test_allocator(void **state) {
    (void) state;
    counting counter = {.budget = INT64_MAX};
    moco_context_config config = default_config();
    config.allocate = count_allocate;
    config.deallocate = count_deallocate;
    config.allocator_user = &counter;
    moco_context *context = NULL;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    assert_true(counter.live > 0);
    const int64_t live = counter.live;

    void *memory = moco_allocate(context, 100);
    assert_non_null(memory);
    assert_true(counter.last_size >= 100 && counter.last_alignment == 64);
    assert_int_equal((uintptr_t) memory % 64, 0);
    void *nothing = moco_allocate(context, 0);
    assert_non_null(nothing);
    unsigned char *zeroed = (unsigned char *) moco_allocate_zeroed(context, 7, 11);
    for (int i = 0; i < 77; ++i) assert_int_equal(zeroed[i], 0);
    char *copy = moco_duplicate_string(context, "queue");
    assert_string_equal(copy, "queue");
    assert_int_equal(counter.live, live + 4);
    assert_null(moco_allocate_zeroed(context, SIZE_MAX / 2, 3)); /* would overflow */
    assert_null(moco_allocate(context, SIZE_MAX));
    moco_deallocate(context, NULL);
    moco_deallocate(context, memory);
    moco_deallocate(context, nothing);
    moco_deallocate(context, zeroed);
    moco_deallocate(context, copy);
    assert_int_equal(counter.live, live);

    counter.budget = 0;
    assert_null(moco_allocate(context, 100));
    assert_non_null(strstr(moco_last_error(), "out of memory"));
    assert_null(moco_allocate_zeroed(context, 1, 1));
    assert_null(moco_duplicate_string(context, "queue"));

    /* The last reference frees it. */
    moco_context_retain(context);
    moco_context_destroy(context);
    assert_int_equal(counter.live, live);
    moco_context_destroy(context);
    assert_int_equal(counter.live, 0);
}

/* Every allocation of creating a context fails once: nothing leaks, nothing is returned. */
static void test_failing_allocations(void **state) {
    (void) state;
    for (int64_t budget = 0; budget < 100; ++budget) {
        counting counter = {.budget = budget};
        moco_context_config config = default_config();
        config.allocate = count_allocate;
        config.deallocate = count_deallocate;
        config.allocator_user = &counter;
        moco_context *context = NULL;
        const moco_status status = moco_context_create(&context, &config);
        if (status == MOCO_OK) {
            assert_true(budget > 2);
            moco_context_destroy(context);
            assert_int_equal(counter.live, 0);
            return;
        }
        assert_int_equal(status, MOCO_OUT_OF_MEMORY);
        assert_null(context);
        assert_int_equal(counter.live, 0);
    }
    fail_msg("a context takes more than 100 allocations");
}

static int32_t logged_level;
static char logged[2048];

static void keep_log(int32_t level, const char *message, void *user) {
    assert_ptr_equal(user, logged);
    logged_level = level;
    strncpy(logged, message, sizeof logged - 1);
}

static void test_log(void **state) {
    (void) state;
    moco_context_config config = default_config();
    moco_context *context = NULL;
    config.log = keep_log;
    config.log_user = logged;
    assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
    logged[0] = '\0';
    moco_log(context, MOCO_LOG_INFO, "too verbose");
    assert_string_equal(logged, "");
    moco_log(context, MOCO_LOG_WARNING, "%d of %s", 3, "four");
    assert_string_equal(logged, "3 of four");
    assert_int_equal(logged_level, MOCO_LOG_WARNING);
    moco_log(context, MOCO_LOG_WARNING, "\"%s\"", "\x1b[2J\n"); /* what is quoted makes no second line */
    assert_string_equal(logged, "\"\\x1b[2J\\n\"");
    moco_context_destroy(context);
}

/* --- Parallel loops --- */

#define TASKS 1000

typedef struct loop_record {
    int32_t threads;
    int32_t runs[TASKS];
    int32_t busy[64]; /* per worker: one task at a time */
    int32_t collisions;
} loop_record;

static void record_task(void *argument, int64_t task, int32_t worker) {
    loop_record *record = (loop_record *) argument;
    if (worker < 0 || worker >= record->threads) record->collisions++;
    if (__atomic_fetch_add(&record->busy[worker], 1, __ATOMIC_SEQ_CST) != 0) record->collisions++;
    __atomic_fetch_add(&record->runs[task], 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&record->busy[worker], 1, __ATOMIC_SEQ_CST);
}

static void record_range(void *argument, int64_t begin, int64_t end) {
    loop_record *record = (loop_record *) argument;
    for (int64_t i = begin; i < end; ++i) __atomic_fetch_add(&record->runs[i], 1, __ATOMIC_SEQ_CST);
    if (begin % 7 != 0 || end - begin > 7 || end <= begin) __atomic_fetch_add(&record->collisions, 1, __ATOMIC_SEQ_CST);
}

static void test_parallel_loops(void **state) {
    (void) state;
    for (int32_t threads = 1; threads <= 5; ++threads) {
        moco_context_config config = default_config();
        moco_context *context = NULL;
        config.threads = threads;
        assert_int_equal(moco_context_create(&context, &config), MOCO_OK);
        for (int64_t tasks = 0; tasks <= TASKS; tasks = tasks * 3 + 1) {
            loop_record record = {.threads = threads};
            moco_parallel_for(context, tasks, record_task, &record);
            for (int64_t i = 0; i < TASKS; ++i) assert_int_equal(record.runs[i], i < tasks);
            assert_int_equal(record.collisions, 0);
            loop_record ranges = {.threads = threads};
            moco_parallel_range(context, tasks, 7, record_range, &ranges);
            for (int64_t i = 0; i < TASKS; ++i) assert_int_equal(ranges.runs[i], i < tasks);
            assert_int_equal(ranges.collisions, 0);
        }
        loop_record none = {.threads = threads};
        moco_parallel_range(context, -5, 7, record_range, &none);
        moco_parallel_for(context, 0, record_task, &none);
        assert_int_equal(none.runs[0], 0);
        moco_context_destroy(context);
    }
}

/* Distinct contexts in distinct threads of the host. */
static void *loop_in_thread(void *argument) {
    moco_context_config config;
    moco_context *context = NULL;
    loop_record *record = (loop_record *) argument;
    if (moco_context_config_init(&config, sizeof config) != MOCO_OK) return NULL;
    config.threads = record->threads;
    if (moco_context_create(&context, &config) != MOCO_OK) return NULL;
    for (int i = 0; i < 20; ++i) moco_parallel_for(context, TASKS, record_task, record);
    moco_context_destroy(context);
    return argument;
}

static void test_loops_in_host_threads(void **state) {
    (void) state;
    static loop_record records[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; ++i) {
        memset(&records[i], 0, sizeof records[i]);
        records[i].threads = i + 1;
        assert_int_equal(pthread_create(&threads[i], NULL, loop_in_thread, &records[i]), 0);
    }
    for (int i = 0; i < 3; ++i) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &records[i]);
        for (int task = 0; task < TASKS; ++task) assert_int_equal(records[i].runs[task], 20);
        assert_int_equal(records[i].collisions, 0);
    }
}

static void test_clock(void **state) {
    (void) state;
    const int64_t first = moco_now_ns();
    assert_true(first > 0 && moco_now_ns() >= first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_refused_settings),
        cmocka_unit_test(test_backend_names),
        cmocka_unit_test(test_allocator),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_parallel_loops),
        cmocka_unit_test(test_loops_in_host_threads),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
