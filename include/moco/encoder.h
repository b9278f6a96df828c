/* The query encoder f_q: images -> embeddings, with its gradients. Built-in networks by name; a caller's own network
 * plugs in through <moco/sys/encoder_ops.h> and is then used by every function below unchanged.
 */
#ifndef MOCO_ENCODER_H
#define MOCO_ENCODER_H

#include <moco/context.h>

MOCO_BEGIN_DECLS

typedef struct moco_encoder moco_encoder;

#define MOCO_ENCODER_PASSES 2 /* how many training forwards can wait for their backward side by side */

enum {
    MOCO_STEM_IMAGENET = 0, /* 7x7 convolution of stride 2, BatchNorm, ReLU, 3x3 max-pool of stride 2 */
    MOCO_STEM_CIFAR = 1     /* 3x3 convolution of stride 1, BatchNorm, ReLU */
};

enum {
    MOCO_HEAD_NONE = 0,   /* the embedding is the backbone's feature vector */
    MOCO_HEAD_LINEAR = 1, /* v1: fc */
    MOCO_HEAD_MLP = 2     /* v2: fc.0, ReLU, fc.2 */
};

/* The dtype of activations and of the layers' copies of the weights. Weights, BatchNorm statistics, embeddings,
 * gradients of weights, loss and optimizer are float32 always. */
enum {
    MOCO_COMPUTE_F32 = 0,
    MOCO_COMPUTE_BF16 = 1, /* bfloat16 where the processor and the backend have it (AVX512-BF16 and oneDNN), else
                              float32, and a warning in the log says why. Winograd's algorithm as below, its factors
                              rounded to bfloat16, too */
    MOCO_COMPUTE_BF16_REQUIRED = 2, /* bfloat16, or creating the encoder is UNSUPPORTED */
    MOCO_COMPUTE_F32_DIRECT = 3 /* float32 without Winograd's algorithm, by which F32 makes 3x3 convolutions of stride 1
                                   between multiples of 64 channels (in training, with AVX-512) in half the time, to
                                   within 2e-5 of the largest output as any other way */
};

enum {
    MOCO_BN_CONTIGUOUS = 0, /* group g holds samples floor(g n / G) .. floor((g+1) n / G) - 1, as G devices would */
    MOCO_BN_STRIDED = 1     /* sample i is in group i mod G, as in the official CIFAR demo's SplitBatchNorm */
};

typedef struct moco_encoder_config {
    uint32_t struct_size;
    int32_t stem; /* MOCO_STEM_*, default IMAGENET; resnet18 .. resnet50_w4 only, the others have their own */
    /* torchvision's "resnet18", "resnet34", "resnet50" (default), "resnet101", "resnet152"; "resnext50_32x8d", the RX50
     * of arXiv 1911.05722's table 1; its R50w2x and R50w4x, "resnet50_w2" and "resnet50_w4", in which every layer is 2
     * or 4 times as wide (backbones of 93.9 M and 375.4 M parameters); torchvision's "wide_resnet50_2", in which the
     * 3x3 convolutions alone are, and so "wide_resnet50_4"; "cifar_resnetD" with D = 6 n + 2 up to 1202, such as
     * cifar_resnet20 (16-32-64 channels); "mlp" (hidden layers under the names of an nn.Sequential: layers.0 the first
     * Linear, layers.1 its BatchNorm, layers.3 the second Linear ...). NULL means the default, an unknown name is
     * NOT_FOUND. Copied. */
    const char *architecture;
    int32_t head;               /* MOCO_HEAD_*; default LINEAR */
    int32_t embedding_dim;      /* dim; default 128; ignored with HEAD_NONE */
    int32_t head_hidden_dim;    /* of the MLP head; 0 (default): the backbone's feature dim, as in v2 */
    int32_t channels;           /* of the images; default 3 */
    int32_t normalize;          /* 1 (default): rows of the output have L2 norm 1, and backward goes through it */
    int32_t bn_groups;          /* G; default 1. The batch is split into G groups with their own BatchNorm statistics */
    int32_t bn_layout;          /* MOCO_BN_*; default CONTIGUOUS */
    int32_t zero_init_residual; /* 1: the last BatchNorm weight of each block starts at 0; default 0 */
    int32_t mlp_input_dim;      /* "mlp" only: channels * h * w of the input; required there (default 0) */
    int32_t mlp_hidden_dim;     /* "mlp" only: width of each hidden layer, and the feature dim; default 512 */
    int32_t mlp_layers;         /* "mlp" only: hidden Linear-BatchNorm-ReLU layers; default 2, >= 1 */
    int32_t compute_dtype; /* MOCO_COMPUTE_*; default F32. It belongs to the run, not to the model: no file keeps it */
    double bn_momentum;    /* default 0.1 */
    double bn_eps;         /* default 1e-5 */
    uint64_t seed;         /* of the initialisation, which is torchvision's; default 0 */
} moco_encoder_config;

