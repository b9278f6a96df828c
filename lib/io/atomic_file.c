#define _XOPEN_SOURCE 700
#include "io/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system_error.h"

#define BUFFER_BYTES    (256 * 1024)
#define NAME_ATTEMPTS   100
#define MAX_WRITE       ((size_t) 1 << 30) /* of one system call; Linux takes 2 GiB at most */
#define SUFFIX_BYTES    64
#define DEFAULT_MODE    0666 /* less the umask */
#define PERMISSION_MASK 07777

struct moco_atomic_file {
    moco_context *context;
    char *target;    /* links resolved */
    char *temporary; /* NULL: the target is written directly */
    int descriptor;
    char *buffer;
    size_t used;
};

static moco_status fail_io(const char *what, const char *path, int error) {
    char text[MOCO_SYSTEM_ERROR_SIZE];
    return moco_fail(MOCO_IO, "cannot %s %s: %s", what, path, moco_system_error(error, text));
}

/* Frees everything; the file on disk is the caller's affair. */
static void release(moco_atomic_file *file) {
    if (file->descriptor >= 0) close(file->descriptor);
    moco_deallocate(file->context, file->buffer);
    moco_deallocate(file->context, file->temporary);
    moco_deallocate(file->context, file->target);
    moco_deallocate(file->context, file);
}

/* --- Open --- */

/* `path` with symbolic links resolved where the file exists; a link to nothing is itself replaced. */
static moco_status resolve_target(moco_atomic_file *file, const char *path, struct stat *info, int32_t *exists) {
    *exists = stat(path, info) == 0;
    if (!*exists && errno != ENOENT) return fail_io("open", path, errno);
    char resolved[PATH_MAX];
    const int32_t is_resolved = *exists && realpath(path, resolved) != NULL;
    file->target = moco_duplicate_string(file->context, is_resolved ? resolved : path);
    return file->target == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
}

/* A name of our own beside the target. O_EXCL makes it ours; the kernel applies the umask. */
static moco_status open_temporary(moco_atomic_file *file) {
    static atomic_uint next;
    const size_t bytes = strlen(file->target) + SUFFIX_BYTES;
    file->temporary = (char *) moco_allocate(file->context, bytes);
    if (file->temporary == NULL) return MOCO_OUT_OF_MEMORY;
    for (int attempt = 0; attempt < NAME_ATTEMPTS; ++attempt) {
        snprintf(file->temporary, bytes, "%s.tmp-%ld-%u", file->target, (long) getpid(), atomic_fetch_add(&next, 1u));
        file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, DEFAULT_MODE);
        if (file->descriptor >= 0) return MOCO_OK;
        if (errno != EEXIST) break;
    }
    return fail_io("create a temporary file beside", file->target, errno);
}

static moco_status open_file(moco_atomic_file *file, const char *path) {
    struct stat info;
    int32_t exists;
    MOCO_TRY(resolve_target(file, path, &info, &exists));
    if (exists && S_ISDIR(info.st_mode)) return fail_io("write", path, EISDIR);
    if (exists && !S_ISREG(info.st_mode)) {
        file->descriptor = open(file->target, O_WRONLY | O_CLOEXEC);
        return file->descriptor >= 0 ? MOCO_OK : fail_io("open", path, errno);
    }
    /* A file that its owner made read-only is not to be replaced behind his back. */
    if (exists && access(file->target, W_OK) != 0) return fail_io("write", path, errno);
    MOCO_TRY(open_temporary(file));
    if (exists && fchmod(file->descriptor, info.st_mode & PERMISSION_MASK) != 0) {
        const int error = errno;
        unlink(file->temporary);
        return fail_io("set the permissions of", file->temporary, error);
    }
    return MOCO_OK;
}

moco_status moco_atomic_file_open(moco_atomic_file **out, moco_context *context, const char *path) {
    MOCO_REQUIRE_POINTER(path);
    MOCO_REQUIRE(*path != '\0', "path is empty; it must name a file");
    moco_atomic_file *file = (moco_atomic_file *) moco_allocate_zeroed(context, 1, sizeof *file);
    if (file == NULL) return MOCO_OUT_OF_MEMORY;
    file->context = context;
    file->descriptor = -1;
    file->buffer = (char *) moco_allocate(context, BUFFER_BYTES);
    const moco_status status = file->buffer == NULL ? MOCO_OUT_OF_MEMORY : open_file(file, path);
    if (status != MOCO_OK) {
        release(file);
        return status;
    }
    *out = file;
    return MOCO_OK;
}

/* --- Write --- */

static moco_status write_all(moco_atomic_file *file, const char *bytes, size_t size) {
    while (size > 0) {
        const ssize_t written = write(file->descriptor, bytes, size < MAX_WRITE ? size : MAX_WRITE);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_io("write", file->target, errno);
        bytes += written;
        size -= (size_t) written;
    }
    return MOCO_OK;
}

static moco_status flush_buffer(moco_atomic_file *file) {
    const size_t used = file->used;
    file->used = 0;
    return write_all(file, file->buffer, used);
}

moco_status moco_atomic_file_write(moco_atomic_file *file, const void *bytes, size_t size) {
    if (size > BUFFER_BYTES - file->used) MOCO_TRY(flush_buffer(file));
    if (size >= BUFFER_BYTES) return write_all(file, (const char *) bytes, size);
    if (size > 0) memcpy(file->buffer + file->used, bytes, size);
    file->used += size;
    return MOCO_OK;
}

/* --- End --- */

/* The rename itself is on the disk once the folder is. Some file systems can't sync a folder, which does no harm. */
static void sync_folder(moco_atomic_file *file) {
    char *slash = strrchr(file->target, '/');
    const char *folder = ".";
    if (slash == file->target) {
        folder = "/";
    } else if (slash != NULL) {
        *slash = '\0';
        folder = file->target;
    }
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    (void) fsync(descriptor);
    close(descriptor);
}

static moco_status put_in_place(moco_atomic_file *file) {
    MOCO_TRY(flush_buffer(file));
    if (file->temporary != NULL && fsync(file->descriptor) != 0) return fail_io("write", file->target, errno);
    const int closed = close(file->descriptor);
    file->descriptor = -1;
    if (closed != 0 && errno != EINTR) return fail_io("close", file->target, errno);
    if (file->temporary == NULL) return MOCO_OK;
    if (rename(file->temporary, file->target) != 0) return fail_io("rename a file to", file->target, errno);
    sync_folder(file);
    return MOCO_OK;
}

moco_status moco_atomic_file_commit(moco_atomic_file *file) {
    const moco_status status = put_in_place(file);
    if (status != MOCO_OK && file->temporary != NULL) unlink(file->temporary);
    release(file);
    return status;
}

void moco_atomic_file_discard(moco_atomic_file *file) {
    if (file == NULL) return;
    if (file->temporary != NULL) unlink(file->temporary);
    release(file);
}
