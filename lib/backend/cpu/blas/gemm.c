#include "backend/cpu/blas/gemm.h"

#include <cblas.h>
#include <pthread.h>
#include <stddef.h>

/* OpenBLAS's own functions, if that is the BLAS; absent otherwise, unless a shared BLAS brings them when the program runs.
 * get_parallel: 0 no threads, 1 its own, 2 OpenMP's. */
#ifdef MOCO_HAVE_OPENBLAS
#define WHERE_THERE
#define IS_THERE(function) 1
#else
#define WHERE_THERE        __attribute__((weak))
#define IS_THERE(function) (&(function) != NULL)
#endif
extern int openblas_get_parallel(void) WHERE_THERE;
extern int openblas_get_num_threads(void) WHERE_THERE;
extern void openblas_set_num_threads(int threads) WHERE_THERE;

/* This belongs to the process and not to a context, as the BLAS does whose unguarded memory it guards, whichever contexts
 * and threads call it. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* An OpenBLAS without threads hands out its packing buffers unguarded, so two calls at once may share one, and their
 * results are wrong. A build of it with USE_LOCKING is safe, but doesn't say so. Every other CBLAS may be called from
 * several threads, its builds without threads too: BLIS guards its pools in each of them, MKL and ATLAS are documented as
 * safe, and the reference library has no state. The question is asked at each call because the answer comes from whatever
 * the program was started with: distributions exchange the library behind one soname. */
static int32_t calls_exclude_each_other(void) {
    return IS_THERE(openblas_get_parallel) && openblas_get_parallel() == 0;
}

void moco_gemm(int64_t m, int64_t n, int64_t k, gemm_factor a, gemm_factor b, float beta, float *result,
               int64_t result_row) {
    const int32_t alone = calls_exclude_each_other();
    if (alone) pthread_mutex_lock(&one_at_a_time);
    cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
                (int) m, (int) n, (int) k, 1.0f, a.values, (int) a.row, b.values, (int) b.row, beta, result,
                (int) result_row);
    if (alone) pthread_mutex_unlock(&one_at_a_time);
}

/* An OpenBLAS with threads of its own: passes that are in their parallel part, and what it was set to before the first
 * of them. A setting of the process, too, so that passes of several contexts at once must share it. */
static pthread_mutex_t threads_mutex = PTHREAD_MUTEX_INITIALIZER;
static int64_t passes_inside;
static int threads_before;

static int32_t has_threads_of_its_own(void) {
    return IS_THERE(openblas_get_parallel) && IS_THERE(openblas_get_num_threads) &&
           IS_THERE(openblas_set_num_threads) && openblas_get_parallel() == 1;
}

void moco_blas_enter(void) {
    if (!has_threads_of_its_own()) return;
    pthread_mutex_lock(&threads_mutex);
    if (passes_inside++ == 0) {
        threads_before = openblas_get_num_threads();
        if (threads_before > 1) openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&threads_mutex);
}

void moco_blas_leave(void) {
    if (!has_threads_of_its_own()) return;
    pthread_mutex_lock(&threads_mutex);
    if (--passes_inside == 0 && threads_before > 1) openblas_set_num_threads(threads_before);
    pthread_mutex_unlock(&threads_mutex);
}
