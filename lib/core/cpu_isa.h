/* Which instruction set this processor runs, for kernels that are compiled several times (moco_add_isa_kernels in
 * cmake/isa_kernels.cmake). MOCO_HAVE_ISA_KERNELS is defined where the AVX2 and AVX-512 builds of them exist.
 */
#ifndef MOCO_CORE_CPU_ISA_H
#define MOCO_CORE_CPU_ISA_H

#include <stdint.h>

typedef enum moco_cpu_isa {
    MOCO_CPU_BASELINE = 0, /* what the compiler targets by default */
    MOCO_CPU_AVX2 = 1,     /* with FMA */
    MOCO_CPU_AVX512 = 2    /* F, BW, DQ, VL */
} moco_cpu_isa;

/* The best one that the processor and the operating system run; asked of the processor once. */
moco_cpu_isa moco_cpu_isa_detect(void);

#endif
