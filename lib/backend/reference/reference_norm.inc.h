/* BatchNorm with statistics per group of samples, and the L2 normalization of rows. A BatchNorm task is one channel;
 * `saved` holds double mean[groups x c], then double rstd[groups x c].
 */

static uint64_t NAME(batch_norm_saved_bytes)(const image_layer *desc) {
    return (uint64_t) (2 * desc->c * desc->bn_groups) * sizeof(double);
}

/* y = relu(scale * x + shift [+ residual]) for one sample's plane. */
static void NAME(batch_norm_write)(const reference_call *call, int64_t n, int64_t c, double mean, double rstd) {
    const image_layer *d = call->desc;
    const int64_t area = d->h * d->w, plane = (n * d->c + c) * area;
    const double weight = ((const REAL *) moco_host_address(&call->args->parameters[MOCO_WEIGHT]))[c];
    const double bias = ((const REAL *) moco_host_address(&call->args->parameters[MOCO_BIAS]))[c];
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + plane;
    const REAL *residual = (const REAL *) moco_host_address(&call->args->inputs[MOCO_RESIDUAL]);
    REAL *y = (REAL *) moco_host_address(&call->args->y) + plane;
    for (int64_t i = 0; i < area; ++i) {
        double value = (x[i] - mean) * rstd * weight + bias;
        if (d->residual) value += residual[plane + i];
        y[i] = (REAL) (d->relu && value < 0.0 ? 0.0 : value);
    }
}

static void NAME(batch_norm_train)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const int64_t area = d->h * d->w, stride = d->c * area;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * area;
    REAL *running_mean = (REAL *) moco_host_address(&call->args->parameters[MOCO_RUNNING_MEAN]);
    REAL *running_var = (REAL *) moco_host_address(&call->args->parameters[MOCO_RUNNING_VAR]);
    double *saved = call->args->mode == MOCO_MODE_TRAIN ? (double *) moco_host_address(&call->args->saved) : NULL;
    double mean_of_means = 0.0, mean_of_variances = 0.0;
    for (int64_t g = 0; g < d->bn_groups; ++g) {
        const reference_samples samples = reference_group_samples(d, g);
        const double count = (double) (reference_group_size(d, g) * area);
        double mean = 0.0, squares = 0.0;
        for (int64_t n = samples.begin; n < samples.end; n += samples.step)
            for (int64_t i = 0; i < area; ++i) mean += x[n * stride + i];
        mean /= count;
        for (int64_t n = samples.begin; n < samples.end; n += samples.step)
            for (int64_t i = 0; i < area; ++i) squares += (x[n * stride + i] - mean) * (x[n * stride + i] - mean);
        const double rstd = 1.0 / sqrt(squares / count + d->bn_eps);
        for (int64_t n = samples.begin; n < samples.end; n += samples.step) {
            NAME(batch_norm_write)(call, n, task, mean, rstd);
        }
        if (saved != NULL) {
            saved[g * d->c + task] = mean;
            saved[(d->bn_groups + g) * d->c + task] = rstd;
        }
        mean_of_means += mean / d->bn_groups;
        mean_of_variances += squares / (count - 1.0) / d->bn_groups;
    }
    if (running_mean != NULL) {
        running_mean[task] = (REAL) ((1.0 - d->bn_momentum) * running_mean[task] + d->bn_momentum * mean_of_means);
        running_var[task] = (REAL) ((1.0 - d->bn_momentum) * running_var[task] + d->bn_momentum * mean_of_variances);
    }
}

static void NAME(batch_norm_evaluate)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const double mean = ((const REAL *) moco_host_address(&call->args->parameters[MOCO_RUNNING_MEAN]))[task];
    const double variance = ((const REAL *) moco_host_address(&call->args->parameters[MOCO_RUNNING_VAR]))[task];
    const double rstd = 1.0 / sqrt(variance + call->desc->bn_eps);
    for (int64_t n = 0; n < call->desc->n; ++n) NAME(batch_norm_write)(call, n, task, mean, rstd);
}

