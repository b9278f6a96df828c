/* Writing a PNG file. */
#ifndef MOCO_EXAMPLE_PNG_FILE_H
#define MOCO_EXAMPLE_PNG_FILE_H

#include <stdint.h>

/* pixels[h x w x 3], red, green and blue side by side. Stops with a sentence where the file can't be written. */
void write_png(const char *path, const uint8_t *pixels, int64_t h, int64_t w);

#endif
