/* Status codes and the per-thread error sentence.
 *
 * Every function that can fail returns a moco_status. On failure, outputs are left untouched unless a declaration says
 * otherwise, and moco_last_error() tells in one sentence which argument, which value, and what would be right.
 */
#ifndef MOCO_STATUS_H
#define MOCO_STATUS_H

#include <moco/export.h>

/* Code and text in one list, so that they cannot drift. Numbers are part of the ABI: never reused, only added. */
#define MOCO_STATUS_LIST(X)                                                    \
    X(MOCO_OK, 0, "success")                                                   \
    X(MOCO_INVALID_ARGUMENT, 10, "invalid argument")                           \
    X(MOCO_INVALID_STATE, 11, "call not allowed in this state")                \
    X(MOCO_UNSUPPORTED, 12, "not supported by this build, backend or version") \
    X(MOCO_OUT_OF_MEMORY, 20, "out of memory")                                 \
    X(MOCO_IO, 30, "input/output error")                                       \
    X(MOCO_FORMAT, 31, "malformed data")                                       \
    X(MOCO_NOT_FOUND, 32, "not found")                                         \
    X(MOCO_BACKEND, 40, "backend error")                                       \
    X(MOCO_COMMUNICATOR, 41, "communicator error")                             \
    X(MOCO_CALLBACK, 50, "a host callback returned non-zero")                  \
    X(MOCO_CANCELLED, 51, "stopped on request")                                \
    X(MOCO_INTERNAL, 90, "internal error, please report")

MOCO_BEGIN_DECLS

typedef int32_t moco_status;

enum {
#define MOCO_STATUS_ENUM(name, code, text) name = code,
    MOCO_STATUS_LIST(MOCO_STATUS_ENUM)
#undef MOCO_STATUS_ENUM
};

/* The short text of a code, "unknown status" for a number that is none. Static storage. */
MOCO_API const char *moco_status_string(moco_status status);

/* The sentence of the calling thread's most recent failure, "" if there was none. Valid until this thread's next
 * libmoco call that fails; a call that succeeds leaves it as it is. It is one line: control characters of names that it
 * quotes are written as "\n" or "\x1b". */
MOCO_API const char *moco_last_error(void);

MOCO_END_DECLS

#endif
