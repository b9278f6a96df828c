/* The configuration of an augment, complete and checked. */
#ifndef MOCO_AUGMENT_RECIPES_H
#define MOCO_AUGMENT_RECIPES_H

#include <moco/augment.h>

#include "core/status_internal.h"

/* Of the struct in the first release. */
#define MOCO_AUGMENT_OLDEST_SIZE offsetof(moco_augment_config, solarize_p)

/* `config` with the recipe's values for the fields that it is too short for. */
moco_status moco_augment_config_resolve(const moco_augment_config *config, moco_augment_config *out);

#endif
