/* How many processors this process may use. The parallel loops are in context_internal.h. */
#ifndef MOCO_CORE_THREADS_H
#define MOCO_CORE_THREADS_H

#include <stdint.h>

int32_t moco_available_processors(void);

#endif
