/* Any bytes as an XMP packet, as a JPEG's APP1 segment, and as a PNG's texts. */
#include "fuzz/fuzz_decode.h"

#include "data/image_decoders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const types[] = {"tEXt", "zTXt", "iTXt"};
    const int32_t orientation = moco_xmp_find_orientation(data, size);
    if (orientation < 0 || orientation > 8) abort();
    for (int i = 0; i < 4; ++i) {
        moco_stored_header header = {.orientation = 1};
        if (i == 3) {
            moco_note_app1(data, size, MOCO_SAID_BY_EXIF, &header);
        } else if (moco_png_note_text(NULL, (const uint8_t *) types[i], data, size, &header) != MOCO_OK) {
            abort();
        }
        for (int s = 0; s < MOCO_SAYERS; ++s) {
            if (header.said[s] < 0 || header.said[s] > 8) abort();
        }
    }
    return 0;
}
