#include "support/encoder_input.h"

#include <stdlib.h>

#include "support/example_support.h"

/* `given`, or the file's own entry `key`; NULL without either. */
static const char *stored_or(const char *given, moco_context *context, const char *path, const char *key, char *value,
                             uint64_t capacity) {
    if (given != NULL) return given;
    const moco_status status = moco_file_metadata(context, path, key, value, capacity, NULL);
    if (status == MOCO_NOT_FOUND) return NULL;
    check(status);
    return value;
}

void open_encoder_input(encoder_input *input, moco_context *context, const char *path, const char *data,
                        const char *test_data, const char *augment, int64_t size, int64_t test_count) {
    *input = (encoder_input){0};
    check_choice(moco_encoder_open(&input->encoder, context, path));
    data_source train = {data, "--data"}, test = {test_data, "--test-data"};
    if (data == NULL) {
        train = (data_source){
            stored_or(NULL, context, path, "pretrain.data", input->stored_data, sizeof input->stored_data),
            "the file's pretrain.data"};
    }
    if (data == NULL && test_data == NULL) {
        test = (data_source){stored_or(NULL, context, path, "pretrain.test_data", input->stored_test_data,
                                       sizeof input->stored_test_data),
                             "the file's pretrain.test_data"};
    }
    if (train.description == NULL) stop("%s does not say which data it was trained on; give --data", path);
    input->description = train.description;
    open_data(&input->data, context, train, test, test_count);

    augment =
        stored_or(augment, context, path, "pretrain.augment", input->stored_augment, sizeof input->stored_augment);
    char stored_size[32];
    if (size == 0) {
        const char *text = stored_or(NULL, context, path, "pretrain.size", stored_size, sizeof stored_size);
        if (text != NULL) size = strtoll(text, NULL, 10);
    }
    input->augment = open_augment(input->data.train, augment == NULL ? "cifar" : augment, size);
}

void close_encoder_input(encoder_input *input) {
    moco_augment_destroy(input->augment);
    close_data(&input->data);
    moco_encoder_destroy(input->encoder);
}
