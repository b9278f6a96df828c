#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "core/context_internal.h"
#include "core/printable.h"

void moco_log(moco_context *context, int32_t level, const char *format, ...) {
    if (context->log == NULL || level > context->log_level) return;
    char message[1024];
    char printable[sizeof message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    moco_copy_printable(printable, sizeof printable, message);
    context->log(level, printable, context->log_user);
}

int64_t moco_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + (int64_t) now.tv_nsec;
}
