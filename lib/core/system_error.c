#include "core/system_error.h"

#include <stdio.h>
#include <string.h>

/* Where a host defines _GNU_SOURCE, glibc's strerror_r is another function of the same name: it returns the text, which
 * need not be in the buffer, where POSIX's returns 0 once the text is there. */
static const char *posix_answer(int failed, int error, char text[MOCO_SYSTEM_ERROR_SIZE]) {
    if (failed) snprintf(text, MOCO_SYSTEM_ERROR_SIZE, "error %d", error);
    return text;
}

static const char *gnu_answer(const char *answer, int error, char text[MOCO_SYSTEM_ERROR_SIZE]) {
    (void) error, (void) text;
    return answer;
}

const char *moco_system_error(int error, char text[MOCO_SYSTEM_ERROR_SIZE]) {
    text[0] = '\0';
    return _Generic(strerror_r(error, text, MOCO_SYSTEM_ERROR_SIZE), int: posix_answer, char *: gnu_answer)(
        strerror_r(error, text, MOCO_SYSTEM_ERROR_SIZE), error, text);
}
