/* The context's inside: what every module asks it for. Memory, parallel loops, log, reference count, backend chain.
 * lib/context makes one; core has what it does, and knows nothing of the backends but how to give them back. */
#ifndef MOCO_CORE_CONTEXT_INTERNAL_H
#define MOCO_CORE_CONTEXT_INTERNAL_H

#include <moco/context.h>
#include <stdatomic.h>

#include "core/status_internal.h"

typedef struct moco_backend_chain moco_backend_chain;

struct moco_context {
    atomic_int references;
    int32_t threads;
    moco_allocate_fn allocate;
    moco_deallocate_fn deallocate;
    void *allocator_user;
    moco_log_fn log;
    void *log_user;
    int32_t log_level;
    moco_backend_chain *backends; /* lib/backend/backend_chain.h */
    void (*release_backends)(moco_backend_chain *backends);
};

void moco_context_retain(moco_context *context);
/* moco_context_destroy() is the release. */

/* --- Memory: nothing in lib/ calls malloc itself --- */

/* 64-byte aligned, not cleared; NULL with a sentence when it fails. `size` 0 gives a valid pointer. NULL context: as
 * one that was given no allocator. */
void *moco_allocate(moco_context *context, size_t size);
/* The same for a block that stays for many steps, such as a tensor's: the system has it back when it is freed, though it
 * be smaller than others of which that is true. */
void *moco_allocate_lasting(moco_context *context, size_t size);
/* count * size bytes, cleared; an overflowing product fails as out of memory does. */
void *moco_allocate_zeroed(moco_context *context, size_t count, size_t size);
/* A copy of a string. */
char *moco_duplicate_string(moco_context *context, const char *string);
void moco_deallocate(moco_context *context, void *memory); /* NULL is a no-op */

/* --- Log --- */
void moco_log(moco_context *context, int32_t level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- Parallel loops --- */

/* Work on task `task` (0 .. tasks - 1); `worker` < threads identifies scratch memory and must not influence results. */
typedef void (*moco_task_fn)(void *argument, int64_t task, int32_t worker);

/* Runs all tasks on the context's threads, in any order, and returns when all are done. What a task does must not
 * depend on the number of threads: cut the work by its size, and combine partial results in task order afterwards, and
 * the result has the same bits for any thread count. Inside a task, BLAS runs on one thread. Not to be nested. */
void moco_parallel_for(moco_context *context, int64_t tasks, moco_task_fn function, void *argument);

/* The same for tasks of equal cost, whose results the next loop reads: a thread always gets the same part of them, one
 * after another, so that what it needs next may still be in its cache. */
void moco_parallel_for_static(moco_context *context, int64_t tasks, moco_task_fn function, void *argument);

/* As moco_parallel_for_static, over [0, count) in ranges of `grain` elements, the last of what is left. */
typedef void (*moco_range_fn)(void *argument, int64_t begin, int64_t end);
void moco_parallel_range(moco_context *context, int64_t count, int64_t grain, moco_range_fn function, void *argument);

/* Monotonic wall clock in nanoseconds. */
int64_t moco_now_ns(void);

#endif
