/* The tensors of an encoder as files have them: parameters and buffers in state_dict order, and behind each running_var
 * BatchNorm's num_batches_tracked.
 */
#ifndef MOCO_CHECKPOINT_MODEL_TENSORS_H
#define MOCO_CHECKPOINT_MODEL_TENSORS_H

#include "encoder/encoder_internal.h"

/* BatchNorm's num_batches_tracked is one int64 scalar beside each running_mean. How long the name of the layer is in the
 * name of its running_mean; 0 where `name` is another tensor's. */
size_t moco_mean_prefix(const char *name);
/* The name of the counter beside the running_mean `name`, to be freed; NULL without memory. */
char *moco_tracked_name(moco_context *context, const char *name, size_t prefix);

/* A caller's own network has no head that is known as one: its backbone is all of it. */
enum { MOCO_TENSORS_ALL = 0, MOCO_TENSORS_BACKBONE = 1, MOCO_TENSORS_HEAD = 2 };

typedef struct moco_model_tensor {
    const char *name;
    char *own_name;    /* NULL: the parameter's, which lives as long as the encoder */
    int64_t parameter; /* index of the parameter table; -1: a num_batches_tracked, one int64; all others are float32 */
    int32_t rank;
    int64_t dims[4];
    int64_t elements;
    size_t bytes;
} moco_model_tensor;

typedef struct moco_model_tensors {
    const moco_encoder *encoder;
    moco_context *context;
    int64_t count;
    int64_t counters; /* how many of them are num_batches_tracked */
    moco_model_tensor *items;
    size_t largest; /* bytes */
} moco_model_tensors;

/* INVALID_STATE, with the tensor's name, where a parameter has a value that is not finite: no reader of ours would take a
 * file with it. */
moco_status moco_require_finite(const moco_encoder *encoder);

/* On failure nothing is left to be released. */
moco_status moco_model_tensors_list(moco_model_tensors *list, const moco_encoder *encoder, int32_t part);
void moco_model_tensors_release(moco_model_tensors *list);

/* The values of tensor `index`, in the machine's own byte order. */
moco_status moco_model_tensors_read(const moco_model_tensors *list, int64_t index, void *values);

#endif
