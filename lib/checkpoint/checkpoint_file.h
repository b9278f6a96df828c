/* A snapshot as a safetensors file. Its metadata: "moco.checkpoint", the version of this layout; "moco.settings", a line
 * NAME=TEXT for each setting; "moco.checksum", which is of all the rest; and the caller's own entries. */
#ifndef MOCO_CHECKPOINT_CHECKPOINT_FILE_H
#define MOCO_CHECKPOINT_CHECKPOINT_FILE_H

#include "checkpoint/snapshot.h"

/* Puts the caller's entries beside a snapshot. INVALID_ARGUMENT for a key that is the format's or ours, or not one line. */
moco_status moco_checkpoint_add_notes(moco_snapshot *snapshot, const char *const *keys, const char *const *values,
                                      int64_t count);

moco_status moco_checkpoint_write(const moco_snapshot *snapshot, const char *path);

/* Reads all of a file into an empty snapshot. FORMAT: it is no checkpoint, or a damaged one; UNSUPPORTED: it is of a newer
 * version, or there is no Jansson. */
moco_status moco_checkpoint_read(moco_snapshot *snapshot, const char *path);

#endif
