/* One whole training step, in turns with the official algorithm in PyTorch.
 *
 *   bench_step [--arch NAME --stem imagenet|cifar --n N --size S] [--dim 128] [--queue-size 65536] [--threads 2]
 *              [--reps 7] [--backend NAME] [--phases] [--no-peer] [--channels-last] [--compile]
 *
 * Without --arch: ResNet-18 (CIFAR stem, n 64, 32 px), ResNet-50 (n 16, 224 px) and cifar_resnet20 (n 256, 32 px). One
 * JSON object a line: medians in milliseconds, ratio = peer over ours, the two sides' peak resident memory. --phases
 * adds our median of each phase; the last two options are the peer's own speed-ups.
 */
#define _POSIX_C_SOURCE 200809L
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"
#include "peer.h"

#define MOST_REPS 100
/* Idle OpenMP threads of one side spin for a while: let them go to sleep before the other's turn. */
#define PAUSE_MS 25

typedef struct settings {
    const char *arch, *stem, *backend;
    int64_t n, size, dim, queue_size;
    int threads, reps, phases, no_peer, channels_last, compile;
} settings;

typedef struct ours {
    moco_context *context;
    moco_encoder *encoder;
    moco_momentum_encoder *momentum_encoder;
    moco_queue *queue;
    moco_loss *loss;
    moco_optimizer *optimizer;
    moco_trainer *trainer;
    float *query_images, *key_images;
} ours;

enum { QUERY_FORWARD, MOMENTUM_UPDATE, KEY_FORWARD, LOSS, QUERY_BACKWARD, OPTIMIZER, ENQUEUE, PHASES };
static const char *const phase_names[PHASES] = {
    "query_forward", "momentum_update", "key_forward", "loss", "query_backward", "optimizer", "enqueue",
};

static moco_status create_parts(ours *o, const settings *s) {
    moco_context_config context;
    moco_encoder_config encoder;
    moco_queue_config queue;
    moco_trainer_config trainer;
    moco_status status = moco_context_config_init(&context, sizeof context);
    if (status == MOCO_OK) status = moco_encoder_config_init(&encoder, sizeof encoder);
    if (status == MOCO_OK) status = moco_queue_config_init(&queue, sizeof queue);
    if (status == MOCO_OK) status = moco_trainer_config_init(&trainer, sizeof trainer);
    if (status != MOCO_OK) return status;
    context.threads = s->threads;
    context.backend = s->backend;
    encoder.architecture = s->arch;
    encoder.stem = strcmp(s->stem, "cifar") == 0 ? MOCO_STEM_CIFAR : MOCO_STEM_IMAGENET;
    encoder.embedding_dim = (int32_t) s->dim;
    queue.dim = s->dim;
    queue.capacity = s->queue_size;
    trainer.use_learning_rate_schedule = 0;
    status = moco_context_create(&o->context, &context);
    if (status == MOCO_OK) status = moco_encoder_create(&o->encoder, o->context, &encoder);
    if (status == MOCO_OK) status = moco_momentum_encoder_create(&o->momentum_encoder, o->encoder, NULL);
    if (status == MOCO_OK) status = moco_queue_create(&o->queue, o->context, &queue);
    if (status == MOCO_OK) status = moco_loss_create(&o->loss, o->context, NULL);
    if (status == MOCO_OK) status = moco_optimizer_create(&o->optimizer, o->encoder, NULL);
    if (status == MOCO_OK) {
        status = moco_trainer_create(&o->trainer, o->encoder, o->momentum_encoder, o->queue, o->loss, o->optimizer,
                                     &trainer);
    }
    return status;
}

static moco_status set_up(ours *o, const settings *s) {
    const int64_t pixels = s->n * 3 * s->size * s->size;
    o->query_images = (float *) malloc((size_t) pixels * sizeof(float));
    o->key_images = (float *) malloc((size_t) pixels * sizeof(float));
    if (o->query_images == NULL || o->key_images == NULL) return MOCO_OUT_OF_MEMORY;
    bench_fill(o->query_images, pixels, 1);
    bench_fill(o->key_images, pixels, 2);
    return create_parts(o, s);
}

static void tear_down(ours *o) {
    moco_trainer_destroy(o->trainer);
    moco_optimizer_destroy(o->optimizer);
    moco_loss_destroy(o->loss);
    moco_queue_destroy(o->queue);
    moco_momentum_encoder_destroy(o->momentum_encoder);
    moco_encoder_destroy(o->encoder);
    moco_context_destroy(o->context);
    free(o->query_images);
    free(o->key_images);
}

static moco_status run(ours *o, const settings *s, double *milliseconds, moco_step_stats *stats) {
    const double start = bench_now_ms();
    const moco_status status =
        moco_trainer_step(o->trainer, o->query_images, o->key_images, NULL, s->n, s->size, s->size, stats);
    *milliseconds = bench_now_ms() - start;
    return status;
}

static bench_peer *start_peer(const settings *s, char *reason, size_t reason_size) {
    const char *arguments[16];
    char n[24], size[24], dim[24], queue_size[24];
    int count = 0;
    snprintf(n, sizeof n, "%lld", (long long) s->n);
    snprintf(size, sizeof size, "%lld", (long long) s->size);
    snprintf(dim, sizeof dim, "%lld", (long long) s->dim);
    snprintf(queue_size, sizeof queue_size, "%lld", (long long) s->queue_size);
    const char *const given[] = {"--arch", s->arch, "--stem", s->stem, "--n",          n,
                                 "--size", size,    "--dim",  dim,     "--queue-size", queue_size};
    for (size_t i = 0; i < sizeof given / sizeof given[0]; ++i) arguments[count++] = given[i];
    if (s->channels_last) arguments[count++] = "--channels-last";
    if (s->compile) arguments[count++] = "--compile";
    arguments[count] = NULL;
    return bench_peer_start("peer_step.py", arguments, s->threads, reason, reason_size);
}

