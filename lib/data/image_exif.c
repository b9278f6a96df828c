/* EXIF's orientation: one entry of the first directory of a TIFF block, which may be anything at all. */
#include <string.h>

#include "data/image_decoders.h"

enum { ORIENTATION_TAG = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12 };

typedef struct tiff_block {
    const uint8_t *bytes;
    size_t size;
    int little_endian;
} tiff_block;

/* The caller has checked that they are there. */
static uint32_t read_u16(const tiff_block *tiff, size_t offset) {
    const uint32_t a = tiff->bytes[offset], b = tiff->bytes[offset + 1];
    return tiff->little_endian ? a | b << 8 : a << 8 | b;
}

static uint32_t read_u32(const tiff_block *tiff, size_t offset) {
    const uint32_t a = read_u16(tiff, offset), b = read_u16(tiff, offset + 2);
    return tiff->little_endian ? a | b << 16 : a << 16 | b;
}

int32_t moco_exif_find_orientation(const uint8_t *block, size_t size) {
    if (size >= 6 && memcmp(block, "Exif\0\0", 6) == 0) {
        block += 6;
        size -= 6;
    }
    if (size < 8) return 0;
    tiff_block tiff = {block, size, 0};
    if (memcmp(block, "II", 2) == 0) {
        tiff.little_endian = 1;
    } else if (memcmp(block, "MM", 2) != 0) {
        return 0;
    }
    if (read_u16(&tiff, 2) != 42) return 0;
    const size_t directory = read_u32(&tiff, 4);
    if (directory > size - 2) return 0;
    const size_t entries = read_u16(&tiff, directory);
    const size_t room = (size - directory - 2) / ENTRY_BYTES;
    for (size_t i = 0; i < entries && i < room; ++i) {
        const size_t entry = directory + 2 + i * ENTRY_BYTES;
        if (read_u16(&tiff, entry) != ORIENTATION_TAG) continue;
        const uint32_t value = read_u16(&tiff, entry + 8);
        const int valid =
            read_u16(&tiff, entry + 2) == TYPE_SHORT && read_u32(&tiff, entry + 4) == 1 && value >= 1 && value <= 8;
        return valid ? (int32_t) value : 1;
    }
    return 0;
}

int32_t moco_exif_orientation(const uint8_t *block, size_t size) {
    const int32_t orientation = moco_exif_find_orientation(block, size);
    return orientation == 0 ? 1 : orientation;
}

void moco_note_app1(const uint8_t *content, size_t size, int32_t exif_sayer, moco_stored_header *header) {
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/"; /* its NUL belongs to it */
    if (size >= 6 && memcmp(content, "Exif\0\0", 6) == 0) {
        moco_note_orientation(header, exif_sayer, moco_exif_find_orientation(content, size));
    } else if (size >= sizeof xmp && memcmp(content, xmp, sizeof xmp) == 0) {
        moco_note_orientation(header, MOCO_SAID_BY_XMP,
                              moco_xmp_find_orientation(content + sizeof xmp, size - sizeof xmp));
    }
}
