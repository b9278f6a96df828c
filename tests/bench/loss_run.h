/* The loss set up at one size, for bench_loss. */
#ifndef MOCO_BENCH_LOSS_RUN_H
#define MOCO_BENCH_LOSS_RUN_H

#include <moco.h>

#include "counting_allocator.h"

typedef struct loss_sizes {
    int64_t n, dim, k;
    int threads, reps;
    int32_t storage; /* MOCO_QUEUE_STORAGE_* */
    const char *backend;
} loss_sizes;

typedef struct loss_run {
    counting_allocator allocator;
    moco_context *context;
    moco_queue *queue;
    moco_loss *loss;
    float *q, *key, *d_q;
    moco_loss_result result;
    uint64_t queue_bytes;
    uint64_t extra_bytes; /* most that one computation took beside what was there */
} loss_run;

/* Sets all up and computes once. loss_run_close() is due even after a failure. */
moco_status loss_run_open(loss_run *run, const loss_sizes *sizes);
void loss_run_close(loss_run *run);

/* Value and gradient once. */
moco_status loss_run_compute(loss_run *run, const loss_sizes *sizes, double *milliseconds);

/* Two products of n x dim x K each: similarities, and the weighted sum of the keys. */
double loss_run_gflop(const loss_sizes *sizes);

#endif
