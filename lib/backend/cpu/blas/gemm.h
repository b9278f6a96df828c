/* Matrix products by whichever CBLAS libmoco was linked with. Only this folder sees cblas.h. */
#ifndef MOCO_BLAS_GEMM_H
#define MOCO_BLAS_GEMM_H

#include <stdint.h>

/* How a factor lies in memory: row by row as it is multiplied, or as the transpose of that. */
enum { GEMM_PLAIN = 0, GEMM_TRANSPOSED = 1 };

typedef struct gemm_factor {
    const float *values;
    int64_t row;        /* floats from one row in memory to the next */
    int32_t transposed; /* GEMM_* */
} gemm_factor;

/* result = a b + beta result, for `a` of m x k and `b` of k x n as they are multiplied; rows of the result are
 * `result_row` floats apart. With beta = 0 what the result held before is not read. Sizes fit into int32. Any number of
 * threads may call this at once; where the BLAS can't take that, they wait for each other. */
void moco_gemm(int64_t m, int64_t n, int64_t k, gemm_factor a, gemm_factor b, float beta, float *result,
               int64_t result_row);

/* BLAS on one thread while our own threads call it, from the first enter to the last leave of all passes that are
 * inside. OpenMP builds see that they are inside a task; an OpenBLAS with its own threads is set to one and back, which
 * its other users in the process can notice only in between. */
void moco_blas_enter(void);
void moco_blas_leave(void);

#endif
