/* Which instructions this processor has, and how kernel files are compiled once for each set of them: a file given to
 * moco_add_isa_kernels() of CMakeLists.txt is compiled with MOCO_ISA_SUFFIX empty, and on x86-64 also with _avx2 and
 * _avx512 under those flags; MOCO_ISA_NAME(table) then names one object per file and set.
 */
#ifndef MOCO_BACKEND_CPU_ISA_H
#define MOCO_BACKEND_CPU_ISA_H

#include <stdint.h>

/* AVX2 includes FMA; AVX512 is F, BW, DQ and VL. */
enum { MOCO_ISA_BASELINE = 0, MOCO_ISA_AVX2 = 1, MOCO_ISA_AVX512 = 2 };

/* The best set that this processor (and its system) and this build have. */
int32_t moco_cpu_isa(void);

#define MOCO_ISA_JOIN_(name, suffix) name##suffix
#define MOCO_ISA_JOIN(name, suffix)  MOCO_ISA_JOIN_(name, suffix)
#define MOCO_ISA_NAME(name)          MOCO_ISA_JOIN(name, MOCO_ISA_SUFFIX)

#if defined(__x86_64__)
#define MOCO_HAVE_X86_KERNELS 1
/* The best one of the three objects called `name`, `name`_avx2 and `name`_avx512. */
#define MOCO_ISA_SELECT(name)                                          \
    (moco_cpu_isa() == MOCO_ISA_AVX512 ? &MOCO_ISA_JOIN(name, _avx512) \
     : moco_cpu_isa() == MOCO_ISA_AVX2 ? &MOCO_ISA_JOIN(name, _avx2)   \
                                       : &name)
#else
#define MOCO_ISA_SELECT(name) (&name)
#endif

#endif
