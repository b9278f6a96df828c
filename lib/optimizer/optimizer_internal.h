/* What the trainer needs of an optimizer beside its public functions. */
#ifndef MOCO_OPTIMIZER_INTERNAL_H
#define MOCO_OPTIMIZER_INTERNAL_H

#include <moco/optimizer.h>

void moco_optimizer_retain(moco_optimizer *optimizer);
/* The encoder it updates; borrowed. */
moco_encoder *moco_optimizer_encoder(const moco_optimizer *optimizer);

#endif
