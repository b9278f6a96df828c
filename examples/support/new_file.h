/* Files that have their name only once they are whole: until then they are NAME.part, which goes away when the program
 * fails or is stopped by Ctrl-C, SIGTERM or SIGHUP. What NAME was before stays until then.
 */
#ifndef MOCO_EXAMPLE_NEW_FILE_H
#define MOCO_EXAMPLE_NEW_FILE_H

#include <stdio.h>

/* A few at a time. What is no plain file (/dev/stdout, a pipe) is written at once. Failures stop the program. */
FILE *begin_file(const char *path);
void finish_file(FILE *stream, const char *path);

#endif
