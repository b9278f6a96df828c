#include "support/example_support.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "support/option_names.h"

const char *example_program = "example";

void check(moco_status status) {
    char text[OPTION_SENTENCE_SIZE];
    if (status == MOCO_OK) return;
    fprintf(stderr, "%s: %s", example_program, in_options(moco_last_error(), text));
    if (status != MOCO_FORMAT)
        fprintf(stderr, " (%s)", moco_status_string(status)); /* "malformed", where it may just not fit */
    fprintf(stderr, "\n");
    exit(1);
}

void check_choice(moco_status status) {
    char text[OPTION_SENTENCE_SIZE];
    if (status != MOCO_INVALID_ARGUMENT && status != MOCO_NOT_FOUND && status != MOCO_UNSUPPORTED) {
        check(status);
        return;
    }
    fprintf(stderr, "%s: %s\nTry '%s --help'.\n", example_program, in_options(moco_last_error(), text),
            example_program);
    exit(2);
}

void stop(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", example_program);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) stop("out of memory: %zu x %zu bytes", count, size);
    return memory;
}

static void print_log(int32_t level, const char *message, void *user) {
    char text[OPTION_SENTENCE_SIZE];
    (void) user;
    fprintf(stderr, "%s: %s: %s\n", example_program, level <= MOCO_LOG_ERROR ? "error" : "warning",
            in_options(message, text));
}

moco_context *open_context(const char *backend, int32_t threads) {
    moco_context_config config;
    moco_context *context = NULL;
    check(moco_context_config_init(&config, sizeof config));
    config.backend = backend;
    config.threads = threads;
    config.log = print_log;
    check_choice(moco_context_create(&context, &config));
    return context;
}

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
}
