/* All kernels for one REAL (float or double); NAME() adds the type's suffix. Included by reference_kernels_*.c. */
#include <math.h>

#include "backend/host_memory.h"
#include "backend/reference/reference_kernels.h"

#include "backend/reference/reference_conv.inc.h"
#include "backend/reference/reference_info_nce.inc.h"
#include "backend/reference/reference_linear.inc.h"
#include "backend/reference/reference_norm.inc.h"
#include "backend/reference/reference_pool.inc.h"

static void NAME(widen)(void *target, const void *source, int64_t elements) {
    REAL *wide = (REAL *) target;
    const uint16_t *narrow = (const uint16_t *) source;
    for (int64_t i = 0; i < elements; ++i) wide[i] = moco_float_of_bf16(narrow[i]);
}

static void NAME(momentum_update)(void *target, const void *source, double m, int64_t elements) {
    REAL *k = (REAL *) target;
    const REAL *q = (const REAL *) source;
    for (int64_t i = 0; i < elements; ++i) k[i] = (REAL) (m * k[i] + (1.0 - m) * q[i]);
}

/* torch.optim.SGD, line by line. */
static void NAME(sgd_update)(const moco_sgd_args *args, int64_t elements) {
    REAL *parameter = (REAL *) moco_host_address(&args->parameter);
    const REAL *gradient = (const REAL *) moco_host_address(&args->gradient);
    REAL *velocity = (REAL *) moco_host_address(&args->velocity);
    for (int64_t i = 0; i < elements; ++i) {
        double step = gradient[i] + args->weight_decay * parameter[i];
        if (args->momentum != 0.0) {
            const double v = args->first_step ? step : args->momentum * velocity[i] + (1.0 - args->dampening) * step;
            velocity[i] = (REAL) v;
            step = args->nesterov ? step + args->momentum * v : v;
        }
        parameter[i] = (REAL) (parameter[i] - args->learning_rate * step);
    }
}

const reference_kernels NAME(moco_reference_kernels) = {
    .conv_forward = NAME(conv_forward),
    .conv_backward_input = NAME(conv_backward_input),
    .conv_backward_weight = NAME(conv_backward_weight),
    .linear_forward = NAME(linear_forward),
    .linear_backward_input = NAME(linear_backward_input),
    .linear_backward_weight = NAME(linear_backward_weight),
    .batch_norm_train = NAME(batch_norm_train),
    .batch_norm_evaluate = NAME(batch_norm_evaluate),
    .batch_norm_backward = NAME(batch_norm_backward),
    .relu_forward = NAME(relu_forward),
    .relu_backward = NAME(relu_backward),
    .max_pool_forward = NAME(max_pool_forward),
    .max_pool_backward = NAME(max_pool_backward),
    .average_pool_forward = NAME(average_pool_forward),
    .average_pool_backward = NAME(average_pool_backward),
    .l2_normalize_forward = NAME(l2_normalize_forward),
    .l2_normalize_backward = NAME(l2_normalize_backward),
    .info_nce = NAME(info_nce),
    .info_nce_keys = NAME(info_nce_keys),
    .widen = NAME(widen),
    .momentum_update = NAME(momentum_update),
    .sgd_update = NAME(sgd_update),
};
