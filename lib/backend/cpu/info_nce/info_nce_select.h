/* The InfoNCE kernels for the processor this runs on. */
#ifndef MOCO_INFO_NCE_SELECT_H
#define MOCO_INFO_NCE_SELECT_H

#include "backend/cpu/kernels/info_nce_kernel.h"

const moco_nce_kernel *moco_nce_kernel_select(void);

/* For tests: the kernels of each instruction set that was compiled and that this processor runs; NULL ends the list. */
const moco_nce_kernel *const *moco_nce_kernel_list(void);
#endif
