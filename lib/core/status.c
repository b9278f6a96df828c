#include "core/status_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/printable.h"

static _Thread_local char last_error[1024];

const char *moco_status_string(moco_status status) {
    switch (status) {
#define MOCO_STATUS_CASE(name, code, text) \
    case name:                             \
        return text;
        MOCO_STATUS_LIST(MOCO_STATUS_CASE)
#undef MOCO_STATUS_CASE
    default:
        return "unknown status";
    }
}

const char *moco_last_error(void) {
    return last_error;
}

moco_status moco_fail(moco_status status, const char *format, ...) {
    /* An argument may be the last sentence itself, to extend it: format beside it, then replace it. */
    char sentence[sizeof last_error];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    moco_copy_printable(last_error, sizeof last_error, sentence);
    return status;
}

moco_status moco_fail_with(moco_status status, const char *sentence) {
    return moco_fail(status, "%s", sentence);
}
