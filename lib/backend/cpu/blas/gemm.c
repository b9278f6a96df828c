#include "backend/cpu/blas/gemm.h"

#include <cblas.h>
#include <stddef.h>

void moco_gemm(int64_t m, int64_t n, int64_t k, gemm_factor a, gemm_factor b, float beta, float *result,
               int64_t result_row) {
    cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
                (int) m, (int) n, (int) k, 1.0f, a.values, (int) a.row, b.values, (int) b.row, beta, result,
                (int) result_row);
}

/* OpenBLAS's own functions, if that is the BLAS; absent otherwise. get_parallel: 0 no threads, 1 its own, 2 OpenMP's.
 */
extern int openblas_get_parallel(void) __attribute__((weak));
extern int openblas_get_num_threads(void) __attribute__((weak));
extern void openblas_set_num_threads(int threads) __attribute__((weak));

int32_t moco_blas_enter(void) {
    if (&openblas_get_parallel == NULL || &openblas_get_num_threads == NULL || &openblas_set_num_threads == NULL ||
        openblas_get_parallel() != 1) {
        return 0;
    }
    const int32_t threads = (int32_t) openblas_get_num_threads();
    if (threads <= 1) return 0;
    openblas_set_num_threads(1);
    return threads;
}

void moco_blas_leave(int32_t threads) {
    if (threads > 1) openblas_set_num_threads(threads);
}
