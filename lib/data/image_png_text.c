/* Orientation in a PNG's text: XMP (iTXt "XML:com.adobe.xmp"), or EXIF and XMP as ImageMagick keeps them, in hexadecimal
 * digits under "Raw profile type ...". Only the beginning of a long text is looked at, so that one that inflates to
 * gigabytes costs no more than another.
 */
#include <string.h>

#include "core/checked.h"
#include "data/image_decoders.h"

#ifdef MOCO_HAVE_PNG
#include <zlib.h>
#endif

enum { ROOM = 256 << 10 /* bytes of a text that are looked at */, MAX_KEYWORD = 79 };

enum { NO_ORIENTATION, XMP, RAW_EXIF, RAW_APP1, RAW_XMP };

static int kind_of(const uint8_t *type, const uint8_t *keyword) {
    static const struct {
        const char *keyword;
        int kind;
    } kinds[] = {
        {"Raw profile type exif", RAW_EXIF}, {"Raw profile type APP1", RAW_APP1}, {"Raw profile type xmp", RAW_XMP}};
    if (memcmp(type, "iTXt", 4) == 0)
        return strcmp((const char *) keyword, "XML:com.adobe.xmp") == 0 ? XMP : NO_ORIENTATION;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        if (strcmp((const char *) keyword, kinds[i].keyword) == 0) return kinds[i].kind;
    }
    return NO_ORIENTATION;
}

/* Behind the NUL that ends the text at `at`; `size` where there is none. */
static size_t behind_text(const uint8_t *content, size_t size, size_t at) {
    const uint8_t *end = at < size ? (const uint8_t *) memchr(content + at, 0, size - at) : NULL;
    return end == NULL ? size : (size_t) (end - content) + 1;
}

#ifdef MOCO_HAVE_PNG

static voidpf allocate_for_zlib(voidpf context, uInt items, uInt size) {
    return moco_allocate((moco_context *) context, (size_t) items * size); /* zlib asks for some 40 KiB in all */
}

static void free_for_zlib(voidpf context, voidpf memory) {
    moco_deallocate((moco_context *) context, memory);
}

/* What can be inflated of it, up to ROOM bytes. */
static moco_status inflate_text(moco_context *context, const uint8_t *deflated, size_t size, uint8_t *text,
                                size_t *length) {
    z_stream stream = {.zalloc = allocate_for_zlib, .zfree = free_for_zlib, .opaque = context};
    *length = 0;
    const int begun = inflateInit(&stream);
    if (begun != Z_OK) return begun == Z_MEM_ERROR ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    stream.next_in = (z_const Bytef *) (uintptr_t) deflated;
    stream.avail_in = (uInt) size; /* of a PNG's chunk, so below 2^31 */
    stream.next_out = text;
    stream.avail_out = ROOM;
    const int done = inflate(&stream, Z_SYNC_FLUSH);
    *length = ROOM - stream.avail_out;
    inflateEnd(&stream);
    return done == Z_MEM_ERROR ? MOCO_OUT_OF_MEMORY : MOCO_OK;
}

#else

/* Without zlib there is no PNG decoder either, and no picture to turn. */
static moco_status inflate_text(moco_context *context, const uint8_t *deflated, size_t size, uint8_t *text,
                                size_t *length) {
    (void) context, (void) deflated, (void) size, (void) text;
    *length = 0;
    return MOCO_OK;
}

#endif

static int hexadecimal(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* "\nexif\n    1234\n" and then 1234 bytes as digits, in lines: made to bytes in place. Returns how many. */
static size_t decode_profile(uint8_t *text, size_t length) {
    size_t at = 0, bytes = 0;
    for (int line = 0; line < 2; ++line) { /* the name, the length */
        while (at < length && (text[at] == '\n' || text[at] == ' ')) ++at;
        while (at < length && text[at] != '\n') ++at;
    }
    int high = -1;
    for (; at < length; ++at) {
        const int digit = hexadecimal(text[at]);
        if (digit < 0 && text[at] != '\n' && text[at] != ' ' && text[at] != '\r') break;
        if (digit < 0) continue;
        if (high < 0) {
            high = digit;
        } else {
            text[bytes++] = (uint8_t) (high << 4 | digit); /* behind what has been read */
            high = -1;
        }
    }
    return bytes;
}

static void note_text(int kind, uint8_t *text, size_t length, moco_stored_header *header) {
    if (kind == XMP) {
        moco_note_orientation(header, MOCO_SAID_BY_XMP, moco_xmp_find_orientation(text, length));
        return;
    }
    const size_t size = decode_profile(text, length);
    if (kind == RAW_EXIF) {
        moco_note_orientation(header, MOCO_SAID_BY_PROFILE, moco_exif_find_orientation(text, size));
    } else if (kind == RAW_APP1) {
        moco_note_app1(text, size, MOCO_SAID_BY_PROFILE, header);
    } else {
        moco_note_orientation(header, MOCO_SAID_BY_XMP, moco_xmp_find_orientation(text, size));
    }
}

moco_status moco_png_note_text(moco_context *context, const uint8_t *type, const uint8_t *content, size_t size,
                               moco_stored_header *header) {
    size_t at = behind_text(content, size < MAX_KEYWORD + 1 ? size : MAX_KEYWORD + 1, 0);
    if (at == 0 || content[at - 1] != 0) return MOCO_OK;
    const int kind = kind_of(type, content);
    if (kind == NO_ORIENTATION) return MOCO_OK;
    int is_deflated = type[0] == 'z';
    if (kind == XMP) {
        if (size - at < 2) return MOCO_OK;
        is_deflated = content[at] != 0;
        at = behind_text(content, size, behind_text(content, size, at + 2)); /* language, translated keyword */
    } else if (is_deflated) {
        ++at; /* the method */
    }
    if (at >= size) return MOCO_OK;

    uint8_t *text = (uint8_t *) moco_allocate(context, ROOM);
    if (text == NULL) return MOCO_OUT_OF_MEMORY;
    size_t length = size - at < ROOM ? size - at : ROOM;
    moco_status status = MOCO_OK;
    if (is_deflated) {
        status = inflate_text(context, content + at, size - at, text, &length);
    } else {
        memcpy(text, content + at, length);
    }
    if (status == MOCO_OK) note_text(kind, text, length, header);
    moco_deallocate(context, text);
    return status;
}
