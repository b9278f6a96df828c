/* What an encoder needs of its network: a built-in one (network.c) or a caller's own (custom_network.c). */
#ifndef MOCO_ENCODER_NETWORK_H
#define MOCO_ENCODER_NETWORK_H

#include "encoder/encoder_internal.h"

/* Tensors are F32, PLAIN: images n x c x h x w, embeddings n x embedding_dim (normalized as configured), features
 * n x feature_dim. `weight_version` changes with the parameter values. */
typedef struct moco_network_ops {
    /* `pass` is 0 .. MOCO_ENCODER_PASSES - 1: forwards in MODE_TRAIN of different passes wait for their backward side
     * by side. In other modes it is 0. UNSUPPORTED where the network has but one pass. */
    moco_status (*forward)(void *network, int32_t pass, int32_t mode, uint64_t weight_version,
                           const moco_tensor *images, const moco_tensor *embeddings);
    /* Fails where a training forward of n images of h x w would, for their shape. NULL: that is known only then. */
    moco_status (*prepare)(void *network, int64_t n, int64_t h, int64_t w);
    /* Evaluation mode. */
    moco_status (*features)(void *network, uint64_t weight_version, const moco_tensor *images,
                            const moco_tensor *features);
    /* Whether the pass's last MODE_TRAIN forward still waits for its backward, and with how many samples; 0: none. */
    int64_t (*pending)(const void *network, int32_t pass);
    /* Adds to the gradients; with accumulate = 0 it may overwrite them, for they count as zero. `hook` is told of
     * those that are final; NULL: nobody is. */
    moco_status (*backward)(void *network, int32_t pass, uint64_t weight_version, int32_t accumulate,
                            const moco_gradient_hook *hook, const moco_tensor *d_embeddings);
    /* A network of the same structure and values (gradients zero). */
    moco_status (*clone)(const void *network, void **out);
    /* 1: `clone`, made by the function above, runs what leaves nothing for a backward in memory that `network` lends it
     * while none of its forwards of pass 0 waits there. NULL: never. */
    int32_t (*lends_workspace)(const void *network, const void *clone);
    moco_parameter_table *(*parameters)(void *network);
    void (*destroy)(void *network);
} moco_network_ops;

typedef struct moco_network_shape {
    int64_t channels;
    int64_t embedding_dim;
    int64_t feature_dim;
    int32_t bn_groups;
    int32_t compute_dtype; /* MOCO_COMPUTE_F32 or BF16 */
    int32_t reserved;
} moco_network_shape;

/* `config` is complete and checked by this function. */
moco_status moco_network_create(void **out, moco_context *context, const moco_encoder_config *config,
                                moco_network_shape *shape);
extern const moco_network_ops moco_built_in_network;
const struct moco_graph *moco_network_graph(const void *network);

/* An encoder around a network, which it owns from success on. `config` (copied, with its architecture) is NULL for a
 * caller's own network. */
moco_status moco_encoder_from_network(moco_encoder **out, moco_context *context, const moco_network_ops *ops,
                                      void *network, const moco_network_shape *shape,
                                      const moco_encoder_config *config);

#endif
