/* Convolutions and BatchNorm of the networks that matter, layer by layer, in turns with PyTorch's.
 *
 *   bench_layers [--network all|cifar_resnet20|resnet18|resnet50|resnext50] [--dtype f32|f32_direct|bf16] [--threads T]
 * [--reps 5]
 *                [--n N] [--backend auto|onednn|cblas|reference] [--no-peer] [--python PATH]
 *
 * One JSON object per shape and pass, and one per network: what its step (forward and backward of the query encoder,
 * forward of the key encoder) spends in these layers. "backward" is of weights and input.
 */
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer_probe.h"
#include "measure.h"
#include "peer.h"

#define MOST_REPS 100
/* Idle OpenMP threads of ours spin for a while: let them go to sleep before PyTorch's turn. */
#define PAUSE_MS 5

typedef struct shape {
    const char *network;
    int64_t count; /* such layers in the network */
    int64_t n, c, h, out_c;
    int32_t kernel, stride, padding, groups; /* kernel 0: BatchNorm with ReLU */
} shape;

#define CONV(network, count, n, c, h, out_c, kernel, stride, groups) \
    { network, count, n, c, h, out_c, kernel, stride, (kernel) / 2, groups }
#define NORM(network, count, n, c, h) \
    { network, count, n, c, h, c, 0, 1, 0, 1 }

static const shape shapes[] = {
    CONV("cifar_resnet20", 1, 128, 3, 32, 16, 3, 1, 1),
    CONV("cifar_resnet20", 6, 128, 16, 32, 16, 3, 1, 1),
    CONV("cifar_resnet20", 1, 128, 16, 32, 32, 3, 2, 1),
    CONV("cifar_resnet20", 5, 128, 32, 16, 32, 3, 1, 1),
    CONV("cifar_resnet20", 1, 128, 32, 16, 64, 3, 2, 1),
    CONV("cifar_resnet20", 5, 128, 64, 8, 64, 3, 1, 1),
    NORM("cifar_resnet20", 7, 128, 16, 32),
    NORM("cifar_resnet20", 6, 128, 32, 16),
    NORM("cifar_resnet20", 6, 128, 64, 8),
    CONV("resnet18", 1, 64, 3, 32, 64, 3, 1, 1),
    CONV("resnet18", 4, 64, 64, 32, 64, 3, 1, 1),
    CONV("resnet18", 1, 64, 64, 32, 128, 3, 2, 1),
    CONV("resnet18", 1, 64, 64, 32, 128, 1, 2, 1),
    CONV("resnet18", 3, 64, 128, 16, 128, 3, 1, 1),
    CONV("resnet18", 1, 64, 128, 16, 256, 3, 2, 1),
    CONV("resnet18", 1, 64, 128, 16, 256, 1, 2, 1),
    CONV("resnet18", 3, 64, 256, 8, 256, 3, 1, 1),
    CONV("resnet18", 1, 64, 256, 8, 512, 3, 2, 1),
    CONV("resnet18", 1, 64, 256, 8, 512, 1, 2, 1),
    CONV("resnet18", 3, 64, 512, 4, 512, 3, 1, 1),
    NORM("resnet18", 5, 64, 64, 32),
    NORM("resnet18", 5, 64, 128, 16),
    NORM("resnet18", 5, 64, 256, 8),
    NORM("resnet18", 5, 64, 512, 4),
    CONV("resnet50", 1, 16, 3, 224, 64, 7, 2, 1),
    CONV("resnet50", 1, 16, 64, 56, 64, 1, 1, 1),
    CONV("resnet50", 3, 16, 64, 56, 64, 3, 1, 1),
    CONV("resnet50", 4, 16, 64, 56, 256, 1, 1, 1),
    CONV("resnet50", 2, 16, 256, 56, 64, 1, 1, 1),
    CONV("resnet50", 1, 16, 256, 56, 128, 1, 1, 1),
    CONV("resnet50", 1, 16, 128, 56, 128, 3, 2, 1),
    CONV("resnet50", 1, 16, 256, 56, 512, 1, 2, 1),
    CONV("resnet50", 4, 16, 128, 28, 512, 1, 1, 1),
    CONV("resnet50", 3, 16, 512, 28, 128, 1, 1, 1),
    CONV("resnet50", 3, 16, 128, 28, 128, 3, 1, 1),
    CONV("resnet50", 1, 16, 512, 28, 256, 1, 1, 1),
    CONV("resnet50", 1, 16, 256, 28, 256, 3, 2, 1),
    CONV("resnet50", 1, 16, 512, 28, 1024, 1, 2, 1),
    CONV("resnet50", 6, 16, 256, 14, 1024, 1, 1, 1),
    CONV("resnet50", 5, 16, 1024, 14, 256, 1, 1, 1),
    CONV("resnet50", 5, 16, 256, 14, 256, 3, 1, 1),
    CONV("resnet50", 1, 16, 1024, 14, 512, 1, 1, 1),
    CONV("resnet50", 1, 16, 512, 14, 512, 3, 2, 1),
    CONV("resnet50", 1, 16, 1024, 14, 2048, 1, 2, 1),
    CONV("resnet50", 3, 16, 512, 7, 2048, 1, 1, 1),
    CONV("resnet50", 2, 16, 2048, 7, 512, 1, 1, 1),
    CONV("resnet50", 2, 16, 512, 7, 512, 3, 1, 1),
    NORM("resnet50", 1, 16, 64, 112),
    NORM("resnet50", 6, 16, 64, 56),
    NORM("resnet50", 4, 16, 256, 56),
    NORM("resnet50", 7, 16, 128, 28),
    NORM("resnet50", 5, 16, 512, 28),
    NORM("resnet50", 11, 16, 256, 14),
    NORM("resnet50", 7, 16, 1024, 14),
    NORM("resnet50", 5, 16, 512, 7),
    NORM("resnet50", 4, 16, 2048, 7),
    CONV("resnext50", 3, 16, 256, 56, 256, 3, 1, 32),
    CONV("resnext50", 3, 16, 512, 28, 512, 3, 1, 32),
    CONV("resnext50", 5, 16, 1024, 14, 1024, 3, 1, 32),
    CONV("resnext50", 2, 16, 2048, 7, 2048, 3, 1, 32),
};

