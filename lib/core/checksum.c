#include "core/checksum.h"

#include <string.h>

/* FNV-1a on 32-bit words instead of bytes; the shift lets high bits, which a multiplication only moves up, come back. */
uint64_t moco_checksum_add(uint64_t hash, const void *data, size_t bytes) {
    const unsigned char *at = (const unsigned char *) data;
    for (size_t i = 0; i < bytes; i += sizeof(uint32_t)) {
        uint32_t word = 0;
        memcpy(&word, at + i, bytes - i < sizeof word ? bytes - i : sizeof word);
        hash = (hash ^ word) * UINT64_C(0x100000001b3);
        hash ^= hash >> 32;
    }
    return hash;
}
