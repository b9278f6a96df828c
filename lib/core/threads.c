#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "core/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "core/checked.h"
#include "core/context_internal.h"

#ifdef _OPENMP
#include <omp.h>

enum {
    SPARE_THREADS = 8,
    MAX_TRIAL = 2 * MOCO_MAX_THREADS + SPARE_THREADS + 256,
    LONGEST_WAIT_NS = 1000000000,
};
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
    int32_t entered;
    pid_t ids[MAX_TRIAL];
} thread_trial;

static void *stay_until_over(void *argument) {
    thread_trial *trial = (thread_trial *) argument;
    pthread_mutex_lock(&trial->mutex);
#ifdef __linux__
    trial->ids[trial->entered++] = (pid_t) syscall(SYS_gettid);
#endif
    while (!trial->is_over) pthread_cond_wait(&trial->ended, &trial->mutex);
    pthread_mutex_unlock(&trial->mutex);
    return NULL;
}

/* A thread that was joined still counts until the system has taken it off its list, too. */
static void wait_until_gone(const thread_trial *trial) {
#ifdef __linux__
    const int64_t end = moco_now_ns() + LONGEST_WAIT_NS;
    const pid_t process = getpid();
    for (int32_t i = 0; i < trial->entered; i++) {
        while (syscall(SYS_tgkill, process, trial->ids[i], 0) == 0 && moco_now_ns() < end) sched_yield();
    }
#else
    (void) trial;
#endif
}

/* How many of `wanted` threads, the caller's among them, the system lets this process have at once. */
static int32_t startable(int32_t wanted) {
    thread_trial trial;
    pthread_t threads[MAX_TRIAL];
    int32_t count = 1; /* the caller's own */
    sigset_t all, before;
    pthread_mutex_init(&trial.mutex, NULL);
    pthread_cond_init(&trial.ended, NULL);
    trial.is_over = trial.entered = 0;
    sigfillset(&all); /* the host's signals are for the host's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (count < wanted && pthread_create(&threads[count - 1], NULL, stay_until_over, &trial) == 0) count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&trial.mutex);
    trial.is_over = 1;
    pthread_cond_broadcast(&trial.ended);
    pthread_mutex_unlock(&trial.mutex);
    for (int32_t i = 0; i < count - 1; i++) pthread_join(threads[i], NULL);
    wait_until_gone(&trial);
    pthread_cond_destroy(&trial.ended);
    pthread_mutex_destroy(&trial.mutex);
    return count;
}

/* What a team of `threads` may need at once: itself, a second one that ends while it starts (oneDNN's loops change the
 * team's size, upon which OpenMP's runtime ends and starts threads), and some for the host. One thread starts none. */
static int32_t need_of_team(int32_t threads) {
    return threads <= 1 ? 1 : 2 * threads + SPARE_THREADS;
}
#endif

int32_t moco_startable_team(int32_t wanted) {
#ifdef _OPENMP
    if (wanted <= 1) return wanted;
    const int32_t need = need_of_team(wanted), count = startable(need);
    if (count == need) return wanted;
    return count < need_of_team(2) ? 1 : (count - SPARE_THREADS) / 2;
#else
    return wanted;
#endif
}

int32_t moco_startable_beside_team(int32_t threads, int32_t wanted) {
#ifdef _OPENMP
    if (threads <= 1 || wanted <= 0) return wanted;
    const int32_t need = need_of_team(threads);
    const int32_t most = wanted < MAX_TRIAL - need ? wanted : MAX_TRIAL - need;
    const int32_t count = startable(need + most);
    return count <= need ? 0 : count - need;
#else
    (void) threads;
    return wanted;
#endif
}

/* Always the whole team where there is more than one task: a change of its size costs more than a thread that finds
 * nothing to do, since OpenMP's runtime ends threads and starts them again. A team of one leaves the others be. */
#ifdef _OPENMP
static int team_for(const moco_context *context, int64_t tasks) {
    return tasks <= 1 ? 1 : (int) context->threads;
}
#endif

void moco_parallel_for(moco_context *context, int64_t tasks, moco_task_fn function, void *argument) {
#ifdef _OPENMP
    const int threads = team_for(context, tasks);
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
    const int threads = team_for(context, tasks);
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
