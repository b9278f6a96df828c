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
#include "support/example_support.h"

#define PATH_SIZE 4096
#define METRICS   "metrics.jsonl"

/* What a run leaves in its folder, beside checkpoints. Other files there, such as a log of the shell's, are nobody's
 * concern. */
static const char *const run_files[] = {METRICS,
                                        "encoder.safetensors",
                                        "config.json",
                                        "status.json",
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

/* The first file of a run that is there and not empty; NULL: there is none. (config.json and status.json are written
 * before the first step, when there is nothing to lose.) */
static const char *file_of_a_run(const char *folder) {
    for (int32_t i = 0; i < RUN_FILES; ++i) {
        char path[PATH_SIZE];
        struct stat info;
        path_in(folder, run_files[i], path);
        if (lstat(path, &info) != 0 || info.st_size == 0) continue;
        if (strcmp(run_files[i], METRICS) == 0 && !has_a_step(path)) continue;
        if (strstr(run_files[i], ".json") == NULL || strcmp(run_files[i], METRICS) == 0) return run_files[i];
    }
    return first_checkpoint(folder, 0) ? CHECKPOINT_FOLDER : NULL;
}

void check_run_folder(const char *folder, int32_t how) {
    if (how == RUN_FOLDER_OVERWRITE || how == RUN_FOLDER_RESUME) return;
    const char *name = file_of_a_run(folder);
    if (name == NULL) return;
    if (how == RUN_FOLDER_NOTHING_TO_RESUME) {
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

void cut_metrics(int descriptor, int64_t bytes) {
    struct stat info;
    if (fstat(descriptor, &info) != 0) stop("cannot read " METRICS ": %s", strerror(errno));
    if (info.st_size < (off_t) bytes) {
        fprintf(stderr, "%s: " METRICS " has lost the lines of the last steps before the checkpoint\n",
                example_program);
    } else if (ftruncate(descriptor, (off_t) bytes) != 0) {
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
    if (how == RUN_FOLDER_RESUME) return metrics;
    if (ftruncate(metrics, 0) != 0) stop("cannot empty %s: %s", path, strerror(errno));
    (void) first_checkpoint(folder, 1);
    for (int32_t i = 0; i < RUN_FILES; ++i) {
        if (strcmp(run_files[i], METRICS) == 0) continue;
        path_in(folder, run_files[i], path);
        if (unlink(path) != 0 && errno != ENOENT) stop("cannot remove %s: %s", path, strerror(errno));
    }
    return metrics;
}
