/* Any bytes as EXIF data. */
#include "fuzz/fuzz_decode.h"

#include "data/image_decoders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const int32_t orientation = moco_exif_orientation(data, size);
    if (orientation < 1 || orientation > 8) abort();
    return 0;
}
