/* metrics.jsonl: one JSON object per line, each on the disk, whole, as soon as it is measured. */
#ifndef MOCO_EXAMPLE_METRICS_FILE_H
#define MOCO_EXAMPLE_METRICS_FILE_H

#include <moco.h>

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

typedef struct metrics_file {
    int descriptor; /* for close() */
    int32_t failed; /* 1: a line could not be written, and was taken back */
    int64_t bytes;  /* of whole lines */
    double written; /* when the last line was; seconds_now() */
} metrics_file;

/* The file of `descriptor`, behind what it holds. */
void open_metrics(metrics_file *file, int descriptor);

/* What was written is on the disk afterwards, as far as the disk can tell. */
void sync_metrics(metrics_file *file);

/* {"kind": "start", ...} is the first line. */
void write_start(metrics_file *file, const char *backend, int32_t threads, int64_t total_steps);
/* {"kind": "step", ...}, {"kind": "epoch", ...} */
void write_step(metrics_file *file, const moco_step_stats *stats);
void write_epoch(metrics_file *file, const epoch_metrics *metrics);
/* {"kind": "knn", ...}, before the first step */
void write_baselines(metrics_file *file, double untrained_top1, double pixels_top1);
/* {"kind": "progress", ...} while kNN is measured: a line where none has been written for ten seconds. */
void write_progress(metrics_file *file, int64_t epoch, int64_t step, const moco_knn_progress *progress);

#endif
