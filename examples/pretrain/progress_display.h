/* How a run looks while it goes on. */
#ifndef MOCO_EXAMPLE_PROGRESS_DISPLAY_H
#define MOCO_EXAMPLE_PROGRESS_DISPLAY_H

#include <moco.h>

#include "support/progress_bar.h"

typedef struct progress_display {
    progress_bar bar;
    int64_t steps; /* of this process */
    int64_t total_steps;
    int64_t total_epochs;
    double seconds_per_step; /* smoothed; 0 before the first step */
    double loss;             /* smoothed */
    double top1;
} progress_display;

void progress_start(progress_display *display, int64_t total_steps, int64_t total_epochs);

/* After each step. */
void progress_step(progress_display *display, const moco_step_stats *stats);

/* A line that stays, as printf; the bar goes before it. */
void progress_print(progress_display *display, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes the bar away. */
void progress_clear(progress_display *display);

#endif
