/* Convolutions and BatchNorm of the networks that matter, layer by layer, in turns with PyTorch's.
 *
 *   bench_layers [--network all|cifar_resnet20|resnet18|resnet50|resnext50] [--threads T] [--reps 5] [--n N]
 *                [--backend cblas|reference] [--no-peer]
 *
 * One JSON object per shape and direction, and one per network: what its step (forward and backward of the query
 * encoder, forward of the key encoder) spends in these layers.
 */
#include <moco.h>
#include <moco/sys/backend.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "peer.h"

#define MOST_REPS 100

extern const moco_backend_ops moco_backend_cblas;
extern const moco_backend_ops moco_backend_reference;

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

/* One layer with all its tensors in the backend's memory. */
typedef struct bench_layer {
    const moco_backend_ops *ops;
    void *self;
    moco_layer *layer;
    moco_layer_args args;
    void *buffers[16];
    int count;
} bench_layer;

static moco_tensor tensor_of(bench_layer *b, int64_t elements, float *values) {
    moco_tensor tensor = {NULL, 0, MOCO_DTYPE_F32, 1, {elements, 1, 1, 1}, MOCO_LAYOUT_PLAIN};
    const uint64_t bytes = (uint64_t) elements * sizeof(float);
    if (elements == 0 || b->ops->buffer_create(b->self, bytes, &tensor.buffer) != MOCO_OK) return tensor;
    b->buffers[b->count++] = tensor.buffer;
    if (values != NULL) b->ops->upload(b->self, tensor.buffer, 0, values, bytes);
    return tensor;
}

static moco_status open_layer(bench_layer *b, const moco_layer_desc *desc, float *values) {
    moco_layer_info info;
    const moco_status status = b->ops->layer_create(b->self, desc, &b->layer, &info);
    if (status != MOCO_OK) return status;
    const int64_t inputs = desc->n * desc->c * desc->h * desc->w;
    const int64_t outputs = desc->n * desc->out_c * desc->out_h * desc->out_w;
    const int64_t weights =
        desc->kind == MOCO_LAYER_CONV2D ? desc->out_c * desc->c / desc->groups * desc->kernel * desc->kernel : desc->c;
    const int64_t biases = desc->kind == MOCO_LAYER_CONV2D ? 0 : desc->c;
    b->args.x = tensor_of(b, inputs, values);
    b->args.dx = tensor_of(b, inputs, values);
    b->args.y = tensor_of(b, outputs, values);
    b->args.dy = tensor_of(b, outputs, values);
    b->args.weight = tensor_of(b, weights, values);
    b->args.dweight = tensor_of(b, weights, values);
    b->args.bias = tensor_of(b, biases, values);
    b->args.dbias = tensor_of(b, biases, values);
    b->args.running_mean = tensor_of(b, biases, values);
    b->args.running_var = tensor_of(b, biases, values);
    b->args.saved = tensor_of(b, (int64_t) (info.saved_bytes / 4), NULL);
    b->args.scratch = tensor_of(b, (int64_t) (info.scratch_bytes / 4), NULL);
    return MOCO_OK;
}

static void close_layer(bench_layer *b) {
    if (b->layer != NULL) b->ops->layer_destroy(b->self, b->layer);
    for (int i = 0; i < b->count; ++i) b->ops->buffer_destroy(b->self, b->buffers[i]);
}

static moco_layer_desc desc_of(const shape *s) {
    moco_layer_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.kind = s->kernel == 0 ? MOCO_LAYER_BATCH_NORM : MOCO_LAYER_CONV2D;
    desc.training = 1;
    desc.n = s->n;
    desc.c = s->c;
    desc.h = desc.w = s->h;
    desc.out_c = s->out_c;
    desc.out_h = desc.out_w = s->kernel == 0 ? s->h : (s->h + 2 * s->padding - s->kernel) / s->stride + 1;
    desc.kernel = s->kernel;
    desc.stride = s->stride;
    desc.padding = s->padding;
    desc.groups = s->groups;
    desc.relu = s->kernel == 0;
    desc.bn_groups = 1;
    desc.bn_eps = 1e-5;
    desc.bn_momentum = 0.1;
    return desc;
}

typedef struct timing {
    double ours, peer; /* peer negative: none */
} timing;

static timing measure(bench_layer *b, bench_peer *peer, const char *name, int backward, int reps) {
    static double ours[MOST_REPS], theirs[MOST_REPS];
    for (int i = -1; i < reps; ++i) { /* the first warms up */
        const double start = bench_now_ms();
        if (backward) {
            b->ops->layer_backward(b->self, b->layer, &b->args);
        } else {
            b->ops->layer_forward(b->self, b->layer, &b->args);
        }
        const double mine = bench_now_ms() - start, other = peer == NULL ? -1 : bench_peer_get(peer, name);
        if (i < 0) continue;
        ours[i] = mine;
        theirs[i] = other;
    }
    const timing out = {bench_median(ours, reps), bench_median(theirs, reps)};
    return out;
}

