/* One whole training step, in turns with the official algorithm in PyTorch.
 *
 *   bench_step [--arch NAME --stem imagenet|cifar --n N --size S] [--dim 128] [--queue-size 65536]
 *              [--dtype f32|f32_direct|bf16] [--threads 2] [--reps 11] [--backend NAME] [--phases]
 *              [--no-peer] [--peers eager,channels_last,compile,compile+channels_last] [--python PATH]
 *              [--pause-ms 25] [--data DATASET [--workers 2]] [--growth]
 *
 * Without --arch: ResNet-18 (CIFAR stem, n 64, 32 px), ResNet-50 (n 16, 224 px) and cifar_resnet20 (n 256, 32 px). One
 * JSON object a line. Every side has a process of its own, which stands still while another one is measured; each round
 * runs a step of each. Times are medians in milliseconds. f32_direct is float32 without Winograd's algorithm. With
 * --dtype bf16 PyTorch is measured in float32 too.
 *
 * "gflop" counts the multiply-adds of convolutions and linear layers as plain sums of products, whatever algorithm
 * runs. The peaks are the best of these layers alone, computed so; their mean over the step one after the other; a
 * large matrix product; and multiply-adds in registers (both in float32). Memory is each process's peak resident
 * memory, and what of it came after loading the library (for PyTorch: importing torch). --phases adds our median of
 * each phase.
 * --data takes views from the loader, which then has a phase; PyTorch does not load. --growth prints tables instead:
 * the cost as n, K, image size and threads double.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"
#include "peer.h"
#include "step_growth.h"
#include "step_settings.h"
#include "step_worker.h"

#define MOST_REPS  200
#define MOST_PEERS 8
#define MIB        1048576.0

typedef struct options {
    int reps, phases, no_peer;
    double pause_ms; /* between two sides */
    const char *peers;
} options;

/* One side of the comparison. */
typedef struct side {
    bench_peer *process; /* NULL: see reason */
    char reason[512];
    const char *mode; /* PyTorch's: eager, channels_last ... */
    const char *dtype;
    double ms[MOST_REPS];
    double median, best, peak_mib, loaded_mib;
} side;

/* --- PyTorch's variants --- */

static const struct variant {
    const char *name;
    int channels_last, compile;
} variants[] = {{"eager", 0, 0}, {"channels_last", 1, 0}, {"compile", 0, 1}, {"compile+channels_last", 1, 1}};

/* Is `name` one of the words between commas? */
static int listed(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *word = list; word != NULL; word = strchr(word, ',') == NULL ? NULL : strchr(word, ',') + 1) {
        if (strcspn(word, ",") == length && strncmp(word, name, length) == 0) return 1;
    }
    return 0;
}

static void start_variant(side *peer, const step_settings *s, const struct variant *variant, const char *dtype) {
    step_settings theirs = *s;
    step_arguments arguments;
    theirs.dtype = dtype;
    step_settings_write(&theirs, &arguments);
    if (variant->channels_last) arguments.list[arguments.count++] = "--channels-last";
    if (variant->compile) arguments.list[arguments.count++] = "--compile";
    arguments.list[arguments.count] = NULL;
    peer->mode = variant->name;
    peer->dtype = dtype;
    peer->process = bench_peer_start("peer_step.py", arguments.list, s->threads, peer->reason, sizeof peer->reason);
    fprintf(stderr, "bench_step: PyTorch %s %s: %s\n", dtype, variant->name,
            peer->process != NULL ? "ready" : peer->reason);
}

static const char *peer_dtype(const step_settings *s) {
    return strcmp(s->dtype, "bf16") == 0 ? "bf16" : "f32";
}

