/* Text that may quote a file's, for terminals and logs of one line. */
#ifndef MOCO_CORE_PRINTABLE_H
#define MOCO_CORE_PRINTABLE_H

#include <stddef.h>

/* Copies `text` to out[capacity] (capacity > 0), another place. Control characters, DEL and UTF-8's U+0080 to U+009F become
 * "\n", "\t" or "\xHH" in letters; all else stays. What then has no room is cut. */
void moco_copy_printable(char *out, size_t capacity, const char *text);

#endif
