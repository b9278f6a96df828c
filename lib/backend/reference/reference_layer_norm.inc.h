/* LayerNorm: y = (x - mean) rstd weight + bias over each row by itself, as torch.nn.LayerNorm: with the biased variance,
 * rstd = 1 / sqrt(var + eps). `saved` holds double mean[n], then double rstd[n].
 */

static uint64_t NAME(layer_norm_saved_bytes)(const image_layer *desc) {
    return (uint64_t) (2 * desc->n) * sizeof(double);
}

static void NAME(layer_norm_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * size;
    const REAL *weight = (const REAL *) moco_host_address(&call->args->parameters[MOCO_WEIGHT]);
    const REAL *bias = (const REAL *) moco_host_address(&call->args->parameters[MOCO_BIAS]);
    REAL *y = (REAL *) moco_host_address(&call->args->y) + task * size;
    double mean = 0.0, squares = 0.0;
    for (int64_t i = 0; i < size; ++i) mean += x[i];
    mean /= (double) size;
    for (int64_t i = 0; i < size; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double rstd = 1.0 / sqrt(squares / (double) size + call->layer->of.layer_norm.eps);
    for (int64_t i = 0; i < size; ++i) y[i] = (REAL) ((x[i] - mean) * rstd * weight[i] + bias[i]);
    if (call->args->mode == MOCO_MODE_TRAIN && call->desc->training) {
        double *saved = (double *) moco_host_address(&call->args->saved);
        saved[task] = mean;
        saved[call->desc->n + task] = rstd;
    }
}

/* With dz = dy weight, x^ = (x - mean) rstd, and means over the row: dx = rstd (dz - mean(dz) - x^ mean(dz x^)). */
static void NAME(layer_norm_backward_input)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * size;
    const REAL *weight = (const REAL *) moco_host_address(&call->args->parameters[MOCO_WEIGHT]);
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + task * size;
    const double *saved = (const double *) moco_host_address(&call->args->saved);
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]);
    const double mean = saved[task], rstd = saved[call->desc->n + task];
    double sum = 0.0, projected = 0.0;
    if (dx == NULL) return;
    for (int64_t i = 0; i < size; ++i) {
        const double dz = (double) dy[i] * weight[i];
        sum += dz;
        projected += dz * (x[i] - mean) * rstd;
    }
    for (int64_t i = 0; i < size; ++i) {
        const double dz = (double) dy[i] * weight[i], normalized = (x[i] - mean) * rstd;
        dx[task * size + i] = (REAL) (rstd * (dz - sum / (double) size - normalized * projected / (double) size));
    }
}

/* dweight = sum over the rows of dy x^, dbias = sum of dy. */
static void NAME(layer_norm_backward_parameters)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c, rows = call->desc->n;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task;
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + task;
    const double *saved = (const double *) moco_host_address(&call->args->saved);
    REAL *dweight = (REAL *) moco_host_address(&call->args->d_parameters[MOCO_WEIGHT]);
    REAL *dbias = (REAL *) moco_host_address(&call->args->d_parameters[MOCO_BIAS]);
    double weight_sum = 0.0, bias_sum = 0.0;
    for (int64_t row = 0; row < rows; ++row) {
        weight_sum += dy[row * size] * (x[row * size] - saved[row]) * saved[rows + row];
        bias_sum += dy[row * size];
    }
    if (dweight != NULL) dweight[task] = (REAL) (call->args->accumulate ? dweight[task] + weight_sum : weight_sum);
    if (dbias != NULL) dbias[task] = (REAL) (call->args->accumulate ? dbias[task] + bias_sum : bias_sum);
}
