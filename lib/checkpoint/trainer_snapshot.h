/* All that a checkpoint of a trainer holds. */
#ifndef MOCO_CHECKPOINT_TRAINER_SNAPSHOT_H
#define MOCO_CHECKPOINT_TRAINER_SNAPSHOT_H

#include "checkpoint/snapshot.h"

/* The trainer's state by `take`, moco_snapshot_capture or _borrow, how it is computed, and the caller's own entries, in place
 * of what the snapshot held. */
moco_status moco_trainer_snapshot(moco_snapshot *snapshot, moco_trainer *trainer,
                                  moco_status (*take)(moco_snapshot *, moco_trainer *), const char *const *keys,
                                  const char *const *values, int64_t count);

#endif
