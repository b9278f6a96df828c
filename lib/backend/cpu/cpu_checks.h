/* Argument checks of updates, whose tensors no kind's row describes. */
#ifndef MOCO_CPU_CHECKS_H
#define MOCO_CPU_CHECKS_H

#include "backend/cpu/cpu_backend.h"

/* `tensor` must be PLAIN float32 of so many elements that lie in its buffer: anything else is a bug above, INTERNAL before
 * it is used. */
moco_status moco_cpu_check_tensor(const moco_tensor *tensor, const char *name, int64_t elements);

#endif
