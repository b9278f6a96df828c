/* Training and test images by one description, and kNN accuracy on them. */
#ifndef MOCO_EXAMPLE_EVALUATION_DATA_H
#define MOCO_EXAMPLE_EVALUATION_DATA_H

#include <moco.h>

/* The kinds of --data, for help texts. */
#define DATA_KINDS "synthetic[:keys], cifar10:DIR, cifar100:DIR, folder:DIR, filelist:FILE or tar:FILE[/DIR]"

typedef struct evaluation_data {
    moco_dataset *train;
    moco_dataset *test; /* NULL: there are none */
} evaluation_data;

/* The test images are those of `test_description`. Where it is NULL, they are the same kind's test split; for a folder
 * (of a tar) called train the one beside it called val or test; else there are none. `test_count` is how many the
 * built-in set makes. Stops on failure. */
void open_data(evaluation_data *data, moco_context *context, const char *description, const char *test_description,
               int64_t test_count);
void close_data(evaluation_data *data);

/* The evaluation view of the augment recipe called `name`, size x size; 0: as large as the images, where they are all
 * alike, else as large as the recipe's. */
moco_augment *open_augment(const moco_dataset *dataset, const char *name, int64_t size);

typedef struct knn_accuracy {
    double top1; /* fractions */
    double top5;
    double seconds;
    int64_t tested; /* test images that were read and have a label */
    int64_t broken; /* images of both sets that could not be read */
} knn_accuracy;

/* 1 where there are test images, and both sets have labels. */
int can_measure_knn(const evaluation_data *data);

/* Weighted kNN of MOCO_OUTPUT_* `output`: test images against the first `bank` training images (0: all), without broken
 * images and those without a label. `encoder` may be NULL for pixels. */
moco_status measure_knn(moco_context *context, moco_encoder *encoder, const evaluation_data *data,
                        moco_augment *augment, int32_t output, int64_t bank, int64_t k, double temperature,
                        knn_accuracy *accuracy);

#endif
