#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "core/threads.h"

#include <pthread.h>
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

#ifdef _OPENMP
typedef struct thread_trial {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    int32_t is_over;
} thread_trial;

static void *stay_until_over(void *argument) {
    thread_trial *trial = (thread_trial *) argument;
    pthread_mutex_lock(&trial->mutex);
    while (!trial->is_over) pthread_cond_wait(&trial->ended, &trial->mutex);
    pthread_mutex_unlock(&trial->mutex);
    return NULL;
}
#endif

int32_t moco_startable_threads(int32_t wanted) {
#ifdef _OPENMP
    thread_trial trial = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    pthread_t threads[MOCO_MAX_THREADS];
    int32_t count = 1; /* the caller's own */
    while (count < wanted && pthread_create(&threads[count - 1], NULL, stay_until_over, &trial) == 0) count++;
    pthread_mutex_lock(&trial.mutex);
    trial.is_over = 1;
    pthread_cond_broadcast(&trial.ended);
    pthread_mutex_unlock(&trial.mutex);
    for (int32_t i = 0; i < count - 1; i++) pthread_join(threads[i], NULL);
    return count;
#else
    return wanted;
#endif
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
