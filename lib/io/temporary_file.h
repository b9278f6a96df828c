/* The temporary file that becomes another file by a rename: beside its target, with a name that no other process takes, and
 * locked as long as it is in use. What a killed process has left is known by its name and that nobody has it locked, and
 * is removed by the next one for the same target.
 */
#ifndef MOCO_IO_TEMPORARY_FILE_H
#define MOCO_IO_TEMPORARY_FILE_H

#include "core/context_internal.h"

typedef struct moco_temporary_file {
    int folder;     /* the folder's descriptor, or AT_FDCWD where it can't be opened */
    char *path;     /* from `folder` on */
    int descriptor; /* to read and write; -1: none */
} moco_temporary_file;

/* Creates one for the target called `name`, after removing those that others have left for it. Returns 0, or errno's value:
 * ENOMEM with a sentence. `prefix` is the path from `folder` to the target's folder, with its slash, or "". Whether it
 * succeeds or not, the caller frees the path, and closes the descriptor. */
int moco_temporary_file_create(moco_temporary_file *file, moco_context *context, int folder, const char *prefix,
                               const char *name);

/* Renames it to `target`, a path from `folder` on, or removes it; 0 or errno's value. The descriptor stays open, and with it
 * the lock, so that nobody takes it for left over meanwhile. */
int moco_temporary_file_rename(const moco_temporary_file *file, const char *target);
int moco_temporary_file_remove(const moco_temporary_file *file);

#endif
