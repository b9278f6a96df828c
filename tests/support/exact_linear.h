/* A linear layer as a host's backend may bring it, with the reference backend's bits: sums run in double and in the same
 * order. Counts its calls. */
#ifndef MOCO_TEST_EXACT_LINEAR_H
#define MOCO_TEST_EXACT_LINEAR_H

#include <moco/sys/backend.h>

/* One call's arrays; NULL: absent. */
typedef struct exact_linear {
    int64_t n, c, out_c;
    int32_t relu, accumulate;
    const float *x, *weight, *bias, *y_kept, *dy;
    float *y, *dx, *dweight, *dbias;
} exact_linear;

static inline void exact_linear_forward(const exact_linear *l) {
    for (int64_t n = 0; n < l->n; ++n) {
        for (int64_t o = 0; o < l->out_c; ++o) {
            double sum = l->bias == NULL ? 0.0 : l->bias[o];
            for (int64_t c = 0; c < l->c; ++c) sum += (double) l->x[n * l->c + c] * l->weight[o * l->c + c];
            l->y[n * l->out_c + o] = (float) (l->relu && sum < 0.0 ? 0.0 : sum);
        }
    }
}

static inline double exact_linear_dz(const exact_linear *l, int64_t i) {
    return l->relu && !(l->y_kept[i] > 0) ? 0.0 : l->dy[i];
}

static inline void exact_linear_backward(const exact_linear *l) {
    for (int64_t n = 0; l->dx != NULL && n < l->n; ++n) {
        for (int64_t c = 0; c < l->c; ++c) {
            double sum = 0.0;
            for (int64_t o = 0; o < l->out_c; ++o) {
                sum += exact_linear_dz(l, n * l->out_c + o) * l->weight[o * l->c + c];
            }
            l->dx[n * l->c + c] = (float) sum;
        }
    }
    for (int64_t o = 0; o < l->out_c; ++o) {
        for (int64_t c = 0; l->dweight != NULL && c < l->c; ++c) {
            double sum = 0.0;
            for (int64_t n = 0; n < l->n; ++n) sum += exact_linear_dz(l, n * l->out_c + o) * l->x[n * l->c + c];
            float *target = &l->dweight[o * l->c + c];
            *target = (float) (l->accumulate ? *target + sum : sum);
        }
        double sum = 0.0;
        for (int64_t n = 0; n < l->n; ++n) sum += exact_linear_dz(l, n * l->out_c + o);
        if (l->dbias != NULL) l->dbias[o] = (float) (l->accumulate ? l->dbias[o] + sum : sum);
    }
}

/* The array behind a tensor, by the function that a host's backend has for it; NULL for an absent one. */
static inline float *exact_linear_array(moco_context *context, const moco_tensor *tensor) {
    void *address = NULL;
    if (tensor->buffer == NULL) return NULL;
    if (moco_backend_map(context, tensor, 0, &address) != MOCO_OK) return NULL;
    moco_backend_unmap(context, tensor, address); /* in the host's memory it stays where it is */
    return (float *) address;
}

#endif
