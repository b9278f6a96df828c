/* The folders that a data set's root has by custom: train/ beside val/ or test/. */
#ifndef MOCO_DATASET_SPLITS_H
#define MOCO_DATASET_SPLITS_H

#include <stddef.h>

#include "data/class_table.h"

/* Names of test splits, in the order in which they are looked for: val, valid, validation, test, testing. */
enum { MOCO_TEST_SPLITS = 5, MOCO_TRAIN_SPLITS = 2 };
extern const char *const moco_test_splits[MOCO_TEST_SPLITS];
extern const char *const moco_train_splits[MOCO_TRAIN_SPLITS]; /* train, training */

/* The name of the train split where these folders are a root's: one of its names, and a test split or nothing else
 * beside it; else NULL. */
const char *moco_train_split_of(const moco_class_table *folders);
/* 1 where one of the folders has this name. */
int32_t moco_has_folder(const moco_class_table *folders, const char *name);

/* The same for a folder of the file system; NULL, too, where it can't be read. */
const char *moco_train_split_in(const char *folder);

/* Where the last part of `text` (behind the last '/' or ':', without '/' at its end) is a train split: the length of
 * what is before it, else -1. */
int64_t moco_train_split_at(const char *text);

#endif
