#include "pretrain/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/example_support.h"

#define PATH_SIZE 4096
#define METRICS   "metrics.jsonl"

/* What a run leaves in its folder. Other files there, such as a log of the shell's, are nobody's concern. */
static const char *const run_files[] = {METRICS, "encoder.safetensors"};
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

/* The first file of a run that is there and not empty; NULL: there is none. */
static const char *file_of_a_run(const char *folder) {
    for (int32_t i = 0; i < RUN_FILES; ++i) {
        char path[PATH_SIZE];
        struct stat info;
        path_in(folder, run_files[i], path);
        if (lstat(path, &info) != 0 || info.st_size == 0) continue;
        if (strcmp(run_files[i], METRICS) != 0 || has_a_step(path)) return run_files[i];
    }
    return NULL;
}

void check_run_folder(const char *folder, int32_t how) {
    const char *name = how == RUN_FOLDER_OVERWRITE ? NULL : file_of_a_run(folder);
    if (name == NULL) return;
    fprintf(stderr, "%s: %s holds another run (%s): give a new folder by --out, or --overwrite to replace that run\n",
            example_program, folder, name);
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
    if (ftruncate(metrics, 0) != 0) stop("cannot empty %s: %s", path, strerror(errno));
    for (int32_t i = 0; i < RUN_FILES; ++i) {
        if (strcmp(run_files[i], METRICS) == 0) continue;
        path_in(folder, run_files[i], path);
        if (unlink(path) != 0 && errno != ENOENT) stop("cannot remove %s: %s", path, strerror(errno));
    }
    return metrics;
}
