/* The encoder handle, shared by the files that implement <moco/encoder.h>. */
#ifndef MOCO_ENCODER_HANDLE_H
#define MOCO_ENCODER_HANDLE_H

#include "core/references.h"
#include "encoder/network.h"

struct moco_encoder {
    moco_references references;
    moco_context *context;
    const moco_network_ops *ops;
    void *network;
    moco_network_shape shape;
    int64_t batches_tracked;
    uint64_t weight_version;
    /* 1: the gradients count as zero, whatever the memory holds; the next backward overwrites them. */
    int32_t gradients_are_zero;
    int32_t in_step;    /* 1: between moco_encoder_begin_step and end_step, where the caller brings statistics back */
    int32_t is_at_work; /* 1: in a forward or backward, from where the caller's code may be called */
    uint64_t gradient_writes;
    int64_t kept_batches_tracked; /* of in_step */
    int32_t built_in;
    moco_gradient_hook hook;    /* the caller's; ready NULL: none */
    moco_encoder_config config; /* of a built-in network */
    char *architecture;
};

#endif
