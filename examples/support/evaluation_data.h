/* Training and test images by one description, and kNN accuracy on them. */
#ifndef MOCO_EXAMPLE_EVALUATION_DATA_H
#define MOCO_EXAMPLE_EVALUATION_DATA_H

#include <moco.h>

/* --data: "synthetic[:keys]", "cifar10:DIR" or "cifar100:DIR". */
typedef struct evaluation_data {
    moco_dataset *train;
    moco_dataset *test; /* the same kind's test split */
} evaluation_data;

/* `test_count` is how many test images the built-in set makes; files have as many as they have. Stops on failure. */
void open_data(evaluation_data *data, moco_context *context, const char *description, int64_t test_count);
void close_data(evaluation_data *data);

/* The recipe called "v1", "v2", "cifar", "plain" or "v3" for views of size x size; 0: as large as the images. */
moco_augment *open_augment(moco_context *context, const moco_dataset *dataset, const char *recipe, int64_t size,
                           double crop_min, uint64_t seed);
extern const char *const augment_names[]; /* by MOCO_AUGMENT_*, NULL-terminated */

typedef struct knn_accuracy {
    double top1; /* fractions */
    double top5;
    double seconds;
} knn_accuracy;

/* Weighted kNN of MOCO_OUTPUT_* `output`: test images against the first `bank` training images (0: all). `encoder` may
 * be NULL for pixels. */
moco_status measure_knn(moco_context *context, moco_encoder *encoder, const evaluation_data *data,
                        moco_augment *augment, int32_t output, int64_t bank, int64_t k, double temperature,
                        knn_accuracy *accuracy);

#endif
