#include "pretrain/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pretrain/checkpoints.h"
#include "pretrain/run_files.h"
#include "support/example_support.h"

#define PATH_SIZE 4096
#define METRICS   "metrics.jsonl"
#define ENCODER   "encoder.safetensors"
#define TEMPORARY \
    ".moco-tmp-" /* how the library's temporary files are called, which are locked while they are in use */

/* What a run leaves in its folder, beside checkpoints. Other files there, such as a log of the shell's, are nobody's
 * concern. */
static const char *const run_files[] = {METRICS,
                                        ENCODER,
                                        RUN_CONFIG,
                                        RUN_STATUS,
                                        "encoder/model.safetensors",
                                        "encoder/head.safetensors",
                                        "encoder/config.json",
                                        "encoder/build_model.py"};
enum { RUN_FILES = sizeof run_files / sizeof run_files[0] };

static void path_in(const char *folder, const char *name, char path[PATH_SIZE]) {
    if (snprintf(path, PATH_SIZE, "%s/%s", folder, name) >= PATH_SIZE) stop("the folder's name is too long");
}

/* 1 where a step was made: before, there is nothing to lose. */
static int32_t has_a_step(const char *path) {
    char line[64]; /* longer lines come in parts */
    int32_t found = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, "{\"kind\": \"step\"", 15) == 0;
    }
    if (file != NULL) fclose(file);
    return found;
}

/* 1 where the folder has a checkpoint; with `remove`, removes all of them. */
static int32_t first_checkpoint(const char *folder, int32_t remove) {
    char path[PATH_SIZE];
    int64_t step;
    int32_t found = 0;
    path_in(folder, CHECKPOINT_FOLDER, path);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL && (remove || !found);) {
        if (!is_checkpoint_name(entry->d_name, &step)) continue;
        found = 1;
        if (remove && unlinkat(dirfd(directory), entry->d_name, 0) != 0) {
            stop("cannot remove %s/%s: %s", path, entry->d_name, strerror(errno));
        }
    }
    if (directory != NULL) closedir(directory);
    return found;
}

static int32_t begins_with(const char *path, const char *text) {
    char start[64] = "";
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    const size_t got = fread(start, 1, sizeof start - 1, file);
    fclose(file);
    start[got] = '\0';
    return strncmp(start, text, strlen(text)) == 0;
}

/* 1 where this program has written the file before a first step, when there is nothing to lose. */
static int32_t is_of_no_step(const char *name, const char *path) {
    if (strcmp(name, METRICS) == 0) return begins_with(path, "{\"kind\": \"start\"") && !has_a_step(path);
    const int32_t is_own = strcmp(name, RUN_CONFIG) == 0 || strcmp(name, RUN_STATUS) == 0;
    return is_own && begins_with(path, RUN_FILE_START);
}

/* The first file that a new run would write over or remove, and that is not empty; NULL: there is none. */
static const char *file_to_lose(const char *folder) {
    for (int32_t i = 0; i < RUN_FILES; ++i) {
        char path[PATH_SIZE];
        struct stat info;
        path_in(folder, run_files[i], path);
        if (lstat(path, &info) == 0 && info.st_size > 0 && !is_of_no_step(run_files[i], path)) return run_files[i];
    }
    return first_checkpoint(folder, 0) ? CHECKPOINT_FOLDER : NULL;
}

/* 1 where a run was killed, or has failed, before it saved a checkpoint, so that it can only begin anew. Where it has failed with
 * an encoder, or was told to save no checkpoints, its encoder may be all that somebody has of it. */
static int32_t was_never_saved(const char *folder) {
    char state[64], checkpoint[64], save_every[64], path[PATH_SIZE];
    path_in(folder, ENCODER, path);
    if (!read_run_value(folder, RUN_STATUS, "state", state, sizeof state) ||
        !read_run_value(folder, RUN_STATUS, "checkpoint", checkpoint, sizeof checkpoint) ||
        !read_run_value(folder, RUN_CONFIG, "save_every", save_every, sizeof save_every)) {
        return 0;
    }
    const int32_t is_killed = strcmp(state, "\"running\"") == 0;
    const int32_t has_failed = strcmp(state, "\"failed\"") == 0 && access(path, F_OK) != 0;
    return (is_killed || has_failed) && strcmp(checkpoint, "null") == 0 && strcmp(save_every, "\"0\"") != 0 &&
           !first_checkpoint(folder, 0);
}

