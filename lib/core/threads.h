/* How many processors this process may use. The parallel loops are in context_internal.h. */
#ifndef MOCO_CORE_THREADS_H
#define MOCO_CORE_THREADS_H

#include <stdint.h>

#define MOCO_MAX_THREADS 1024 /* of a context */

int32_t moco_available_processors(void);

/* How many of `wanted` threads, 1 to MOCO_MAX_THREADS and the caller's among them, the system lets this process have at
 * once, found by starting them. OpenMP's runtime ends the process where it can't start a thread, so it is asked for no
 * more than these. (Threads that it already has count for none here, and other limits may come later: this finds the
 * limits that are there, not those to come.) Without OpenMP no thread is started, and it is `wanted`. */
int32_t moco_startable_threads(int32_t wanted);

#endif
