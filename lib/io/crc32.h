/* CRC-32 as zip, gzip and PNG have it: polynomial 0x04c11db7 reflected, all ones before and after. */
#ifndef MOCO_IO_CRC32_H
#define MOCO_IO_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, which is 0 at the beginning. */
uint32_t moco_crc32(uint32_t crc, const void *bytes, size_t size);

#endif
