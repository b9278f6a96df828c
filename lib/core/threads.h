/* How many processors this process may use. The parallel loops are in context_internal.h. */
#ifndef MOCO_CORE_THREADS_H
#define MOCO_CORE_THREADS_H

#include <stdint.h>

#define MOCO_MAX_THREADS 1024 /* of a context */

int32_t moco_available_processors(void);

#endif
