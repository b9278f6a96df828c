/* y = x W^T + b, with an optional relu behind it, and the elementwise relu. `bias` may be absent. */

static void NAME(linear_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * d->c;
    const REAL *weight = (const REAL *) moco_host_address(&call->args->parameters[MOCO_WEIGHT]);
    const REAL *bias = (const REAL *) moco_host_address(&call->args->parameters[MOCO_BIAS]);
    REAL *y = (REAL *) moco_host_address(&call->args->y) + task * d->out_c;
    for (int64_t o = 0; o < d->out_c; ++o) {
        double sum = bias == NULL ? 0.0 : bias[o];
        for (int64_t c = 0; c < d->c; ++c) sum += (double) x[c] * weight[o * d->c + c];
        y[o] = (REAL) (d->relu && sum < 0.0 ? 0.0 : sum);
    }
}

/* dL/d(x W^T + b): dy, but 0 where the relu cut. */
static double NAME(linear_gradient)(const reference_call *call, int64_t i) {
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy);
    const REAL *y = (const REAL *) moco_host_address(&call->args->y);
    return call->desc->relu && !(y[i] > 0) ? 0.0 : dy[i];
}

static void NAME(linear_backward_input)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const REAL *weight = (const REAL *) moco_host_address(&call->args->parameters[MOCO_WEIGHT]);
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]) + task * d->c;
    for (int64_t c = 0; c < d->c; ++c) {
        double sum = 0.0;
        for (int64_t o = 0; o < d->out_c; ++o) {
            sum += NAME(linear_gradient)(call, task * d->out_c + o) * weight[o * d->c + c];
        }
        dx[c] = (REAL) sum;
    }
}

static void NAME(linear_backward_weight)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]);
    REAL *dweight = (REAL *) moco_host_address(&call->args->d_parameters[MOCO_WEIGHT]);
    REAL *dbias = (REAL *) moco_host_address(&call->args->d_parameters[MOCO_BIAS]);
    for (int64_t c = 0; dweight != NULL && c < d->c; ++c) {
        REAL *target = dweight + task * d->c + c;
        double sum = 0.0;
        for (int64_t n = 0; n < d->n; ++n) {
            sum += NAME(linear_gradient)(call, n * d->out_c + task) * x[n * d->c + c];
        }
        *target = (REAL) (call->args->accumulate ? *target + sum : sum);
    }
    if (dbias != NULL) {
        double sum = 0.0;
        for (int64_t n = 0; n < d->n; ++n) sum += NAME(linear_gradient)(call, n * d->out_c + task);
        dbias[task] = (REAL) (call->args->accumulate ? dbias[task] + sum : sum);
    }
}

static void NAME(relu_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c * call->desc->h * call->desc->w;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * size;
    REAL *y = (REAL *) moco_host_address(&call->args->y) + task * size;
    for (int64_t i = 0; i < size; ++i) y[i] = x[i] < 0 ? 0 : x[i]; /* a NaN stays one */
}

static void NAME(relu_backward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c * call->desc->h * call->desc->w;
    const REAL *y = (const REAL *) moco_host_address(&call->args->y) + task * size;
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + task * size;
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]) + task * size;
    for (int64_t i = 0; i < size; ++i) dx[i] = y[i] > 0 ? dy[i] : 0;
}
