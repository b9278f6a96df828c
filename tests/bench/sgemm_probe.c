#include "sgemm_probe.h"

#include <stdlib.h>

#include "measure.h"

#define SIZE        1536
#define REPETITIONS 8
#define ROW_MAJOR   101 /* CblasRowMajor, CblasNoTrans: cblas.h itself belongs to the backend */
#define AS_IT_IS    111

extern void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
                        int lda, const float *b, int ldb, float beta, float *c, int ldc);
/* OpenBLAS's own, if that is the BLAS. */
extern int openblas_get_num_threads(void) __attribute__((weak));
extern void openblas_set_num_threads(int threads) __attribute__((weak));

double sgemm_probe_gflops(int threads) {
    const size_t elements = (size_t) SIZE * SIZE;
    float *matrices = (float *) aligned_alloc(64, 3 * elements * sizeof(float));
    if (matrices == NULL) return 0;
    bench_fill(matrices, 3 * (int64_t) elements, 1);
    const int settable = openblas_set_num_threads != NULL && openblas_get_num_threads != NULL;
    const int before = settable ? openblas_get_num_threads() : 0;
    if (settable) openblas_set_num_threads(threads);
    double best = 0;
    for (int repetition = 0; repetition < REPETITIONS; ++repetition) {
        const double start = bench_now_ms();
        cblas_sgemm(ROW_MAJOR, AS_IT_IS, AS_IT_IS, SIZE, SIZE, SIZE, 1, matrices, SIZE, matrices + elements, SIZE, 0,
                    matrices + 2 * elements, SIZE);
        const double rate = 2e-6 * SIZE * SIZE * SIZE / (bench_now_ms() - start);
        if (rate > best) best = rate;
    }
    if (settable) openblas_set_num_threads(before);
    free(matrices);
    return best;
}
