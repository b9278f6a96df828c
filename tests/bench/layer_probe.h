/* Single layers of the library's backends, run by themselves: what its convolutions and matrix products reach when
 * nothing else happens.
 */
#ifndef MOCO_BENCH_LAYER_PROBE_H
#define MOCO_BENCH_LAYER_PROBE_H

#include <moco/sys/backend.h>

#include "network_layers.h"

#define BENCH_MOST_BACKENDS 3

/* The backends that a context named `name` works with, first to last, by their own tables. */
typedef struct bench_chain {
    int count;
    const moco_backend_ops *ops[BENCH_MOST_BACKENDS];
    void *self[BENCH_MOST_BACKENDS];
    const moco_backend_ops *memory; /* the last one's, which has the buffers */
    void *memory_self;
    uint64_t layout;      /* of activations between convolutions; MOCO_LAYOUT_PLAIN where there is no other */
    int32_t layout_dtype; /* of their elements */
} bench_chain;

/* `name` NULL or "auto": all that this build and machine have. MOCO_NOT_FOUND for one that is not here. */
moco_status bench_chain_open(bench_chain *chain, moco_context *context, const char *name, int32_t dtype);
void bench_chain_close(bench_chain *chain);

typedef struct bench_layer {
    bench_chain *chain;
    const moco_backend_ops *ops; /* of the backend that took it */
    void *self;
    moco_layer *layer;
    moco_layer_desc desc;
    moco_layer_args args;
    void *buffers[16];
    int count;
} bench_layer;

/* Plans `desc` (its input's layout is chosen here) with tensors of its own, filled with small numbers. */
moco_status bench_layer_open(bench_layer *layer, bench_chain *chain, const moco_layer_desc *desc);
void bench_layer_close(bench_layer *layer);
moco_layer_desc bench_layer_desc(const bench_layer_shape *shape, int32_t dtype);

enum { BENCH_FORWARD, BENCH_BACKWARD, BENCH_BACKWARD_WEIGHTS, BENCH_PASSES }; /* BACKWARD: of weights and input */
extern const char *const bench_pass_names[BENCH_PASSES];

/* Milliseconds of one run; negative if it failed. */
double bench_layer_run(bench_layer *layer, int pass);

typedef struct bench_peak {
    double best_gflops;   /* of the fastest layer and pass */
    double mean_gflops;   /* of the whole step's convolutions one after the other, with nothing between them */
    char best_layer[128]; /* in words */
    double sgemm_gflops;  /* the best of some large linear layers, in float32 */
    double fma_gflops;    /* multiply-adds in registers, float32 */
} bench_peak;

/* The machine's limits as this library meets them (convolutions as plain sums of products), each layer the best of
 * `reps` runs; keeps what is better of this and an earlier measurement in `peak`. */
moco_status bench_measure_peak(bench_chain *chain, const bench_layer_shape *shapes, int count, int32_t dtype,
                               int threads, int reps, bench_peak *peak);

#endif
