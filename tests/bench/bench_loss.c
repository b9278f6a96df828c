/* Value and gradient of the loss at the paper's sizes, in turns with the official formulation in PyTorch.
 *
 *   bench_loss [--n 256] [--dim 128] [--k 65536] [--storage f32|bf16] [--threads 2] [--reps 21] [--backend NAME]
 *              [--no-peer] [--python PATH] [--growth]
 *
 * One JSON object: medians in milliseconds, ratio = peer over ours, percent of two measured peaks: of BLAS's matrix
 * product, and of multiply-adds in registers. ours_extra_bytes is what one computation allocates, the queue not
 * counted.
 * --growth instead prints how the time grows as n, K, dim and threads are doubled up to the sizes given.
 */
#include <moco.h>
#include <stdio.h>
#include <string.h>

#include "fma_probe.h"
#include "loss_growth.h"
#include "loss_run.h"
#include "measure.h"
#include "peer.h"
#include "sgemm_probe.h"

#define MOST_REPS 1000
/* Idle OpenMP threads of one side spin for a while: let them go to sleep before the other's turn. */
#define PAUSE_MS 25

typedef struct peaks {
    double fma, sgemm; /* GFLOP/s */
} peaks;

static void probe(peaks *best, int threads) {
    const double fma = fma_probe_gflops(threads), sgemm = sgemm_probe_gflops(threads);
    if (fma > best->fma) best->fma = fma;
    if (sgemm > best->sgemm) best->sgemm = sgemm;
}

static bench_peer *start_peer(const loss_sizes *s, char *reason, size_t reason_size) {
    char n[24], dim[24], k[24];
    snprintf(n, sizeof n, "%lld", (long long) s->n);
    snprintf(dim, sizeof dim, "%lld", (long long) s->dim);
    snprintf(k, sizeof k, "%lld", (long long) s->k);
    const char *const arguments[] = {"--n", n, "--dim", dim, "--k", k, NULL};
    return bench_peer_start("peer_loss.py", arguments, s->threads, reason, reason_size);
}

static void report(const loss_run *run, const loss_sizes *s, double ours_ms, double best_ms, const peaks *peak) {
    const double gflops = loss_run_gflop(s) / ours_ms * 1e3;
    printf("{\"name\": \"loss\", \"n\": %lld, \"dim\": %lld, \"k\": %lld, \"storage\": \"%s\", \"threads\": %d, "
           "\"backend\": \"%s\", \"ours_ms\": %.3f, \"ours_best_ms\": %.3f, \"gflops\": %.1f, "
           "\"sgemm_peak_gflops\": %.1f, \"percent_of_sgemm_peak\": %.1f, \"fma_peak_gflops\": %.1f, "
           "\"percent_of_fma_peak\": %.1f, \"queue_bytes\": %llu, \"ours_extra_bytes\": %llu, \"ours_loss\": %.6f",
           (long long) s->n, (long long) s->dim, (long long) s->k,
           s->storage == MOCO_QUEUE_STORAGE_BF16 ? "bf16" : "f32", s->threads, moco_context_backend(run->context),
           ours_ms, best_ms, gflops, peak->sgemm, 100 * gflops / peak->sgemm, peak->fma, 100 * gflops / peak->fma,
           (unsigned long long) run->queue_bytes, (unsigned long long) run->extra_bytes, run->result.loss);
}

static void report_peer(bench_peer *peer, const char *reason, double *peer_ms, int reps, double ours_median) {
    const double median = peer == NULL ? 0 : bench_median(peer_ms, reps);
    if (median > 0 && peer_ms[0] > 0) {
        printf(", \"peer\": \"PyTorch\", \"peer_ms\": %.3f, \"peer_best_ms\": %.3f, \"ratio\": %.2f, "
               "\"peer_extra_bytes\": %.0f}\n",
               median, peer_ms[0], median / ours_median, bench_peer_get(peer, "extra_bytes"));
    } else {
        printf(", \"peer\": \"%s\", \"peer_ms\": null, \"ratio\": null}\n",
               peer != NULL ? "failed on the way" : reason);
    }
}

static moco_status measure(loss_run *run, const loss_sizes *s, int with_peer) {
    static double ours_ms[MOST_REPS], peer_ms[MOST_REPS];
    char reason[512] = "not asked for";
    peaks peak = {0, 0};
    moco_status status = loss_run_open(run, s);
    if (status != MOCO_OK) return status;
    bench_peer *peer = with_peer ? start_peer(s, reason, sizeof reason) : NULL;
    if (peer != NULL) bench_peer_run(peer);
    probe(&peak, s->threads);
    for (int i = 0; i < s->reps && status == MOCO_OK; ++i) {
        if (peer != NULL) bench_sleep_ms(PAUSE_MS);
        status = loss_run_compute(run, s, &ours_ms[i]);
        if (peer == NULL) continue;
        bench_sleep_ms(PAUSE_MS);
        peer_ms[i] = bench_peer_run(peer);
    }
    probe(&peak, s->threads);
    if (status == MOCO_OK) {
        const double median = bench_median(ours_ms, s->reps);
        report(run, s, median, ours_ms[0], &peak);
        report_peer(peer, reason, peer_ms, s->reps, median);
    }
    bench_peer_stop(peer);
    return status;
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(argc, argv,
                                 "--backend --dim --growth --k --n --no-peer --python --reps --storage --threads "))
        return 2;
    const char *storage = bench_option_string(argc, argv, "--storage", "f32");
    const loss_sizes s = {
        .n = bench_option(argc, argv, "--n", 256),
        .dim = bench_option(argc, argv, "--dim", 128),
        .k = bench_option(argc, argv, "--k", 65536),
        .threads = (int) bench_option(argc, argv, "--threads", 2),
        .reps = (int) bench_option(argc, argv, "--reps", 21),
        .storage = strcmp(storage, "bf16") == 0 ? MOCO_QUEUE_STORAGE_BF16 : MOCO_QUEUE_STORAGE_F32,
        .backend = bench_option_string(argc, argv, "--backend", NULL),
    };
    if (s.n < 1 || s.dim < 1 || s.k < 1 || s.threads < 1 || s.reps < 1 || s.reps > MOST_REPS) {
        fprintf(stderr, "bench_loss: --n, --dim, --k, --threads and --reps must be at least 1, --reps at most 1000\n");
        return 2;
    }
    if (bench_flag(argc, argv, "--growth")) return loss_growth(&s);
    bench_peer_use_python(argc, argv);
    loss_run run;
    const moco_status status = measure(&run, &s, !bench_flag(argc, argv, "--no-peer"));
    if (status != MOCO_OK) fprintf(stderr, "bench_loss: %s\n", moco_last_error());
    loss_run_close(&run);
    return status != MOCO_OK;
}
