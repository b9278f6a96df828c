#define _POSIX_C_SOURCE 200809L
#include "data/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system_error.h"

#define MAX_READ ((size_t) 1 << 30) /* of one system call; Linux gives 2 GiB at most */

moco_status moco_file_failure(const char *what, const char *path) {
    const int error = errno;
    char text[MOCO_SYSTEM_ERROR_SIZE];
    const int missing = error == ENOENT || error == ENOTDIR || error == ELOOP;
    return moco_fail(missing           ? MOCO_NOT_FOUND
                     : error == ENOMEM ? MOCO_OUT_OF_MEMORY
                                       : MOCO_IO,
                     "cannot %s %s: %s", what, path, moco_system_error(error, text));
}

moco_status moco_file_open(int folder, const char *path, const char *shown, int *descriptor, uint64_t *size) {
    int file;
    do {
        file = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (file < 0 && errno == EINTR);
    if (file < 0) return moco_file_failure("open", shown);
    struct stat info;
    moco_status status = MOCO_OK;
    if (fstat(file, &info) != 0) {
        status = moco_file_failure("read", shown);
    } else if (!S_ISREG(info.st_mode)) {
        status = moco_fail(MOCO_IO, "cannot read %s: it is not a regular file", shown);
    }
    if (status != MOCO_OK) {
        close(file);
        return status;
    }
    *descriptor = file;
    *size = (uint64_t) info.st_size;
    return MOCO_OK;
}

ssize_t moco_file_read_some(int descriptor, void *bytes, size_t size, uint64_t at) {
    size_t done = 0;
    while (done < size) {
        const size_t want = size - done < MAX_READ ? size - done : MAX_READ;
        const ssize_t got = pread(descriptor, (char *) bytes + done, want, (off_t) (at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t) got;
    }
    return (ssize_t) done;
}

moco_status moco_file_read(int descriptor, void *bytes, size_t size, uint64_t at, const char *shown) {
    const ssize_t got = moco_file_read_some(descriptor, bytes, size, at);
    if (got < 0) return moco_file_failure("read", shown);
    if ((size_t) got < size) {
        return moco_fail(MOCO_IO, "cannot read %s: it ends after %llu bytes; it was longer when it was opened", shown,
                         (unsigned long long) at + (unsigned long long) got);
    }
    return MOCO_OK;
}
