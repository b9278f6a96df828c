/* Any bytes as a WebP file: as they are, and with a RIFF size that fits. */
#include "fuzz/fuzz_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t middle[4] = {85, 85, 127, 127};
    if (!begins_with(data, size, "RIFF", 4) || size < 12) return 0;
    fuzz_decode(data, size, 1, NULL);
    uint8_t *copy = (uint8_t *) malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    for (size_t i = 0; i < 4; ++i) copy[4 + i] = (uint8_t) ((size - 8) >> (8 * i));
    fuzz_decode(copy, size, 1, NULL);
    fuzz_decode(copy, size, 8, middle);
    free(copy);
    return 0;
}
