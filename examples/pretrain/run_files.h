/* The small files of a run's folder that say what the run is and how it goes: config.json, with every setting spelt out, and
 * status.json. Each is whole at any moment. */
#ifndef MOCO_EXAMPLE_RUN_FILES_H
#define MOCO_EXAMPLE_RUN_FILES_H

#include <stddef.h>

#include "pretrain/pretrain_options.h"

#define RUN_CONFIG     "config.json"
#define RUN_STATUS     "status.json"
#define RUN_FILE_START "{\n  \"libmoco\": \"" /* how both begin */

/* The value of `key` in such a file of a folder, as JSON has it; 0 where there is none, or it is too long. */
int32_t read_run_value(const char *folder, const char *name, const char *key, char *value, size_t size);

/* Stops on failure. */
void write_config(const pretrain_options *options, const moco_context *context);

typedef struct run_status {
    const char *folder;
    const char *state; /* "running", "completed", "failed" or "interrupted" */
    int64_t step;      /* done */
    int64_t total_steps;
    double loss;         /* of the last step */
    double best_top1;    /* by kNN; below 0: not measured */
    char checkpoint[64]; /* the last one that is whole; "" before */
    double written;      /* when; seconds_now() */
} run_status;

/* Writes status.json, with a heartbeat, host and process. A failure is told once on stderr, and no reason to stop. */
void write_status(run_status *status);
/* The same where the last one is older than ten seconds. */
void keep_status_fresh(run_status *status);

/* The program's end, in whatever way it comes but by SIGKILL, leaves a status that says so: "failed" unless another end was
 * written. */
void watch_status(run_status *status);

#endif
