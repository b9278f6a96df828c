/* The sum of two values of one shape: y = inputs[0] + inputs[1]; the gradient of both is dy. */

static void NAME(add_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c * call->desc->h * call->desc->w;
    const REAL *a = (const REAL *) moco_host_address(&call->args->inputs[0]) + task * size;
    const REAL *b = (const REAL *) moco_host_address(&call->args->inputs[1]) + task * size;
    REAL *y = (REAL *) moco_host_address(&call->args->y) + task * size;
    for (int64_t i = 0; i < size; ++i) y[i] = a[i] + b[i];
}

static void NAME(add_backward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const int64_t size = call->desc->c * call->desc->h * call->desc->w;
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + task * size;
    for (int32_t input = 0; input < 2; ++input) {
        REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[input]);
        for (int64_t i = 0; dx != NULL && i < size; ++i) dx[task * size + i] = dy[i];
    }
}
