/* Checkpoints as torch.save writes them, of an encoder's values, in any layout: dicts in dicts, numbers, tensors. */
#ifndef MOCO_TEST_TORCH_MODEL_H
#define MOCO_TEST_TORCH_MODEL_H

#include <moco/encoder.h>

#include "support/temporary_folder.h"
#include "support/torch_bytes.h"

typedef struct torch_model {
    torch_bytes pickle;
    zip_maker zip;
    int storages;
} torch_model; /* starts zeroed */

static inline void torch_text(torch_model *model, const char *text) {
    PUT(&model->pickle, "X");
    put_number(&model->pickle, strlen(text), 4);
    put_bytes(&model->pickle, text, strlen(text));
}

/* A dict, whose items follow as torch_text, a value and torch_set. */
static inline void torch_dict(torch_model *model) {
    if (model->pickle.size == 0) PUT(&model->pickle, PROTO_2);
    PUT(&model->pickle, "}");
}
static inline void torch_set(torch_model *model) {
    PUT(&model->pickle, "s");
}

static inline void torch_integer(torch_model *model, int64_t value) {
    PUT(&model->pickle, "\x8a\x08");
    put_number(&model->pickle, (uint64_t) value, 8);
}

static inline void torch_real(torch_model *model, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    PUT(&model->pickle, "G");
    for (int i = 7; i >= 0; --i) put_number(&model->pickle, bits >> (8 * i), 1);
}

/* A contiguous tensor of `type` (FloatStorage ...). */
static inline void torch_tensor_of(torch_model *model, const char *type, size_t size, int rank, const int64_t *dims,
                                   const void *values) {
    char name[32];
    int64_t elements = 1;
    for (int i = 0; i < rank; ++i) elements *= dims[i];
    snprintf(name, sizeof name, "archive/data/%d", model->storages);
    const zip_lies plain = {.align = 1, .descriptor = 16};
    zip_add(&model->zip, name, values, (size_t) elements * size, &plain);
    PUT(&model->pickle, "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n");
    put_bytes(&model->pickle, type, strlen(type));
    PUT(&model->pickle, "\n");
    snprintf(name, sizeof name, "%d", model->storages++);
    torch_text(model, name);
    torch_text(model, "cpu");
    torch_integer(model, elements);
    PUT(&model->pickle, "tQK\0(");
    for (int i = 0; i < rank; ++i) torch_integer(model, dims[i]);
    PUT(&model->pickle, "t(");
    for (int i = 0; i < rank; ++i) {
        int64_t stride = 1;
        for (int j = i + 1; j < rank; ++j) stride *= dims[j];
        torch_integer(model, stride);
    }
    PUT(&model->pickle, "t\x89" ORDERED_DICT "tR");
}

static inline void torch_tensor(torch_model *model, int rank, const int64_t *dims, const float *values) {
    torch_tensor_of(model, "FloatStorage", sizeof *values, rank, dims, values);
}

/* Parameter `index` of an encoder, as it is. */
static inline void torch_parameter(torch_model *model, const moco_encoder *encoder, int64_t index) {
    moco_parameter_info info = {.struct_size = sizeof info};
    if (moco_encoder_parameter_info(encoder, index, &info) != MOCO_OK) abort();
    float *values = (float *) malloc((size_t) info.elements * sizeof *values);
    if (values == NULL || moco_encoder_read_parameter(encoder, index, values) != MOCO_OK) abort();
    torch_tensor(model, info.rank, info.dims, values);
    free(values);
}

/* All of an encoder's state_dict into the dict that is open: names `prefix`, then the parameter's, where its first letters
 * are `head_was` with `head_is` in their stead; NULL: as it is. */
static inline void torch_state_dict(torch_model *model, const moco_encoder *encoder, const char *prefix,
                                    const char *head_was, const char *head_is) {
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        moco_parameter_info info = {.struct_size = sizeof info};
        char name[512];
        if (moco_encoder_parameter_info(encoder, i, &info) != MOCO_OK) abort();
        const int is_head = head_was != NULL && strncmp(info.name, head_was, strlen(head_was)) == 0;
        if (is_head && head_is == NULL) continue;                                       /* without it */
        snprintf(name, sizeof name, "%s%s%s", is_head && *head_is == '^' ? "" : prefix, /* ^: beside the prefix */
                 is_head ? head_is + (*head_is == '^') : "", info.name + (is_head ? strlen(head_was) : 0));
        torch_text(model, name);
        torch_parameter(model, encoder, i);
        torch_set(model);
        char *end = strstr(name, "running_var");
        if (end == NULL || end[strlen("running_var")] != '\0') continue;
        const int64_t batches = moco_encoder_batches_tracked(encoder);
        memcpy(end, "num_batches_tracked", sizeof "num_batches_tracked");
        torch_text(model, name);
        torch_tensor_of(model, "LongStorage", sizeof batches, 0, NULL, &batches);
        torch_set(model);
    }
}

/* Ends the pickle and writes the file. */
static inline void torch_finish(torch_model *model, const char *path) {
    PUT(&model->pickle, ".");
    zip_add(&model->zip, "archive/data.pkl", model->pickle.data, model->pickle.size, NULL);
    zip_add(&model->zip, "archive/byteorder", "little", 6, NULL);
    zip_add(&model->zip, "archive/version", "3\n", 2, NULL);
    const zip_end_lies wide = {.zip64 = 1};
    zip_finish(&model->zip, &wide);
    write_whole_file(path, model->zip.file.data, model->zip.file.size);
    free(model->zip.file.data);
    free(model->pickle.data);
    memset(model, 0, sizeof *model);
}

#endif
