/* The updates of one step over a network's real parameter table: SGD, momentum update, and both in one pass, in turns
 * with PyTorch's and measured against what a copy of as much memory reaches.
 *
 *   bench_update [--arch resnet50] [--head mlp|linear] [--threads 2] [--reps 21] [--backend NAME] [--no-peer]
 *                [--python PATH]
 *
 * One JSON object a line: medians in milliseconds, GB/s moved (1e9 bytes that must be read or written), percent of the
 * copy bandwidth, which is the best copy probe before and after; ratio = the fastest way of the peer over ours.
 */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy_probe.h"
#include "measure.h"
#include "peer.h"

#define MOST_REPS 1000
#define MOST_WAYS 2
/* Idle OpenMP threads of one side spin for a while: let them go to sleep before the other's turn. */
#define PAUSE_MS 25

typedef struct ours {
    moco_context *context;
    moco_encoder *encoder;
    moco_momentum_encoder *momentum_encoder;
    moco_optimizer *optimizer;
} ours;

typedef struct update {
    const char *name;
    double bytes; /* moved per element */
    moco_status (*run)(ours *o);
    const char *peers[MOST_WAYS];
} update;

static moco_status run_momentum(ours *o) {
    return moco_momentum_encoder_update(o->momentum_encoder);
}

static moco_status run_sgd(ours *o) {
    return moco_optimizer_step(o->optimizer);
}

static moco_status run_both(ours *o) {
    return moco_optimizer_step_with_momentum_update(o->optimizer, o->momentum_encoder);
}

static const update updates[] = {
    {"momentum_update", 12, run_momentum, {"ema_loop", "ema_foreach"}}, /* reads k, q; writes k */
    {"sgd", 20, run_sgd, {"sgd_foreach", "sgd_fused"}},                 /* reads p, g, v; writes p, v */
    {"sgd_with_momentum_update", 28, run_both, {NULL, NULL}},           /* reads p, g, v, k; writes p, v, k */
};
#define UPDATES (sizeof updates / sizeof *updates)

/* One small batch through the network: updates then read gradients of a backward pass, not zeros yet to be written. */
static moco_status make_gradients(ours *o) {
    enum { N = 4, SIZE = 32, PIXELS = N * 3 * SIZE * SIZE };
    const int64_t dim = moco_encoder_embedding_dim(o->encoder);
    float *images = (float *) malloc(PIXELS * sizeof(float));
    float *embeddings = (float *) malloc((size_t) (N * dim) * sizeof(float));
    moco_status status = MOCO_OUT_OF_MEMORY;
    if (images != NULL && embeddings != NULL) {
        bench_fill(images, PIXELS, 1);
        status = moco_encoder_forward(o->encoder, images, N, SIZE, SIZE, embeddings);
        if (status == MOCO_OK) status = moco_encoder_backward(o->encoder, embeddings, N);
    }
    free(images);
    free(embeddings);
    return status;
}

static moco_status set_up(ours *o, const char *arch, const char *head, const char *backend, int threads) {
    moco_context_config context;
    moco_encoder_config encoder;
    moco_status status = moco_context_config_init(&context, sizeof context);
    if (status == MOCO_OK) status = moco_encoder_config_init(&encoder, sizeof encoder);
    if (status != MOCO_OK) return status;
    context.threads = threads;
    context.backend = backend;
    encoder.architecture = arch;
    encoder.head = strcmp(head, "linear") == 0 ? MOCO_HEAD_LINEAR : MOCO_HEAD_MLP;
    status = moco_context_create(&o->context, &context);
    if (status == MOCO_OK) status = moco_encoder_create(&o->encoder, o->context, &encoder);
    if (status == MOCO_OK) status = moco_momentum_encoder_create(&o->momentum_encoder, o->encoder, NULL);
    if (status == MOCO_OK) status = moco_optimizer_create(&o->optimizer, o->encoder, NULL);
    return status == MOCO_OK ? make_gradients(o) : status;
}

/* The learnable elements in all; `text` gets the list that the peer takes. */
static int64_t list_sizes(const ours *o, char **text) {
    const int64_t count = moco_encoder_parameter_count(o->encoder);
    int64_t elements = 0;
    size_t length = 0;
    *text = (char *) malloc((size_t) count * 24 + 1);
    if (*text == NULL) return 0;
    (*text)[0] = 0;
    for (int64_t i = 0; i < count; ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        if (moco_encoder_parameter_info(o->encoder, i, &info) != MOCO_OK || info.kind != MOCO_PARAMETER_LEARNABLE) {
            continue;
        }
        length += (size_t) sprintf(*text + length, "%s%lld", length == 0 ? "" : ",", (long long) info.elements);
        elements += info.elements;
    }
    return elements;
}

typedef struct timing {
    double ours[MOST_REPS], peers[MOST_WAYS][MOST_REPS];
    double copies[COPY_PROBE_MOST_WAYS][MOST_REPS]; /* GB/s, not milliseconds */
} timing;

