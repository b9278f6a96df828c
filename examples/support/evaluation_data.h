/* Training and test images by one description, and the views to evaluate them in. */
#ifndef MOCO_EXAMPLE_EVALUATION_DATA_H
#define MOCO_EXAMPLE_EVALUATION_DATA_H

#include <moco.h>

/* The kinds of --data, for help texts. */
#define DATA_KINDS "synthetic[:keys], cifar10:DIR, cifar100:DIR, folder:DIR, filelist:FILE or tar:FILE[/DIR]"

typedef struct evaluation_data {
    moco_dataset *train;
    moco_dataset *test; /* NULL: there are none */
} evaluation_data;

typedef struct data_source {
    const char *description; /* of moco_dataset_open; NULL: none was given */
    const char *from;        /* what messages call it, such as "--data" */
} data_source;

/* The test images are those of `test`, or where it has no description moco_dataset_open_test's. Stops on failure. */
void open_data(evaluation_data *data, moco_context *context, data_source train, data_source test, int64_t test_count);
void close_data(evaluation_data *data);

/* The evaluation view of the augment recipe called `name`, size x size; 0: as large as the images, where they are all
 * alike, else as large as the recipe's. */
moco_augment *open_augment(const moco_dataset *dataset, const char *name, int64_t size);

/* Images in a pass of the encoder that evaluates such views: fewer large ones, so that memory and the time between two
 * reports of progress stay small. */
int64_t evaluation_batch(const moco_augment *augment);

/* 1 where there are test images, and both sets have labels. */
int can_measure_knn(const evaluation_data *data);

#endif
