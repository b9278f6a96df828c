/* For tests with more threads than processors. OpenMP's waiting threads spin by default, which on a busy machine makes
 * a test of many small loops take a minute instead of a second.
 */
#ifndef MOCO_TESTS_PASSIVE_THREADS_H
#define MOCO_TESTS_PASSIVE_THREADS_H

#include <stdlib.h>
#include <unistd.h>

/* To be called first in main(): starts the program again with waiting threads asleep, as OpenMP reads its settings when
 * it is loaded. Needs _POSIX_C_SOURCE 200809L. */
static inline void let_waiting_threads_sleep(char **argv) {
    if (getenv("OMP_WAIT_POLICY") != NULL) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0) execv("/proc/self/exe", argv);
}

#endif