static double peak_resident_mib(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (double) usage.ru_maxrss / 1024.0 : -1.0;
}

static void keep_phases(double phases[PHASES][MOST_REPS], int rep, const moco_step_stats *stats) {
    const int64_t ns[PHASES] = {
        stats->ns_query_forward,  stats->ns_momentum_update, stats->ns_key_forward, stats->ns_loss,
        stats->ns_query_backward, stats->ns_optimizer,       stats->ns_enqueue,
    };
    for (int phase = 0; phase < PHASES; ++phase) phases[phase][rep] = (double) ns[phase] * 1e-6;
}

/* One JSON line for one configuration; 0 on success. */
static int measure(const settings *s) {
    static double ours_ms[MOST_REPS], peer_ms[MOST_REPS], phases[PHASES][MOST_REPS];
    char reason[512] = "not asked for";
    /* Before our own memory grows: a child's peak starts at its parent's. */
    bench_peer *peer = s->no_peer ? NULL : start_peer(s, reason, sizeof reason);
    ours o = {0};
    double warm_up;
    moco_step_stats stats;
    moco_status status = moco_step_stats_init(&stats, sizeof stats);
    if (status == MOCO_OK) status = set_up(&o, s);
    if (status == MOCO_OK) status = run(&o, s, &warm_up, &stats);
    for (int i = 0; i < s->reps && status == MOCO_OK; ++i) {
        if (peer != NULL) bench_sleep_ms(PAUSE_MS);
        status = run(&o, s, &ours_ms[i], &stats);
        keep_phases(phases, i, &stats);
        if (peer == NULL) continue;
        bench_sleep_ms(PAUSE_MS);
        peer_ms[i] = bench_peer_run(peer);
    }
    if (status != MOCO_OK) {
        fprintf(stderr, "bench_step: %s\n", moco_last_error());
    } else {
        const double median = bench_median(ours_ms, s->reps);
        printf("{\"name\": \"step_%s\", \"stem\": \"%s\", \"n\": %lld, \"size\": %lld, \"threads\": %d, "
               "\"backend\": \"%s\", \"ours_ms\": %.2f, \"images_per_second\": %.1f, \"ours_peak_mib\": %.0f",
               s->arch, s->stem, (long long) s->n, (long long) s->size, s->threads, moco_context_backend(o.context),
               median, (double) s->n / median * 1e3, peak_resident_mib());
        for (int phase = 0; phase < PHASES && s->phases; ++phase) {
            printf("%s\"%s\": %.2f%s", phase == 0 ? ", \"phases\": {" : ", ", phase_names[phase],
                   bench_median(phases[phase], s->reps), phase + 1 == PHASES ? "}" : "");
        }
        if (peer != NULL) {
            const double peer_median = bench_median(peer_ms, s->reps);
            printf(", \"peer\": \"PyTorch%s%s\", \"peer_ms\": %.2f, \"ratio\": %.3f, \"peer_peak_mib\": %.0f}\n",
                   s->channels_last ? " channels_last" : "", s->compile ? " compiled" : "", peer_median,
                   peer_median / median, bench_peer_get(peer, "peak_resident_bytes") / 1048576.0);
        } else {
            printf(", \"peer\": \"%s\", \"peer_ms\": null, \"ratio\": null}\n", reason);
        }
    }
    bench_peer_stop(peer);
    tear_down(&o);
    return status == MOCO_OK ? 0 : 1;
}

/* In a process of its own, so that peak memory is this configuration's. */
static int measure_apart(const settings *s) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) exit(measure(s));
    int answer = 1;
    return child < 0 || waitpid(child, &answer, 0) != child || answer != 0;
}

int main(int argc, char **argv) {
    settings s = {
        .arch = bench_option_string(argc, argv, "--arch", NULL),
        .stem = bench_option_string(argc, argv, "--stem", "cifar"),
        .backend = bench_option_string(argc, argv, "--backend", NULL),
        .n = bench_option(argc, argv, "--n", 64),
        .size = bench_option(argc, argv, "--size", 32),
        .dim = bench_option(argc, argv, "--dim", 128),
        .queue_size = bench_option(argc, argv, "--queue-size", 65536),
        .threads = (int) bench_option(argc, argv, "--threads", 2),
        .reps = (int) bench_option(argc, argv, "--reps", 7),
        .phases = bench_flag(argc, argv, "--phases"),
        .no_peer = bench_flag(argc, argv, "--no-peer"),
        .channels_last = bench_flag(argc, argv, "--channels-last"),
        .compile = bench_flag(argc, argv, "--compile"),
    };
    if (s.n < 1 || s.size < 1 || s.dim < 1 || s.queue_size < 1 || s.n > 65536 || s.size > 4096 || s.threads < 1 ||
        s.reps < 1 || s.reps > MOST_REPS) {
        fprintf(stderr,
                "bench_step: --n, --size, --dim, --queue-size, --threads and --reps must be at least 1; --n at "
                "most 65536, --size 4096, --reps %d\n",
                MOST_REPS);
        return 2;
    }
    if (s.arch != NULL) return measure(&s);

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
        failed |= measure_apart(&s);
    }
    return failed;
}
