/* What the operating system calls an error. */
#ifndef MOCO_CORE_SYSTEM_ERROR_H
#define MOCO_CORE_SYSTEM_ERROR_H

#include <stddef.h>

enum { MOCO_SYSTEM_ERROR_SIZE = 128 };

/* The text of errno's value `error`, such as "No such file or directory", in `text` or in memory that lives on. Any
 * number of threads may ask at once, which strerror need not allow. */
const char *moco_system_error(int error, char text[MOCO_SYSTEM_ERROR_SIZE]);

#endif
