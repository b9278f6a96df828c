#define _POSIX_C_SOURCE 200809L
#include "step_growth.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "measure.h"
#include "peer.h"
#include "step_worker.h"

#define DOUBLINGS 3
#define MOST_REPS 200
#define MIB       1048576.0

typedef struct cost {
    double step_ms, loss_ms, peak_mib, increase_mib;
} cost;

/* In a process of its own. 0 on success. */
static int measure(const step_settings *s, int reps, cost *out) {
    double ms[MOST_REPS];
    char reason[512];
    bench_peer *worker = step_worker_start("step", s, reason, sizeof reason);
    if (worker == NULL) {
        fprintf(stderr, "bench_step: %s\n", reason);
        return 1;
    }
    for (int i = 0; i < reps; ++i) ms[i] = bench_peer_run(worker);
    const int failed = bench_median(ms, reps) < 0 || ms[0] < 0; /* sorts: a failure, -1, comes first */
    out->step_ms = ms[0];
    out->loss_ms = bench_peer_get(worker, step_phase_names[STEP_LOSS]);
    out->peak_mib = bench_peer_get(worker, "peak_resident_bytes") / MIB;
    out->increase_mib = out->peak_mib - bench_peer_get(worker, "loaded_bytes") / MIB;
    bench_peer_stop(worker);
    if (failed) fprintf(stderr, "bench_step: a step failed\n");
    return failed;
}

enum { SAMPLES, KEYS, SIDE, THREADS, AXES };
static const struct {
    const char *name;
    double work; /* how much more there is to do per doubling */
} axes[AXES] = {{"n", 2}, {"K", 2}, {"image side", 4}, {"threads", 1}};

static step_settings doubled(const step_settings *s, int axis, int times) {
    step_settings at = *s;
    if (axis == SAMPLES) at.n <<= times;
    if (axis == KEYS) at.queue_size <<= times;
    if (axis == SIDE) at.size <<= times;
    if (axis == THREADS) at.threads = 1 << times;
    return at;
}

static int64_t value_of(const step_settings *s, int axis) {
    const int64_t values[AXES] = {s->n, s->queue_size, s->size, s->threads};
    return values[axis];
}

static int print_table(const step_settings *s, int axis, int reps) {
    cost before = {0, 0, 0, 0}, now = {0, 0, 0, 0};
    double worst = 0;
    printf("\n| %s | step ms | times | loss ms | times | peak MiB | of it in use MiB | times |\n"
           "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
           axes[axis].name);
    for (int i = 0; i <= DOUBLINGS; ++i) {
        const step_settings at = doubled(s, axis, i);
        if (measure(&at, reps, &now) != 0) return 1;
        printf("| %lld | %.2f |", (long long) value_of(&at, axis), now.step_ms);
        if (i == 0) {
            printf(" | %.2f | | %.0f | %.0f | |\n", now.loss_ms, now.peak_mib, now.increase_mib);
        } else {
            const double times = now.step_ms / before.step_ms;
            if (times > worst) worst = times;
            printf(" %.2f | %.2f | %.2f | %.0f | %.0f | %.2f |\n", times, now.loss_ms, now.loss_ms / before.loss_ms,
                   now.peak_mib, now.increase_mib, now.increase_mib / before.increase_mib);
        }
        fflush(stdout);
        before = now;
    }
    printf("\nWork grows %.0f times per doubling; the step's time at most %.2f times.\n", axes[axis].work, worst);
    return 0;
}

int step_growth_print(const step_settings *settings, int reps) {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    step_settings s = *settings;
    if (s.arch == NULL) {
        s.arch = "resnet18";
        s.n = 16;
    }
    /* With more threads than cores, those that wait must not keep the others from working. */
    setenv("OMP_WAIT_POLICY", "passive", 1);
    printf(
        "%s, %s stem, %s: n %lld, %lld px, dim %lld, K %lld, %d threads, where not doubled; the best of %d steps, each "
        "row in a process of its own.\n",
        s.arch, s.stem, s.dtype, (long long) s.n, (long long) s.size, (long long) s.dim, (long long) s.queue_size,
        s.threads, reps);
    for (int axis = 0; axis < AXES; ++axis) {
        if (axis == THREADS) {
            printf("\nThis machine has %ld cores: more threads than that can only show that nothing collapses.\n",
                   cores);
        }
        if (print_table(&s, axis, reps) != 0) return 1;
    }
    return 0;
}
