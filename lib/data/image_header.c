/* The containers of JPEG, PNG and WebP, walked without any image library: the size, the orientation, and whether the
 * file is whole. Cheap: markers and chunks are stepped over, pixels are not looked at.
 */
#include <string.h>

#include "data/image_decoders.h"

static uint32_t big_u16(const uint8_t *bytes) {
    return (uint32_t) bytes[0] << 8 | bytes[1];
}

static uint32_t big_u32(const uint8_t *bytes) {
    return big_u16(bytes) << 16 | big_u16(bytes + 2);
}

static uint32_t little_u24(const uint8_t *bytes) {
    return (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16;
}

static uint32_t little_u32(const uint8_t *bytes) {
    return little_u24(bytes) | (uint32_t) bytes[3] << 24;
}

static int is_white(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Two letters are not much to go by: the size of the header that follows them has to be one of BMP's. */
static int begins_bmp(const uint8_t *bytes, size_t size) {
    if (size < 16 || bytes[0] != 'B' || bytes[1] != 'M' || bytes[15] != 0) return 0;
    const int header = bytes[14];
    return header == 12 || header == 40 || header == 52 || header == 56 || header == 64 || header == 108 ||
           header == 124;
}

int32_t moco_image_format_of(const uint8_t *bytes, size_t size) {
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff) return MOCO_FORMAT_JPEG;
    if (size >= 8 && memcmp(bytes, png, 8) == 0) return MOCO_FORMAT_PNG;
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) return MOCO_FORMAT_WEBP;
    if (begins_bmp(bytes, size)) return MOCO_FORMAT_BMP;
    if (size >= 4 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' && is_white(bytes[2]) &&
        (is_white(bytes[3]) || bytes[3] == '#' || (bytes[3] >= '0' && bytes[3] <= '9'))) {
        return MOCO_FORMAT_PNM;
    }
    if (size >= 4 && (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0 ||
                      memcmp(bytes, "II+\0", 4) == 0 || memcmp(bytes, "MM\0+", 4) == 0)) {
        return MOCO_FORMAT_TIFF;
    }
    return -1;
}