static moco_layer_desc desc_of(const shape *s, int32_t dtype) {
    const bench_layer_shape plain = {s->count,  s->n,       s->c,      s->h, s->out_c, s->kernel == 0 ? 1 : s->kernel,
                                     s->stride, s->padding, s->groups, 0,    s->c == 3};
    moco_layer_desc desc = bench_layer_desc(&plain, dtype);
    if (s->kernel > 0) return desc;
    const moco_norm_desc norm = {.eps = 1e-5, .momentum = 0.1, .groups = 1};
    desc.kind = MOCO_LAYER_BATCH_NORM;
    desc.parameter_count = 4;
    desc.epilogue = MOCO_EPILOGUE_RELU;
    memset(&desc.of, 0, sizeof desc.of);
    desc.of.norm = norm;
    return desc;
}

typedef struct timing {
    double ours, peer; /* peer negative: none */
    double ours_best;
} timing;

static timing measure(bench_layer *b, bench_peer *peer, const char *name, int pass, int reps) {
    static double ours[MOST_REPS], theirs[MOST_REPS];
    for (int i = -1; i < reps; ++i) { /* the first warms up */
        if (peer != NULL) bench_sleep_ms(PAUSE_MS);
        const double mine = bench_layer_run(b, pass);
        if (peer != NULL) bench_sleep_ms(PAUSE_MS);
        const double other = peer == NULL ? -1 : bench_peer_get(peer, name);
        if (i < 0) continue;
        ours[i] = mine;
        theirs[i] = other;
    }
    timing out = {bench_median(ours, reps), bench_median(theirs, reps), 0};
    out.ours_best = ours[0]; /* sorted by now */
    return out;
}

static void print_line(const char *name, const char *dtype, const char *backend, timing t, double gflop) {
    printf("{\"name\": \"%s\", \"dtype\": \"%s\", \"backend\": \"%s\", \"ours_ms\": %.3f, \"ours_best_ms\": %.3f", name,
           dtype, backend, t.ours, t.ours_best);
    if (gflop > 0) printf(", \"ours_gflops\": %.1f", gflop / t.ours * 1e3);
    if (t.peer >= 0) {
        printf(", \"peer_ms\": %.3f, \"ratio\": %.3f}\n", t.peer, t.peer / t.ours);
    } else {
        printf(", \"peer\": \"absent\"}\n");
    }
    fflush(stdout);
}

