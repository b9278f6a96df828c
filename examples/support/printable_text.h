/* Text of files that others made, on a terminal. */
#ifndef MOCO_EXAMPLE_PRINTABLE_TEXT_H
#define MOCO_EXAMPLE_PRINTABLE_TEXT_H

#include <stdio.h>

/* Prints at most `most` bytes of `text`, and " ..." where there are more; control characters, which a terminal would obey,
 * as "\n", "\t" or "\xHH". A character of UTF-8 is not cut in two. How many bytes were printed. */
int print_printable(FILE *out, const char *text, int most);

#endif