enum {
    MOCO_PARAMETER_LEARNABLE = 0, /* trained by the optimizer, averaged by the momentum encoder */
    MOCO_PARAMETER_BUFFER = 1     /* BatchNorm's running_mean, running_var (float32) */
};

/* What sets a learnable parameter apart from the others, as bits. */
enum {
    MOCO_PARAMETER_VECTOR = 1,   /* of rank 0 or 1: a bias, or a weight of BatchNorm. It follows from the shape */
    MOCO_PARAMETER_NO_DECAY = 2, /* the optimizer does not decay its weights. Not set by default: SGD as the reference
                                    has it decays everything */
    MOCO_PARAMETER_FROZEN = 4    /* its gradient is zero, and the optimizer leaves it alone */
};

typedef struct moco_parameter_info {
    uint32_t struct_size; /* set by the caller */
    int32_t kind;         /* MOCO_PARAMETER_LEARNABLE or BUFFER */
    const char *name;     /* torchvision's, such as "layer1.0.bn1.weight"; lives as long as the encoder */
    int64_t elements;
    int32_t rank;    /* 0..4 */
    int32_t flags;   /* MOCO_PARAMETER_VECTOR, NO_DECAY and FROZEN, or-ed; 0 for a buffer */
    int64_t dims[4]; /* PyTorch's order: convolutions are out x in/groups x kh x kw, linear layers out x in */
} moco_parameter_info;

/* The built-in architectures: the name of number `index` (a family as "cifar_resnetD") and a phrase on what it is.
 * NULL outside of 0 .. how many there are - 1. */
MOCO_API const char *moco_encoder_architecture_name(int64_t index);
MOCO_API const char *moco_encoder_architecture_help(int64_t index);

