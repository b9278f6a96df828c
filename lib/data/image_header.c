/* The containers of JPEG, PNG and WebP, walked without any library: the size, EXIF's orientation, and whether the file
 * is whole. Cheap: markers and chunks are stepped over, pixels are not looked at.
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

static moco_status fail_short(const char *format, const char *where) {
    return moco_fail(MOCO_FORMAT, "the %s file is cut short: it ends %s", format, where);
}

static moco_status fail_empty(const char *format, int64_t h, int64_t w) {
    return moco_fail(MOCO_FORMAT, "the %s file is empty: its header claims %lld x %lld pixels (h x w)", format,
                     (long long) h, (long long) w);
}

static const uint8_t png_signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

moco_status moco_image_walk(const uint8_t *bytes, size_t size, moco_stored_header *header) {
    *header = (moco_stored_header){.orientation = 1};
    if (size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff)
        return moco_jpeg_walk(bytes, size, header);
    if (size >= 8 && memcmp(bytes, png_signature, 8) == 0) return moco_png_walk(bytes, size, header);
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) {
        return moco_webp_walk(bytes, size, header);
    }
    if (size == 0) return moco_fail(MOCO_FORMAT, "the file is empty");
    char begin[3 * 8 + 1] = "";
    for (size_t i = 0; i < 8 && i < size; ++i) {
        const char *digits = "0123456789abcdef";
        begin[3 * i] = digits[bytes[i] >> 4];
        begin[3 * i + 1] = digits[bytes[i] & 15];
        begin[3 * i + 2] = ' ';
    }
    begin[3 * (size < 8 ? size : 8) - 1] = '\0';
    return moco_fail(MOCO_FORMAT, "it is not an image of a known format (JPEG, PNG, WebP): it begins with the bytes %s",
                     begin);
}

/* --- JPEG --- */

static int is_frame_marker(int marker) {
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

moco_status moco_jpeg_walk(const uint8_t *bytes, size_t size, moco_stored_header *header) {
    header->format = MOCO_FORMAT_JPEG;
    int has_exif = 0;
    size_t at = 2;
    for (;;) {
        if (at >= size) return fail_short("JPEG", "before its pixels");
        if (bytes[at] != 0xff) {
            return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: no marker at byte %zu, where one must be", at);
        }
        while (at < size && bytes[at] == 0xff) ++at; /* any number may stand before a marker */
        if (at >= size) return fail_short("JPEG", "before its pixels");
        const int marker = bytes[at++];
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue; /* without content */
        if (marker == 0xd9) return fail_short("JPEG", "before its pixels");
        if (marker == 0 || marker == 0xd8) {
            return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: the marker ff%02x is at byte %zu", marker, at - 2);
        }
        if (size - at < 2) return fail_short("JPEG", "inside a marker");
        const size_t length = big_u16(bytes + at); /* these two bytes included */
        if (length < 2 || length > size - at) return fail_short("JPEG", "inside a marker");
        const uint8_t *content = bytes + at + 2;
        if (is_frame_marker(marker)) {
            if (length < 8)
                return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: its frame header has only %zu bytes", length);
            if (header->h != 0) return moco_fail(MOCO_FORMAT, "the JPEG file is damaged: it has two frame headers");
            header->h = big_u16(content + 1);
            header->w = big_u16(content + 3);
            if (header->h == 0 || header->w == 0) return fail_empty("JPEG", header->h, header->w);
        } else if (marker == 0xe1 && !has_exif && length >= 8 && memcmp(content, "Exif\0\0", 6) == 0) {
            has_exif = 1;
            header->orientation = moco_exif_orientation(content, length - 2);
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
    return fail_short("JPEG", "without the marker of its end");
}

/* --- PNG --- */

moco_status moco_png_walk(const uint8_t *bytes, size_t size, moco_stored_header *header) {
    header->format = MOCO_FORMAT_PNG;
    int has_exif = 0, has_pixels = 0;
    size_t at = 8;
    while (size - at >= 12) {
        const size_t length = big_u32(bytes + at);
        const uint8_t *type = bytes + at + 4, *content = bytes + at + 8;
        if (length > size - at - 12) return fail_short("PNG", "inside a chunk");
        if (length > INT32_MAX)
            return moco_fail(MOCO_FORMAT, "the PNG file is damaged: a chunk claims %zu bytes", length);
        if (at == 8) {
            if (memcmp(type, "IHDR", 4) != 0 || length != 13) {
                return moco_fail(MOCO_FORMAT, "the PNG file is damaged: it does not begin with its header");
            }
            header->w = big_u32(content);
            header->h = big_u32(content + 4);
            header->interlaced = content[12] != 0;
            if (header->h == 0 || header->w == 0) return fail_empty("PNG", header->h, header->w);
        } else if (memcmp(type, "eXIf", 4) == 0 && !has_exif) {
            has_exif = 1;
            header->orientation = moco_exif_orientation(content, length);
        } else if (memcmp(type, "IDAT", 4) == 0) {
            has_pixels = 1;
        } else if (memcmp(type, "IEND", 4) == 0) {
            return has_pixels ? MOCO_OK : moco_fail(MOCO_FORMAT, "the PNG file is damaged: it has no pixel data");
        }
        at += length + 12;
    }
    return fail_short("PNG", "without the chunk of its end");
}

/* --- WebP --- */

/* The size in a bitstream's own header. */
static moco_status read_picture_size(const uint8_t *type, const uint8_t *content, size_t length, int64_t *h,
                                     int64_t *w) {
    if (memcmp(type, "VP8L", 4) == 0) {
        if (length < 5) return fail_short("WebP", "inside the picture's header");
        if (content[0] != 0x2f)
            return moco_fail(MOCO_FORMAT, "the WebP file is damaged: its lossless picture has no signature");
        const uint32_t bits = little_u32(content + 1);
        *w = (int64_t) (bits & 0x3fff) + 1;
        *h = (int64_t) (bits >> 14 & 0x3fff) + 1;
        return MOCO_OK;
    }
    if (length < 10) return fail_short("WebP", "inside the picture's header");
    if (memcmp(content + 3, "\x9d\x01\x2a", 3) != 0) {
        return moco_fail(MOCO_FORMAT, "the WebP file is damaged: its lossy picture has no signature");
    }
    *w = (content[6] | content[7] << 8) & 0x3fff;
    *h = (content[8] | content[9] << 8) & 0x3fff;
    return *h == 0 || *w == 0 ? fail_empty("WebP", *h, *w) : MOCO_OK;
}

/* A chunk at `at`, all of it before `end`; *next is behind it and its padding. */
static moco_status read_chunk(const uint8_t *bytes, size_t at, size_t end, size_t *length, size_t *next) {
    if (end - at < 8) return fail_short("WebP", "inside a chunk");
    *length = little_u32(bytes + at + 4);
    if (*length > end - at - 8) return fail_short("WebP", "inside a chunk");
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
    if (length < 16) return fail_short("WebP", "inside a frame's header");
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
    if (claimed > size - 8) return fail_short("WebP", "before the end that its header names");
    const size_t end = claimed + 8; /* bytes behind it do not count */
    if (end < 12 + 8) return fail_short("WebP", "before its first chunk");

    int has_exif = 0;
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
            if (length < 10) return fail_short("WebP", "inside its header");
            header->w = (int64_t) little_u24(content + 4) + 1;
            header->h = (int64_t) little_u24(content + 7) + 1;
        } else if (memcmp(type, "EXIF", 4) == 0 && !has_exif) {
            has_exif = 1;
            header->orientation = moco_exif_orientation(content, length);
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
