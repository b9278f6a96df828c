/* JPEG files with something odd in or around them that must not keep them from being decoded. */
#include <string.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_exif.h"
#include "zoo/zoo_jpeg_writer.h"
#include "zoo/zoo_picture.h"

static const zoo_jpeg_options plain = {0};

/* EXIF data without a usable orientation say nothing: the picture is as it is stored. */
static void make_hostile_exif(zoo_bytes *out, int kind) {
    const zoo_jpeg_options options = {.orientation = 1, .exif_kind = kind};
    zoo_append_jpeg(out, &options);
}

enum {
    TRAILING_NOISE,
    TRAILING_PICTURE,
    TRAILING_HALF_PICTURE,
    FILL_BYTES,
    UNKNOWN_MARKERS,
    TWO_EXIFS,
    XMP_THEN_EXIF,
    EXIF_HEADER_ONLY,
    EXIF_FULL_SEGMENT,
    ICC_RUBBISH,
    ICC_MISNUMBERED,
    JFIF_ODD_DENSITY,
    ADOBE_SHORT,
    NO_HUFFMAN_TABLES
};

static void insert_segment(zoo_bytes *out, size_t at, int marker, const char *head, size_t head_size, size_t noise) {
    zoo_bytes segment = {0};
    zoo_append_big_endian(&segment, 0xff00u | (unsigned) marker, 2);
    zoo_append_big_endian(&segment, 2 + head_size + noise, 2);
    zoo_append(&segment, head, head_size);
    zoo_append_noise(&segment, noise);
    zoo_insert(out, at, segment.data, segment.size);
    zoo_bytes_free(&segment);
}

static void make_odd(zoo_bytes *out, int variant) {
    const zoo_jpeg_options turned = {.orientation = 6};
    zoo_append_jpeg(out, variant == TWO_EXIFS || variant == XMP_THEN_EXIF ? &turned : &plain);
    const size_t after_jfif = 2 + zoo_jpeg_segment_size(out, 2);
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    zoo_bytes more = {0};
    switch (variant) {
    case TRAILING_NOISE:
        zoo_append_noise(out, 1000);
        break;
    case TRAILING_PICTURE: /* as two-picture formats have it */
        zoo_append_jpeg(out, &turned);
        break;
    case TRAILING_HALF_PICTURE:
        zoo_append_jpeg(&more, &turned);
        zoo_append(out, more.data, more.size / 2);
        break;
    case FILL_BYTES: /* ISO 10918-1, B.1.1.2 allows them before any marker */
        zoo_append_repeated(&more, 0xff, 300);
        zoo_insert(out, zoo_jpeg_find(out, JPEG_DQT, 0), more.data, more.size);
        break;
    case UNKNOWN_MARKERS:
        for (int i = 2; i < 16; ++i) {
            if (i != 14) insert_segment(out, after_jfif, JPEG_APP0 + i, "Something", 10, 100);
        }
        break;
    case TWO_EXIFS: { /* the first one counts; it is the second of these two insertions */
        zoo_append(&more, "Exif\0", 6);
        zoo_append_exif(&more, 0, 3);
        const size_t at = zoo_jpeg_find(out, JPEG_APP1, 0);
        insert_segment(out, at + zoo_jpeg_segment_size(out, at), JPEG_APP1, (const char *) more.data, more.size, 0);
        break;
    }
    case XMP_THEN_EXIF:
        insert_segment(out, after_jfif, JPEG_APP1, xmp, sizeof xmp, 500);
        break;
    case EXIF_HEADER_ONLY:
        insert_segment(out, after_jfif, JPEG_APP1, "Exif\0", 6, 0);
        insert_segment(out, after_jfif, JPEG_APP1, "Exif", 4, 0);
        insert_segment(out, after_jfif, JPEG_APP1, "", 0, 0);
        break;
    case EXIF_FULL_SEGMENT:
        insert_segment(out, after_jfif, JPEG_APP1, "Exif\0\0II*\0\x08\0\0\0\xff\xff", 16, 65533 - 16);
        break;
    case ICC_RUBBISH:
        insert_segment(out, after_jfif, JPEG_APP0 + 2, "ICC_PROFILE\0\x01\x01", 14, 3000);
        break;
    case ICC_MISNUMBERED:
        insert_segment(out, after_jfif, JPEG_APP0 + 2, "ICC_PROFILE\0\x07\x03", 14, 30);
        insert_segment(out, after_jfif, JPEG_APP0 + 2, "ICC_PROFILE\0\0\0", 14, 0);
        break;
    case JFIF_ODD_DENSITY: /* units 77, 0 x 65535 */
        zoo_put_big_endian(out, 13, 0x4d0000ffff, 5);
        break;
    case ADOBE_SHORT:
        insert_segment(out, after_jfif, JPEG_APP14, "Adobe", 5, 0);
        break;
    default: /* as frames of motion JPEG are stored: the standard's own tables are meant */
        for (int i = 0; i < 4; ++i) {
            const size_t at = zoo_jpeg_find(out, JPEG_DHT, 0);
            zoo_remove(out, at, zoo_jpeg_segment_size(out, at));
        }
    }
    zoo_bytes_free(&more);
}

