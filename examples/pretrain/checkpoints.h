/* The checkpoints of a run, in OUT/checkpoints: when they are saved, which are kept, and which one a run goes on from. */
#ifndef MOCO_EXAMPLE_CHECKPOINTS_H
#define MOCO_EXAMPLE_CHECKPOINTS_H

#include "pretrain/pretrain_options.h"
#include "pretrain/run_progress.h"

#define CHECKPOINT_FOLDER "checkpoints"

/* --save-every: one of the three, or none. */
typedef struct save_interval {
    int64_t steps;
    int64_t epochs;
    double seconds;
} save_interval;

/* "500", "1epoch", "3epochs", "10min", "0" (never); 0 where it is none of these. */
int32_t read_save_interval(const char *text, save_interval *interval);

typedef struct checkpoints {
    const pretrain_options *options;
    moco_trainer *trainer;
    int32_t is_on; /* 0: --save-every 0, and all below does nothing */
    moco_checkpoint *writer;
    save_interval every;
    double last_saved;  /* seconds_now() */
    int32_t is_pending; /* a file is being written */
    char pending[64];   /* its name */
    char last[64];      /* the last one that is whole; "" */
    int64_t last_step;  /* of the last save that began, or the step that the run began with */
    int32_t failed;     /* 1: the last save */
    int32_t made_room;  /* 1: it failed for lack of room, and an older checkpoint was given up: the next one is due */
} checkpoints;

/* Makes the folder of the run's checkpoints. */
void open_checkpoints(checkpoints *saved, const pretrain_options *options, moco_context *context,
                      moco_trainer *trainer);
/* Waits for what is being written. */
void close_checkpoints(checkpoints *saved);

/* 1 where the interval has passed after `step` steps, `epoch_ended` telling whether they end an epoch. */
int32_t checkpoint_is_due(const checkpoints *saved, int64_t step, int32_t epoch_ended);

/* Begins to write the trainer's state and `progress`, as the run's next checkpoint or as its best one. A failure is told on
 * stderr and in saved->failed: the run goes on. */
void save_checkpoint(checkpoints *saved, const run_progress *progress, int32_t as_best);
/* 1 once after a file has become whole: older ones than --keep says are then gone. */
int32_t checkpoint_came(checkpoints *saved);
/* Waits until there is none on its way; 0 where the last save failed. */
int32_t finish_checkpoints(checkpoints *saved);

/* Brings trainer and progress into the state that --resume says: 0 where that is "auto" and there is none. Stops where it
 * is damaged or of other settings. `path` gets the file's. */
#define CHECKPOINT_PATH_SIZE 4096
int32_t resume_checkpoint(const pretrain_options *options, moco_context *context, moco_trainer *trainer,
                          run_progress *progress, char path[CHECKPOINT_PATH_SIZE]);

/* 1 where a file of this name in the folder of checkpoints is a run's; *step is -1 for the best one. */
int32_t is_checkpoint_name(const char *name, int64_t *step);

/* 1 where --resume is "auto", or a file of the run in --out. */
int32_t resumes_in_place(const pretrain_options *options);
/* 1 where --out has a checkpoint. */
int32_t has_checkpoints(const pretrain_options *options);

/* Removes the checkpoints of later steps than the one that a run goes on from, which would be taken for its own. */
void remove_later_checkpoints(const pretrain_options *options, int64_t step);

#endif
