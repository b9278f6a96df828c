#include "loss_run.h"

#include <stdlib.h>
#include <string.h>

#include "measure.h"

static moco_status create_parts(loss_run *run, const loss_sizes *s) {
    moco_context_config context;
    moco_queue_config queue;
    moco_context_config_init(&context, sizeof context);
    moco_queue_config_init(&queue, sizeof queue);
    moco_loss_result_init(&run->result, sizeof run->result);
    counting_allocator_init(&run->allocator);
    counting_allocator_use(&run->allocator, &context);
    context.threads = s->threads;
    context.backend = s->backend;
    queue.capacity = s->k;
    queue.dim = s->dim;
    queue.storage = s->storage;
    moco_status status = moco_context_create(&run->context, &context);
    const uint64_t before = counting_allocator_mark(&run->allocator);
    if (status == MOCO_OK) status = moco_queue_create(&run->queue, run->context, &queue);
    run->queue_bytes = counting_allocator_mark(&run->allocator) - before;
    if (status == MOCO_OK) status = moco_loss_create(&run->loss, run->context, NULL);
    return status;
}

moco_status loss_run_open(loss_run *run, const loss_sizes *s) {
    memset(run, 0, sizeof *run);
    const size_t bytes = (size_t) (s->n * s->dim) * sizeof(float);
    run->q = (float *) malloc(bytes);
    run->key = (float *) malloc(bytes);
    run->d_q = (float *) malloc(bytes);
    if (run->q == NULL || run->key == NULL || run->d_q == NULL) return MOCO_OUT_OF_MEMORY;
    bench_fill_unit_rows(run->q, s->n, s->dim, 1);
    bench_fill_unit_rows(run->key, s->n, s->dim, 2);
    moco_status status = create_parts(run, s);
    if (status != MOCO_OK) return status;
    double warm_up;
    const uint64_t before = counting_allocator_mark(&run->allocator);
    status = loss_run_compute(run, s, &warm_up);
    run->extra_bytes = counting_allocator_peak(&run->allocator) - before;
    return status;
}

void loss_run_close(loss_run *run) {
    moco_loss_destroy(run->loss);
    moco_queue_destroy(run->queue);
    moco_context_destroy(run->context);
    free(run->q);
    free(run->key);
    free(run->d_q);
}

moco_status loss_run_compute(loss_run *run, const loss_sizes *s, double *milliseconds) {
    const double start = bench_now_ms();
    const moco_status status =
        moco_loss_compute(run->loss, run->q, run->key, s->n, run->queue, NULL, &run->result, run->d_q);
    *milliseconds = bench_now_ms() - start;
    return status;
}

double loss_run_gflop(const loss_sizes *s) {
    return 4e-9 * (double) s->n * (double) s->dim * (double) s->k;
}
