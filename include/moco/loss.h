/* The contrastive loss InfoNCE over the queue, or over other keys, arXiv 1911.05722 equation 1:
 *
 *   L = mean over i of  -log( exp(q_i . k_i / T) / (exp(q_i . k_i / T) + sum over j of exp(q_i . queue_j / T)) )
 *
 * the (K+1)-way cross-entropy with label 0, the positive. The logits are never stored: value, statistics and dL/dq
 * come from one streaming pass over the keys with O(n * dim) extra memory, bit-identical for any number of threads.
 */
#ifndef MOCO_LOSS_H
#define MOCO_LOSS_H

#include <moco/context.h>
#include <moco/queue.h>

MOCO_BEGIN_DECLS

typedef struct moco_loss moco_loss;

typedef struct moco_loss_config {
    uint32_t struct_size;
    int32_t mask_same_id; /* 1: a key whose id equals the sample's id is no negative for it; default 0 */
    double temperature;   /* T; default 0.07 (v1), v2 uses 0.2; |T| >= 1e-8, finite; negative is allowed */
} moco_loss_config;

typedef struct moco_loss_result {
    uint32_t struct_size; /* set by the caller to sizeof, or by moco_loss_result_init */
    int32_t reserved;
    double loss;                     /* mean over the batch, nats */
    double mean_positive_similarity; /* mean of q_i . k_i: the cosine, for unit rows */
    double mean_negative_similarity; /* mean of q_i . queue_j over the unmasked negatives; 0 without any */
    double top1;                     /* fraction in 0..1 of samples whose positive logit is above every negative's */
    double top5;                     /* fraction with fewer than 5 negatives' logits at or above the positive's */
    double chance_loss;              /* ln(K + 1), K the number of negatives: the loss of equal logits */
    int64_t negatives;               /* K: keys in use, masked ones included */
    int64_t masked;                  /* pairs of a sample and a key left out by their ids */
} moco_loss_result;

/* v1's: T 0.07. */
MOCO_API moco_status moco_loss_config_init(moco_loss_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_LOSS_CONFIG_INITIALIZER \
    { sizeof(moco_loss_config), 0, 0.07 }
MOCO_API moco_status moco_loss_result_init(moco_loss_result *result, uint32_t struct_size);

MOCO_API moco_status moco_loss_create(moco_loss **out, moco_context *context, const moco_loss_config *config);
MOCO_API void moco_loss_destroy(moco_loss *loss);

/* q, k: n x dim float32 row-major, dim the queue's; n >= 1; every value finite, else INVALID_ARGUMENT. Rows need not be
 * normalized. sample_ids[n]: may be NULL unless mask_same_id. result: not NULL, its struct_size set. d_q[n x dim]: gets
 * dL/dq (k and the queue are constants, as in the paper); NULL leaves the gradient out. d_q must not overlap q or k.
 * The queue is only read: enqueue afterwards. K is moco_queue_negatives(queue), which moco_queue_config.capacity
 * decides; without any the loss is 0. queue and loss must share one context.
 * The loss is summed in double and finite for all inputs; an element of dL/dq beyond float32's range becomes an infinity.
 * A logit of equal size to the positive's counts against it, so a collapsed encoder shows top1 = 0, not 1. */
MOCO_API moco_status moco_loss_compute(moco_loss *loss, const float *q, const float *k, int64_t n,
                                       const moco_queue *queue, const int64_t *sample_ids, moco_loss_result *result,
                                       float *d_q);

/* \since 0.2. The same loss over keys[K x dim] of the call, K = key_count >= 0 (keys may be NULL with 0), with the
 * gradient of every matrix: for mechanisms of one's own, as the end-to-end one. With p_ij the softmax probability of
 * negative j for row i, and p_i that of its positive,
 *
 *   p_ij = exp(q_i . key_j / T) / (exp(q_i . k_i / T) + sum over m of exp(q_i . key_m / T)),   p_i = 1 - sum over j of p_ij
 *
 *   d_q[i]    = dL/dq_i   = (sum over j of p_ij key_j - (1 - p_i) k_i) / (n T)      n x dim
 *   d_k[i]    = dL/dk_i   = -(1 - p_i) q_i / (n T)                                  n x dim
 *   d_keys[j] = dL/dkey_j = sum over i of p_ij q_i / (n T)                          K x dim
 *
 * Each gradient may be NULL, and what it belongs to is a constant then; each is overwritten and must not overlap another
 * array. The inputs may overlap. d_keys costs as much again as value and d_q together, with O(n * dim) extra memory; all
 * are bit-identical for any number of threads. Values and ranges are as of moco_loss_compute, keys must be finite, too.
 *
 * key_ids[K] and sample_ids[n] are both given or both NULL. Given, a key whose id equals the sample's is no negative for
 * it (MOCO_QUEUE_NO_ID equals none): p_ij = 0, so it adds nothing to d_keys[j]. mask_same_id demands them.
 *
 * End to end (both encoders learn, the batch is its own dictionary): keys = k, key_count = n, and ids that tell the images
 * apart, as 0 .. n-1. Row i's own key is then counted once, as its positive; without ids it would be a negative, too.
 * Each k_i is a positive and n - 1 times a negative: its whole gradient is d_k[i] + d_keys[i]. */
MOCO_API moco_status moco_loss_compute_keys(moco_loss *loss, const float *q, const float *k, int64_t n, int64_t dim,
                                            const float *keys, const int64_t *key_ids, int64_t key_count,
                                            const int64_t *sample_ids, moco_loss_result *result, float *d_q, float *d_k,
                                            float *d_keys);

MOCO_API double moco_loss_temperature(const moco_loss *loss);
MOCO_API moco_status moco_loss_set_temperature(moco_loss *loss, double temperature);

MOCO_END_DECLS

#endif
