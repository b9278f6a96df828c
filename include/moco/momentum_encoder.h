/* The momentum (key) encoder f_k, arXiv 1911.05722 section 3.2 and equation 2, with shuffled BatchNorm (section 3.3).
 */
#ifndef MOCO_MOMENTUM_ENCODER_H
#define MOCO_MOMENTUM_ENCODER_H

#include <moco/encoder.h>

MOCO_BEGIN_DECLS

typedef struct moco_momentum_encoder moco_momentum_encoder;

/* What an update does with BatchNorm's running statistics. */
enum {
    MOCO_BN_BUFFERS_OWN = 0,    /* the key encoder keeps its own, from its own forwards, as the reference does */
    MOCO_BN_BUFFERS_COPY = 1,   /* the query encoder's are copied */
    MOCO_BN_BUFFERS_AVERAGE = 2 /* averaged with the same momentum as the parameters */
};

typedef struct moco_momentum_encoder_config {
    uint32_t struct_size;
    int32_t bn_buffers; /* MOCO_BN_BUFFERS_*; default OWN */
    double momentum;    /* m; default 0.999; 0 <= m <= 1 */
    /* 1: encode() permutes the batch before the encoder and restores the order after, so that a query and its key are
     * normalized among different samples. It needs bn_groups > 1: with one group it changes nothing and is refused with
     * INVALID_ARGUMENT. 0: it does not. -1 (default): 1 where the encoder has bn_groups > 1, else 0,
     * which the log tells by a warning where the encoder has BatchNorm. */
    int32_t shuffle;
    int32_t reserved;
    uint64_t seed; /* of the permutations; default 0 */
} moco_momentum_encoder_config;

/* v1's and v2's: m 0.999. */
MOCO_API moco_status moco_momentum_encoder_config_init(moco_momentum_encoder_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_MOMENTUM_ENCODER_CONFIG_INITIALIZER \
    { sizeof(moco_momentum_encoder_config), MOCO_BN_BUFFERS_OWN, 0.999, -1, 0, 0 }

/* The defaults with `shuffle` as -1 would have it for `query_encoder`. */
MOCO_API moco_status moco_momentum_encoder_config_for(moco_momentum_encoder_config *config, uint32_t struct_size,
                                                      const moco_encoder *query_encoder);

/* A key encoder of the query encoder's structure, starting as its exact copy (parameters and buffers). It keeps the
 * query encoder alive. `config` NULL means the defaults. */
MOCO_API moco_status moco_momentum_encoder_create(moco_momentum_encoder **out, moco_encoder *query_encoder,
                                                  const moco_momentum_encoder_config *config);
MOCO_API void moco_momentum_encoder_destroy(moco_momentum_encoder *momentum_encoder);

/* Equation 2: theta_k = m theta_k + (1 - m) theta_q, over learnable parameters; buffers by policy. Call it before
 * encode() in each step, as the reference does. */
MOCO_API moco_status moco_momentum_encoder_update(moco_momentum_encoder *momentum_encoder);

/* Training-mode forward without gradients: images[n x channels x h x w] -> keys[n x embedding_dim], shuffled across
 * BatchNorm groups as configured; row i of `keys` belongs to image i. Advances the encode count, which with the seed
 * decides the permutation. Statistics that would not be finite are INVALID_STATE, as in moco_encoder_forward, and
 * nothing has changed. */
MOCO_API moco_status moco_momentum_encoder_encode(moco_momentum_encoder *momentum_encoder, const float *images,
                                                  int64_t n, int64_t h, int64_t w, float *keys);

MOCO_API double moco_momentum_encoder_momentum(const moco_momentum_encoder *momentum_encoder);
MOCO_API moco_status moco_momentum_encoder_set_momentum(moco_momentum_encoder *momentum_encoder, double momentum);

/* How often encode() was called; set it to continue a run with the same permutations. */
MOCO_API int64_t moco_momentum_encoder_encode_count(const moco_momentum_encoder *momentum_encoder);
MOCO_API moco_status moco_momentum_encoder_set_encode_count(moco_momentum_encoder *momentum_encoder, int64_t count);

/* The permutation that encode() number `count` (0-based) uses for a batch of n: row i of the shuffled batch is sample
 * permutation[i]. For tests and for ranks that shuffle elsewhere. */
MOCO_API moco_status moco_momentum_encoder_permutation(const moco_momentum_encoder *momentum_encoder, int64_t count,
                                                       int64_t n, int64_t *permutation);

/* The key encoder itself, to evaluate it or to read and write its parameters; lent, it lives as long as the momentum
 * encoder. NULL for NULL. */
MOCO_API moco_encoder *moco_momentum_encoder_key_encoder(moco_momentum_encoder *momentum_encoder);
/* Deprecated: its name before 0.2. */
MOCO_API moco_encoder *moco_momentum_encoder_encoder(moco_momentum_encoder *momentum_encoder);

MOCO_END_DECLS

#endif
