/* Failing with a sentence: the one way an error leaves libmoco. */
#ifndef MOCO_CORE_STATUS_INTERNAL_H
#define MOCO_CORE_STATUS_INTERNAL_H

#include <moco/status.h>

/* Stores the sentence for moco_last_error() of this thread and returns `status`. Name the argument, its value, and what
 * would be right: "batch_size is 0; it must be at least 1". */
moco_status moco_fail(moco_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts a sentence that was taken in another thread (a loader worker, say) before this thread's host. */
moco_status moco_fail_with(moco_status status, const char *sentence);

/* Returns from the calling function if `expression` is a failure; its sentence stays. */
#define MOCO_TRY(expression)                        \
    do {                                            \
        moco_status moco_try_ = (expression);       \
        if (moco_try_ != MOCO_OK) return moco_try_; \
    } while (0)

/* As MOCO_TRY, for functions that clean up behind `label` and return `status`, which must be a local variable. */
#define MOCO_TRY_GOTO(status, label, expression) \
    do {                                         \
        (status) = (expression);                 \
        if ((status) != MOCO_OK) goto label;     \
    } while (0)

/* Refuses an argument: MOCO_REQUIRE(n >= 1, "n is %lld; it must be at least 1", (long long) n). */
#define MOCO_REQUIRE(condition, ...)                                            \
    do {                                                                        \
        if (!(condition)) return moco_fail(MOCO_INVALID_ARGUMENT, __VA_ARGS__); \
    } while (0)

/* Refuses a NULL argument by its name. */
#define MOCO_REQUIRE_POINTER(argument) \
    MOCO_REQUIRE((argument) != NULL, #argument " is NULL; it must point to something")

#endif
