/* What the trainer and evaluation need of a loader beside its public functions. */
#ifndef MOCO_LOADER_INTERNAL_H
#define MOCO_LOADER_INTERNAL_H

#include <moco/loader.h>

#include "core/state.h"

void moco_loader_retain(moco_loader *loader);
void moco_loader_release(moco_loader *loader); /* NULL is a no-op */
/* The loader is a run's from begin to end: the caller's moco_loader_next, start_epoch and start_at are INVALID_STATE
 * meanwhile, and so is begin while it is another's, or inside its own callback. */
moco_status moco_loader_begin_run(moco_loader *loader);
void moco_loader_end_run(moco_loader *loader);
/* moco_loader_next and start_epoch for the run. `batch` is filled whole. */
moco_status moco_loader_take(moco_loader *loader, moco_batch *batch);
moco_status moco_loader_begin_epoch(moco_loader *loader, int64_t epoch);
moco_context *moco_loader_context(const moco_loader *loader);
int32_t moco_loader_views(const moco_loader *loader);
int32_t moco_loader_output(const moco_loader *loader); /* MOCO_PIXELS_* */

/* moco_loader_start_at, but where the loader is at that place already, say by a restored checkpoint, the samples replaced
 * before it go on counting. */
moco_status moco_loader_continue_at(moco_loader *loader, int64_t epoch, int64_t batch);

/* Where a loader is. */
typedef struct moco_loader_place {
    int64_t running; /* 1: an epoch has begun, and the rest counts */
    int64_t epoch;
    int64_t batch;    /* given next */
    int64_t replaced; /* of the samples given in this epoch */
} moco_loader_place;

moco_loader_place moco_loader_read_place(moco_loader *loader);
/* Makes it give what it would have given from there on. */
moco_status moco_loader_go_to(moco_loader *loader, const moco_loader_place *place);
/* The samples of an epoch's last batch; batch_size where no smaller one is left. */
int64_t moco_loader_last_batch_size(const moco_loader *loader);
const moco_augment *moco_loader_augment(const moco_loader *loader);

/* core/state.h; the parts are "loader" and "augment". */
moco_status moco_loader_visit(moco_loader *loader, const moco_state *state);

#endif
