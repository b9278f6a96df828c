/* The folder of a run: whether this run may have it. All that is decided about that is decided here. */
#ifndef MOCO_EXAMPLE_RUN_FOLDER_H
#define MOCO_EXAMPLE_RUN_FOLDER_H

#include <stdint.h>

enum {
    RUN_FOLDER_NEW,      /* it must hold no other run */
    RUN_FOLDER_OVERWRITE /* the files of another run in it are removed */
};

/* Ends the program with 2 where the run may not have the folder; changes nothing, and so comes before the long work. */
void check_run_folder(const char *folder, int32_t how);

/* Makes the folder and its parents where they are missing, and takes it: removes another run's files if `how` says so,
 * and returns the descriptor of an empty metrics.jsonl, which keeps other processes out of the folder until it is
 * closed. Ends the program on failure. */
int open_run_folder(const char *folder, int32_t how);

#endif
