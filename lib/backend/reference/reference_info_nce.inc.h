/* InfoNCE of one sample, straight from <moco/loss.h>: logits in memory, then maximum, sum, gradient. */

static double NAME(dot)(const REAL *a, const REAL *b, int64_t size) {
    double sum = 0.0;
    for (int64_t i = 0; i < size; ++i) sum += (double) a[i] * b[i];
    return sum;
}

static void NAME(info_nce)(void *argument, int64_t task, int32_t worker) {
    const reference_info_nce_call *call = (const reference_info_nce_call *) argument;
    const moco_info_nce_args *args = call->args;
    const int64_t n = args->q.dims[0], dim = args->q.dims[1], keys = args->keys.dims[0];
    const double temperature = args->temperature;
    const REAL *q = (const REAL *) moco_host_address(&args->q) + task * dim;
    const REAL *k = (const REAL *) moco_host_address(&args->k) + task * dim;
    const REAL *queue = (const REAL *) call->keys;
    REAL *d_q = (REAL *) moco_host_address(&args->d_q);
    double *logits = call->logits + worker * keys;

    const double positive = NAME(dot)(q, k, dim), positive_logit = positive / temperature;
    double negative = 0.0, greatest = positive_logit;
    int64_t above = 0, masked = 0;
    for (int64_t j = 0; j < keys; ++j) {
        if (args->sample_ids != NULL && args->key_ids[j] == args->sample_ids[task] &&
            args->key_ids[j] != MOCO_QUEUE_NO_ID) {
            logits[j] = -INFINITY; /* exp(-inf) = 0: no negative of this sample */
            ++masked;
            continue;
        }
        const double similarity = NAME(dot)(q, queue + j * dim, dim);
        logits[j] = similarity / temperature;
        negative += similarity;
        above += logits[j] >= positive_logit;
        greatest = fmax(greatest, logits[j]);
    }
    double negative_sum = 0.0; /* sum over j of exp(logit_j - greatest) */
    for (int64_t j = 0; j < keys; ++j) {
        logits[j] = exp(logits[j] - greatest);
        negative_sum += logits[j];
    }
    const double sum = exp(positive_logit - greatest) + negative_sum;
    /* log1p keeps a loss near 0 exact. */
    call->loss[task] = greatest > positive_logit ? greatest - positive_logit + log(sum) : log1p(negative_sum);
    call->positive[task] = positive;
    call->negative[task] = negative;
    call->above[task] = above;
    call->masked[task] = masked;
    if (d_q == NULL) return;

    /* dL/dq_i = (sum over j of p_j queue_j - (1 - p_0) k_i) / (T n), with 1 - p_0 = sum over j of p_j. */
    for (int64_t i = 0; i < dim; ++i) {
        double gradient = -negative_sum * k[i];
        for (int64_t j = 0; j < keys; ++j) gradient += logits[j] * queue[j * dim + i];
        d_q[task * dim + i] = (REAL) (gradient / sum / temperature / (double) n);
    }
}
