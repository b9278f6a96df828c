/* A file that appears whole or not at all: it is written beside its target and renamed over it at the end, so that a
 * crash, a full disk or a failure half-way leaves the old file as it was. The temporary file of a process that was killed
 * is removed by the next one that writes the same target.
 *
 * Where that is impossible the old file is overwritten in place, with a warning in the log: a file that may be written in a
 * folder that may not, one that is mounted by itself, another user's in a sticky folder.
 */
#ifndef MOCO_IO_ATOMIC_FILE_H
#define MOCO_IO_ATOMIC_FILE_H

#include "core/context_internal.h"

typedef struct moco_atomic_file moco_atomic_file;

/* Begins a new content for `path`. A file that is already there keeps its permissions, a symbolic link stays and its
 * target is replaced. What is no regular file (a pipe, /dev/stdout) can't be renamed over and is written directly. */
moco_status moco_atomic_file_open(moco_atomic_file **out, moco_context *context, const char *path);

moco_status moco_atomic_file_write(moco_atomic_file *file, const void *bytes, size_t size);

/* Puts the content on the disk and in place. Ends `file`, whether it succeeds or fails. */
moco_status moco_atomic_file_commit(moco_atomic_file *file);

/* Ends `file` and leaves the target as it was; NULL is a no-op. */
void moco_atomic_file_discard(moco_atomic_file *file);

#endif
