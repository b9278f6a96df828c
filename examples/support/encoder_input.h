/* An encoder from a file, with the data and the views that fit it. */
#ifndef MOCO_EXAMPLE_ENCODER_INPUT_H
#define MOCO_EXAMPLE_ENCODER_INPUT_H

#include "support/evaluation_data.h"

typedef struct encoder_input {
    moco_encoder *encoder;
    evaluation_data data;
    moco_augment *augment;
    const char *description; /* of the data */
    char stored_data[4096];
    char stored_test_data[4096];
    char stored_augment[32];
} encoder_input;

/* Opens `path`. Where `data`, `test_data` and `augment` are NULL or `size` is 0, what pretrain wrote into the file's
 * metadata is taken instead; its test images only with its training images. Stops on failure. */
void open_encoder_input(encoder_input *input, moco_context *context, const char *path, const char *data,
                        const char *test_data, const char *augment, int64_t size, int64_t test_count);
void close_encoder_input(encoder_input *input);

#endif
