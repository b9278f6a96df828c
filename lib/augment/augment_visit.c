/* The augmentation's state, for visitors: it has none, for views depend on (seed, epoch, sample, view) alone. What they
 * are made by are settings. */
#include "augment/augment_internal.h"
#include "core/config_fields.h"

moco_status moco_augment_visit(const moco_augment *augment, const moco_state *visitor) {
    static const char *const but[] = {NULL};
    const moco_state state = moco_state_in(visitor, "augment");
    return moco_state_settings(&state, MOCO_CONFIG_AUGMENT, &augment->config, but);
}
