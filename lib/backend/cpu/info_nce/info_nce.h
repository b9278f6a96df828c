/* InfoNCE over the queue on the processor: the info_nce member of the cpu backends' tables. */
#ifndef MOCO_CPU_INFO_NCE_H
#define MOCO_CPU_INFO_NCE_H

#include <moco/sys/backend.h>

#include "backend/cpu/kernels/info_nce_kernel.h"

/* `self` begins with moco_host_backend. One pass over the keys, two with d_keys; extra memory O(n * dim), below 8 MiB at
 * n = 256, dim = 128 and any K; the result has the same bits for any number of threads. float32 only, else UNSUPPORTED. */
moco_status moco_cpu_info_nce(void *self, moco_info_nce_args *args);

/* The same with the kernels of one instruction set, for tests. */
moco_status moco_cpu_info_nce_with(void *self, const moco_nce_kernel *kernel, moco_info_nce_args *args);

#endif
