/* Value and gradient of the loss at the paper's sizes, in turns with the official formulation in PyTorch.
 *
 *   bench_loss [--n 256] [--dim 128] [--k 65536] [--threads T] [--reps 21] [--backend NAME] [--no-peer]
 *
 * One JSON object: medians in milliseconds, ratio = peer over ours.
 */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>

#include "counting_allocator.h"
#include "fma_probe.h"
#include "measure.h"
#include "peer.h"

#define MOST_REPS 1000
/* Idle OpenMP threads of one side spin for a while: let them go to sleep before the other's turn. */
#define PAUSE_MS 25

typedef struct sizes {
    int64_t n, dim, k;
    int threads, reps;
} sizes;

typedef struct ours {
    moco_context *context;
    moco_queue *queue;
    moco_loss *loss;
    float *q, *key, *d_q;
    moco_loss_result result;
} ours;

static moco_status set_up(ours *o, const sizes *s, const char *backend, counting_allocator *allocator) {
    moco_context_config context_config;
    moco_queue_config queue_config;
    moco_context_config_init(&context_config, sizeof context_config);
    moco_queue_config_init(&queue_config, sizeof queue_config);
    moco_loss_result_init(&o->result, sizeof o->result);
    counting_allocator_use(allocator, &context_config);
    context_config.threads = s->threads;
    context_config.backend = backend;
    queue_config.capacity = s->k;
    queue_config.dim = s->dim;
    const size_t bytes = (size_t) (s->n * s->dim) * sizeof(float);
    o->q = (float *) malloc(bytes);
    o->key = (float *) malloc(bytes);
    o->d_q = (float *) malloc(bytes);
    if (o->q == NULL || o->key == NULL || o->d_q == NULL) return MOCO_OUT_OF_MEMORY;
    bench_fill_unit_rows(o->q, s->n, s->dim, 1);
    bench_fill_unit_rows(o->key, s->n, s->dim, 2);
    moco_status status = moco_context_create(&o->context, &context_config);
    if (status == MOCO_OK) status = moco_queue_create(&o->queue, o->context, &queue_config);
    if (status == MOCO_OK) status = moco_loss_create(&o->loss, o->context, NULL);
    return status;
}

static moco_status run(ours *o, const sizes *s, double *milliseconds) {
    const double start = bench_now_ms();
    const moco_status status = moco_loss_compute(o->loss, o->q, o->key, s->n, o->queue, NULL, &o->result, o->d_q);
    *milliseconds = bench_now_ms() - start;
    return status;
}

static bench_peer *start_peer(const sizes *s, char *reason, size_t reason_size) {
    char n[24], dim[24], k[24];
    snprintf(n, sizeof n, "%lld", (long long) s->n);
    snprintf(dim, sizeof dim, "%lld", (long long) s->dim);
    snprintf(k, sizeof k, "%lld", (long long) s->k);
    const char *const arguments[] = {"--n", n, "--dim", dim, "--k", k, NULL};
    return bench_peer_start("peer_loss.py", arguments, s->threads, reason, reason_size);
}

static void report(const ours *o, const sizes *s, double ours_ms, double best_ms, uint64_t extra, double peak_gflops) {
    /* Two products of n x dim x K each: similarities, and the weighted sum of the keys. */
    const double gflops = 4.0 * (double) s->n * (double) s->dim * (double) s->k / ours_ms * 1e-6;
    printf("{\"name\": \"loss\", \"n\": %lld, \"dim\": %lld, \"k\": %lld, \"threads\": %d, \"backend\": \"%s\", "
           "\"ours_ms\": %.3f, \"ours_best_ms\": %.3f, \"gflops\": %.1f, \"fma_peak_gflops\": %.1f, "
           "\"percent_of_fma_peak\": %.1f, \"ours_extra_bytes\": %llu, \"ours_loss\": %.6f",
           (long long) s->n, (long long) s->dim, (long long) s->k, s->threads, moco_context_backend(o->context),
           ours_ms, best_ms, gflops, peak_gflops, 100 * gflops / peak_gflops, (unsigned long long) extra,
           o->result.loss);
}

int main(int argc, char **argv) {
    const sizes s = {
        bench_option(argc, argv, "--n", 256),         bench_option(argc, argv, "--dim", 128),
        bench_option(argc, argv, "--k", 65536),       (int) bench_option(argc, argv, "--threads", 2),
        (int) bench_option(argc, argv, "--reps", 21),
    };
    if (s.n < 1 || s.dim < 1 || s.k < 1 || s.threads < 1 || s.reps < 1 || s.reps > MOST_REPS) {
        fprintf(stderr, "bench_loss: --n, --dim, --k, --threads and --reps must be at least 1, --reps at most 1000\n");
        return 2;
    }
    static counting_allocator allocator;
    static double ours_ms[MOST_REPS], peer_ms[MOST_REPS];
    counting_allocator_init(&allocator);
    ours o = {0};
    double warm_up = 0, best = 1e300;
    if (set_up(&o, &s, bench_option_string(argc, argv, "--backend", NULL), &allocator) != MOCO_OK) {
        fprintf(stderr, "bench_loss: %s\n", moco_last_error());
        return 1;
    }
    char reason[512] = "not asked for";
    bench_peer *peer = bench_flag(argc, argv, "--no-peer") ? NULL : start_peer(&s, reason, sizeof reason);

    const uint64_t before = counting_allocator_mark(&allocator);
    if (run(&o, &s, &warm_up) != MOCO_OK) {
        fprintf(stderr, "bench_loss: %s\n", moco_last_error());
        return 1;
    }
    const uint64_t extra = counting_allocator_peak(&allocator) - before;
    if (peer != NULL) bench_peer_run(peer);
    double peak = fma_probe_gflops(s.threads);
    for (int i = 0; i < s.reps; ++i) {
        if (peer != NULL) bench_sleep_ms(PAUSE_MS);
        run(&o, &s, &ours_ms[i]);
        if (ours_ms[i] < best) best = ours_ms[i];
        if (peer == NULL) continue;
        bench_sleep_ms(PAUSE_MS);
        peer_ms[i] = bench_peer_run(peer);
    }
    const double again = fma_probe_gflops(s.threads);
    if (again > peak) peak = again;

    const double ours_median = bench_median(ours_ms, s.reps);
    report(&o, &s, ours_median, best, extra, peak);
    if (peer != NULL && bench_median(peer_ms, s.reps) > 0 && peer_ms[0] > 0) {
        const double peer_median = bench_median(peer_ms, s.reps);
        printf(", \"peer\": \"PyTorch\", \"peer_ms\": %.3f, \"peer_best_ms\": %.3f, \"ratio\": %.2f, "
               "\"peer_extra_bytes\": %.0f}\n",
               peer_median, peer_ms[0], peer_median / ours_median, bench_peer_get(peer, "extra_bytes"));
    } else {
        printf(", \"peer\": \"%s\", \"peer_ms\": null, \"ratio\": null}\n",
               peer != NULL ? "failed on the way" : reason);
    }
    bench_peer_stop(peer);
    moco_loss_destroy(o.loss);
    moco_queue_destroy(o.queue);
    moco_context_destroy(o.context);
    free(o.q);
    free(o.key);
    free(o.d_q);
    return 0;
}