/* What else it may be, whatever its name says; NULL: nothing that is known. */
static const char *name_of(const uint8_t *bytes, size_t size) {
    static const struct {
        size_t at, length;
        const char *bytes, *name;
    } known[] = {
        {0, 4, "GIF8", "a GIF"},
        {4, 8, "ftypavif", "an AVIF"},
        {4, 8, "ftypavis", "an AVIF"},
        {4, 7, "ftyphei", "a HEIC"},
        {4, 7, "ftyphev", "a HEIC"},
        {4, 8, "ftypmif1", "a HEIC or AVIF"},
        {4, 8, "ftypmsf1", "a HEIC or AVIF"},
        {0, 2, "\xff\x0a", "a JPEG XL"},
        {4, 8, "JXL \r\n\x87\n", "a JPEG XL"},
        {4, 8, "jP  \r\n\x87\n", "a JPEG 2000"},
        {0, 4, "\xff\x4f\xff\x51", "a JPEG 2000"},
        {0, 4, "8BPS", "a Photoshop (PSD)"},
        {0, 4, "%PDF", "a PDF"},
        {0, 4, "<svg", "an SVG"},
        {0, 14, "<!DOCTYPE html", "an HTML"},
        {0, 5, "<html", "an HTML"},
        {0, 4, "PK\3\4", "a zip"},
        {0, 2, "\x1f\x8b", "a gzip"},
        {0, 23, "version https://git-lfs", "a Git LFS pointer (git lfs pull gets its content), a text"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        const size_t at = known[i].at, length = known[i].length;
        if (size >= at + length && memcmp(bytes + at, known[i].bytes, length) == 0) return known[i].name;
    }
    return NULL;
}

static moco_status fail_unknown(const uint8_t *bytes, size_t size) {
    if (size == 0) return moco_fail(MOCO_FORMAT, "the file is empty");
    char begin[3 * 8 + 1] = "";
    for (size_t i = 0; i < 8 && i < size; ++i) {
        const char *digits = "0123456789abcdef";
        begin[3 * i] = digits[bytes[i] >> 4];
        begin[3 * i + 1] = digits[bytes[i] & 15];
        begin[3 * i + 2] = ' ';
    }
    begin[3 * (size < 8 ? size : 8) - 1] = '\0';
    const char *name = name_of(bytes, size);
    return moco_fail(
        MOCO_FORMAT,
        "it is %s%snot an image of a known format (JPEG, PNG, WebP, TIFF, BMP, PBM, PGM or PPM): it begins "
        "with the bytes %s",
        name == NULL ? "" : name, name == NULL ? "" : " file, ", begin);
}

static moco_status walk(moco_context *context, const uint8_t *bytes, size_t size, moco_stored_header *header) {
    switch (moco_image_format_of(bytes, size)) {
    case MOCO_FORMAT_JPEG:
        return moco_jpeg_walk(bytes, size, header);
    case MOCO_FORMAT_PNG:
        return moco_png_walk(context, bytes, size, header);
    case MOCO_FORMAT_WEBP:
        return moco_webp_walk(bytes, size, header);
    case MOCO_FORMAT_BMP:
        return moco_bmp_walk(bytes, size, header);
    case MOCO_FORMAT_PNM:
        return moco_pnm_walk(bytes, size, header);
    case MOCO_FORMAT_TIFF:
        return moco_tiff_walk(bytes, size, header);
    default:
        return fail_unknown(bytes, size);
    }
}

moco_status moco_image_walk(moco_context *context, const uint8_t *bytes, size_t size, moco_stored_header *header) {
    *header = (moco_stored_header){.orientation = 1};
    MOCO_TRY(walk(context, bytes, size, header));
    for (int sayer = MOCO_SAYERS - 1; sayer >= 0; --sayer) {
        if (header->said[sayer] != 0) header->orientation = header->said[sayer];
    }
    return MOCO_OK;
}

/* --- JPEG --- */

static int is_frame_marker(int marker) {
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

moco_status moco_jpeg_walk(const uint8_t *bytes, size_t size, moco_stored_header *header) {
    header->format = MOCO_FORMAT_JPEG;
    size_t at = 2;
    for (;;) {
        if (at >= size) return moco_image_fail_short("JPEG", "before its pixels");
        while (at < size && bytes[at] != 0xff) ++at; /* stray bytes, which some cameras write */
        while (at < size && bytes[at] == 0xff) ++at; /* any number may stand before a marker */
        if (at >= size) return moco_image_fail_short("JPEG", "before its pixels");
        const int marker = bytes[at++];
        if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue; /* without content, or no marker */
        if (marker == 0xd9) return moco_image_fail_short("JPEG", "before its pixels");
        if (marker == 0xd8) {
            return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: the marker ff%02x is at byte %zu", marker, at - 2);
        }
        if (size - at < 2) return moco_image_fail_short("JPEG", "inside a marker");
        const size_t length = big_u16(bytes + at); /* these two bytes included */
        if (length < 2 || length > size - at) return moco_image_fail_short("JPEG", "inside a marker");
        const uint8_t *content = bytes + at + 2;
        if (is_frame_marker(marker)) {
            if (length < 8)
                return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: its frame header has only %zu bytes", length);
            if (header->h != 0) return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: it has two frame headers");
            header->h = big_u16(content + 1);
            header->w = big_u16(content + 3);
            if (header->h == 0 || header->w == 0) return moco_image_fail_empty("JPEG", header->h, header->w);
        } else if (marker == 0xe1) {
            moco_note_app1(content, length - 2, MOCO_SAID_BY_EXIF, header);
        }
        at += length;
        if (marker == 0xda) break;
    }
    if (header->h == 0)
        return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: its pixels begin without a frame header");
    /* Entropy-coded data holds no ff d9; so where the end of the image is there, its end is found from behind, mostly
     * at once. */
    for (size_t end = size; end >= at + 2; --end) {
        if (bytes[end - 1] == 0xd9 && bytes[end - 2] == 0xff) return MOCO_OK;
    }
    return moco_image_fail_short("JPEG", "without the marker of its end");
}

/* --- PNG --- */

moco_status moco_png_walk(moco_context *context, const uint8_t *bytes, size_t size, moco_stored_header *header) {
    header->format = MOCO_FORMAT_PNG;
    int has_pixels = 0;
    size_t at = 8;
    while (size - at >= 12) {
        const size_t length = big_u32(bytes + at);
        const uint8_t *type = bytes + at + 4, *content = bytes + at + 8;
        if (length > size - at - 12) return moco_image_fail_short("PNG", "inside a chunk");
        if (length > INT32_MAX)
            return moco_fail(MOCO_FORMAT, "the PNG file is damaged: a chunk claims %zu bytes", length);
        if (at == 8) {
            if (memcmp(type, "IHDR", 4) != 0 || length != 13) {
                return moco_fail(MOCO_FORMAT, "the PNG file is damaged: it does not begin with its header");
            }
            header->w = big_u32(content);
            header->h = big_u32(content + 4);
            header->interlaced = content[12] != 0;
            if (header->h == 0 || header->w == 0) return moco_image_fail_empty("PNG", header->h, header->w);
        } else if (memcmp(type, "eXIf", 4) == 0) {
            moco_note_orientation(header, MOCO_SAID_BY_EXIF, moco_exif_find_orientation(content, length));
        } else if (memcmp(type + 1, "TXt", 3) == 0 || memcmp(type, "tEXt", 4) == 0) {
            MOCO_TRY(moco_png_note_text(context, type, content, length, header));
        } else if (memcmp(type, "IDAT", 4) == 0) {
            has_pixels = 1;
        } else if (memcmp(type, "IEND", 4) == 0) {
            return has_pixels ? MOCO_OK : moco_fail(MOCO_FORMAT, "the PNG file is damaged: it has no pixel data");
        }
        at += length + 12;
    }
    return moco_image_fail_short("PNG", "without the chunk of its end");
}

/* --- WebP --- */

/* The size in a bitstream's own header. */
static moco_status read_picture_size(const uint8_t *type, const uint8_t *content, size_t length, int64_t *h,
                                     int64_t *w) {
    if (memcmp(type, "VP8L", 4) == 0) {
        if (length < 5) return moco_image_fail_short("WebP", "inside the picture's header");
        if (content[0] != 0x2f)
            return moco_fail(MOCO_FORMAT, "the WebP file is damaged: its lossless picture has no signature");
        const uint32_t bits = little_u32(content + 1);
        *w = (int64_t) (bits & 0x3fff) + 1;
        *h = (int64_t) (bits >> 14 & 0x3fff) + 1;
        return MOCO_OK;
    }
    if (length < 10) return moco_image_fail_short("WebP", "inside the picture's header");
    if (memcmp(content + 3, "\x9d\x01\x2a", 3) != 0) {
        return moco_fail(MOCO_FORMAT, "the WebP file is damaged: its lossy picture has no signature");
    }
    *w = (content[6] | content[7] << 8) & 0x3fff;
    *h = (content[8] | content[9] << 8) & 0x3fff;
    return *h == 0 || *w == 0 ? moco_image_fail_empty("WebP", *h, *w) : MOCO_OK;
}

/* A chunk at `at`, all of it before `end`; *next is behind it and its padding. */
static moco_status read_chunk(const uint8_t *bytes, size_t at, size_t end, size_t *length, size_t *next) {
    if (end - at < 8) return moco_image_fail_short("WebP", "inside a chunk");
    *length = little_u32(bytes + at + 4);
    if (*length > end - at - 8) return moco_image_fail_short("WebP", "inside a chunk");
    *next = at + 8 + *length;
    if (*length % 2 != 0 && *next < end) ++*next;
    return MOCO_OK;
}

/* The first picture among the chunks from `begin` on: its alpha, where it is a chunk of its own, and its bitstream. */
static moco_status find_picture(const uint8_t *bytes, size_t begin, size_t end, moco_stored_header *header) {
    for (size_t at = begin, length = 0, next = 0; at < end; at = next) {
        MOCO_TRY(read_chunk(bytes, at, end, &length, &next));
        const uint8_t *type = bytes + at;
        if (memcmp(type, "VP8 ", 4) != 0 && memcmp(type, "VP8L", 4) != 0) continue;
        MOCO_TRY(read_picture_size(type, type + 8, length, &header->picture.h, &header->picture.w));
        header->picture_offset = begin;
        header->picture_size = at + 8 + length - begin;
        return MOCO_OK;
    }
    return moco_fail(MOCO_FORMAT, "the WebP file is damaged: it has no picture");
}

/* A frame of an animation: a header of 16 bytes with its place on the canvas, then chunks. */
static moco_status find_frame(const uint8_t *bytes, size_t at, size_t length, moco_stored_header *header) {
    if (length < 16) return moco_image_fail_short("WebP", "inside a frame's header");
    const uint8_t *content = bytes + at;
    MOCO_TRY(find_picture(bytes, at + 16, at + length, header));
    moco_image_window *picture = &header->picture;
    picture->left = 2 * (int64_t) little_u24(content);
    picture->top = 2 * (int64_t) little_u24(content + 3);
    if (picture->w != (int64_t) little_u24(content + 6) + 1 || picture->h != (int64_t) little_u24(content + 9) + 1) {
        return moco_fail(MOCO_FORMAT,
                         "the WebP file is damaged: its first frame is not of the size in the frame's header");
    }
    return MOCO_OK;
}

moco_status moco_webp_walk(const uint8_t *bytes, size_t size, moco_stored_header *header) {
    header->format = MOCO_FORMAT_WEBP;
    const size_t claimed = little_u32(bytes + 4);
    if (claimed > size - 8) return moco_image_fail_short("WebP", "before the end that its header names");
    const size_t end = claimed + 8; /* bytes behind it do not count */
    if (end < 12 + 8) return moco_image_fail_short("WebP", "before its first chunk");

    if (memcmp(bytes + 12, "VP8X", 4) != 0) { /* the simple layout: a picture, nothing else that counts */
        size_t length = 0, next = 0;
        MOCO_TRY(read_chunk(bytes, 12, end, &length, &next));
        MOCO_TRY(find_picture(bytes, 12, next, header));
        header->h = header->picture.h;
        header->w = header->picture.w;
        return MOCO_OK;
    }
    for (size_t at = 12, length = 0, next = 0; at < end; at = next) {
        MOCO_TRY(read_chunk(bytes, at, end, &length, &next));
        const uint8_t *type = bytes + at, *content = type + 8;
        if (at == 12) {
            if (length < 10) return moco_image_fail_short("WebP", "inside its header");
            header->w = (int64_t) little_u24(content + 4) + 1;
            header->h = (int64_t) little_u24(content + 7) + 1;
        } else if (memcmp(type, "EXIF", 4) == 0) {
            moco_note_orientation(header, MOCO_SAID_BY_EXIF, moco_exif_find_orientation(content, length));
        } else if (memcmp(type, "XMP ", 4) == 0) {
            moco_note_orientation(header, MOCO_SAID_BY_XMP, moco_xmp_find_orientation(content, length));
        } else if (header->picture_size == 0) {
            if (memcmp(type, "ANMF", 4) == 0) {
                MOCO_TRY(find_frame(bytes, at + 8, length, header));
            } else if (memcmp(type, "ALPH", 4) == 0 || memcmp(type, "VP8 ", 4) == 0 || memcmp(type, "VP8L", 4) == 0) {
                MOCO_TRY(find_picture(bytes, at, end, header));
                if (header->picture.h != header->h || header->picture.w != header->w) {
                    return moco_fail(MOCO_FORMAT, "the WebP file is damaged: its picture is not of its header's size");
                }
            }
        }
    }
    if (header->picture_size == 0) return moco_fail(MOCO_FORMAT, "the WebP file is damaged: it has no picture");
    const moco_image_window *picture = &header->picture;
    if (picture->left > header->w - picture->w || picture->top > header->h - picture->h) {
        return moco_fail(MOCO_FORMAT, "the WebP file is damaged: its first frame is not inside the canvas");
    }
    return MOCO_OK;
}
