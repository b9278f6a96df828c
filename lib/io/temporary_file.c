#define _XOPEN_SOURCE 700
#include "io/temporary_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/digest.h"

#define NAME_PREFIX   ".moco-tmp-"
#define ATTEMPTS      100
#define DEFAULT_MODE  0666                          /* less the umask */
#define PREFIX_LENGTH (sizeof NAME_PREFIX - 1 + 17) /* the target's digest and a '-' */
#define NAME_SIZE     80                            /* short whatever the target is called */

int moco_temporary_file_rename(const moco_temporary_file *file, const char *target) {
    return renameat(file->folder, file->path, file->folder, target) == 0 ? 0 : errno;
}

int moco_temporary_file_remove(const moco_temporary_file *file) {
    return unlinkat(file->folder, file->path, 0) == 0 ? 0 : errno;
}

/* --- Locks --- */

static int lock(int descriptor, int how) {
    int result;
    do {
        result = flock(descriptor, how);
    } while (result != 0 && errno == EINTR);
    return result;
}

/* Removes a file that nobody has locked. Where the file system has no locks, nothing is known, and it stays. */
static void remove_unless_in_use(int folder, const char *name) {
    struct stat ours, named;
    const int descriptor = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return;
    if (lock(descriptor, LOCK_EX | LOCK_NB) == 0 && fstat(descriptor, &ours) == 0 && S_ISREG(ours.st_mode) &&
        fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_dev == ours.st_dev &&
        named.st_ino == ours.st_ino) {
        (void) unlinkat(folder, name, 0);
    }
    close(descriptor);
}

static void remove_leftovers(int folder, const char *name) {
    const int descriptor = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (directory == NULL) {
        if (descriptor >= 0) close(descriptor);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, name, PREFIX_LENGTH) == 0) remove_unless_in_use(folder, entry->d_name);
    }
    closedir(directory);
}

/* --- Creating --- */

static int is_linked(int descriptor) {
    struct stat info;
    return fstat(descriptor, &info) == 0 && info.st_nlink > 0;
}

int moco_temporary_file_create(moco_temporary_file *file, moco_context *context, int folder, const char *prefix,
                               const char *name) {
    const unsigned long long digest = moco_digest(name, strlen(name), 0);
    const size_t bytes = strlen(prefix) + NAME_SIZE;
    file->folder = folder;
    file->descriptor = -1;
    file->path = (char *) moco_allocate(context, bytes);
    if (file->path == NULL) return ENOMEM;
    if (folder != AT_FDCWD) {
        snprintf(file->path, bytes, NAME_PREFIX "%016llx-", digest);
        remove_leftovers(folder, file->path);
    }
    for (int attempt = 0; attempt < ATTEMPTS; ++attempt) {
        snprintf(file->path, bytes, "%s" NAME_PREFIX "%016llx-%ld-%llx", prefix, digest, (long) getpid(),
                 (unsigned long long) moco_now_ns());
        /* O_EXCL makes it ours; the kernel applies the umask. */
        file->descriptor = openat(folder, file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, DEFAULT_MODE);
        if (file->descriptor < 0 && errno == EEXIST) continue;
        if (file->descriptor < 0) return errno;
        (void) lock(file->descriptor, LOCK_EX);
        if (is_linked(file->descriptor)) return 0;
        close(file->descriptor); /* another process took it for left over before it was locked */
        file->descriptor = -1;
    }
    return EEXIST;
}