/* v1's ResNet-50 with its linear head (v2 has MOCO_HEAD_MLP), as one of its processes normalizes: in one group. */
MOCO_API moco_status moco_encoder_config_init(moco_encoder_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_ENCODER_CONFIG_INITIALIZER                                                                 \
    {                                                                                                   \
        sizeof(moco_encoder_config), MOCO_STEM_IMAGENET, "resnet50", MOCO_HEAD_LINEAR, 128, 0, 3, 1, 1, \
            MOCO_BN_CONTIGUOUS, 0, 0, 512, 2, MOCO_COMPUTE_F32, 0.1, 1e-5, 0                            \
    }

/* `config` NULL means the defaults. Errors: INVALID_ARGUMENT, NOT_FOUND (architecture), UNSUPPORTED, OUT_OF_MEMORY. */
MOCO_API moco_status moco_encoder_create(moco_encoder **out, moco_context *context, const moco_encoder_config *config);
MOCO_API void moco_encoder_destroy(moco_encoder *encoder);

/* Training-mode forward: images[n x channels x h x w] float32 NCHW -> embeddings[n x embedding_dim]. Keeps what the
 * backward pass needs, until the next forward. BatchNorm uses batch statistics (per group; every group needs more than
 * one value per channel) and updates its running ones. A shape seen for the first time is planned, which allocates; the
 * plans of the last 8 shapes and modes are kept, fewer where copies of the weights that they hold take more than twice
 * the weights' own memory; working memory is as large as its largest user so far needs. A forward that fails so leaves
 * a pending backward valid. Pixels are not checked, but running statistics that would not be finite, which is what
 * pixels that are not or are far too large make of them, are INVALID_STATE: the statistics and `embeddings` are as
 * before then, and nothing waits for a backward. */
MOCO_API moco_status moco_encoder_forward(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                          float *embeddings);

/* Gradients of the last forward for d_embeddings[n x embedding_dim] = dL/d(embeddings), with the n of that forward.
 * Adds to the gradients, which moco_encoder_zero_gradients cleared; a second call for one forward is INVALID_STATE.
 * After another failure the gradients are undefined until they are zeroed. */
MOCO_API moco_status moco_encoder_backward(moco_encoder *encoder, const float *d_embeddings, int64_t n);

/* Two views at a time: forwards of pass 0 and of pass 1 wait for their backward side by side, each in memory of its
 * own, which pass 1 takes at its first use. The backward passes may come in any order, and each adds to the gradients;
 * a pass whose forward is repeated, or never followed by a backward, leaves the other one alone. Pass 0 is
 * moco_encoder_forward and moco_encoder_backward. Errors are theirs, and INVALID_ARGUMENT for another pass; a caller's
 * own network may have no pass 1: UNSUPPORTED. */
MOCO_API moco_status moco_encoder_forward_pass(moco_encoder *encoder, int32_t pass, const float *images, int64_t n,
                                               int64_t h, int64_t w, float *embeddings);
MOCO_API moco_status moco_encoder_backward_pass(moco_encoder *encoder, int32_t pass, const float *d_embeddings,
                                                int64_t n);

MOCO_API moco_status moco_encoder_zero_gradients(moco_encoder *encoder);

/* Told during a backward pass that nothing of it will change the gradients of parameters first .. end - 1 (indices of
 * the parameter table) any more. A network goes backward from its last layer, so the ranges begin at the end of the
 * table and follow each other down to 0: every parameter is in exactly one. Non-zero stops the pass with CALLBACK. */
typedef int32_t (*moco_gradients_ready_fn)(int64_t first, int64_t end, void *user);

/* For a program that sends gradients to other machines while the rest of the backward pass runs: `ready` is called, in
 * the calling thread, in every moco_encoder_backward and moco_encoder_backward_pass from now on, until it is set to
 * NULL. What it is told of is final for that call alone: where several add up to a step's gradient, set it before the
 * last. In moco_trainer_step the trainer sees to that. Inside, of this encoder's functions only the getters,
 * moco_encoder_read_gradient and moco_encoder_write_gradient may be called, the latter two for parameters that are
 * ready: when `first` is 0 all are, and it is the time to wait for what was sent and to write the means back. A
 * caller's own network has one range, told of after its backward. */
MOCO_API moco_status moco_encoder_set_gradient_hook(moco_encoder *encoder, moco_gradients_ready_fn ready, void *user);

/* Evaluation mode (running statistics, nothing is changed but working memory): embeddings after the head, normalized
 * as configured. A pending backward stays valid. */
MOCO_API moco_status moco_encoder_evaluate(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                           float *embeddings);

/* Evaluation mode: features[n x feature_dim] of the backbone before the head, not normalized. What linear probes and
 * kNN use. */
MOCO_API moco_status moco_encoder_features(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                           float *features);

/* Getters; 0 for NULL. */
MOCO_API int64_t moco_encoder_embedding_dim(const moco_encoder *encoder);
MOCO_API int64_t moco_encoder_feature_dim(const moco_encoder *encoder);
MOCO_API int64_t moco_encoder_channels(const moco_encoder *encoder);
/* What the layers compute in: MOCO_COMPUTE_F32 or MOCO_COMPUTE_BF16. */
MOCO_API int32_t moco_encoder_compute_dtype(const moco_encoder *encoder);
/* Entries of the parameter table (learnable and buffers, in torchvision's state_dict order), and all their learnable
 * elements together. */
MOCO_API int64_t moco_encoder_parameter_count(const moco_encoder *encoder);
MOCO_API int64_t moco_encoder_learnable_elements(const moco_encoder *encoder);

/* INVALID_ARGUMENT for an index outside 0 .. parameter_count - 1. */
MOCO_API moco_status moco_encoder_parameter_info(const moco_encoder *encoder, int64_t index, moco_parameter_info *info);
/* NOT_FOUND for a name that is none. */
MOCO_API moco_status moco_encoder_find_parameter(const moco_encoder *encoder, const char *name, int64_t *index);

/* Sets NO_DECAY and FROZEN of a learnable parameter as `flags` has them; its VECTOR stays as it is, whether `flags` has
 * it or not. Freezing clears the gradient. The momentum encoder goes on averaging a frozen parameter, and neither a
 * file nor the configuration keeps flags: set them again after moco_encoder_open. INVALID_ARGUMENT for a buffer and for
 * unknown flags. */
MOCO_API moco_status moco_encoder_set_parameter_flags(moco_encoder *encoder, int64_t index, int32_t flags);

/* Copies a whole parameter or buffer, or a learnable parameter's gradient, as float32[elements]. Written values must
 * be finite, else INVALID_ARGUMENT and nothing is written. */
MOCO_API moco_status moco_encoder_read_parameter(const moco_encoder *encoder, int64_t index, float *values);
MOCO_API moco_status moco_encoder_write_parameter(moco_encoder *encoder, int64_t index, const float *values);
MOCO_API moco_status moco_encoder_read_gradient(const moco_encoder *encoder, int64_t index, float *values);

/* Replaces a learnable parameter's gradient, by the mean over several machines, say. Any values: as backward's own,
 * they are not checked. INVALID_STATE for a frozen parameter. */
MOCO_API moco_status moco_encoder_write_gradient(moco_encoder *encoder, int64_t index, const float *values);

/* How many training-mode forwards updated the running statistics (torchvision's num_batches_tracked). */
MOCO_API int64_t moco_encoder_batches_tracked(const moco_encoder *encoder);
/* To continue a run; batches >= 0. */
MOCO_API moco_status moco_encoder_set_batches_tracked(moco_encoder *encoder, int64_t batches);

/* --- Files -------------------------------------------------------------------------------------------------------- */

/* moco_encoder_save keeps an encoder for libmoco, head and configuration included; moco_encoder_export <moco/export_model.h>
 * writes it for other programs. moco_encoder_open takes what moco_encoder_save wrote; for all other files there are
 * moco_encoder_open_as and, into an encoder that exists, moco_encoder_load <moco/weights.h>. */

/* Writes all parameters and buffers under torchvision's names as a safetensors file (float32; num_batches_tracked
 * int64), atomically: the old file or the new one, never half. The encoder's configuration goes into the metadata
 * under "moco.*"; `keys` and `values` (count each, may be NULL with 0) add the caller's own, e.g. the recipe.
 * What is saved can be opened: a value that is not finite is INVALID_STATE, naming its tensor, and the old file stays. A
 * caller's own network has no configuration, and is saved without. Errors: IO. */
MOCO_API moco_status moco_encoder_save(const moco_encoder *encoder, const char *path, const char *const *keys,
                                       const char *const *values, int64_t count);

/* Makes an encoder from a file that moco_encoder_save wrote. Errors: IO, FORMAT, NOT_FOUND (a tensor is missing, named),
 * UNSUPPORTED (built without Jansson: MOCO_WITH_JANSSON). */
MOCO_API moco_status moco_encoder_open(moco_encoder **out, moco_context *context, const char *path);

/* Reads one metadata entry of a safetensors file into `value` of `capacity` bytes, NUL-terminated; `length` (may be
 * NULL) gets its full length. NOT_FOUND without it; INVALID_ARGUMENT where it does not fit. */
MOCO_API moco_status moco_file_metadata(moco_context *context, const char *path, const char *key, char *value,
                                        uint64_t capacity, uint64_t *length);

MOCO_END_DECLS

#endif
