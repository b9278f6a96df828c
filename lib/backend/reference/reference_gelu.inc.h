/* The exact GELU, y = x Phi(x) with the standard normal's distribution Phi(x) = (1 + erf(x / sqrt 2)) / 2, as torch.nn.GELU.
 */

static void NAME(gelu_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c * call->desc->h * call->desc->w;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * size;
    REAL *y = (REAL *) moco_host_address(&call->args->y) + task * size;
    for (int64_t i = 0; i < size; ++i) {
        y[i] = (REAL) (0.5 * x[i] * erfc(-(double) x[i] * 0.70710678118654752440)); /* erfc: exact far below 0, too */
    }
}

/* dx = dy (Phi(x) + x phi(x)) with the density phi(x) = exp(-x^2 / 2) / sqrt(2 pi). */
static void NAME(gelu_backward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c * call->desc->h * call->desc->w;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + task * size;
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + task * size;
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]) + task * size;
    for (int64_t i = 0; i < size; ++i) {
        const double v = x[i], density = exp(-0.5 * v * v) * 0.39894228040143267794;
        dx[i] = (REAL) (dy[i] * (0.5 * erfc(-v * 0.70710678118654752440) + v * density));
    }
}
