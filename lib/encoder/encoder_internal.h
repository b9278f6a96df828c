/* What an encoder is inside the library: a parameter table in backend memory and a few functions on tensors. Built-in
 * networks (network.c) and a host's own (host_network.c) implement the same moco_network_ops.
 */
#ifndef MOCO_ENCODER_INTERNAL_H
#define MOCO_ENCODER_INTERNAL_H

#include <moco/encoder.h>
#include <moco/sys/backend.h>
#include <moco/sys/encoder_ops.h>

#include "core/context_internal.h"

typedef struct moco_parameter {
    const char *name;
    int32_t kind; /* MOCO_PARAMETER_* */
    int32_t rank;
    int64_t dims[4];
    int64_t elements;
    moco_tensor value;
    moco_tensor gradient; /* absent for buffers */
} moco_parameter;

/* Contiguous runs over which flat operators (momentum update, SGD) work: one for a built-in network. */
typedef struct moco_parameter_run {
    moco_tensor value;    /* 1-d */
    moco_tensor gradient; /* 1-d; absent for buffers */
} moco_parameter_run;

typedef struct moco_parameter_table {
    int64_t count;
    moco_parameter *items;
    int64_t learnable_runs;
    moco_parameter_run *learnable;
    int64_t buffer_runs;
    moco_parameter_run *buffers;
    int64_t learnable_elements;
    int64_t buffer_elements;
} moco_parameter_table;

/* Tensor versions of the public functions: images n x c x h x w, embeddings n x dim, in backend memory (F32, PLAIN). */
moco_status moco_encoder_forward_tensor(moco_encoder *encoder, int32_t mode, const moco_tensor *images,
                                        const moco_tensor *embeddings);
moco_status moco_encoder_backward_tensor(moco_encoder *encoder, const moco_tensor *d_embeddings);

moco_context *moco_encoder_context(const moco_encoder *encoder);
void moco_encoder_retain(moco_encoder *encoder);
const moco_parameter_table *moco_encoder_parameters(const moco_encoder *encoder);
int32_t moco_encoder_bn_groups(const moco_encoder *encoder);
/* A new encoder of the same structure and values, for the momentum encoder. */
moco_status moco_encoder_clone(moco_encoder **out, const moco_encoder *encoder);
/* To be called after parameter values were changed from outside (optimizer, momentum update, file): advances the weight
 * version and clears what was derived from old values. */
void moco_encoder_parameters_changed(moco_encoder *encoder);
/* Clearing gradients is lazy: moco_encoder_zero_gradients lets the next backward overwrite them. To be called before
 * the gradient memory is read directly (optimizer): clears it if no backward came since. */
moco_status moco_encoder_settle_gradients(moco_encoder *encoder);
/* The configuration a built-in network was made from; NULL for a host's own. */
const moco_encoder_config *moco_encoder_configuration(const moco_encoder *encoder);
moco_status moco_encoder_set_batches_tracked(moco_encoder *encoder, int64_t batches);

#endif
