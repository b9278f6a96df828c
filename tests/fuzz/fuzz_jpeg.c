/* Any bytes as a JPEG file: all of it, and its middle at an eighth of the size. */
#include "fuzz/fuzz_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t middle[4] = {85, 85, 127, 127};
    if (!begins_with(data, size, "\xff\xd8", 2)) return 0; /* the other targets' */
    fuzz_decode(data, size, 1, NULL);
    fuzz_decode(data, size, 8, middle);
    return 0;
}
