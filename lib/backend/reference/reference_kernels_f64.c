#define REAL    double
#define NAME(f) f##_f64
#include "backend/reference/reference_kernels.inc.h"
