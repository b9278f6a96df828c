#define _POSIX_C_SOURCE 200809L
#include "step_worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "layer_probe.h"
#include "measure.h"
#include "step_parts.h"

#define MOST_RUNS 1000

const char *const step_phase_names[STEP_PHASES] = {
    "loader", "query_forward", "momentum_update", "key_forward", "loss", "query_backward", "optimizer", "enqueue",
};

bench_peer *step_worker_start(const char *kind, const step_settings *s, char *reason, size_t reason_size) {
    step_arguments arguments;
    char workers[16];
    const char *command[STEP_MOST_ARGUMENTS + 10] = {"/proc/self/exe", "--worker", kind};
    int count = 3;
    step_settings_write(s, &arguments);
    for (int i = 0; i < arguments.count; ++i) command[count++] = arguments.list[i];
    if (s->backend != NULL) {
        command[count++] = "--backend";
        command[count++] = s->backend;
    }
    if (s->data != NULL) {
        snprintf(workers, sizeof workers, "%d", s->workers);
        command[count++] = "--data";
        command[count++] = s->data;
        command[count++] = "--workers";
        command[count++] = workers;
    }
    command[count] = NULL;
    return bench_peer_start_program(command, s->threads, reason, reason_size);
}

/* --- Questions and answers --- */

static int answer_absent(const char *why) {
    printf("absent %s\n", why);
    fflush(stdout);
    return 1;
}

/* The next question without its newline; 0 at the end. `name` is what "get" asks for, "" for "run". */
static int next_question(char *line, size_t size, const char **name) {
    fflush(stdout);
    if (fgets(line, (int) size, stdin) == NULL) return 0;
    line[strcspn(line, "\n")] = '\0';
    *name = strncmp(line, "get ", 4) == 0 ? line + 4 : "";
    return 1;
}

/* --- Training steps --- */

typedef struct step_worker {
    step_parts parts;
    step_settings settings;
    moco_step_stats stats;
    double phases[STEP_PHASES][MOST_RUNS];
    int runs;
} step_worker;

static moco_status run_step(step_worker *w, double *milliseconds) {
    double load_ms;
    const double start = bench_now_ms();
    const moco_status status = step_parts_run(&w->parts, &w->settings, &w->stats, &load_ms);
    *milliseconds = bench_now_ms() - start;
    if (status != MOCO_OK) return status;
    const moco_step_stats *stats = &w->stats;
    const int64_t ns[STEP_PHASES] = {
        (int64_t) (load_ms * 1e6), stats->ns_query_forward, stats->ns_momentum_update,
        stats->ns_key_forward,     stats->ns_loss,          stats->ns_query_backward,
        stats->ns_optimizer,       stats->ns_enqueue,
    };
    const int run = w->runs++ % MOST_RUNS;
    for (int phase = 0; phase < STEP_PHASES; ++phase) w->phases[phase][run] = (double) ns[phase] * 1e-6;
    return MOCO_OK;
}

static double phase_median(const step_worker *w, const char *name) {
    double values[MOST_RUNS];
    const int count = w->runs < MOST_RUNS ? w->runs : MOST_RUNS;
    for (int phase = 0; phase < STEP_PHASES && count > 0; ++phase) {
        if (strcmp(name, step_phase_names[phase]) != 0) continue;
        memcpy(values, w->phases[phase], (size_t) count * sizeof *values);
        return bench_median(values, count);
    }
    return -1;
}

int step_worker_serve(const step_settings *settings) {
    static step_worker w;
    const double loaded = bench_resident_bytes();
    char line[256];
    const char *name;
    double milliseconds;
    w.settings = *settings;
    moco_status status = moco_step_stats_init(&w.stats, sizeof w.stats);
    if (status == MOCO_OK) status = step_parts_create(&w.parts, settings);
    if (status == MOCO_OK) status = run_step(&w, &milliseconds); /* plans the networks */
    if (status != MOCO_OK) return answer_absent(moco_last_error());
    w.runs = 0;
    puts("ready");
    while (next_question(line, sizeof line, &name)) {
        if (strcmp(line, "run") == 0) {
            if (run_step(&w, &milliseconds) != MOCO_OK) return answer_absent(moco_last_error());
            printf("%.6f\n", milliseconds);
        } else if (strcmp(name, "backend") == 0) {
            puts(moco_context_backend(w.parts.context));
        } else if (strcmp(name, "loss_value") == 0) {
            printf("%.6f\n", w.stats.loss);
        } else if (strcmp(name, "loaded_bytes") == 0) {
            printf("%.0f\n", loaded);
        } else if (strcmp(name, "peak_resident_bytes") == 0) {
            printf("%.0f\n", bench_peak_resident_bytes());
        } else {
            printf("%.6f\n", phase_median(&w, name));
        }
    }
    step_parts_destroy(&w.parts);
    return 0;
}

/* --- The machine's limits --- */

int peak_worker_serve(const step_settings *settings) {
    static bench_layer_shape shapes[BENCH_MOST_LAYERS];
    const int32_t dtype = strcmp(settings->dtype, "bf16") == 0 ? MOCO_DTYPE_BF16 : MOCO_DTYPE_F32;
    step_parts parts = {0};
    bench_peak peak = {0};
    bench_chain chain;
    char line[256];
    const char *name;
    moco_status status = step_parts_create_encoder(&parts, settings);
    if (status == MOCO_OK) status = bench_chain_open(&chain, parts.context, settings->backend, dtype);
    if (status != MOCO_OK) return answer_absent(moco_last_error());
    const int count = bench_network_layers(parts.encoder, strcmp(settings->stem, "imagenet") == 0, settings->n,
                                           settings->size, shapes);
    puts("ready");
    while (next_question(line, sizeof line, &name)) {
        if (strcmp(line, "run") == 0) {
            const double start = bench_now_ms();
            status = bench_measure_peak(&chain, shapes, count, dtype, settings->threads, 3, &peak);
            if (status != MOCO_OK) return answer_absent(moco_last_error());
            printf("%.6f\n", bench_now_ms() - start);
        } else if (strcmp(name, "convolution_layer") == 0) {
            puts(peak.best_layer);
        } else {
            const struct {
                const char *name;
                double value;
            } numbers[] = {{"step_gflop", bench_step_gflop(shapes, count)},
                           {"convolution_gflops", peak.best_gflops},
                           {"mean_gflops", peak.mean_gflops},
                           {"sgemm_gflops", peak.sgemm_gflops},
                           {"fma_gflops", peak.fma_gflops}};
            double value = -1;
            for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
                if (strcmp(name, numbers[i].name) == 0) value = numbers[i].value;
            }
            printf("%.6f\n", value);
        }
    }
    bench_chain_close(&chain);
    step_parts_destroy(&parts);
    return 0;
}
