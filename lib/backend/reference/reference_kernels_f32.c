#define REAL    float
#define NAME(f) f##_f32
#include "backend/reference/reference_kernels.inc.h"
