/* The folder of a run: whether this run may have it. All that is decided about that is decided here. */
#ifndef MOCO_EXAMPLE_RUN_FOLDER_H
#define MOCO_EXAMPLE_RUN_FOLDER_H

#include <stdint.h>

enum {
    RUN_FOLDER_NEW,              /* it must hold no other run, nor other files by the names of a run's */
    RUN_FOLDER_OVERWRITE,        /* the files of another run in it are removed */
    RUN_FOLDER_RESUME,           /* the run in it goes on */
    RUN_FOLDER_NOTHING_TO_RESUME /* it has no checkpoint: as a new one, but that a run which never saved one begins anew */
};

/* Ends the program with 2 where the run may not have the folder; changes nothing, and so comes before the long work. */
void check_run_folder(const char *folder, int32_t how);

/* Makes the folder and its parents where they are missing, and takes it: removes another run's files if `how` says so, and what killed saves have left,
 * and returns the descriptor of metrics.jsonl, which keeps other processes out of the folder until it is closed. That
 * file is empty but where a run goes on: then it is as it was. Ends the program on failure. */
int open_run_folder(const char *folder, int32_t how);

/* Cuts metrics.jsonl to its first `bytes` bytes, the lines before the step that a run goes on from; to whole lines
 * where it has fewer. */
void cut_metrics(int descriptor, int64_t bytes);

#endif
