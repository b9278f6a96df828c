#define _GNU_SOURCE
#include "core/threads.h"

#include <sched.h>
#include <unistd.h>

#include "core/checked.h"
#include "core/context_internal.h"

#ifdef _OPENMP
#include <omp.h>
#endif

int32_t moco_available_processors(void) {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        const int count = CPU_COUNT(&set);
        if (count >= 1 && count <= MOCO_MAX_THREADS) return (int32_t) count;
    }
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online >= 1 && online <= MOCO_MAX_THREADS ? (int32_t) online : 1;
}

void moco_parallel_for(moco_context *context, int64_t tasks, moco_task_fn function, void *argument) {
#ifdef _OPENMP
    const int threads = (int) moco_max_i64(1, moco_min_i64(context->threads, tasks));
#pragma omp parallel num_threads(threads)
    {
        /* Also in a team of one: an OpenMP BLAS that is called from a task asks this number, not the team's size. */
        omp_set_num_threads(1);
        const int32_t worker = (int32_t) omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
        for (int64_t task = 0; task < tasks; ++task) function(argument, task, worker);
    }
#else
    (void) context;
    for (int64_t task = 0; task < tasks; ++task) function(argument, task, 0);
#endif
}

void moco_parallel_for_static(moco_context *context, int64_t tasks, moco_task_fn function, void *argument) {
#ifdef _OPENMP
    const int threads = (int) moco_max_i64(1, moco_min_i64(context->threads, tasks));
#pragma omp parallel num_threads(threads)
    {
        omp_set_num_threads(1); /* as above */
        const int32_t worker = (int32_t) omp_get_thread_num();
#pragma omp for schedule(static)
        for (int64_t task = 0; task < tasks; ++task) function(argument, task, worker);
    }
#else
    moco_parallel_for(context, tasks, function, argument);
#endif
}

typedef struct range_work {
    moco_range_fn function;
    void *argument;
    int64_t count;
    int64_t grain;
} range_work;

static void run_range(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const range_work *work = (const range_work *) argument;
    const int64_t begin = task * work->grain;
    work->function(work->argument, begin, moco_min_i64(begin + work->grain, work->count));
}

void moco_parallel_range(moco_context *context, int64_t count, int64_t grain, moco_range_fn function, void *argument) {
    range_work work = {function, argument, count, moco_max_i64(1, grain)};
    moco_parallel_for_static(context, moco_ceil_divide(moco_max_i64(0, count), work.grain), run_range, &work);
}