/* With dz = dy where the relu let through, x^ = (x - mean) rstd, and means over a group:
 *   dx = weight rstd (dz - mean(dz) - x^ mean(dz x^)),  dweight = sum dz x^,  dbias = sum dz,  d_residual = dz */
static void NAME(batch_norm_backward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const int64_t area = d->h * d->w, stride = d->c * area, first = task * area;
    const double weight = ((const REAL *) moco_host_address(&call->args->parameters[MOCO_WEIGHT]))[task];
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + first;
    const REAL *y = d->relu ? (const REAL *) moco_host_address(&call->args->y) + first : NULL;
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + first;
    const double *saved = (const double *) moco_host_address(&call->args->saved);
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]);
    REAL *d_residual = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_RESIDUAL]);
    REAL *dweight = (REAL *) moco_host_address(&call->args->d_parameters[MOCO_WEIGHT]);
    REAL *dbias = (REAL *) moco_host_address(&call->args->d_parameters[MOCO_BIAS]);
    double weight_sum = 0.0, bias_sum = 0.0;
    for (int64_t g = 0; g < d->bn_groups; ++g) {
        const reference_samples samples = reference_group_samples(d, g);
        const double count = (double) (reference_group_size(d, g) * area);
        const double mean = saved[g * d->c + task], rstd = saved[(d->bn_groups + g) * d->c + task];
        double sum = 0.0, projected = 0.0;
        for (int64_t n = samples.begin; n < samples.end; n += samples.step) {
            for (int64_t i = n * stride; i < n * stride + area; ++i) {
                const double dz = y != NULL && !(y[i] > 0) ? 0.0 : dy[i];
                sum += dz;
                projected += dz * (x[i] - mean) * rstd;
            }
        }
        weight_sum += projected;
        bias_sum += sum;
        for (int64_t n = samples.begin; n < samples.end; n += samples.step) {
            for (int64_t i = n * stride; i < n * stride + area; ++i) {
                const double dz = y != NULL && !(y[i] > 0) ? 0.0 : dy[i]; /* read first: dx may be dy */
                const double normalized = (x[i] - mean) * rstd;
                if (d_residual != NULL) d_residual[first + i] = (REAL) dz;
                if (dx == NULL) continue;
                dx[first + i] = (REAL) (weight * rstd * (dz - sum / count - normalized * projected / count));
            }
        }
    }
    if (dweight != NULL) dweight[task] = (REAL) (call->args->accumulate ? dweight[task] + weight_sum : weight_sum);
    if (dbias != NULL) dbias[task] = (REAL) (call->args->accumulate ? dbias[task] + bias_sum : bias_sum);
}

static double NAME(row_norm)(const REAL *row, int64_t size) {
    double squares = 0.0;
    for (int64_t i = 0; i < size; ++i) squares += (double) row[i] * row[i];
    return sqrt(squares);
}

static void NAME(l2_normalize_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * size;
    REAL *y = (REAL *) moco_host_address(&call->args->y) + task * size;
    const double norm = fmax(NAME(row_norm)(x, size), REFERENCE_NORMALIZE_EPS);
    for (int64_t i = 0; i < size; ++i) y[i] = (REAL) (x[i] / norm);
}

/* dx = (dy - y (y . dy)) / ||x||; below the bound, y is x / eps and dx = dy / eps. */
static void NAME(l2_normalize_backward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * size;
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + task * size;
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]) + task * size;
    const double length = NAME(row_norm)(x, size), norm = fmax(length, REFERENCE_NORMALIZE_EPS);
    double along = 0.0; /* y . dy */
    for (int64_t i = 0; length >= REFERENCE_NORMALIZE_EPS && i < size; ++i) along += x[i] / norm * dy[i];
    for (int64_t i = 0; i < size; ++i) dx[i] = (REAL) ((dy[i] - x[i] / norm * along) / norm);
}