static void print_line(const char *name, timing t, double gflop) {
    printf("{\"name\": \"%s\", \"ours_ms\": %.3f", name, t.ours);
    if (gflop > 0) printf(", \"ours_gflops\": %.1f", gflop / t.ours * 1e3);
    if (t.peer >= 0) {
        printf(", \"peer_ms\": %.3f, \"ratio\": %.3f}\n", t.peer, t.peer / t.ours);
    } else {
        printf(", \"peer\": \"absent\"}\n");
    }
    fflush(stdout);
}

static timing measure_shape(const moco_backend_ops *ops, void *self, bench_peer *peer, const shape *s, int reps,
                            float *values) {
    timing total = {0, 0};
    bench_layer b;
    memset(&b, 0, sizeof b);
    b.ops = ops;
    b.self = self;
    const moco_layer_desc desc = desc_of(s);
    const double gflop = s->kernel == 0 ? 0
                                        : 2e-9 * (double) (s->n * s->out_c * desc.out_h * desc.out_w) *
                                              (double) (s->c / s->groups * s->kernel * s->kernel);
    if (open_layer(&b, &desc, values) != MOCO_OK) {
        fprintf(stderr, "%s\n", moco_last_error());
        close_layer(&b);
        return total;
    }
    for (int backward = 0; backward < 2; ++backward) {
        char name[160];
        snprintf(name, sizeof name, "%s:%lld,%lld,%lld,%lld,%lld,%d,%d,%d,%d:%s", s->kernel == 0 ? "norm" : "conv",
                 (long long) s->n, (long long) s->c, (long long) s->h, (long long) s->h, (long long) s->out_c,
                 s->kernel, s->stride, s->padding, s->groups, backward ? "backward" : "forward");
        const timing t = measure(&b, peer, name, backward, reps);
        print_line(name, t, backward ? 2 * gflop : gflop);
        const double calls = (double) s->count * (backward ? 1 : 2); /* forward in the query and the key encoder */
        total.ours += calls * t.ours;
        total.peer = t.peer < 0 ? -1 : total.peer + calls * t.peer;
    }
    close_layer(&b);
    return total;
}

int main(int argc, char **argv) {
    const char *network = bench_option_string(argc, argv, "--network", "all");
    const char *backend = bench_option_string(argc, argv, "--backend", "cblas");
    const int64_t n = bench_option(argc, argv, "--n", 0);
    int reps = (int) bench_option(argc, argv, "--reps", 5);
    if (reps < 1 || reps > MOST_REPS) reps = 5;
    const moco_backend_ops *ops = strcmp(backend, "reference") == 0 ? &moco_backend_reference : &moco_backend_cblas;
    moco_context_config config;
    moco_context *context = NULL;
    void *self = NULL;
    moco_context_config_init(&config, sizeof config);
    config.threads = (int32_t) bench_option(argc, argv, "--threads", 0);
    config.backend = ops->name;
    if (moco_context_create(&context, &config) != MOCO_OK || ops->create(&self, context) != MOCO_OK) {
        fprintf(stderr, "%s\n", moco_last_error());
        return 1;
    }
    const int64_t largest = (int64_t) 64 << 20;
    float *values = (float *) malloc((size_t) largest * sizeof *values);
    if (values == NULL) return 1;
    bench_fill(values, largest, 1);
    const char *const no_arguments[] = {NULL};
    char reason[256] = "not asked for";
    bench_peer *peer =
        bench_flag(argc, argv, "--no-peer")
            ? NULL
            : bench_peer_start("peer_layers.py", no_arguments, moco_context_threads(context), reason, sizeof reason);
    if (peer == NULL) fprintf(stderr, "PyTorch: %s\n", reason);
    const char *current = "";
    timing sum = {0, 0};
    const size_t count = sizeof shapes / sizeof *shapes;
    for (size_t i = 0; i <= count; ++i) {
        if (i == count || strcmp(shapes[i].network, current) != 0) {
            char name[64];
            snprintf(name, sizeof name, "layers of a step: %s", current);
            if (sum.ours > 0) print_line(name, sum, 0);
            sum.ours = sum.peer = 0;
            if (i == count) break;
            current = shapes[i].network;
        }
        if (strcmp(network, "all") != 0 && strcmp(network, current) != 0) continue;
        shape s = shapes[i];
        if (n > 0) s.n = n;
        const timing t = measure_shape(ops, self, peer, &s, reps, values);
        sum.ours += t.ours;
        sum.peer = t.peer < 0 ? -1 : sum.peer + t.peer;
    }
    bench_peer_stop(peer);
    free(values);
    ops->destroy(self);
    moco_context_destroy(context);
    return 0;
}