static int start_peers(side *peers, const step_settings *s, const options *o) {
    int count = 0;
    if (o->no_peer || s->data != NULL) return 0;
    for (int f32_too = 0; f32_too <= (strcmp(s->dtype, "bf16") == 0); ++f32_too) {
        for (size_t v = 0; v < sizeof variants / sizeof variants[0] && count < MOST_PEERS; ++v) {
            if (!listed(o->peers, variants[v].name)) continue;
            start_variant(&peers[count], s, &variants[v], f32_too ? "f32" : peer_dtype(s));
            ++count;
        }
    }
    return count;
}

static const side *fastest(const side *peers, int count, const char *dtype) {
    const side *best = NULL;
    for (int i = 0; i < count; ++i) {
        if (peers[i].process == NULL || strcmp(peers[i].dtype, dtype) != 0 || peers[i].best < 0) continue;
        if (best == NULL || peers[i].median < best->median) best = &peers[i];
    }
    return best;
}

/* --- Measuring --- */

static void run_side(side *one, int rep, double pause_ms) {
    if (one->process == NULL) return;
    if (pause_ms > 0) bench_sleep_ms(pause_ms);
    one->ms[rep] = bench_peer_run(one->process);
}

static void summarise(side *one, int reps, const char *loaded) {
    if (one->process == NULL) return;
    one->median = bench_median(one->ms, reps); /* sorts: a failure, -1, comes first */
    one->best = one->ms[0];
    one->peak_mib = bench_peer_get(one->process, "peak_resident_bytes") / MIB;
    one->loaded_mib = bench_peer_get(one->process, loaded) / MIB;
}

/* --- The report --- */

static void print_json_text(const char *name, const char *text) {
    printf(", \"%s\": \"", name);
    for (; *text != '\0'; ++text) {
        if (*text == '"' || *text == '\\') putchar('\\');
        putchar((unsigned char) *text < ' ' ? ' ' : *text);
    }
    putchar('"');
}

static void print_rate(const side *ours, bench_peer *limits) {
    const double gflop = bench_peer_get(limits, "step_gflop"), rate = gflop / ours->median * 1e3;
    char layer[256];
    printf(", \"gflop\": %.2f, \"gflops\": %.1f", gflop, rate);
    const struct {
        const char *name, *key;
    } peaks[] = {{"convolution_gflops", "convolution_peak"},
                 {"mean_gflops", "convolution_mean"},
                 {"sgemm_gflops", "sgemm_peak"},
                 {"fma_gflops", "fma_peak"}};
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; ++i) {
        const double peak = bench_peer_get(limits, peaks[i].name);
        printf(", \"%s_gflops\": %.1f, \"percent_of_%s\": %.1f", peaks[i].key, peak, peaks[i].key, 100 * rate / peak);
    }
    bench_peer_get_text(limits, "convolution_layer", layer, sizeof layer);
    print_json_text("convolution_peak_layer", layer);
}

static void print_phases(const side *ours, const step_settings *s) {
    printf(", \"phases\": {");
    for (int phase = s->data == NULL; phase < STEP_PHASES; ++phase) {
        printf("\"%s\": %.3f%s", step_phase_names[phase], bench_peer_get(ours->process, step_phase_names[phase]),
               phase + 1 == STEP_PHASES ? "}" : ", ");
    }
}