void check_run_folder(const char *folder, int32_t how) {
    if (how == RUN_FOLDER_OVERWRITE || how == RUN_FOLDER_RESUME) return;
    const char *name = file_to_lose(folder);
    if (name == NULL) return;
    if (how == RUN_FOLDER_NOTHING_TO_RESUME) {
        if (was_never_saved(folder)) return;
        fprintf(
            stderr,
            "%s: %s holds a run (%s) without a checkpoint to go on from: give a new folder by --out, or --overwrite "
            "to replace that run\n",
            example_program, folder, name);
    } else {
        fprintf(stderr,
                "%s: %s holds another run (%s): give a new folder by --out, --resume auto to go on with that run, or "
                "--overwrite to replace it\n",
                example_program, folder, name);
    }
    exit(2);
}

/* What killed saves have left. The folder is ours by now; a file that somebody has locked is in use all the same. */
static void remove_dead_temporaries(const char *folder, const char *name) {
    char path[PATH_SIZE];
    path_in(folder, name, path);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, TEMPORARY, sizeof TEMPORARY - 1) != 0) continue;
        const int descriptor = openat(dirfd(directory), entry->d_name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (descriptor < 0) continue;
        if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) (void) unlinkat(dirfd(directory), entry->d_name, 0);
        close(descriptor);
    }
    if (directory != NULL) closedir(directory);
}

static void make_folder(const char *folder) {
    char path[PATH_SIZE];
    if (strlen(folder) >= sizeof path) stop("the folder's name is too long");
    strcpy(path, folder);
    for (char *end = path + 1;; ++end) {
        if (*end != '/' && *end != '\0') continue;
        const char kept = *end;
        *end = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST) stop("cannot make the folder %s: %s", path, strerror(errno));
        *end = kept;
        if (kept == '\0') break;
    }
    struct stat info;
    if (stat(folder, &info) != 0 || !S_ISDIR(info.st_mode)) stop("%s is no folder", folder);
}

/* The bytes of the whole lines among the first `bytes` bytes. */
static off_t whole_lines(int descriptor, off_t bytes) {
    char last = '\n';
    while (bytes > 0 && pread(descriptor, &last, 1, bytes - 1) == 1 && last != '\n') bytes--;
    return bytes;
}

void cut_metrics(int descriptor, int64_t bytes) {
    struct stat info;
    if (fstat(descriptor, &info) != 0) stop("cannot read " METRICS ": %s", strerror(errno));
    off_t end = (off_t) bytes;
    if (info.st_size < end) {
        fprintf(stderr, "%s: " METRICS " has lost the lines of the last steps before the checkpoint\n",
                example_program);
        end = info.st_size;
    }
    if (ftruncate(descriptor, whole_lines(descriptor, end)) != 0) {
        stop("cannot cut " METRICS ": %s", strerror(errno));
    }
}

int open_run_folder(const char *folder, int32_t how) {
    char path[PATH_SIZE];
    make_folder(folder);
    path_in(folder, METRICS, path);
    const int metrics = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (metrics < 0) stop("cannot write %s: %s", path, strerror(errno));
    /* A file system without locks is used without them. */
    if (flock(metrics, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        stop("another process is writing its run into %s", folder);
    }
    check_run_folder(folder, how); /* again: another one may have come in between */
    remove_dead_temporaries(folder, ".");
    remove_dead_temporaries(folder, "encoder");
    remove_dead_temporaries(folder, CHECKPOINT_FOLDER);
    if (how == RUN_FOLDER_RESUME) return metrics;
    if (how == RUN_FOLDER_NOTHING_TO_RESUME && file_to_lose(folder) != NULL) {
        fprintf(stderr, "%s: the run in %s ended before its first checkpoint, and begins anew\n", example_program,
                folder);
    }
    if (ftruncate(metrics, 0) != 0) stop("cannot empty %s: %s", path, strerror(errno));
    (void) first_checkpoint(folder, 1);
    for (int32_t i = 0; i < RUN_FILES; ++i) {
        if (strcmp(run_files[i], METRICS) == 0) continue;
        path_in(folder, run_files[i], path);
        if (unlink(path) != 0 && errno != ENOENT) stop("cannot remove %s: %s", path, strerror(errno));
    }
    return metrics;
}
