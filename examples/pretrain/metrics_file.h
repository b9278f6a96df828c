/* metrics.jsonl: one JSON object per line, on the disk as soon as it is measured. */
#ifndef MOCO_EXAMPLE_METRICS_FILE_H
#define MOCO_EXAMPLE_METRICS_FILE_H

#include <moco.h>
#include <stdio.h>

/* Means over the steps of an epoch. */
typedef struct epoch_metrics {
    int64_t epoch; /* 0-based */
    int64_t step;  /* steps done in all */
    int64_t steps; /* of this epoch */
    double loss;
    double top1;
    double top5;
    double images_per_second;
    double learning_rate;
    double momentum;
    double chance_loss;
    int64_t queue_filled;
    double wait_share;      /* of the steps' time, for the loader */
    double load_seconds;    /* reading and decoding, summed over the loader's threads */
    double augment_seconds; /* making views, likewise */
    int64_t broken;         /* samples of this epoch that others stood in for */
    uint64_t cache_bytes;   /* that the loader's cache holds */
    double knn_top1;        /* fractions; below 0: not measured */
    double knn_top5;
} epoch_metrics;

/* Makes `folder` and its parents; stops on failure. */
void make_folder(const char *folder);

/* Opens folder/metrics.jsonl anew; stops on failure. */
FILE *open_metrics(const char *folder);

/* {"kind": "step", ...}, {"kind": "epoch", ...}, {"kind": "knn", ...} (before the first step). 0, or non-zero where it
 * could not be written. */
int write_step(FILE *file, const moco_step_stats *stats);
int write_epoch(FILE *file, const epoch_metrics *metrics);
int write_baselines(FILE *file, double untrained_top1, double pixels_top1);

#endif
