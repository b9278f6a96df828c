/* What the trainer and evaluation need of a loader beside its public functions. */
#ifndef MOCO_LOADER_INTERNAL_H
#define MOCO_LOADER_INTERNAL_H

#include <moco/loader.h>

#include "core/state.h"

void moco_loader_retain(moco_loader *loader);
moco_context *moco_loader_context(const moco_loader *loader);
int32_t moco_loader_views(const moco_loader *loader);
int32_t moco_loader_output(const moco_loader *loader); /* MOCO_PIXELS_* */

/* core/state.h; the parts are "loader" and "augment". */
moco_status moco_loader_visit(moco_loader *loader, const moco_state *state);

#endif
