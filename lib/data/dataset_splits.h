/* The folders that a data set's root has by custom: train/ beside val/ or test/, in any case of letters. */
#ifndef MOCO_DATASET_SPLITS_H
#define MOCO_DATASET_SPLITS_H

#include "data/class_table.h"

/* Names of test splits, in the order in which they are looked for: val, valid, validation, test, testing. */
enum { MOCO_TEST_SPLITS = 5, MOCO_TRAIN_SPLITS = 2, MOCO_SPLIT_NAME = 16 };
extern const char *const moco_test_splits[MOCO_TEST_SPLITS];
extern const char *const moco_train_splits[MOCO_TRAIN_SPLITS]; /* train, training */

/* The splits among some folders, as they are written there; "": there is none. Starts zeroed. */
typedef struct moco_splits {
    char train[MOCO_TRAIN_SPLITS][MOCO_SPLIT_NAME];
    char test[MOCO_TEST_SPLITS][MOCO_SPLIT_NAME];
    int32_t has_others; /* folders beside one train split */
} moco_splits;

void moco_splits_find(moco_splits *splits, const moco_class_table *folders);
/* The same for a folder of the file system, with none where it can't be read. has_others is only known where there is a
 * train split and no test split. */
void moco_splits_find_in(moco_splits *splits, const char *folder);

/* The name of the train split where these folders are a root's: one of its names, and a test split or nothing else
 * beside it; else NULL. */
const char *moco_train_split_of(const moco_splits *splits);

/* Warns that `shown` is a root, of which that split is taken; or that it has test splits alone, which are classes. */
void moco_splits_tell(moco_context *context, const char *shown, const moco_splits *splits);

/* Where the last part of `text` (behind the last '/' or ':', without '/' at its end) is a train split: the length of
 * what is before it, else -1. */
int64_t moco_train_split_at(const char *text);

#endif
