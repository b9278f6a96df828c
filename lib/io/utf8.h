#ifndef MOCO_IO_UTF8_H
#define MOCO_IO_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 sequence at `text`, of which `size` bytes at least 1 may be looked at; 0 if it is none (overlong,
 * surrogate, beyond U+10FFFF, cut off). Of a string that ends with a zero, `size` may be any number from 4 on: nothing is
 * looked at behind the zero. */
size_t moco_utf8_length(const unsigned char *text, size_t size);
/* 1 where all of it is UTF-8. */
int32_t moco_utf8_is_valid(const char *text, size_t size);

#endif