static moco_status measure(ours *o, const update *u, copy_probe *probe, bench_peer *peer, int reps, timing *t) {
    for (int i = -2; i < reps; ++i) { /* the first two warm up: pages, and the velocity of the first step */
        const int kept = i < 0 ? 0 : i;
        bench_sleep_ms(PAUSE_MS);
        const double start = bench_now_ms();
        const moco_status status = u->run(o);
        t->ours[kept] = bench_now_ms() - start;
        if (status != MOCO_OK) return status;
        bench_sleep_ms(PAUSE_MS);
        for (int way = 0; way < copy_probe_ways(probe); ++way) {
            t->copies[way][kept] = copy_probe_gb_per_s(probe, way);
        }
        for (int way = 0; peer != NULL && way < MOST_WAYS && u->peers[way] != NULL; ++way) {
            bench_sleep_ms(PAUSE_MS);
            t->peers[way][kept] = bench_peer_get(peer, u->peers[way]);
        }
    }
    return MOCO_OK;
}

static void report_copy(timing *t, const copy_probe *probe, int reps, double *median, double *best) {
    int fastest = 0;
    *median = *best = 0;
    for (int way = 0; way < copy_probe_ways(probe); ++way) {
        const double middle = bench_median(t->copies[way], reps); /* which sorts */
        if (t->copies[way][reps - 1] > *best) *best = t->copies[way][reps - 1];
        if (middle <= *median) continue;
        *median = middle;
        fastest = way;
    }
    printf(", \"copy_gb_per_s\": %.1f, \"copy_best_gb_per_s\": %.1f, \"copy_way\": \"%s\"", *median, *best,
           copy_probe_name(probe, fastest));
}

static void report(const ours *o, const update *u, timing *t, const copy_probe *probe, int reps, int has_peer,
                   int64_t elements) {
    const double milliseconds = bench_median(t->ours, reps);
    const double gigabytes = u->bytes * (double) elements * 1e-6; /* per second, over milliseconds */
    double copy, best_copy;
    printf("{\"name\": \"%s\", \"elements\": %lld, \"threads\": %d, \"backend\": \"%s\", \"ours_ms\": %.3f, "
           "\"ours_best_ms\": %.3f, \"gb_per_s\": %.1f",
           u->name, (long long) elements, moco_context_threads(o->context), moco_context_backend(o->context),
           milliseconds, t->ours[0], gigabytes / milliseconds);
    report_copy(t, probe, reps, &copy, &best_copy);
    printf(", \"percent_of_copy\": %.1f, \"percent_of_best\": %.1f", 100 * gigabytes / milliseconds / copy,
           100 * gigabytes / t->ours[0] / best_copy);
    double fastest = 0;
    for (int way = 0; has_peer && way < MOST_WAYS && u->peers[way] != NULL; ++way) {
        const double theirs = bench_median(t->peers[way], reps);
        printf(", \"%s_ms\": %.3f", u->peers[way], theirs);
        if (theirs > 0 && (fastest == 0 || theirs < fastest)) fastest = theirs;
    }
    if (fastest > 0) {
        printf(", \"peer\": \"PyTorch\", \"ratio\": %.2f}\n", fastest / milliseconds);
    } else {
        printf(", \"peer\": \"absent\", \"ratio\": null}\n");
    }
}

static void tear_down(ours *o) {
    moco_optimizer_destroy(o->optimizer);
    moco_momentum_encoder_destroy(o->momentum_encoder);
    moco_encoder_destroy(o->encoder);
    moco_context_destroy(o->context);
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(argc, argv, "--arch --backend --head --no-peer --python --reps --threads ")) return 2;
    const char *arch = bench_option_string(argc, argv, "--arch", "resnet50");
    const char *head = bench_option_string(argc, argv, "--head", "mlp");
    const int threads = (int) bench_option(argc, argv, "--threads", 2);
    const int reps = (int) bench_option(argc, argv, "--reps", 21);
    if (threads < 1 || reps < 1 || reps > MOST_REPS) {
        fprintf(stderr, "bench_update: --threads and --reps must be at least 1, --reps at most %d\n", MOST_REPS);
        return 2;
    }
    bench_peer_use_python(argc, argv);
    static timing timings[UPDATES];
    ours o = {0};
    char *sizes = NULL;
    moco_status status = set_up(&o, arch, head, bench_option_string(argc, argv, "--backend", NULL), threads);
    const int64_t elements = status == MOCO_OK ? list_sizes(&o, &sizes) : 0;
    char reason[512] = "not asked for";
    bench_peer *peer = NULL;
    if (elements > 0 && !bench_flag(argc, argv, "--no-peer")) {
        const char *const arguments[] = {"--sizes", sizes, NULL};
        peer = bench_peer_start("peer_update.py", arguments, threads, reason, sizeof reason);
    }
    if (peer == NULL) fprintf(stderr, "PyTorch: %s\n", reason);

    copy_probe *probe = elements > 0 ? copy_probe_create(threads, elements * (int64_t) sizeof(float)) : NULL;
    if (elements > 0 && probe == NULL) status = MOCO_OUT_OF_MEMORY;
    for (size_t i = 0; i < UPDATES && status == MOCO_OK; ++i) {
        status = measure(&o, &updates[i], probe, peer, reps, &timings[i]);
        if (status == MOCO_OK) report(&o, &updates[i], &timings[i], probe, reps, peer != NULL, elements);
    }
    if (status != MOCO_OK) fprintf(stderr, "bench_update: %s\n", moco_last_error());
    copy_probe_destroy(probe);
    bench_peer_stop(peer);
    tear_down(&o);
    free(sizes);
    return status == MOCO_OK ? 0 : 1;
}
