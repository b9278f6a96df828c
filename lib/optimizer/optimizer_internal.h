/* What the trainer needs of an optimizer beside its public functions. */
#ifndef MOCO_OPTIMIZER_INTERNAL_H
#define MOCO_OPTIMIZER_INTERNAL_H

#include <moco/optimizer.h>

#include "core/state.h"

void moco_optimizer_retain(moco_optimizer *optimizer);
void moco_optimizer_release(moco_optimizer *optimizer); /* NULL is a no-op */
/* Everything that a step could fail of but its arithmetic: INVALID_STATE, OUT_OF_MEMORY. */
moco_status moco_optimizer_prepare_step(moco_optimizer *optimizer);
/* The encoder it updates; borrowed. */
moco_encoder *moco_optimizer_encoder(const moco_optimizer *optimizer);
/* core/state.h; the parts are "optimizer" and, for each state that the rule keeps, such as "optimizer.velocity". */
moco_status moco_optimizer_visit(moco_optimizer *optimizer, const moco_state *state);

#endif
