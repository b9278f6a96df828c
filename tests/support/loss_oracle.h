/* InfoNCE written down in float64 from the equation of <moco/loss.h>, for comparison; and inputs to compare on. */
#ifndef LOSS_ORACLE_H
#define LOSS_ORACLE_H

#include <float.h>
#include <math.h>
#include <moco.h>
#include <stdlib.h>

#include "core/random.h"

typedef struct oracle_result {
    double loss, positive, negative, top1, top5;
    int64_t masked;
    double largest_logit; /* |logit| */
} oracle_result;

static inline double oracle_dot(const float *a, const float *b, int64_t dim) {
    double sum = 0;
    for (int64_t d = 0; d < dim; ++d) sum += (double) a[d] * (double) b[d];
    return sum;
}

/* d_q and both ids may be NULL. */
static inline oracle_result oracle_info_nce(const float *q, const float *k, int64_t n, int64_t dim, const float *keys,
                                            int64_t count, double temperature, const int64_t *sample_ids,
                                            const int64_t *key_ids, double *d_q) {
    oracle_result result = {0};
    double *logits = (double *) malloc((size_t) (count + 1) * sizeof *logits);
    double pairs = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double positive = oracle_dot(q + i * dim, k + i * dim, dim);
        logits[0] = positive / temperature;
        double largest = logits[0];
        int64_t hits = 0;
        for (int64_t j = 0; j < count; ++j) {
            logits[j + 1] = -INFINITY;
            if (sample_ids != NULL && sample_ids[i] == key_ids[j] && key_ids[j] != MOCO_QUEUE_NO_ID) {
                result.masked++;
                continue;
            }
            const double similarity = oracle_dot(q + i * dim, keys + j * dim, dim);
            logits[j + 1] = similarity / temperature;
            largest = fmax(largest, logits[j + 1]);
            result.largest_logit = fmax(result.largest_logit, fabs(logits[j + 1]));
            hits += logits[j + 1] >= logits[0];
            result.negative += similarity;
            pairs += 1;
        }
        result.largest_logit = fmax(result.largest_logit, fabs(logits[0]));
        double rest = 0;
        for (int64_t j = 0; j < count; ++j) rest += exp(logits[j + 1] - largest);
        const double own = exp(logits[0] - largest);
        const double total = rest + own;
        result.loss += (largest - logits[0] + log1p(rest + (own - 1))) / (double) n;
        result.positive += positive / (double) n;
        result.top1 += (hits == 0) / (double) n;
        result.top5 += (hits < 5) / (double) n;
        if (d_q == NULL) continue;
        for (int64_t d = 0; d < dim; ++d) d_q[i * dim + d] = -rest / total * (double) k[i * dim + d];
        for (int64_t j = 0; j < count; ++j) {
            const double p = exp(logits[j + 1] - largest) / total;
            for (int64_t d = 0; d < dim && p > 0; ++d) d_q[i * dim + d] += p * (double) keys[j * dim + d];
        }
        for (int64_t d = 0; d < dim; ++d) d_q[i * dim + d] /= (double) n * temperature;
    }
    result.negative = pairs > 0 ? result.negative / pairs : 0;
    free(logits);
    return result;
}

/* p[n x count], the softmax probability of each negative for each row; rests[n], a row's sum of them, which is 1 minus
 * the positive's probability. */
static inline void oracle_probabilities(const float *q, const float *k, int64_t n, int64_t dim, const float *keys,
                                        int64_t count, double temperature, const int64_t *sample_ids,
                                        const int64_t *key_ids, double *p, double *rests) {
    for (int64_t i = 0; i < n; ++i) {
        const double positive = oracle_dot(q + i * dim, k + i * dim, dim) / temperature;
        double *row = p + i * count, largest = positive, rest = 0;
        for (int64_t j = 0; j < count; ++j) {
            const int32_t masked = sample_ids != NULL && sample_ids[i] == key_ids[j] && key_ids[j] != MOCO_QUEUE_NO_ID;
            row[j] = masked ? -INFINITY : oracle_dot(q + i * dim, keys + j * dim, dim) / temperature;
            largest = fmax(largest, row[j]);
        }
        for (int64_t j = 0; j < count; ++j) rest += row[j] = exp(row[j] - largest);
        const double total = rest + exp(positive - largest);
        for (int64_t j = 0; j < count; ++j) row[j] /= total;
        rests[i] = rest / total;
    }
}

/* rows[count x dim]: Gaussian rows of length `length`, or not normalized and of that standard deviation (length < 0).
 */
static inline void oracle_rows(float *rows, int64_t count, int64_t dim, double length, uint64_t seed) {
    for (int64_t i = 0; i < count; ++i) {
        moco_random random;
        moco_random_init(&random, seed, MOCO_RANDOM_TEST, 0, (uint64_t) i);
        double square = 0;
        float *row = rows + i * dim;
        for (int64_t d = 0; d < dim; ++d) {
            row[d] = (float) moco_random_normal(&random);
            square += (double) row[d] * (double) row[d];
        }
        const double scale = length < 0 ? -length : length / sqrt(square);
        for (int64_t d = 0; d < dim; ++d) row[d] = (float) ((double) row[d] * scale);
    }
}

static inline moco_context *oracle_context(const char *backend, int32_t threads) {
    moco_context_config config;
    moco_context *context = NULL;
    moco_context_config_init(&config, sizeof config);
    config.backend = backend;
    config.threads = threads;
    return moco_context_create(&context, &config) == MOCO_OK ? context : NULL;
}

/* A queue that starts empty and then holds keys[count x dim]; of capacity 1 for count 0. */
static inline moco_queue *oracle_queue(moco_context *context, const float *keys, const int64_t *ids, int64_t count,
                                       int64_t dim) {
    moco_queue_config config;
    moco_queue *queue = NULL;
    moco_queue_config_init(&config, sizeof config);
    config.start = MOCO_QUEUE_START_EMPTY;
    config.capacity = count > 0 ? count : 1;
    config.dim = dim;
    if (moco_queue_create(&queue, context, &config) != MOCO_OK) return NULL;
    if (moco_queue_enqueue(queue, keys, ids, count) != MOCO_OK) {
        moco_queue_destroy(queue);
        return NULL;
    }
    return queue;
}

static inline moco_loss *oracle_loss(moco_context *context, double temperature, int32_t mask_same_id) {
    moco_loss_config config;
    moco_loss *loss = NULL;
    moco_loss_config_init(&config, sizeof config);
    config.temperature = temperature;
    config.mask_same_id = mask_same_id;
    return moco_loss_create(&loss, context, &config) == MOCO_OK ? loss : NULL;
}

#endif
