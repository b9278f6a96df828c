#include "io/crc32.h"

#define POLYNOMIAL 0xedb88320u /* reflected */
#define LANES      8           /* bytes at a time */
#define FEW        1024        /* bytes that are done before tables would be made */

static uint32_t shift_byte(uint32_t crc) {
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1u ? POLYNOMIAL ^ crc >> 1 : crc >> 1;
    return crc;
}

static uint32_t add_few(uint32_t crc, const unsigned char *bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) crc = shift_byte(crc ^ bytes[i]);
    return crc;
}

/* Tables are made for each call: a few microseconds, and no state that threads would share. */
static uint32_t add_many(uint32_t crc, const unsigned char *bytes, size_t size) {
    uint32_t tables[LANES][256]; /* of a byte that k bytes follow */
    for (uint32_t i = 0; i < 256; ++i) tables[0][i] = shift_byte(i);
    for (int k = 1; k < LANES; ++k) {
        for (int i = 0; i < 256; ++i) tables[k][i] = tables[0][tables[k - 1][i] & 255u] ^ tables[k - 1][i] >> 8;
    }
    for (; size >= LANES; bytes += LANES, size -= LANES) {
        const uint32_t first = crc ^ ((uint32_t) bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16 |
                                      (uint32_t) bytes[3] << 24);
        crc = tables[7][first & 255u] ^ tables[6][first >> 8 & 255u] ^ tables[5][first >> 16 & 255u] ^
              tables[4][first >> 24] ^ tables[3][bytes[4]] ^ tables[2][bytes[5]] ^ tables[1][bytes[6]] ^
              tables[0][bytes[7]];
    }
    return add_few(crc, bytes, size);
}

uint32_t moco_crc32(uint32_t crc, const void *bytes, size_t size) {
    return ~(size < FEW ? add_few : add_many)(~crc, (const unsigned char *) bytes, size);
}
