#define _POSIX_C_SOURCE 200809L
#include "copy_probe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define MOST_THREADS 256
#define PIECE        65536 /* bytes that a thread takes at a time, so that a slower one holds up nobody */

typedef void (*copy_fn)(char *target, const char *source, size_t bytes);

static void copy_memcpy(char *target, const char *source, size_t bytes) {
    memcpy(target, source, bytes);
}

#if defined(__x86_64__)
/* `bytes` is a multiple of 64, both arrays are aligned to 64. */
#define DEFINE_COPY(name, isa, type, load, store)                                     \
    __attribute__((target(isa))) static void name(char *t, const char *s, size_t n) { \
        for (size_t i = 0; i < n; i += sizeof(type)) {                                \
            store((void *) (t + i), load((const void *) (s + i)));                    \
        }                                                                             \
        _mm_sfence();                                                                 \
    }
DEFINE_COPY(plain_avx512, "avx512f", __m512i, _mm512_load_si512, _mm512_store_si512)
DEFINE_COPY(streaming_avx512, "avx512f", __m512i, _mm512_load_si512, _mm512_stream_si512)
DEFINE_COPY(plain_avx, "avx", __m256i, _mm256_load_si256, _mm256_store_si256)
DEFINE_COPY(streaming_avx, "avx", __m256i, _mm256_load_si256, _mm256_stream_si256)
DEFINE_COPY(plain_sse2, "sse2", __m128i, _mm_load_si128, _mm_store_si128)
DEFINE_COPY(streaming_sse2, "sse2", __m128i, _mm_load_si128, _mm_stream_si128)
#endif

typedef struct copy_way {
    const char *name;
    copy_fn copy;
} copy_way;

struct copy_probe {
    int threads;
    int way_count;
    copy_way ways[COPY_PROBE_MOST_WAYS];
    char *target;
    char *source;
    int64_t pieces;
    /* One copy's */
    copy_fn copy;
    atomic_llong next;
    pthread_barrier_t start;
};

typedef struct probe_worker {
    copy_probe *probe;
    double began, ended;
} probe_worker;

static void list_ways(copy_probe *probe) {
    probe->ways[probe->way_count++] = (copy_way){"memcpy", copy_memcpy};
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx512 = __builtin_cpu_supports("avx512f") != 0, avx = __builtin_cpu_supports("avx") != 0;
    probe->ways[probe->way_count++] = (copy_way){"plain stores", avx512 ? plain_avx512 : avx ? plain_avx : plain_sse2};
    probe->ways[probe->way_count++] = (copy_way){"streaming stores", avx512 ? streaming_avx512
                                                                     : avx  ? streaming_avx
                                                                            : streaming_sse2};
#endif
}

copy_probe *copy_probe_create(int threads, int64_t bytes) {
    copy_probe *probe = (copy_probe *) calloc(1, sizeof *probe);
    if (probe == NULL) return NULL;
    probe->threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    probe->pieces = (bytes + PIECE - 1) / PIECE;
    const size_t rounded = (size_t) probe->pieces * PIECE;
    probe->target = (char *) aligned_alloc(64, rounded);
    probe->source = (char *) aligned_alloc(64, rounded);
    if (probe->target == NULL || probe->source == NULL) {
        copy_probe_destroy(probe);
        return NULL;
    }
    memset(probe->target, 1, rounded);
    memset(probe->source, 2, rounded);
    list_ways(probe);
    return probe;
}

void copy_probe_destroy(copy_probe *probe) {
    if (probe == NULL) return;
    free(probe->target);
    free(probe->source);
    free(probe);
}

int copy_probe_ways(const copy_probe *probe) {
    return probe->way_count;
}

const char *copy_probe_name(const copy_probe *probe, int way) {
    return probe->ways[way].name;
}

static void *run_worker(void *argument) {
    probe_worker *worker = (probe_worker *) argument;
    copy_probe *probe = worker->probe;
    pthread_barrier_wait(&probe->start);
    worker->began = bench_now_ms();
    for (;;) {
        const int64_t piece = atomic_fetch_add(&probe->next, 1);
        if (piece >= probe->pieces) break;
        probe->copy(probe->target + piece * PIECE, probe->source + piece * PIECE, PIECE);
    }
    worker->ended = bench_now_ms();
    return NULL;
}

double copy_probe_gb_per_s(copy_probe *probe, int way) {
    pthread_t ids[MOST_THREADS];
    probe_worker workers[MOST_THREADS];
    const int threads = probe->threads;
    if (pthread_barrier_init(&probe->start, NULL, (unsigned) threads) != 0) return 0;
    probe->copy = probe->ways[way].copy;
    atomic_store(&probe->next, 0);
    for (int i = 0; i < threads; ++i) workers[i].probe = probe;
    for (int i = 1; i < threads; ++i) { /* the caller is the first one */
        /* Threads that wait at the barrier already could not be called back. */
        if (pthread_create(&ids[i], NULL, run_worker, &workers[i]) != 0) abort();
    }
    run_worker(&workers[0]);
    double began = workers[0].began, ended = workers[0].ended;
    for (int i = 1; i < threads; ++i) {
        pthread_join(ids[i], NULL);
        if (workers[i].began < began) began = workers[i].began;
        if (workers[i].ended > ended) ended = workers[i].ended;
    }
    pthread_barrier_destroy(&probe->start);
    return ended > began ? 2.0 * (double) probe->pieces * PIECE / (ended - began) * 1e-6 : 0;
}
