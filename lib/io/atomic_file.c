#define _GNU_SOURCE /* sync_file_range */
#include "io/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system_error.h"
#include "io/temporary_file.h"

#define BUFFER_BYTES    (256 * 1024)
#define MAX_WRITE       ((size_t) 1 << 30) /* of one system call; Linux takes 2 GiB at most */
#define PERMISSION_MASK 07777
#define SYNC_BYTES      (8 << 20)

/* How the content gets to its target. */
enum {
    BY_RENAME, /* of a temporary file */
    IN_PLACE,  /* what is there is overwritten: the folder takes no temporary file */
    DIRECTLY   /* to what is no regular file */
};

struct moco_atomic_file {
    moco_context *context;
    int32_t way;
    char *target;               /* links resolved */
    char *folder;               /* of it, with a slash at the end; "" for the one we are in */
    const char *name;           /* of it, in the folder */
    moco_temporary_file beside; /* BY_RENAME */
    int folder_descriptor;      /* -1: it can't be opened */
    int descriptor;             /* of what is written: the temporary file's, or the target's */
    char *buffer;
    size_t used;
    int64_t written; /* in all */
    int64_t begun;   /* of these, what is on its way to the disk */
};

static moco_status fail_io(const char *what, const char *path, int error) {
    char text[MOCO_SYSTEM_ERROR_SIZE];
    return moco_fail(MOCO_IO, "cannot %s %s: %s", what, path, moco_system_error(error, text));
}

static void warn(const moco_atomic_file *file, const char *why, int error) {
    char text[MOCO_SYSTEM_ERROR_SIZE];
    if (file->context == NULL) return;
    moco_log(file->context, MOCO_LOG_WARNING,
             "%s is overwritten in place, since %s (%s): a crash now would leave it incomplete", file->target, why,
             moco_system_error(error, text));
}

/* Frees everything; the files on disk are the caller's affair. */
static void release(moco_atomic_file *file) {
    if (file->descriptor >= 0) close(file->descriptor);
    if (file->beside.descriptor >= 0) close(file->beside.descriptor);
    if (file->folder_descriptor >= 0) close(file->folder_descriptor);
    moco_deallocate(file->context, file->beside.path);
    moco_deallocate(file->context, file->buffer);
    moco_deallocate(file->context, file->folder);
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
    file->folder = moco_duplicate_string(file->context, is_resolved ? resolved : path);
    if (file->target == NULL || file->folder == NULL) return MOCO_OUT_OF_MEMORY;
    const char *slash = strrchr(file->target, '/');
    file->name = slash == NULL ? file->target : slash + 1;
    file->folder[file->name - file->target] = '\0';
    return MOCO_OK;
}

/* Beside a target whose name may be as long as the system allows, and its path, too. */
static int create_temporary(moco_atomic_file *file) {
    file->folder_descriptor = open(file->folder[0] == '\0' ? "." : file->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file->folder_descriptor >= 0) {
        return moco_temporary_file_create(&file->beside, file->context, file->folder_descriptor, "", file->name);
    }
    return moco_temporary_file_create(&file->beside, file->context, AT_FDCWD, file->folder, file->name);
}

/* What is there stays until the first byte is written, and its length until the end. */
static moco_status open_in_place(moco_atomic_file *file, int error) {
    file->descriptor = open(file->target, O_WRONLY | O_CLOEXEC);
    if (file->descriptor < 0) return fail_io("create a temporary file beside", file->target, error);
    file->way = IN_PLACE;
    warn(file, "its folder takes no other file", error);
    return MOCO_OK;
}

static moco_status open_file(moco_atomic_file *file, const char *path) {
    struct stat info;
    int32_t exists;
    MOCO_TRY(resolve_target(file, path, &info, &exists));
    if (exists && S_ISDIR(info.st_mode)) return fail_io("write", path, EISDIR);
    if (exists && !S_ISREG(info.st_mode)) {
        file->way = DIRECTLY;
        file->descriptor = open(file->target, O_WRONLY | O_CLOEXEC);
        return file->descriptor >= 0 ? MOCO_OK : fail_io("open", path, errno);
    }
    /* A file that its owner made read-only is not to be replaced behind his back. */
    if (exists && access(file->target, W_OK) != 0) return fail_io("write", path, errno);
    const int error = create_temporary(file);
    if (error != 0 && file->beside.path == NULL) return MOCO_OUT_OF_MEMORY;
    if (exists && (error == EACCES || error == EPERM || error == EROFS)) return open_in_place(file, error);
    if (error != 0) return fail_io("create a temporary file beside", file->target, error);
    if (exists && fchmod(file->beside.descriptor, info.st_mode & PERMISSION_MASK) != 0) {
        const int refused = errno;
        (void) moco_temporary_file_remove(&file->beside);
        return fail_io("set the permissions of", file->target, refused);
    }
    file->descriptor = file->beside.descriptor;
    file->beside.descriptor = -1;
    return MOCO_OK;
}