static void print_peers(const side *ours, const side *peers, int count, const step_settings *s) {
    char version[32] = "";
    printf(", \"peers\": [");
    for (int i = 0; i < count; ++i) {
        const side *p = &peers[i];
        if (p->process != NULL && version[0] == '\0') {
            bench_peer_get_text(p->process, "version", version, sizeof version);
        }
        printf("%s{\"mode\": \"%s\", \"dtype\": \"%s\"", i == 0 ? "" : ", ", p->mode, p->dtype);
        if (p->process == NULL || p->best < 0) {
            print_json_text("absent", p->process == NULL ? p->reason : "failed on the way");
            putchar('}');
            continue;
        }
        printf(", \"ms\": %.2f, \"best_ms\": %.2f, \"ratio\": %.3f, \"peak_mib\": %.0f, \"increase_mib\": %.0f}",
               p->median, p->best, p->median / ours->median, p->peak_mib, p->peak_mib - p->loaded_mib);
    }
    putchar(']');
    const side *best = fastest(peers, count, peer_dtype(s));
    if (best == NULL) {
        print_json_text("peer", count == 0 ? "not asked for" : peers[0].reason);
        printf(", \"peer_ms\": null, \"ratio\": null");
        return;
    }
    printf(", \"peer\": \"PyTorch %s %s %s\", \"peer_ms\": %.2f, \"ratio\": %.3f, \"peer_peak_mib\": %.0f", version,
           best->dtype, best->mode, best->median, best->median / ours->median, best->peak_mib);
    printf(", \"memory_ratio\": %.3f, \"memory_increase_ratio\": %.3f", ours->peak_mib / best->peak_mib,
           (ours->peak_mib - ours->loaded_mib) / (best->peak_mib - best->loaded_mib));
    const side *f32 = strcmp(s->dtype, "bf16") == 0 ? fastest(peers, count, "f32") : NULL;
    if (f32 != NULL) {
        printf(", \"f32_peer\": \"%s\", \"f32_peer_ms\": %.2f, \"ratio_to_f32\": %.3f", f32->mode, f32->median,
               f32->median / ours->median);
    }
}

/* One JSON line for one configuration; 0 on success. */
static int measure_with_images(const step_settings *s, const options *o) {
    static side ours, peers[MOST_PEERS];
    char backend[32], reason[512];
    memset(&ours, 0, sizeof ours);
    memset(peers, 0, sizeof peers);
    ours.process = step_worker_start("step", s, ours.reason, sizeof ours.reason);
    bench_peer *limits = step_worker_start("peak", s, reason, sizeof reason);
    if (ours.process == NULL || limits == NULL) {
        fprintf(stderr, "bench_step: %s\n", ours.process == NULL ? ours.reason : reason);
        bench_peer_stop(ours.process);
        bench_peer_stop(limits);
        return 1;
    }
    const int count = start_peers(peers, s, o);
    bench_peer_run(limits);
    for (int rep = 0; rep < o->reps; ++rep) {
        run_side(&ours, rep, count > 0 ? o->pause_ms : 0);
        for (int i = 0; i < count; ++i) run_side(&peers[i], rep, o->pause_ms);
        /* Again where the clock is as warm as the steps make it; not where nobody wants figures. */
        if (o->reps >= 5 && (rep == o->reps / 2 || rep + 1 == o->reps)) bench_peer_run(limits);
    }
    summarise(&ours, o->reps, "loaded_bytes");
    for (int i = 0; i < count; ++i) summarise(&peers[i], o->reps, "imported_bytes");
    const int failed = ours.best < 0;
    if (failed) {
        fprintf(stderr, "bench_step: our own steps failed on the way\n");
    } else {
        const char *policy = getenv("OMP_WAIT_POLICY"), *bind = getenv("OMP_PROC_BIND");
        bench_peer_get_text(ours.process, "backend", backend, sizeof backend);
        printf("{\"name\": \"step_%s\", \"stem\": \"%s\", \"n\": %lld, \"size\": %lld, \"dim\": %lld, \"k\": %lld, "
               "\"dtype\": \"%s\", \"threads\": %d, \"omp_wait_policy\": \"%s\", \"omp_proc_bind\": \"%s\", "
               "\"backend\": \"%s\", \"reps\": %d",
               s->arch, s->stem, (long long) s->n, (long long) s->size, (long long) s->dim, (long long) s->queue_size,
               s->dtype, s->threads, policy == NULL ? "default" : policy, bind == NULL ? "default" : bind, backend,
               o->reps);
        printf(", \"ours_ms\": %.2f, \"ours_best_ms\": %.2f, \"images_per_second\": %.1f, \"ours_peak_mib\": %.0f, "
               "\"ours_increase_mib\": %.0f",
               ours.median, ours.best, (double) s->n / ours.median * 1e3, ours.peak_mib,
               ours.peak_mib - ours.loaded_mib);
        print_rate(&ours, limits);
        if (o->phases) print_phases(&ours, s);
        print_peers(&ours, peers, count, s);
        printf("}\n");
        fflush(stdout);
    }
    for (int i = 0; i < count; ++i) bench_peer_stop(peers[i].process);
    bench_peer_stop(limits);
    bench_peer_stop(ours.process);
    return failed;
}

