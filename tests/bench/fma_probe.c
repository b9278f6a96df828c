#define _POSIX_C_SOURCE 200809L
#include "fma_probe.h"

#include <pthread.h>
#include <stdint.h>

#include "measure.h"

#define ROUNDS       400000 /* of 12 vectors: a few milliseconds */
#define MOST_THREADS 256

/* 12 sums hide the latency of any current processor. Products and sums of different sets of lanes are never combined;
 * the empty asm keeps the compiler from working out the loop beforehand. */
#define DEFINE_PROBE(name, lanes, attributes)                                           \
    attributes static double name(void) {                                               \
        typedef float vector __attribute__((vector_size((lanes) *4)));                  \
        vector s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0};              \
        vector s6 = {0}, s7 = {0}, s8 = {0}, s9 = {0}, s10 = {0}, s11 = {0};            \
        vector a = {1e-3f}, b = {0.999f};                                               \
        for (int i = 0; i < ROUNDS; ++i) {                                              \
            KEEP(a);                                                                    \
            KEEP(b);                                                                    \
            s0 = s0 * b + a, s1 = s1 * b + a, s2 = s2 * b + a, s3 = s3 * b + a;         \
            s4 = s4 * b + a, s5 = s5 * b + a, s6 = s6 * b + a, s7 = s7 * b + a;         \
            s8 = s8 * b + a, s9 = s9 * b + a, s10 = s10 * b + a, s11 = s11 * b + a;     \
        }                                                                               \
        const vector sum = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11; \
        sink = sum[0];                                                                  \
        return 2.0 * 12 * (lanes) *ROUNDS;                                              \
    }

static volatile float sink;

#if defined(__x86_64__)
#define KEEP(value) __asm__ volatile("" : "+x"(value))
DEFINE_PROBE(probe_avx512, 16, __attribute__((target("avx512f,fma"))))
DEFINE_PROBE(probe_avx2, 8, __attribute__((target("avx2,fma"))))
DEFINE_PROBE(probe_baseline, 4, )
#elif defined(__aarch64__)
#define KEEP(value) __asm__ volatile("" : "+w"(value))
DEFINE_PROBE(probe_baseline, 4, )
#else
#define KEEP(value) __asm__ volatile("" : "+m"(value))
DEFINE_PROBE(probe_baseline, 4, )
#endif

static double probe(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return probe_avx512();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return probe_avx2();
#endif
    return probe_baseline();
}

typedef struct probe_run {
    double flops;
    double milliseconds;
} probe_run;

static void *run_probe(void *argument) {
    probe_run *run = (probe_run *) argument;
    const double start = bench_now_ms();
    run->flops = probe();
    run->milliseconds = bench_now_ms() - start;
    return NULL;
}

double fma_probe_gflops(int threads) {
    pthread_t workers[MOST_THREADS];
    probe_run runs[MOST_THREADS];
    double best = 0;
    if (threads < 1) threads = 1;
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    for (int repetition = 0; repetition < 8; ++repetition) {
        int started = 0;
        while (started < threads && pthread_create(&workers[started], NULL, run_probe, &runs[started]) == 0) ++started;
        double rate = 0;
        for (int i = 0; i < started; ++i) {
            pthread_join(workers[i], NULL);
            rate += runs[i].flops / runs[i].milliseconds * 1e-6;
        }
        if (rate > best) best = rate;
    }
    return best;
}
