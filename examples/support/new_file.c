#include "support/new_file.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/example_support.h"

#define MOST_FILES 4
#define ENDING     ".part"

typedef struct new_file {
    FILE *stream;
    volatile sig_atomic_t is_there; /* the part is to be removed */
    char path[PATH_MAX];            /* the file itself, behind any symbolic link */
    char part[PATH_MAX];
} new_file;

static new_file files[MOST_FILES];

static void remove_parts(void) {
    for (int i = 0; i < MOST_FILES; ++i) {
        if (files[i].is_there) unlink(files[i].part);
        files[i].is_there = 0;
    }
}

/* Only what a handler may call. */
static void on_signal(int number) {
    remove_parts();
    signal(number, SIG_DFL);
    raise(number);
}

static void remove_parts_in_the_end(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    static int is_done;
    if (is_done) return;
    is_done = 1;
    atexit(remove_parts);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
        struct sigaction before, action;
        memset(&action, 0, sizeof action);
        action.sa_handler = on_signal;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL) {
            sigaction(numbers[i], &action, NULL); /* as nohup left it where it is ignored */
        }
    }
}

FILE *begin_file(const char *path) {
    struct stat info;
    new_file *file = files;
    while (file < files + MOST_FILES && file->stream != NULL) ++file;
    const int is_new = stat(path, &info) != 0;
    if (file == files + MOST_FILES || (!is_new && !S_ISREG(info.st_mode))) {
        FILE *stream = fopen(path, "wb");
        if (stream == NULL) stop("cannot write %s: %s", path, strerror(errno));
        return stream;
    }
    const size_t length = strlen(path);
    if (is_new && length < sizeof file->path) {
        memcpy(file->path, path, length + 1);
    } else if (is_new || realpath(path, file->path) == NULL) {
        stop("cannot write %s: %s", path, strerror(is_new ? ENAMETOOLONG : errno));
    }
    const size_t used = strlen(file->path);
    if (used + sizeof ENDING > sizeof file->part) stop("cannot write %s: %s", path, strerror(ENAMETOOLONG));
    memcpy(file->part, file->path, used);
    memcpy(file->part + used, ENDING, sizeof ENDING);
    remove_parts_in_the_end();
    file->stream = fopen(file->part, "wb");
    if (file->stream == NULL) stop("cannot write %s: %s", path, strerror(errno));
    file->is_there = 1;
    return file->stream;
}

void finish_file(FILE *stream, const char *path) {
    new_file *file = files;
    while (file < files + MOST_FILES && file->stream != stream) ++file;
    const int has_failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || has_failed) stop("cannot write %s: %s", path, strerror(errno));
    if (file == files + MOST_FILES) return;
    if (rename(file->part, file->path) != 0) stop("cannot write %s: %s", path, strerror(errno));
    file->is_there = 0;
    file->stream = NULL;
}
