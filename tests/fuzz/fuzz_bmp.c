/* Any bytes as a BMP file: all of it, and a part. */
#include "fuzz/fuzz_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t middle[4] = {85, 85, 127, 127};
    if (!begins_with(data, size, "BM", 2)) return 0;
    fuzz_decode(data, size, 1, NULL);
    fuzz_decode(data, size, 4, middle);
    return 0;
}
