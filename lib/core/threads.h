/* How many processors this process may use. The parallel loops are in context_internal.h. */
#ifndef MOCO_CORE_THREADS_H
#define MOCO_CORE_THREADS_H

#include <stdint.h>

#define MOCO_MAX_THREADS 1024 /* of a context */

int32_t moco_available_processors(void);

/* OpenMP's runtime ends the process where it can't start a thread. These two find by starting threads, and waiting until
 * they are gone, what it may be asked for, with a reserve: it ends and starts threads as teams change their size, and
 * threads that end count for a moment. They find the limits that are there, not those to come; threads that the runtime
 * has already count for none. Without OpenMP no thread is started, and all that is wanted is given. */

/* The largest team of at most `wanted` threads, 1 to MOCO_MAX_THREADS and the caller's among them; at least 1. */
int32_t moco_startable_team(int32_t wanted);
/* How many of `wanted` further threads leave room for a team of `threads`. All of them beside one thread, which needs no
 * other started. */
int32_t moco_startable_beside_team(int32_t threads, int32_t wanted);

#endif
