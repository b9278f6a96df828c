/* Reading users' files: by pread alone, never mapped, so that a file that vanishes, shrinks or can't be read is a
 * status and not a signal.
 */
#ifndef MOCO_FILE_BYTES_H
#define MOCO_FILE_BYTES_H

#include <sys/types.h>

#include "core/status_internal.h"

/* "cannot `what` `path`: ..." from errno: NOT_FOUND where nothing is there, OUT_OF_MEMORY, else IO. */
moco_status moco_file_failure(const char *what, const char *path);

/* Opens a regular file to read, its size in *size. `folder` is a descriptor or AT_FDCWD; messages name `shown`. Never
 * waits for the other end of a pipe. */
moco_status moco_file_open(int folder, const char *path, const char *shown, int *descriptor, uint64_t *size);

/* As many of `size` bytes from `at` as there are; negative with errno. */
ssize_t moco_file_read_some(int descriptor, void *bytes, size_t size, uint64_t at);
/* All of them; IO where the file ends before. */
moco_status moco_file_read(int descriptor, void *bytes, size_t size, uint64_t at, const char *shown);

#endif
