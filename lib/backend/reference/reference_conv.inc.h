/* Grouped 2-d convolution as its definition says:
 *   y[n][o][oy][ox] = sum over c, ky, kx of w[o][c][ky][kx] * x[n][first(o) + c][oy s - p + ky][ox s - p + kx]
 * with c over the input channels of o's group, and x zero outside the image.
 */

static void NAME(conv_forward)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const int64_t kernel = d->kernel, n = task / d->out_c, o = task % d->out_c;
    const int64_t group_in = d->c / d->groups, group_out = d->out_c / d->groups;
    const int64_t first = o / group_out * group_in;
    const REAL *x =
        (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]) + (n * d->c + first) * d->h * d->w;
    const REAL *weight =
        (const REAL *) moco_host_address(&call->args->parameters[MOCO_WEIGHT]) + o * group_in * kernel * kernel;
    REAL *y = (REAL *) moco_host_address(&call->args->y) + task * d->out_h * d->out_w;
    for (int64_t oy = 0; oy < d->out_h; ++oy) {
        for (int64_t ox = 0; ox < d->out_w; ++ox) {
            double sum = 0.0;
            for (int64_t c = 0; c < group_in; ++c) {
                for (int64_t ky = 0; ky < kernel; ++ky) {
                    const int64_t iy = oy * d->stride - d->padding + ky;
                    if (iy < 0 || iy >= d->h) continue;
                    for (int64_t kx = 0; kx < kernel; ++kx) {
                        const int64_t ix = ox * d->stride - d->padding + kx;
                        if (ix < 0 || ix >= d->w) continue;
                        sum += (double) weight[(c * kernel + ky) * kernel + kx] * x[(c * d->h + iy) * d->w + ix];
                    }
                }
            }
            y[oy * d->out_w + ox] = (REAL) sum;
        }
    }
}

/* dx: the same sum seen from an input, over the outputs that read it. */
static void NAME(conv_backward_input)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const int64_t kernel = d->kernel, n = task / d->c, c = task % d->c;
    const int64_t group_in = d->c / d->groups, group_out = d->out_c / d->groups;
    const int64_t first = c / group_in * group_out, c_in_group = c % group_in;
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy) + (n * d->out_c + first) * d->out_h * d->out_w;
    const REAL *weight =
        (const REAL *) moco_host_address(&call->args->parameters[MOCO_WEIGHT]) + first * group_in * kernel * kernel;
    REAL *dx = (REAL *) moco_host_address(&call->args->d_inputs[MOCO_INPUT]) + task * d->h * d->w;
    for (int64_t iy = 0; iy < d->h; ++iy) {
        for (int64_t ix = 0; ix < d->w; ++ix) {
            double sum = 0.0;
            for (int64_t o = 0; o < group_out; ++o) {
                for (int64_t ky = 0; ky < kernel; ++ky) {
                    const int64_t sy = iy + d->padding - ky, oy = sy / d->stride;
                    if (sy < 0 || sy % d->stride != 0 || oy >= d->out_h) continue;
                    for (int64_t kx = 0; kx < kernel; ++kx) {
                        const int64_t sx = ix + d->padding - kx, ox = sx / d->stride;
                        if (sx < 0 || sx % d->stride != 0 || ox >= d->out_w) continue;
                        sum += (double) weight[((o * group_in + c_in_group) * kernel + ky) * kernel + kx] *
                               dy[(o * d->out_h + oy) * d->out_w + ox];
                    }
                }
            }
            dx[iy * d->w + ix] = (REAL) sum;
        }
    }
}

static void NAME(conv_backward_weight)(void *argument, int64_t task, int32_t worker) {
    (void) worker;
    const reference_call *call = (const reference_call *) argument;
    const image_layer *d = call->desc;
    const int64_t kernel = d->kernel;
    const int64_t group_in = d->c / d->groups, group_out = d->out_c / d->groups;
    const int64_t first = task / group_out * group_in;
    const REAL *x = (const REAL *) moco_host_address(&call->args->inputs[MOCO_INPUT]);
    const REAL *dy = (const REAL *) moco_host_address(&call->args->dy);
    REAL *dweight =
        (REAL *) moco_host_address(&call->args->d_parameters[MOCO_WEIGHT]) + task * group_in * kernel * kernel;
    for (int64_t c = 0; c < group_in; ++c) {
        for (int64_t ky = 0; ky < kernel; ++ky) {
            for (int64_t kx = 0; kx < kernel; ++kx) {
                double sum = 0.0;
                for (int64_t n = 0; n < d->n; ++n) {
                    const REAL *image = x + (n * d->c + first + c) * d->h * d->w;
                    const REAL *gradient = dy + (n * d->out_c + task) * d->out_h * d->out_w;
                    for (int64_t oy = 0; oy < d->out_h; ++oy) {
                        const int64_t iy = oy * d->stride - d->padding + ky;
                        if (iy < 0 || iy >= d->h) continue;
                        for (int64_t ox = 0; ox < d->out_w; ++ox) {
                            const int64_t ix = ox * d->stride - d->padding + kx;
                            if (ix < 0 || ix >= d->w) continue;
                            sum += (double) gradient[oy * d->out_w + ox] * image[iy * d->w + ix];
                        }
                    }
                }
                REAL *target = dweight + (c * kernel + ky) * kernel + kx;
                *target = (REAL) (call->args->accumulate ? *target + sum : sum);
            }
        }
    }
}
