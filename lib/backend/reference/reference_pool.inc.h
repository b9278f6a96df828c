/* Max pooling and global average pooling, one plane (n, c) per task. A max pool saves where in its plane each maximum
 * was found, as int32.
 */

static uint64_t NAME(max_pool_saved_bytes)(const image_layer *desc) {
    return (uint64_t) (desc->n * desc->c * desc->out_h * desc->out_w) * sizeof(int32_t);
}

static void NAME(max_pool_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * d->h * d->w;
    REAL *y = (REAL *) moco_host_address(&call->args->y) + task * d->out_h * d->out_w;
    int32_t *saved = call->args->mode == MOCO_MODE_TRAIN ? (int32_t *) moco_host_address(&call->args->saved) : NULL;
    for (int64_t oy = 0; oy < d->out_h; ++oy) {
        for (int64_t ox = 0; ox < d->out_w; ++ox) {
            int64_t best = -1;
            for (int64_t ky = 0; ky < d->kernel; ++ky) {
                const int64_t iy = oy * d->stride - d->padding + ky;
                if (iy < 0 || iy >= d->h) continue;
                for (int64_t kx = 0; kx < d->kernel; ++kx) {
                    const int64_t ix = ox * d->stride - d->padding + kx, i = iy * d->w + ix;
                    if (ix < 0 || ix >= d->w) continue;
                    /* The first of equals wins, and a NaN wins over all, as in PyTorch. */
                    if (best < 0 || x[i] > x[best] || isnan(x[i])) best = i;
                }
            }
            const int64_t output = oy * d->out_w + ox;
            y[output] = x[best];
            if (saved != NULL) saved[task * d->out_h * d->out_w + output] = (int32_t) best;
        }
    }
}

/* dx[i]: the dy of all windows whose maximum i was. */
static void NAME(max_pool_backward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const int64_t outputs = d->out_h * d->out_w;
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + task * outputs;
    const int32_t *saved = (const int32_t *) moco_host_address(&call->args->saved) + task * outputs;
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]) + task * d->h * d->w;
    for (int64_t i = 0; i < d->h * d->w; ++i) dx[i] = 0;
    for (int64_t i = 0; i < outputs; ++i) dx[saved[i]] += dy[i];
}

static void NAME(average_pool_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t area = call->desc->h * call->desc->w;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * area;
    double sum = 0.0;
    for (int64_t i = 0; i < area; ++i) sum += x[i];
    ((REAL *) moco_host_address(&call->args->y))[task] = (REAL) (sum / (double) area);
}

static void NAME(average_pool_backward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t area = call->desc->h * call->desc->w;
    const double dy = ((const REAL *) moco_host_address(&call->args->dy))[task];
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]) + task * area;
    for (int64_t i = 0; i < area; ++i) dx[i] = (REAL) (dy / (double) area);
}
