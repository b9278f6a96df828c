/* Stopping with a sentence, for the example programs. */
#ifndef MOCO_EXAMPLE_SUPPORT_H
#define MOCO_EXAMPLE_SUPPORT_H

#include <moco.h>

/* The name that messages begin with; the program's. */
extern const char *example_program;

/* Prints "program: <libmoco's sentence>", in the words of the options (support/option_names.h), and exits with 1 unless
 * `status` is MOCO_OK. */
void check(moco_status status);

/* The same for what was chosen on the command line: exits with 2, and a hint, where the choice is at fault. */
void check_choice(moco_status status);

/* Prints "program: message" and exits with 1. */
void stop(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* count * size bytes; stops without memory. */
void *allocate(size_t count, size_t size);

/* A context whose warnings go to stderr. `backend` NULL: the best one; threads 0: one per processor. */
moco_context *open_context(const char *backend, int32_t threads);

/* Seconds of a monotonic clock. */
double seconds_now(void);

#endif
