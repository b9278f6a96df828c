#define _XOPEN_SOURCE 700
#include "io/byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system_error.h"

#define MAX_READ ((size_t) 1 << 30) /* of one system call; Linux gives 2 GiB at most */

static moco_status io_failure(const char *what, const char *name) {
    const int error = errno;
    char text[MOCO_SYSTEM_ERROR_SIZE];
    return moco_fail(error == ENOENT ? MOCO_NOT_FOUND : MOCO_IO, "cannot %s %s: %s", what, name,
                     moco_system_error(error, text));
}

moco_status moco_byte_source_memory(moco_byte_source *source, moco_context *context, const char *name,
                                    const void *bytes, size_t size) {
    const moco_byte_source made = {.context = context,
                                   .name = moco_duplicate_string(context, name),
                                   .bytes = bytes,
                                   .descriptor = -1,
                                   .size = size};
    *source = made;
    return made.name == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
}

moco_status moco_byte_source_open(moco_byte_source *source, moco_context *context, const char *path) {
    MOCO_TRY(moco_byte_source_memory(source, context, path, NULL, 0));
    do {
        source->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hang us */
    } while (source->descriptor < 0 && errno == EINTR);
    struct stat info;
    moco_status status = MOCO_OK;
    if (source->descriptor < 0) {
        status = io_failure("open", path);
    } else if (fstat(source->descriptor, &info) != 0) {
        status = io_failure("read", path);
    } else if (!S_ISREG(info.st_mode)) {
        status = moco_fail(MOCO_IO, "%s is not a regular file", path);
    } else {
        source->size = (uint64_t) info.st_size;
    }
    if (status != MOCO_OK) moco_byte_source_close(source);
    return status;
}

void moco_byte_source_close(moco_byte_source *source) {
    const moco_byte_source closed = {.descriptor = -1};
    if (source->name != NULL && source->descriptor >= 0) close(source->descriptor);
    moco_deallocate(source->context, source->name);
    *source = closed;
}

moco_status moco_byte_source_read(const moco_byte_source *source, uint64_t at, void *target, size_t size) {
    if (at > source->size || size > source->size - at) {
        return moco_fail(MOCO_FORMAT, "%s has %llu bytes; %zu at %llu were to be read: is it cut?", source->name,
                         (unsigned long long) source->size, size, (unsigned long long) at);
    }
    if (size == 0) return MOCO_OK;
    if (source->bytes != NULL) {
        memcpy(target, (const char *) source->bytes + at, size);
        return MOCO_OK;
    }
    char *next = (char *) target;
    while (size > 0) {
        const ssize_t got = pread(source->descriptor, next, size < MAX_READ ? size : MAX_READ, (off_t) at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return io_failure("read", source->name);
        if (got == 0) return moco_fail(MOCO_FORMAT, "%s became shorter while it was read", source->name);
        next += got;
        at += (uint64_t) got;
        size -= (size_t) got;
    }
    return MOCO_OK;
}
