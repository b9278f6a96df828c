/* The other side of a comparison: a child process that does the same work, run in turns with ours. Mostly a Python
 * script that does it in PyTorch; a program of our own where each side is to have a process for itself.
 *
 * The child prints "ready" when it is set up, or "absent <why>"; then for every line "run" the milliseconds of one run,
 * and for "get <name>" a number or word it knows. peer_protocol.py is the scripts' half of this. Between two questions
 * the child is stopped by a signal: whatever its threads do while they wait, they take no time from the other side.
 */
#ifndef MOCO_BENCH_PEER_H
#define MOCO_BENCH_PEER_H

#include <stddef.h>

typedef struct bench_peer bench_peer;

/* Takes the option --python PATH; without it scripts run under $MOCO_BENCH_PYTHON, else python3. install_peer.sh makes
 * one that has PyTorch. */
void bench_peer_use_python(int argc, char **argv);

/* Starts `script` of this folder with `arguments` (NULL ends them), limited to `threads` threads. NULL, and a sentence
 * in `reason`, where it can't be had. */
bench_peer *bench_peer_start(const char *script, const char *const *arguments, int threads, char *reason,
                             size_t reason_size);
/* The same for any program: `command` is its path and arguments, NULL ends them; "--threads N" is added. */
bench_peer *bench_peer_start_program(const char *const *command, int threads, char *reason, size_t reason_size);

/* Milliseconds of one run; negative if the child is gone. */
double bench_peer_run(bench_peer *peer);
/* A number of the child's, such as "extra_bytes"; negative if it has none. */
double bench_peer_get(bench_peer *peer, const char *name);
/* The child's answer as it is; "" if it is gone. */
void bench_peer_get_text(bench_peer *peer, const char *name, char *text, size_t size);
void bench_peer_stop(bench_peer *peer); /* NULL is a no-op */

#endif
