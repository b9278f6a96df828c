/* The other side of a comparison: a Python child that does the same work in PyTorch, run in turns with ours.
 *
 * The child is tests/bench/peer_<what>.py. It prints "ready" when it is set up, or "absent <why>"; then for every line
 * "run" the milliseconds of one run, and for "get <name>" a number it knows. peer_protocol.py is its half of this.
 */
#ifndef MOCO_BENCH_PEER_H
#define MOCO_BENCH_PEER_H

#include <stddef.h>

typedef struct bench_peer bench_peer;

/* Starts `script` of this folder with `arguments` (NULL ends them), under $MOCO_BENCH_PYTHON or python3, limited to
 * `threads` threads. NULL, and a sentence in `reason`, where it can't be had. */
bench_peer *bench_peer_start(const char *script, const char *const *arguments, int threads, char *reason,
                             size_t reason_size);
/* Milliseconds of one run; negative if the child is gone. */
double bench_peer_run(bench_peer *peer);
/* A number of the child's, such as "extra_bytes"; negative if it has none. */
double bench_peer_get(bench_peer *peer, const char *name);
void bench_peer_stop(bench_peer *peer); /* NULL is a no-op */

#endif
