/* Memory where image sizes change: one encoder trains and evaluates on many shapes.
 *
 *   bench_shapes [--arch resnet18] [--n 4] [--shapes 100] [--least 64] [--most 319] [--threads 2] [--backend NAME]
 *
 * One JSON object, in MiB: what libmoco has allocated and not freed after the last shape (live), counted in a process of
 * its own by an allocator of the caller's; and, with libmoco's own allocator, this process's resident memory beyond what
 * it began with, after the last shape and after all handles were destroyed. What oneDNN allocates is in the latter two.
 */
#define _POSIX_C_SOURCE 200809L
#include <moco.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counting_allocator.h"
#include "measure.h"

#define MIB 1048576.0

typedef struct settings {
    const char *arch, *backend;
    int64_t n, shapes, least, most;
    int32_t threads;
} settings;

typedef struct memory {
    double at_end, after;
} memory;

static moco_status run_shapes(moco_encoder *encoder, const settings *s, const float *images, float *rows) {
    const int64_t range = s->most - s->least + 1;
    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < s->shapes && status == MOCO_OK; ++i) {
        const int64_t h = s->least + i * 37 % range, w = s->least + i * 53 % range;
        status = moco_encoder_zero_gradients(encoder);
        if (status == MOCO_OK) status = moco_encoder_forward(encoder, images, s->n, h, w, rows);
        if (status == MOCO_OK) status = moco_encoder_backward(encoder, rows, s->n);
        if (status == MOCO_OK) status = moco_encoder_evaluate(encoder, images, s->n, h, w, rows);
    }
    return status;
}

/* `counted` NULL: resident memory, beyond what it is at the beginning. */
static moco_status measure(const settings *s, const float *images, counting_allocator *counted, memory *measured) {
    moco_context_config config = MOCO_CONTEXT_CONFIG_INITIALIZER;
    moco_encoder_config network = MOCO_ENCODER_CONFIG_INITIALIZER;
    moco_context *context = NULL;
    moco_encoder *encoder = NULL;
    const double before = bench_resident_bytes();
    config.threads = s->threads;
    config.backend = s->backend;
    network.architecture = s->arch;
    if (counted != NULL) counting_allocator_use(counted, &config);
    float *rows = (float *) calloc((size_t) s->n * (size_t) network.embedding_dim, sizeof *rows);
    moco_status status = rows == NULL ? MOCO_OUT_OF_MEMORY : moco_context_create(&context, &config);
    if (status == MOCO_OK) status = moco_encoder_create(&encoder, context, &network);
    if (status == MOCO_OK) status = run_shapes(encoder, s, images, rows);
    if (status != MOCO_OK) fprintf(stderr, "bench_shapes: %s\n", moco_last_error());
    measured->at_end = counted != NULL ? (double) counting_allocator_mark(counted) : bench_resident_bytes() - before;
    moco_encoder_destroy(encoder);
    moco_context_destroy(context);
    measured->after = counted != NULL ? (double) counting_allocator_mark(counted) : bench_resident_bytes() - before;
    free(rows);
    return status;
}

/* In a child, which leaves nothing in this process. */
static int count_live(const settings *s, const float *images, double *live) {
    int ends[2];
    memory counted = {-1, -1};
    if (pipe(ends) != 0) return 0;
    const pid_t child = fork();
    if (child == 0) {
        counting_allocator allocator;
        counting_allocator_init(&allocator);
        const int good = measure(s, images, &allocator, &counted) == MOCO_OK;
        const int told = good && write(ends[1], &counted, sizeof counted) == (ssize_t) sizeof counted;
        _exit(told ? 0 : 1);
    }
    close(ends[1]);
    const int good = child > 0 && read(ends[0], &counted, sizeof counted) == (ssize_t) sizeof counted;
    close(ends[0]);
    if (child > 0) waitpid(child, NULL, 0);
    *live = counted.at_end;
    return good;
}

int main(int argc, char **argv) {
    if (!bench_options_are_known(argc, argv, "--arch --backend --least --most --n --shapes --threads ")) return 2;
    const settings s = {
        .arch = bench_option_string(argc, argv, "--arch", "resnet18"),
        .backend = bench_option_string(argc, argv, "--backend", NULL),
        .n = bench_option(argc, argv, "--n", 4),
        .shapes = bench_option(argc, argv, "--shapes", 100),
        .least = bench_option(argc, argv, "--least", 64),
        .most = bench_option(argc, argv, "--most", 319),
        .threads = (int32_t) bench_option(argc, argv, "--threads", 2),
    };
    if (s.n < 1 || s.n > 4096 || s.shapes < 1 || s.least < 1 || s.most < s.least || s.most > 4096) {
        fprintf(stderr,
                "bench_shapes: --n must be 1 to 4096, --shapes at least 1, and 1 <= --least <= --most <= 4096\n");
        return 2;
    }
    const int64_t pixels = s.n * 3 * s.most * s.most;
    float *images = (float *) malloc((size_t) pixels * sizeof *images);
    double live = 0;
    memory resident = {0, 0};
    if (images == NULL) return 1;
    bench_fill(images, pixels, 1);
    const int good = count_live(&s, images, &live) && measure(&s, images, NULL, &resident) == MOCO_OK;
    free(images);
    if (!good) return 1;
    printf(
        "{\"name\": \"shapes\", \"arch\": \"%s\", \"n\": %lld, \"shapes\": %lld, \"live_mib\": %.0f, \"resident_mib\": "
        "%.0f, \"ratio\": %.2f, \"resident_after_mib\": %.0f}\n",
        s.arch, (long long) s.n, (long long) s.shapes, live / MIB, resident.at_end / MIB, resident.at_end / live,
        resident.after / MIB);
    return 0;
}
