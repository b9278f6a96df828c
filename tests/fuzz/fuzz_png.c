/* Any bytes as a PNG file: as they are, and with the checksums of its chunks put right, or nothing would get past them.
 */
#include "fuzz/fuzz_decode.h"

#include <zlib.h>

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 | bytes[3];
}

static void put_checksums_right(uint8_t *png, size_t size) {
    for (size_t at = 8; at + 12 <= size;) {
        const size_t length = big_endian(png + at);
        if (length > size - at - 12) return;
        const uint32_t crc = (uint32_t) crc32(0, png + at + 4, (uInt) length + 4);
        uint8_t *stored = png + at + 8 + length;
        for (int i = 0; i < 4; ++i) stored[i] = (uint8_t) (crc >> (24 - 8 * i));
        at += 12 + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t middle[4] = {85, 85, 127, 127};
    if (!begins_with(data, size, "\x89PNG", 4)) return 0;
    fuzz_decode(data, size, 1, NULL);
    uint8_t *copy = (uint8_t *) malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    put_checksums_right(copy, size);
    fuzz_decode(copy, size, 1, NULL);
    fuzz_decode(copy, size, 4, middle);
    free(copy);
    return 0;
}
