/* What a run must know to go on, beside the trainer's state: the sums of the epoch in progress, what kNN has measured, and
 * how long metrics.jsonl was. It travels in the checkpoint as one entry of text, bit for bit. */
#ifndef MOCO_EXAMPLE_RUN_PROGRESS_H
#define MOCO_EXAMPLE_RUN_PROGRESS_H

#include "pretrain/metrics_file.h"

typedef struct run_progress {
    epoch_metrics sums; /* of the epoch in progress; steps 0 once its line is written */
    double images;      /* of its steps */
    double seconds;     /* of its steps, and of what the loader did in them: */
    double wait_seconds;
    double load_seconds;
    double augment_seconds;
    double broken;
    /* Fractions; below 0: not measured */
    double untrained_top1;
    double pixels_top1;
    double last_top1;
    double best_top1;
    double trained_seconds; /* of the whole run */
    double metrics_bytes;
} run_progress;

#define RUN_PROGRESS_KEY  "pretrain.progress"
#define RUN_PROGRESS_SIZE 1024

void run_progress_text(const run_progress *progress, char text[RUN_PROGRESS_SIZE]);
/* 0 where it is no such text. */
int32_t run_progress_read(run_progress *progress, const char *text);

#endif
