/* The whole state of a trainer in memory of its own, from which a file is written (checkpoint_file.h) or a trainer is
 * brought back (snapshot_apply.c).
 *
 * Values are tensors of the file that it is to become: a tensor as "<part>.<name>", a list of whole numbers as
 * "numbers.<part>.<name>" (I64), a real number as "reals.<part>.<name>" (F64); no part is called so. Settings are texts
 * "<part>.<name>". Beside those of the visit there are settings that only tell ("run.backend"), and the caller's own
 * entries ("note.<key>").
 */
#ifndef MOCO_CHECKPOINT_SNAPSHOT_H
#define MOCO_CHECKPOINT_SNAPSHOT_H

#include "core/state.h"
#include "io/safetensors.h"
#include "trainer/trainer_internal.h"

typedef struct moco_snapshot_value {
    char *name;
    moco_safetensors_entry entry; /* its name is the one above */
    size_t offset;                /* in the snapshot's bytes, unless it is borrowed */
    void *borrowed, *buffer;      /* the address of the part's own memory, and the buffer that it was mapped from */
    size_t bytes;
    int64_t elements;
} moco_snapshot_value;

typedef struct moco_snapshot_setting {
    char *name;
    char *text;
} moco_snapshot_setting;

typedef struct moco_snapshot {
    moco_context *context;
    moco_snapshot_value *values;
    int64_t value_count, value_room;
    moco_snapshot_setting *settings;
    int64_t setting_count, setting_room;
    char *bytes;
    size_t used, room;
} moco_snapshot;

/* Before the names of values, by sort. */
#define MOCO_SNAPSHOT_TENSOR  ""
#define MOCO_SNAPSHOT_NUMBERS "numbers."
#define MOCO_SNAPSHOT_REAL    "reals."

/* Parts of settings that are none of a trainer's. */
#define MOCO_SNAPSHOT_RUN  "run"
#define MOCO_SNAPSHOT_NOTE "note"

/* An empty one, to be released whatever happens. */
void moco_snapshot_init(moco_snapshot *snapshot, moco_context *context);
void moco_snapshot_release(moco_snapshot *snapshot);
/* Forgets values and settings, and keeps the memory of the bytes for the next ones. */
void moco_snapshot_clear(moco_snapshot *snapshot);

/* Takes the trainer's state, in place of what is there. Memory: about as much as the state. */
moco_status moco_snapshot_capture(moco_snapshot *snapshot, moco_trainer *trainer);
/* The same, with tensors that are the trainer's own memory where the backend gives its address: good until the next step. */
moco_status moco_snapshot_borrow(moco_snapshot *snapshot, moco_trainer *trainer);

/* The shape that a tensor has in a file; without a name. */
moco_safetensors_entry moco_snapshot_tensor_shape(const moco_tensor *tensor);
#define MOCO_SNAPSHOT_SHAPE_SIZE 192
/* "F32 [64, 3, 7, 7]". */
void moco_snapshot_shape_text(const moco_safetensors_entry *entry, char text[MOCO_SNAPSHOT_SHAPE_SIZE]);

/* Adds one, called `name` alone where `part` is NULL; values then get their places by moco_snapshot_place_values, and their bytes from the caller. */
moco_status moco_snapshot_add_value(moco_snapshot *snapshot, const char *sort, const char *part, const char *name,
                                    const moco_safetensors_entry *shape);
moco_status moco_snapshot_add_setting(moco_snapshot *snapshot, const char *part, const char *name, const char *text);
moco_status moco_snapshot_place_values(moco_snapshot *snapshot);

/* Where the value's bytes are. */
static inline void *moco_snapshot_bytes(const moco_snapshot *snapshot, int64_t index) {
    const moco_snapshot_value *value = &snapshot->values[index];
    return value->borrowed != NULL ? value->borrowed : snapshot->bytes + value->offset;
}

/* NULL: there is none. */
const char *moco_snapshot_setting_text(const moco_snapshot *snapshot, const char *name);

/* --- Bringing a trainer back (snapshot_apply.c) --- */

/* INVALID_ARGUMENT, with all settings that differ, unless the snapshot is of a trainer like this one; `path` is where it
 * comes from. Writes nothing. */
moco_status moco_snapshot_check(const moco_snapshot *snapshot, moco_trainer *trainer, const char *path);
/* Writes the state, which was checked. After a failure the trainer has some of it. */
moco_status moco_snapshot_apply(const moco_snapshot *snapshot, moco_trainer *trainer);

#endif
