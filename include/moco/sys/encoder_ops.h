/* Second tier: a caller's own network as an encoder. Momentum encoder, optimizer, loss, queue, trainer and evaluation
 * then work on it as on a built-in one. examples/custom_encoder.c is a complete one.
 *
 * This tier is versioned by abi_version: a later library still takes this version's struct.
 */
#ifndef MOCO_SYS_ENCODER_OPS_H
#define MOCO_SYS_ENCODER_OPS_H

#include <moco/encoder.h>
#include <moco/sys/mode.h>

MOCO_BEGIN_DECLS

#define MOCO_ENCODER_OPS_VERSION 1

/* One parameter or buffer in the caller's host memory, float32 and contiguous, at a fixed address while the network
 * lives. A buffer is put back as it was where a training forward, or the training step that it is part of, fails; one
 * that a forward makes not finite, and that was before, is such a failure: INVALID_STATE. */
typedef struct moco_parameter_span {
    const char *name; /* unique within the network; lives as long as the network */
    float *values;
    float *gradients; /* NULL for a buffer */
    int32_t kind;     /* MOCO_PARAMETER_* */
    int32_t rank;     /* 0..4 */
    int64_t dims[4];
} moco_parameter_span;

/* Inside its functions the encoder itself can't be run: INVALID_STATE. Functions return 0, or non-zero to fail the
 * calling function with CALLBACK. `self` is the network. */
typedef struct moco_encoder_ops {
    uint32_t struct_size;
    uint32_t abi_version; /* MOCO_ENCODER_OPS_VERSION */

    /* Required. images[n x channels x h x w] -> embeddings[n x embedding_dim], before any normalization that
     * moco_encoder_custom_config asks libmoco for. */
    int32_t (*forward)(void *self, int32_t mode, const float *images, int64_t n, int64_t h, int64_t w,
                       float *embeddings);
    /* Required. Adds to the gradients those of the last MODE_TRAIN forward. */
    int32_t (*backward)(void *self, const float *d_embeddings, int64_t n);
    /* Required. */
    int64_t (*parameter_count)(void *self);
    int32_t (*parameter)(void *self, int64_t index, moco_parameter_span *out);
    /* Required. A second network of the same structure and values with memory of its own: the momentum encoder. */
    int32_t (*clone)(void *self, void **copy);
    /* Required. Called once for `self` when the encoder goes, and for each clone. */
    void (*destroy)(void *self);

    /* Optional (NULL): features[n x feature_dim] in evaluation mode. Without it, features are the embeddings. */
    int32_t (*features)(void *self, const float *images, int64_t n, int64_t h, int64_t w, float *features);

    /* Optional (NULL, both or none; a shorter struct_size has none): pass 1 of moco_encoder_forward_pass, a MODE_TRAIN
     * forward that is kept beside that of `forward` until its own backward, which may come first or last or never. Only
     * `pass` 1 comes here; pass 0 is forward and backward above. Without them pass 1 is UNSUPPORTED. */
    int32_t (*forward_pass)(void *self, int32_t pass, const float *images, int64_t n, int64_t h, int64_t w,
                            float *embeddings);
    int32_t (*backward_pass)(void *self, int32_t pass, const float *d_embeddings, int64_t n);
} moco_encoder_ops;

typedef struct moco_encoder_custom_config {
    uint32_t struct_size;
    int32_t channels;      /* default 3 */
    int32_t embedding_dim; /* required (default 0) */
    int32_t feature_dim;   /* of ops->features; 0 (default): embedding_dim */
    int32_t normalize;     /* 1 (default): libmoco L2-normalizes the output and back-propagates through it */
    int32_t bn_groups;     /* how many groups the network splits a batch into, which decides whether shuffling makes
                              sense; default 1 */
} moco_encoder_custom_config;

MOCO_API moco_status moco_encoder_custom_config_init(moco_encoder_custom_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_ENCODER_CUSTOM_CONFIG_INITIALIZER \
    { sizeof(moco_encoder_custom_config), 3, 0, 0, 1, 1 }

/* `ops` is copied. On success the encoder owns `self` and destroys it through ops->destroy; on failure the caller still
 * owns it. */
MOCO_API moco_status moco_encoder_create_custom(moco_encoder **out, moco_context *context, const moco_encoder_ops *ops,
                                                void *self, const moco_encoder_custom_config *config);

MOCO_END_DECLS

#endif