#define HOSTILE(name, kind) \
    { "jpeg-exif-" name ".jpg", make_hostile_exif, kind, ZOO_H, ZOO_W, ZOO_COLOURS, NULL }
#define ODD(name, variant) \
    { "jpeg-" name ".jpg", make_odd, variant, ZOO_H, ZOO_W, ZOO_COLOURS, NULL }
static const zoo_entry entries[] = {
    HOSTILE("loop", ZOO_EXIF_LOOP),
    HOSTILE("huge-offset", ZOO_EXIF_HUGE_OFFSET),
    HOSTILE("offset-wraps", ZOO_EXIF_OFFSET_WRAPS),
    HOSTILE("into-header", ZOO_EXIF_INTO_HEADER),
    HOSTILE("too-many-tags", ZOO_EXIF_TOO_MANY_TAGS),
    HOSTILE("cut-in-header", ZOO_EXIF_CUT_IN_HEADER),
    HOSTILE("cut-in-tag", ZOO_EXIF_CUT_IN_TAG),
    HOSTILE("empty", ZOO_EXIF_EMPTY),
    HOSTILE("byte-order", ZOO_EXIF_BYTE_ORDER),
    HOSTILE("magic", ZOO_EXIF_MAGIC),
    HOSTILE("zero-count", ZOO_EXIF_ZERO_COUNT),
    HOSTILE("huge-count", ZOO_EXIF_HUGE_COUNT),
    HOSTILE("unknown-type", ZOO_EXIF_UNKNOWN_TYPE),
    HOSTILE("out-of-range", ZOO_EXIF_OUT_OF_RANGE),
    HOSTILE("zero", ZOO_EXIF_ZERO),
    HOSTILE("as-text", ZOO_EXIF_AS_TEXT),
    ODD("trailing-noise", TRAILING_NOISE),
    ODD("trailing-picture", TRAILING_PICTURE),
    ODD("trailing-half-picture", TRAILING_HALF_PICTURE),
    ODD("fill-bytes", FILL_BYTES),
    ODD("unknown-markers", UNKNOWN_MARKERS),
    ODD("two-exifs", TWO_EXIFS),
    ODD("xmp-then-exif", XMP_THEN_EXIF),
    ODD("exif-header-only", EXIF_HEADER_ONLY),
    ODD("exif-full-segment", EXIF_FULL_SEGMENT),
    ODD("icc-rubbish", ICC_RUBBISH),
    ODD("icc-misnumbered", ICC_MISNUMBERED),
    ODD("jfif-odd-density", JFIF_ODD_DENSITY),
    ODD("adobe-short", ADOBE_SHORT),
    ODD("no-huffman-tables", NO_HUFFMAN_TABLES),
};
const zoo_table zoo_jpeg_odd = {entries, (int) (sizeof entries / sizeof entries[0])};
