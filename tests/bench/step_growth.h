/* How a training step's cost grows: tables of time and memory as n, K, image size and threads double three times each.
 */
#ifndef MOCO_BENCH_STEP_GROWTH_H
#define MOCO_BENCH_STEP_GROWTH_H

#include "step_settings.h"

/* Prints the tables, which begin at the settings' sizes (threads at 1); 0 on success. */
int step_growth_print(const step_settings *settings, int reps);

#endif
