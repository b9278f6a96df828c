#include "pretrain/run_files.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/example_support.h"

#define PATH_SIZE         4096
#define VALUE_SIZE        8192
#define SECONDS_PER_WRITE 10.0

/* --- JSON --- */

static void put_string(FILE *file, const char *text) {
    fputc('"', file);
    for (const unsigned char *at = (const unsigned char *) text; *at != '\0'; ++at) {
        if (*at == '"' || *at == '\\') fputc('\\', file);
        if (*at < 0x20) {
            fprintf(file, "\\u%04x", *at);
        } else {
            fputc(*at, file);
        }
    }
    fputc('"', file);
}

static void put_key(FILE *file, const char *key) {
    fputs(",\n  ", file);
    put_string(file, key);
    fputs(": ", file);
}

static void put_text(FILE *file, const char *key, const char *value) {
    put_key(file, key);
    if (value == NULL) {
        fputs("null", file);
    } else {
        put_string(file, value);
    }
}

static void put_count(FILE *file, const char *key, int64_t value) {
    put_key(file, key);
    fprintf(file, "%lld", (long long) value);
}

static void put_real(FILE *file, const char *key, double value) {
    put_key(file, key);
    if (isfinite(value)) {
        fprintf(file, "%.9g", value);
    } else {
        fputs("null", file);
    }
}

/* --- A file that is whole at any moment --- */

static int32_t write_text(const char *path, const char *text, size_t bytes) {
    char temporary[PATH_SIZE + 8];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    const int descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0) return 0;
    const int32_t is_written = write(descriptor, text, bytes) == (ssize_t) bytes && fsync(descriptor) == 0;
    const int32_t is_closed = close(descriptor) == 0;
    if (is_written && is_closed && rename(temporary, path) == 0) return 1;
    const int error = errno;
    (void) unlink(temporary);
    errno = error;
    return 0;
}

typedef struct text_file {
    char path[PATH_SIZE];
    FILE *stream;
    char *text;
    size_t bytes;
} text_file;

static void begin_file(text_file *file, const char *folder, const char *name) {
    if (snprintf(file->path, sizeof file->path, "%s/%s", folder, name) >= (int) sizeof file->path) {
        stop("the folder's name is too long");
    }
    file->stream = open_memstream(&file->text, &file->bytes);
    if (file->stream == NULL) stop("out of memory");
    fprintf(file->stream, RUN_FILE_START "%s\"", moco_version_string());
}

/* 0 with errno where it could not be written. */
static int32_t end_file(text_file *file) {
    fputs("\n}\n", file->stream);
    if (fclose(file->stream) != 0) stop("out of memory");
    const int32_t is_written = write_text(file->path, file->text, file->bytes);
    free(file->text);
    return is_written;
}

int32_t read_run_value(const char *folder, const char *name, const char *key, char *value, size_t size) {
    char path[PATH_SIZE], start[128], line[VALUE_SIZE];
    int32_t found = 0;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int) sizeof path) return 0;
    const int length = snprintf(start, sizeof start, "  \"%s\": ", key);
    FILE *file = fopen(path, "r");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, start, (size_t) length) != 0) continue;
        line[strcspn(line, "\n")] = '\0';
        size_t bytes = strlen(line + length);
        if (bytes > 0 && line[length + (int) bytes - 1] == ',') line[length + (int) --bytes] = '\0';
        found = bytes < size;
        if (found) memcpy(value, line + length, bytes + 1);
    }
    if (file != NULL) fclose(file);
    return found;
}

/* --- config.json --- */

void write_config(const pretrain_options *options, const moco_context *context) {
    text_file file;
    char value[VALUE_SIZE];
    begin_file(&file, options->out, RUN_CONFIG);
    put_text(file.stream, "recipe", moco_recipe_name(options->recipe));
    for (int32_t i = 0; moco_recipe_key(i) != NULL; ++i) {
        check(moco_recipe_get(options->recipe, moco_recipe_key(i), value, sizeof value));
        put_text(file.stream, moco_recipe_key(i), value);
    }
    put_text(file.stream, "data", options->data);
    put_text(file.stream, "test_data", options->test_data);
    put_count(file.stream, "test_count", options->test_count);
    put_count(file.stream, "max_steps", options->max_steps);
    put_count(file.stream, "knn_every", options->knn_every);
    put_count(file.stream, "knn_bank", options->knn_bank);
    put_count(file.stream, "knn_k", options->knn_k);
    put_real(file.stream, "knn_temperature", options->knn_temperature);
    put_text(file.stream, "knn_output", moco_enum_name("output", options->knn_output));
    put_text(file.stream, "save_every", options->save_every);
    put_count(file.stream, "keep", options->keep);
    put_text(file.stream, "init", options->init);
    put_text(file.stream, "backend", moco_context_backend(context));
    put_count(file.stream, "threads", moco_context_threads(context));
    if (!end_file(&file)) stop("cannot write %s: %s", file.path, strerror(errno));
}

/* --- status.json --- */

void write_status(run_status *status) {
    static int32_t has_complained;
    text_file file;
    char host[256] = "";
    (void) gethostname(host, sizeof host - 1);
    begin_file(&file, status->folder, RUN_STATUS);
    put_text(file.stream, "state", status->state);
    put_count(file.stream, "step", status->step);
    put_count(file.stream, "total_steps", status->total_steps);
    put_real(file.stream, "loss", status->loss);
    put_real(file.stream, "best_knn_top1", status->best_top1 < 0 ? NAN : status->best_top1);
    put_text(file.stream, "checkpoint", status->checkpoint[0] == '\0' ? NULL : status->checkpoint);
    put_text(file.stream, "host", host);
    put_count(file.stream, "pid", (int64_t) getpid());
    put_count(file.stream, "heartbeat", (int64_t) time(NULL));
    status->written = seconds_now();
    if (end_file(&file) || has_complained) return;
    has_complained = 1;
    fprintf(stderr, "%s: cannot write %s: %s; training goes on\n", example_program, file.path, strerror(errno));
}

void keep_status_fresh(run_status *status) {
    if (seconds_now() - status->written >= SECONDS_PER_WRITE) write_status(status);
}

static run_status *watched;

static void at_the_end(void) {
    if (watched == NULL || strcmp(watched->state, "running") != 0) return;
    watched->state = "failed";
    write_status(watched);
}

void watch_status(run_status *status) {
    watched = status;
    if (atexit(at_the_end) != 0) stop("out of memory");
}
