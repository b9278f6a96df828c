/* All kernels for one REAL (float or double); NAME() adds the type's suffix. Included by reference_kernels_*.c. */
#include <math.h>

#include "backend/host_memory.h"
#include "backend/reference/reference_kernels.h"

#include "backend/reference/reference_add.inc.h"
#include "backend/reference/reference_conv.inc.h"
#include "backend/reference/reference_gelu.inc.h"
#include "backend/reference/reference_info_nce.inc.h"
#include "backend/reference/reference_layer_norm.inc.h"
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

static double NAME(norm)(const void *values, int64_t elements) {
    const REAL *x = (const REAL *) values;
    double sum = 0.0;
    for (int64_t i = 0; i < elements; ++i) sum += (double) x[i] * (double) x[i];
    return sqrt(sum);
}

static const reference_layer_kernels NAME(layers)[] = {
    [MOCO_LAYER_CONV2D] =
        {
            .forward = {NAME(conv_forward), REFERENCE_PER_OUTPUT_PLANE},
            .backward_inputs = {NAME(conv_backward_input), REFERENCE_PER_INPUT_PLANE},
            .backward_parameters = {NAME(conv_backward_weight), REFERENCE_PER_OUT_CHANNEL},
            .needs_inputs = 1 << MOCO_INPUT,
        },
    [MOCO_LAYER_LINEAR] =
        {
            .forward = {NAME(linear_forward), REFERENCE_PER_SAMPLE},
            .backward_inputs = {NAME(linear_backward_input), REFERENCE_PER_SAMPLE},
            .backward_parameters = {NAME(linear_backward_weight), REFERENCE_PER_OUT_CHANNEL},
            .needs_inputs = 1 << MOCO_INPUT,
            .needs_y = REFERENCE_Y_WITH_RELU,
        },
    [MOCO_LAYER_BATCH_NORM] =
        {
            .forward = {NAME(batch_norm_train), REFERENCE_PER_CHANNEL},
            .evaluate = {NAME(batch_norm_evaluate), REFERENCE_PER_CHANNEL},
            .backward = {NAME(batch_norm_backward), REFERENCE_PER_CHANNEL},
            .needs_inputs = 1 << MOCO_INPUT,
            .needs_y = REFERENCE_Y_WITH_RELU,
            .works_in_place = 1,
            .saved_bytes = NAME(batch_norm_saved_bytes),
        },
    [MOCO_LAYER_RELU] =
        {
            .forward = {NAME(relu_forward), REFERENCE_PER_SAMPLE},
            .backward_inputs = {NAME(relu_backward), REFERENCE_PER_SAMPLE},
            .needs_y = REFERENCE_Y_ALWAYS,
            .works_in_place = 1,
        },
    [MOCO_LAYER_MAX_POOL] =
        {
            .forward = {NAME(max_pool_forward), REFERENCE_PER_INPUT_PLANE},
            .backward_inputs = {NAME(max_pool_backward), REFERENCE_PER_INPUT_PLANE},
            .saved_bytes = NAME(max_pool_saved_bytes),
        },
    [MOCO_LAYER_AVERAGE_POOL] =
        {
            .forward = {NAME(average_pool_forward), REFERENCE_PER_INPUT_PLANE},
            .backward_inputs = {NAME(average_pool_backward), REFERENCE_PER_INPUT_PLANE},
        },
    [MOCO_LAYER_L2_NORMALIZE] =
        {
            .forward = {NAME(l2_normalize_forward), REFERENCE_PER_SAMPLE},
            .backward_inputs = {NAME(l2_normalize_backward), REFERENCE_PER_SAMPLE},
            .needs_inputs = 1 << MOCO_INPUT,
        },
    [MOCO_LAYER_LAYER_NORM] =
        {
            .forward = {NAME(layer_norm_forward), REFERENCE_PER_SAMPLE},
            .backward_inputs = {NAME(layer_norm_backward_input), REFERENCE_PER_SAMPLE},
            .backward_parameters = {NAME(layer_norm_backward_parameters), REFERENCE_PER_CHANNEL},
            .needs_inputs = 1 << MOCO_INPUT,
            .saved_bytes = NAME(layer_norm_saved_bytes),
        },
    [MOCO_LAYER_GELU] =
        {
            .forward = {NAME(gelu_forward), REFERENCE_PER_SAMPLE},
            .backward_inputs = {NAME(gelu_backward), REFERENCE_PER_SAMPLE},
            .needs_inputs = 1 << MOCO_INPUT,
            .works_in_place = 1,
        },
    [MOCO_LAYER_ADD] =
        {
            .forward = {NAME(add_forward), REFERENCE_PER_SAMPLE},
            .backward_inputs = {NAME(add_backward), REFERENCE_PER_SAMPLE},
            .works_in_place = 1,
        },
};

const reference_kernels NAME(moco_reference_kernels) = {
    .layers = NAME(layers),
    .layer_count = sizeof NAME(layers) / sizeof NAME(layers)[0],
    .info_nce = NAME(info_nce),
    .info_nce_keys = NAME(info_nce_keys),
    .widen = NAME(widen),
    .momentum_update = NAME(momentum_update),
    .sgd_update = NAME(sgd_update),
    .norm = NAME(norm),
};
