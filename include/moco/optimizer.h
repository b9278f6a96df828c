/* SGD with momentum and weight decay, the arithmetic of torch.optim.SGD:
 *
 *   g = grad + weight_decay * p;   v = g on the first step, else momentum * v + (1 - dampening) * g;
 *   p = p - lr * (nesterov ? g + momentum * v : v)
 *
 * Weight decay applies to all parameters, BatchNorm's and biases too, as in the reference, but for those whose flags
 * say MOCO_PARAMETER_NO_DECAY; MOCO_PARAMETER_FROZEN ones stay as they are, states too.
 */
#ifndef MOCO_OPTIMIZER_H
#define MOCO_OPTIMIZER_H

#include <moco/encoder.h>
#include <moco/momentum_encoder.h>

MOCO_BEGIN_DECLS

typedef struct moco_optimizer moco_optimizer;

/* Update rules. */
enum { MOCO_OPTIMIZER_SGD = 0 };

typedef struct moco_optimizer_config {
    uint32_t struct_size;
    int32_t nesterov;     /* 0 (default) or 1, which needs momentum > 0 and dampening 0 */
    double learning_rate; /* default 0.03; >= 0 */
    double momentum;      /* default 0.9; 0 <= momentum < 1 */
    double dampening;     /* default 0 */
    double weight_decay;  /* default 1e-4; >= 0 */
    int32_t kind;         /* MOCO_OPTIMIZER_*; default SGD */
    int32_t reserved;
} moco_optimizer_config;

/* v1's and v2's. */
MOCO_API moco_status moco_optimizer_config_init(moco_optimizer_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable. */
#define MOCO_OPTIMIZER_CONFIG_INITIALIZER \
    { sizeof(moco_optimizer_config), 0, 0.03, 0.9, 0.0, 1e-4, MOCO_OPTIMIZER_SGD, 0 }

/* An optimizer of all of the encoder's parameters; it keeps the encoder alive. Memory: one float per parameter. */
MOCO_API moco_status moco_optimizer_create(moco_optimizer **out, moco_encoder *encoder,
                                           const moco_optimizer_config *config);
MOCO_API void moco_optimizer_destroy(moco_optimizer *optimizer);

/* One update from the gradients that moco_encoder_backward left. */
MOCO_API moco_status moco_optimizer_step(moco_optimizer *optimizer);

/* moco_optimizer_step, then moco_momentum_encoder_update of a momentum encoder of the optimizer's encoder, with the
 * same bits but in one pass over memory: for a caller's own loop, which may update the key encoder as soon as the query
 * encoder has stepped, with the next step's momentum, instead of right before the next key encoding. (moco_trainer_step
 * does not: between two steps the key encoder would be one update ahead.) */
MOCO_API moco_status moco_optimizer_step_with_momentum_update(moco_optimizer *optimizer,
                                                              moco_momentum_encoder *momentum_encoder);

MOCO_API moco_status moco_optimizer_set_learning_rate(moco_optimizer *optimizer, double learning_rate);
MOCO_API double moco_optimizer_learning_rate(const moco_optimizer *optimizer);

/* How many steps were taken. */
MOCO_API int64_t moco_optimizer_step_count(const moco_optimizer *optimizer);

/* How many values the update rule keeps for each parameter (SGD: 1), and their names ("velocity"), numbered from 0; NULL
 * for another number. */
MOCO_API int32_t moco_optimizer_state_count(const moco_optimizer *optimizer);
MOCO_API const char *moco_optimizer_state_name(const moco_optimizer *optimizer, int32_t state);

/* State number `state` of parameter `index` (the encoder's numbering; INVALID_ARGUMENT for a buffer, which has none), as
 * float32[elements]. Zeros before the first step. */
MOCO_API moco_status moco_optimizer_read_state_of(const moco_optimizer *optimizer, int64_t index, int32_t state,
                                                  float *values);
/* Puts a state back; every value finite, else INVALID_ARGUMENT and nothing is written. After all are back, set the step
 * count: the first step finds nothing in the states. */
MOCO_API moco_status moco_optimizer_write_state_of(moco_optimizer *optimizer, int64_t index, int32_t state,
                                                   const float *values);
/* The same of state 0: SGD's velocity v. */
MOCO_API moco_status moco_optimizer_read_state(const moco_optimizer *optimizer, int64_t index, float *velocity);
MOCO_API moco_status moco_optimizer_write_state(moco_optimizer *optimizer, int64_t index, const float *velocity);
MOCO_API moco_status moco_optimizer_set_step_count(moco_optimizer *optimizer, int64_t step_count);

MOCO_END_DECLS

#endif