/* Forward and backward, and a convolution's backward for the weights alone. What a step spends in such layers. */
static timing measure_shape(bench_chain *chain, bench_peer *peer, const shape *s, const char *dtype, int reps) {
    timing total = {0, 0, 0};
    bench_layer b;
    moco_layer_desc desc = desc_of(s, strcmp(dtype, "bf16") == 0 ? MOCO_DTYPE_BF16 : MOCO_DTYPE_F32);
    if (desc.kind == MOCO_LAYER_CONV2D) desc.of.conv2d.direct = strcmp(dtype, "f32_direct") == 0;
    const double gflop = s->kernel == 0
                             ? 0
                             : 2e-9 * (double) (s->n * s->out_c * desc.output.dims[2] * desc.output.dims[3]) *
                                   (double) (s->c / s->groups * s->kernel * s->kernel);
    if (bench_layer_open(&b, chain, &desc) != MOCO_OK) {
        fprintf(stderr, "bench_layers: %s\n", moco_last_error());
        bench_layer_close(&b);
        return total;
    }
    for (int pass = 0; pass < BENCH_PASSES; ++pass) {
        char name[160];
        if (pass == BENCH_BACKWARD_WEIGHTS && (s->kernel == 0 || desc.skip_input_gradient)) continue;
        snprintf(name, sizeof name, "%s:%lld,%lld,%lld,%lld,%lld,%d,%d,%d,%d:%s", s->kernel == 0 ? "norm" : "conv",
                 (long long) s->n, (long long) s->c, (long long) s->h, (long long) s->h, (long long) s->out_c,
                 s->kernel, s->stride, s->padding, s->groups, bench_pass_names[pass]);
        const timing t = measure(&b, peer, name, pass, reps);
        print_line(name, dtype, b.ops->name, t,
                   pass == BENCH_BACKWARD && !desc.skip_input_gradient ? 2 * gflop : gflop);
        if (pass == BENCH_BACKWARD_WEIGHTS) continue;
        const double calls = (double) s->count * (pass == BENCH_FORWARD ? 2 : 1); /* query and key encoder */
        total.ours += calls * t.ours;
        total.ours_best += calls * t.ours_best;
        total.peer = t.peer < 0 ? -1 : total.peer + calls * t.peer;
    }
    bench_layer_close(&b);
    return total;
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(argc, argv, "--backend --dtype --n --network --no-peer --python --reps --threads "))
        return 2;
    const char *network = bench_option_string(argc, argv, "--network", "all");
    const char *backend = bench_option_string(argc, argv, "--backend", "auto");
    const char *dtype = bench_option_string(argc, argv, "--dtype", "f32");
    const int64_t n = bench_option(argc, argv, "--n", 0);
    int reps = (int) bench_option(argc, argv, "--reps", 5);
    if (reps < 1 || reps > MOST_REPS) reps = 5;
    moco_context_config config;
    moco_context *context = NULL;
    bench_chain chain;
    bench_peer_use_python(argc, argv);
    moco_context_config_init(&config, sizeof config);
    config.threads = (int32_t) bench_option(argc, argv, "--threads", 0);
    config.backend = backend;
    if (moco_context_create(&context, &config) != MOCO_OK ||
        bench_chain_open(&chain, context, backend, strcmp(dtype, "bf16") == 0 ? MOCO_DTYPE_BF16 : MOCO_DTYPE_F32) !=
            MOCO_OK) {
        fprintf(stderr, "bench_layers: %s\n", moco_last_error());
        return 1;
    }
    const char *const arguments[] = {"--dtype", strcmp(dtype, "bf16") == 0 ? "bf16" : "f32", NULL};
    char reason[256] = "not asked for";
    bench_peer *peer =
        bench_flag(argc, argv, "--no-peer")
            ? NULL
            : bench_peer_start("peer_layers.py", arguments, moco_context_threads(context), reason, sizeof reason);
    if (peer == NULL) fprintf(stderr, "bench_layers: PyTorch: %s\n", reason);
    const char *current = "";
    timing sum = {0, 0, 0};
    const size_t count = sizeof shapes / sizeof *shapes;
    for (size_t i = 0; i <= count; ++i) {
        if (i == count || strcmp(shapes[i].network, current) != 0) {
            char name[64];
            snprintf(name, sizeof name, "layers of a step: %s", current);
            if (sum.ours > 0) print_line(name, dtype, moco_context_backend(context), sum, 0);
            sum.ours = sum.ours_best = sum.peer = 0;
            if (i == count) break;
            current = shapes[i].network;
        }
        if (strcmp(network, "all") != 0 && strcmp(network, current) != 0) continue;
        shape s = shapes[i];
        if (n > 0) s.n = n;
        const timing t = measure_shape(&chain, peer, &s, dtype, reps);
        sum.ours += t.ours;
        sum.ours_best += t.ours_best;
        sum.peer = t.peer < 0 ? -1 : sum.peer + t.peer;
    }
    bench_peer_stop(peer);
    bench_chain_close(&chain);
    moco_context_destroy(context);
    return 0;
}
