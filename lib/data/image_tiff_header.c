/* The first directory of a TIFF or BigTIFF file, read without libtiff: the size, the orientation, and whether all of the
 * picture's strips or tiles are in the file.
 */
#include <string.h>

#include "data/image_decoders.h"

enum {
    TAG_WIDTH = 256,
    TAG_HEIGHT = 257,
    TAG_PHOTOMETRIC = 262,
    TAG_STRIP_OFFSETS = 273,
    TAG_ORIENTATION = 274,
    TAG_STRIP_BYTES = 279,
    TAG_PALETTE = 320,
    TAG_TILE_OFFSETS = 324,
    TAG_TILE_BYTES = 325,
    TAG_XMP = 700,
    FIRST_PRIVATE_TAG = 32768
};

typedef struct tiff_file {
    const uint8_t *bytes;
    size_t size;
    int is_little, is_big; /* the order of bytes; BigTIFF */
} tiff_file;

typedef struct tiff_field { /* zeroed: the directory has none */
    uint64_t count;
    size_t at;     /* of its values; all of them are in the file */
    size_t width;  /* of a value: 1, 2, 4 or 8 bytes */
    int32_t valid; /* an unsigned number, or several */
} tiff_field;

/* The caller has checked that they are there. */
static uint64_t read_unsigned(const tiff_file *file, size_t at, size_t width) {
    uint64_t value = 0;
    for (size_t i = 0; i < width; ++i) {
        value = value << 8 | file->bytes[at + (file->is_little ? width - 1 - i : i)];
    }
    return value;
}

static uint64_t field_value(const tiff_file *file, const tiff_field *field, uint64_t index) {
    return read_unsigned(file, field->at + (size_t) index * field->width, field->width);
}

/* The entry at `at`, which is in the file. */
static moco_status read_field(const tiff_file *file, size_t at, tiff_field *field) {
    static const uint8_t widths[17] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
    const uint64_t type = read_unsigned(file, at + 2, 2);
    const size_t inside = file->is_big ? 8 : 4; /* bytes of values in the entry itself */
    field->count = read_unsigned(file, at + 4, inside);
    field->width = type < 17 ? widths[type] : 0;
    field->valid = type == 1 || type == 3 || type == 4 || type == 16;
    field->at = at + 4 + inside;
    if (field->width == 0 || field->count == 0) {
        field->valid = 0;
        return MOCO_OK;
    }
    if (field->count > inside / field->width) {
        const uint64_t offset = read_unsigned(file, field->at, inside);
        if (offset > file->size || field->count > (file->size - offset) / field->width) {
            return moco_image_fail_short("TIFF", "inside its directory");
        }
        field->at = (size_t) offset;
    }
    return MOCO_OK;
}

/* Each strip or tile begins and ends in the file. */
static moco_status check_blocks(const tiff_file *file, const tiff_field *offsets, const tiff_field *sizes) {
    if (!offsets->valid)
        return moco_fail(MOCO_FORMAT, "the TIFF file is damaged: it does not say where its pixels are");
    if (!sizes->valid) return MOCO_OK; /* some old writers left them out */
    if (sizes->count != offsets->count) {
        return moco_fail(MOCO_FORMAT, "the TIFF file is damaged: it has the offsets of %llu blocks, and %llu sizes",
                         (unsigned long long) offsets->count, (unsigned long long) sizes->count);
    }
    for (uint64_t i = 0; i < offsets->count; ++i) {
        const uint64_t offset = field_value(file, offsets, i), bytes = field_value(file, sizes, i);
        if (offset > file->size || bytes > file->size - offset) {
            return moco_image_fail_short("TIFF", "inside its pixels");
        }
    }
    return MOCO_OK;
}

static moco_status find_directory(const tiff_file *file, size_t *first_entry, uint64_t *entries) {
    const size_t header = file->is_big ? 16 : 8, width = file->is_big ? 8 : 2;
    if (file->size < header) return moco_image_fail_short("TIFF", "inside its header");
    const uint64_t at = read_unsigned(file, file->is_big ? 8 : 4, file->is_big ? 8 : 4);
    if (at < header) return moco_fail(MOCO_FORMAT, "the TIFF file is damaged: it has no directory");
    if (at > file->size || file->size - at < width) return moco_image_fail_short("TIFF", "before its directory");
    *entries = read_unsigned(file, (size_t) at, width);
    *first_entry = (size_t) at + width;
    if (*entries > (file->size - *first_entry) / (file->is_big ? 20 : 12)) {
        return moco_image_fail_short("TIFF", "inside its directory");
    }
    return MOCO_OK;
}

moco_status moco_tiff_walk(const uint8_t *bytes, size_t size, moco_stored_header *header) {
    const tiff_file file = {bytes, size, bytes[0] == 'I', bytes[2] == '+' || bytes[3] == '+'};
    header->format = MOCO_FORMAT_TIFF;
    size_t at = 0;
    uint64_t entries = 0;
    MOCO_TRY(find_directory(&file, &at, &entries));
    tiff_field offsets = {0}, sizes = {0};
    int needs_palette = 0, has_palette = 0;
    for (uint64_t i = 0; i < entries; ++i, at += file.is_big ? 20 : 12) {
        const uint64_t tag = read_unsigned(&file, at, 2);
        tiff_field field = {0};
        if (tag >= FIRST_PRIVATE_TAG) continue; /* whatever they hold, the picture does without it */
        MOCO_TRY(read_field(&file, at, &field));
        const uint64_t value = field.valid ? field_value(&file, &field, 0) : 0;
        if (tag == TAG_WIDTH || tag == TAG_HEIGHT) {
            *(tag == TAG_WIDTH ? &header->w : &header->h) = value > INT32_MAX ? INT32_MAX : (int64_t) value;
        } else if (tag == TAG_ORIENTATION) {
            moco_note_orientation(header, MOCO_SAID_BY_EXIF, value >= 1 && value <= 8 ? (int32_t) value : 1);
        } else if (tag == TAG_PHOTOMETRIC) {
            needs_palette = value == 3;
        } else if (tag == TAG_PALETTE) {
            has_palette = 1;
        } else if (tag == TAG_XMP) {
            const size_t length = (size_t) field.count * field.width;
            moco_note_orientation(header, MOCO_SAID_BY_XMP, moco_xmp_find_orientation(bytes + field.at, length));
        } else if (tag == TAG_STRIP_OFFSETS || tag == TAG_TILE_OFFSETS) {
            offsets = field;
        } else if (tag == TAG_STRIP_BYTES || tag == TAG_TILE_BYTES) {
            sizes = field;
        }
    }
    if (header->h == 0 || header->w == 0) return moco_image_fail_empty("TIFF", header->h, header->w);
    if (needs_palette && !has_palette) { /* libtiff would take its numbers for greys */
        return moco_fail(MOCO_FORMAT, "the TIFF file is damaged: it has no palette");
    }
    header->blocks = offsets.count;
    return check_blocks(&file, &offsets, &sizes);
}
