/* bench_step's children: each measures one thing in a process of its own, so that no other's memory or threads count,
 * and answers questions on its standard input as peer.h says.
 */
#ifndef MOCO_BENCH_STEP_WORKER_H
#define MOCO_BENCH_STEP_WORKER_H

#include <stddef.h>

#include "peer.h"
#include "step_settings.h"

enum {
    STEP_LOADER,
    STEP_QUERY_FORWARD,
    STEP_MOMENTUM_UPDATE,
    STEP_KEY_FORWARD,
    STEP_LOSS,
    STEP_QUERY_BACKWARD,
    STEP_OPTIMIZER,
    STEP_ENQUEUE,
    STEP_PHASES
};
extern const char *const step_phase_names[STEP_PHASES];

/* Starts this program again as the worker of `kind`, "step" or "peak"; NULL, and a sentence in `reason`, if it fails.
 */
bench_peer *step_worker_start(const char *kind, const step_settings *settings, char *reason, size_t reason_size);

/* Training steps. "get" knows the phases (median milliseconds so far), "backend", "loss_value", "peak_resident_bytes",
 * and "loaded_bytes", the resident memory before anything of the library was made. The exit status. */
int step_worker_serve(const step_settings *settings);

/* The machine's limits at the network's layers. "run" measures once more and keeps the best; "get" knows "step_gflop"
 * and what bench_peak holds. */
int peak_worker_serve(const step_settings *settings);

#endif
