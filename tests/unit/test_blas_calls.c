/* How the CBLAS is called from several threads. The BLAS is a stand-in of this program's own: it says of itself what
 * OpenBLAS's builds say, stays in each call for a while, and counts who else is in it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "backend/cpu/blas/gemm.h"

enum { WITHOUT_THREADS = 0, OWN_THREADS = 1, OPENMP = 2 };
enum { CALLERS = 8, CALLS = 5 };

static int parallel;
static atomic_int inside, most_inside, calls;

int openblas_get_parallel(void);
int openblas_get_parallel(void) {
    return parallel;
}

static int threads_set = 1;

int openblas_get_num_threads(void);
int openblas_get_num_threads(void) {
    return threads_set;
}

void openblas_set_num_threads(int threads);
void openblas_set_num_threads(int threads) {
    threads_set = threads;
}

/* As every cblas.h has it, in plain types: headers differ in the names of theirs. */
void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int row_a,
                 const float *b, int row_b, float beta, float *c, int row_c);
void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int row_a,
                 const float *b, int row_b, float beta, float *c, int row_c) {
    (void) order, (void) trans_a, (void) trans_b, (void) m, (void) n, (void) k, (void) alpha, (void) row_a;
    (void) row_b, (void) beta, (void) row_c;
    const int now = atomic_fetch_add(&inside, 1) + 1;
    int most = atomic_load(&most_inside);
    while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now)) {
    }
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    c[0] = a[0] * b[0];
    atomic_fetch_add(&calls, 1);
    atomic_fetch_sub(&inside, 1);
}

static void *caller(void *argument) {
    float *const result = argument;
    const float two = 2.0f, three = 3.0f;
    for (int i = 0; i < CALLS; i++) {
        moco_gemm(1, 1, 1, (gemm_factor){&two, 1, GEMM_PLAIN}, (gemm_factor){&three, 1, GEMM_PLAIN}, 0.0f, result, 1);
    }
    return NULL;
}

/* The most calls that were in the BLAS at once. */
static int most_at_once(int kind) {
    parallel = kind;
    atomic_store(&most_inside, 0);
    atomic_store(&calls, 0);
    pthread_t threads[CALLERS];
    float results[CALLERS] = {0};
    for (int i = 0; i < CALLERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, caller, &results[i]), 0);
    for (int i = 0; i < CALLERS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < CALLERS; i++) assert_true(results[i] == 6.0f);
    assert_int_equal(atomic_load(&calls), CALLERS * CALLS);
    return atomic_load(&most_inside);
}

static void test_openblas_without_threads_is_called_by_one_at_a_time(void **state) {
    (void) state;
    assert_int_equal(most_at_once(WITHOUT_THREADS), 1);
}

/* Also shows that the callers of the test above do meet. */
static void test_openblas_with_threads_is_called_by_all(void **state) {
    (void) state;
    assert_true(most_at_once(OWN_THREADS) > 1);
    assert_true(most_at_once(OPENMP) > 1);
}

/* Passes of two contexts that overlap: the BLAS keeps to one thread until the last of them has ended. With more, the
 * second pass's sums would be cut otherwise than when it runs alone. */
static void test_openblas_stays_on_one_thread_until_the_last_pass_ends(void **state) {
    (void) state;
    parallel = OWN_THREADS;
    threads_set = 4;
    moco_blas_enter();
    assert_int_equal(threads_set, 1);
    moco_blas_enter();
    moco_blas_leave();
    assert_int_equal(threads_set, 1);
    moco_blas_leave();
    assert_int_equal(threads_set, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openblas_without_threads_is_called_by_one_at_a_time),
        cmocka_unit_test(test_openblas_with_threads_is_called_by_all),
        cmocka_unit_test(test_openblas_stays_on_one_thread_until_the_last_pass_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