moco_status moco_atomic_file_open(moco_atomic_file **out, moco_context *context, const char *path) {
    MOCO_REQUIRE_POINTER(path);
    MOCO_REQUIRE(*path != '\0', "path is empty; it must name a file");
    moco_atomic_file *file = (moco_atomic_file *) moco_allocate_zeroed(context, 1, sizeof *file);
    if (file == NULL) return MOCO_OUT_OF_MEMORY;
    file->context = context;
    file->descriptor = file->beside.descriptor = file->folder_descriptor = -1;
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

static moco_status fail_write(const moco_atomic_file *file, int error) {
    char text[MOCO_SYSTEM_ERROR_SIZE];
    if (file->way != IN_PLACE) return fail_io("write", file->target, error);
    return moco_fail(MOCO_IO, "cannot write %s: %s; it was overwritten in place and is incomplete now", file->target,
                     moco_system_error(error, text));
}

static int write_fully(int descriptor, const char *bytes, size_t size) {
    while (size > 0) {
        const ssize_t written = write(descriptor, bytes, size < MAX_WRITE ? size : MAX_WRITE);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        bytes += written;
        size -= (size_t) written;
    }
    return 0;
}

/* Has the system begin to write what it has, while we make the rest: the fsync at the end then waits for less. */
static void begin_sync(moco_atomic_file *file) {
    if (file->way == DIRECTLY || file->written - file->begun < SYNC_BYTES) return;
#ifdef SYNC_FILE_RANGE_WRITE
    (void) sync_file_range(file->descriptor, file->begun, file->written - file->begun, SYNC_FILE_RANGE_WRITE);
#endif
    file->begun = file->written;
}

static moco_status write_all(moco_atomic_file *file, const char *bytes, size_t size) {
    const int error = write_fully(file->descriptor, bytes, size);
    if (error != 0) return fail_write(file, error);
    file->written += (int64_t) size;
    begin_sync(file);
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

static int sync_fully(int descriptor) {
    int result;
    do {
        result = fsync(descriptor);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

/* The rename itself is on the disk once the folder is. Some file systems can't sync a folder, which does no harm. */
static moco_status sync_folder(const moco_atomic_file *file) {
    if (file->folder_descriptor < 0) return MOCO_OK;
    const int error = sync_fully(file->folder_descriptor);
    if (error != EIO && error != ENOSPC && error != EDQUOT) return MOCO_OK;
    char text[MOCO_SYSTEM_ERROR_SIZE];
    return moco_fail(MOCO_IO, "%s was written, but the disk may not have its name yet: %s", file->target,
                     moco_system_error(error, text));
}

/* Closes what was written; what close fails with is a failed write, but for EINTR, after which it is closed. */
static int close_written(moco_atomic_file *file) {
    const int closed = close(file->descriptor);
    file->descriptor = -1;
    return closed == 0 || errno == EINTR ? 0 : errno;
}

static int copy_content(moco_atomic_file *file, int target) {
    for (int64_t at = 0; at < file->written;) {
        const ssize_t got = pread(file->beside.descriptor, file->buffer, BUFFER_BYTES, (off_t) at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got == 0 ? EIO : errno;
        const int error = write_fully(target, file->buffer, (size_t) got);
        if (error != 0) return error;
        at += got;
    }
    if (ftruncate(target, (off_t) file->written) != 0) return errno;
    return sync_fully(target);
}

/* For a target that is mounted by itself, or in a folder where others' files can't be renamed over. */
static moco_status copy_in_place(moco_atomic_file *file, int reason) {
    warn(file, "no other file can take its name", reason);
    const int target = open(file->target, O_WRONLY | O_CLOEXEC);
    if (target < 0) return fail_io("write", file->target, errno);
    int error = copy_content(file, target);
    if (close(target) != 0 && errno != EINTR && error == 0) error = errno;
    if (error == 0) return MOCO_OK;
    file->way = IN_PLACE; /* the temporary file stays */
    char text[MOCO_SYSTEM_ERROR_SIZE];
    return moco_fail(MOCO_IO, "cannot write %s: %s; it is incomplete now, and its new content is in %s%s", file->target,
                     moco_system_error(error, text), file->folder_descriptor >= 0 ? file->folder : "",
                     file->beside.path);
}

static int can_only_be_overwritten(const moco_atomic_file *file, int error) {
    struct stat info;
    return (error == EBUSY || error == EXDEV || error == EPERM || error == EACCES) && stat(file->target, &info) == 0 &&
           S_ISREG(info.st_mode);
}

static moco_status rename_temporary(moco_atomic_file *file) {
    /* Another descriptor of the same open file, which keeps the lock until the rename is done. */
    file->beside.descriptor = fcntl(file->descriptor, F_DUPFD_CLOEXEC, 0);
    if (file->beside.descriptor < 0) return fail_io("write", file->target, errno);
    int error = sync_fully(file->descriptor);
    if (error != 0) return fail_write(file, error);
    error = close_written(file);
    if (error != 0) return fail_io("close", file->target, error);
    error = moco_temporary_file_rename(&file->beside, file->folder_descriptor >= 0 ? file->name : file->target);
    if (error == 0) return sync_folder(file);
    if (!can_only_be_overwritten(file, error)) return fail_io("rename a file to", file->target, error);
    MOCO_TRY(copy_in_place(file, error));
    (void) moco_temporary_file_remove(&file->beside);
    return MOCO_OK;
}

static moco_status finish_in_place(moco_atomic_file *file) {
    if (ftruncate(file->descriptor, (off_t) file->written) != 0) return fail_write(file, errno);
    const int error = sync_fully(file->descriptor);
    return error == 0 ? MOCO_OK : fail_write(file, error);
}

static moco_status put_in_place(moco_atomic_file *file) {
    MOCO_TRY(flush_buffer(file));
    if (file->way == BY_RENAME) return rename_temporary(file);
    if (file->way == IN_PLACE) MOCO_TRY(finish_in_place(file));
    const int error = close_written(file);
    return error == 0 ? MOCO_OK : fail_io("close", file->target, error);
}

moco_status moco_atomic_file_commit(moco_atomic_file *file) {
    const moco_status status = put_in_place(file);
    if (status != MOCO_OK && file->way == BY_RENAME) (void) moco_temporary_file_remove(&file->beside);
    release(file);
    return status;
}

void moco_atomic_file_discard(moco_atomic_file *file) {
    if (file == NULL) return;
    if (file->way == BY_RENAME) (void) moco_temporary_file_remove(&file->beside);
    release(file);
}