/* Both sides read their images from one file. */
static int write_images(const step_settings *s, int file) {
    const int64_t count = s->n * 3 * s->size * s->size;
    float *values = (float *) malloc((size_t) count * sizeof *values);
    FILE *stream = fdopen(file, "wb");
    int complete = values != NULL && stream != NULL;
    for (int view = 0; view < 2 && complete; ++view) {
        bench_fill(values, count, (uint64_t) view + 1);
        complete = fwrite(values, sizeof *values, (size_t) count, stream) == (size_t) count;
    }
    if (stream != NULL && fclose(stream) != 0) complete = 0;
    free(values);
    return complete;
}

static int measure(const step_settings *settings, const options *o) {
    step_settings s = *settings;
    char path[4096];
    const char *folder = getenv("TMPDIR");
    if (s.images != NULL || s.data != NULL) return measure_with_images(&s, o);
    snprintf(path, sizeof path, "%s/moco_images_XXXXXX", folder == NULL ? "/tmp" : folder);
    const int file = mkstemp(path);
    if (file < 0 || !write_images(&s, file)) {
        fprintf(stderr, "bench_step: could not write %s\n", path);
        if (file >= 0) unlink(path);
        return 1;
    }
    s.images = path;
    const int failed = measure_with_images(&s, o);
    unlink(path);
    return failed;
}

static int measure_standard(step_settings s, const options *o) {
    static const struct {
        const char *arch, *stem;
        int64_t n, size;
    } standard[] = {
        {"resnet18", "cifar", 64, 32}, {"resnet50", "imagenet", 16, 224}, {"cifar_resnet20", "cifar", 256, 32}};
    int failed = 0;
    for (size_t i = 0; i < sizeof standard / sizeof standard[0]; ++i) {
        s.arch = standard[i].arch;
        s.stem = standard[i].stem;
        s.n = standard[i].n;
        s.size = standard[i].size;
        failed |= measure(&s, o);
    }
    return failed;
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(
            argc, argv,
            "--arch --backend --data --dim --dtype --growth --images --n --no-peer --pause-ms --peers --phases "
            "--python --queue-size --reps --size --stem --threads --worker --workers "))
        return 2;
    const step_settings s = step_settings_read(argc, argv);
    const options o = {
        .reps = (int) bench_option(argc, argv, "--reps", 11),
        .phases = bench_flag(argc, argv, "--phases"),
        .no_peer = bench_flag(argc, argv, "--no-peer"),
        .pause_ms = (double) bench_option(argc, argv, "--pause-ms", 25),
        .peers = bench_option_string(argc, argv, "--peers", "eager,channels_last,compile,compile+channels_last"),
    };
    const char *wrong = step_settings_check(&s);
    if (wrong == NULL && (o.reps < 1 || o.reps > MOST_REPS)) wrong = "--reps must be 1 to 200";
    if (wrong != NULL) {
        fprintf(stderr, "bench_step: %s\n", wrong);
        return 2;
    }
    const char *worker = bench_option_string(argc, argv, "--worker", "");
    if (strcmp(worker, "step") == 0) return step_worker_serve(&s);
    if (strcmp(worker, "peak") == 0) return peak_worker_serve(&s);
    bench_peer_use_python(argc, argv);
    if (bench_flag(argc, argv, "--growth")) return step_growth_print(&s, o.reps);
    return s.arch != NULL ? measure(&s, &o) : measure_standard(s, &o);
}
