/* What loader and evaluation need of an augment beside its public functions. */
#ifndef MOCO_AUGMENT_INTERNAL_H
#define MOCO_AUGMENT_INTERNAL_H

#include <moco/augment.h>

void moco_augment_retain(moco_augment *augment);
moco_context *moco_augment_context(const moco_augment *augment);

#endif
