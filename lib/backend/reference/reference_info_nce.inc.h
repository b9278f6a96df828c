/* InfoNCE straight from <moco/loss.h>. */

static double NAME(dot)(const REAL *a, const REAL *b, int64_t size) {
    double sum = 0.0;
    for (int64_t i = 0; i < size; ++i) sum += (double) a[i] * b[i];
    return sum;
}

/* 1 if key j is no negative of sample i. */
static int32_t NAME(is_masked)(const moco_info_nce_args *args, int64_t i, int64_t j) {
    return args->sample_ids != NULL && args->key_ids[j] == args->sample_ids[i] && args->key_ids[j] != MOCO_QUEUE_NO_ID;
}

/* One sample: logits in memory, then maximum, sum, and the gradients of q_i and k_i. */
static void NAME(info_nce)(void *argument, int64_t task, int32_t worker) {
    const reference_info_nce_call *call = (const reference_info_nce_call *) argument;
    const moco_info_nce_args *args = call->args;
    const int64_t n = args->q.dims[0], dim = args->q.dims[1], keys = args->keys.dims[0];
    const double temperature = args->temperature;
    const REAL *q = (const REAL *) moco_host_address(&args->q) + task * dim;
    const REAL *k = (const REAL *) moco_host_address(&args->k) + task * dim;
    const REAL *queue = (const REAL *) call->keys;
    REAL *d_q = (REAL *) moco_host_address(&args->d_q);
    REAL *d_k = (REAL *) moco_host_address(&args->d_k);
    double *logits = call->logits + worker * call->width;

    const double positive = NAME(dot)(q, k, dim), positive_logit = positive / temperature;
    double negative = 0.0, greatest = positive_logit;
    int64_t above = 0, masked = 0;
    for (int64_t j = 0; j < keys; ++j) {
        if (NAME(is_masked)(args, task, j)) {
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
    reference_info_nce_row *row = call->rows + task;
    /* log1p keeps a loss near 0 exact. */
    row->loss = greatest > positive_logit ? greatest - positive_logit + log(sum) : log1p(negative_sum);
    row->positive = positive;
    row->negative = negative;
    row->greatest = greatest;
    row->sum = sum;
    row->above = above;
    row->masked = masked;

    /* dL/dk_i = -(1 - p_i) q_i / (T n), with 1 - p_i = sum over j of p_ij. */
    for (int64_t i = 0; i < dim && d_k != NULL; ++i) {
        d_k[task * dim + i] = (REAL) (-negative_sum * q[i] / sum / temperature / (double) n);
    }
    if (d_q == NULL) return;

    /* dL/dq_i = (sum over j of p_ij key_j - (1 - p_i) k_i) / (T n). */
    for (int64_t i = 0; i < dim; ++i) {
        double gradient = -negative_sum * k[i];
        for (int64_t j = 0; j < keys; ++j) gradient += logits[j] * queue[j * dim + i];
        d_q[task * dim + i] = (REAL) (gradient / sum / temperature / (double) n);
    }
}

/* One key, from the samples' maxima and sums: dL/dkey_j = sum over i of p_ij q_i / (T n). */
static void NAME(info_nce_keys)(void *argument, int64_t task, int32_t worker) {
    const reference_info_nce_call *call = (const reference_info_nce_call *) argument;
    const moco_info_nce_args *args = call->args;
    const int64_t n = args->q.dims[0], dim = args->q.dims[1];
    const REAL *q = (const REAL *) moco_host_address(&args->q);
    const REAL *key = (const REAL *) call->keys + task * dim;
    REAL *d_key = (REAL *) moco_host_address(&args->d_keys) + task * dim;
    double *probabilities = call->logits + worker * call->width; /* p_ij of this key for each sample */

    for (int64_t i = 0; i < n; ++i) {
        const double logit = NAME(dot)(q + i * dim, key, dim) / args->temperature;
        const reference_info_nce_row *row = call->rows + i;
        probabilities[i] = NAME(is_masked)(args, i, task) ? 0.0 : exp(logit - row->greatest) / row->sum;
    }
    for (int64_t d = 0; d < dim; ++d) {
        double gradient = 0.0;
        for (int64_t i = 0; i < n; ++i) gradient += probabilities[i] * q[i * dim + d];
        d_key[d] = (REAL) (gradient / args->temperature / (double) n);
    }
}
