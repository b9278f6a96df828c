/* EXIF data by hand. */
#include "zoo/zoo_exif.h"

enum { TYPE_ASCII = 2, TYPE_SHORT = 3, TYPE_LONG = 4 };
enum { TAG_ORIENTATION = 0x0112, TAG_EXIF_DIRECTORY = 0x8769 };

typedef struct exif_writer {
    zoo_bytes *out;
    void (*number)(zoo_bytes *out, uint64_t value, int count);
} exif_writer;

static void append_tag(const exif_writer *writer, unsigned tag, unsigned type, uint32_t count, uint32_t value) {
    writer->number(writer->out, tag, 2);
    writer->number(writer->out, type, 2);
    writer->number(writer->out, count, 4);
    if (type == TYPE_SHORT) {
        writer->number(writer->out, value, 2);
        writer->number(writer->out, 0, 2);
    } else {
        writer->number(writer->out, value, 4);
    }
}

/* Tags as they should be, `others` of them before the orientation. */
static void append_directory(const exif_writer *writer, int others, int orientation) {
    writer->number(writer->out, (uint64_t) others + 1, 2);
    for (int i = 0; i < others; ++i) append_tag(writer, (unsigned) i, TYPE_LONG, 1, (uint32_t) i);
    append_tag(writer, TAG_ORIENTATION, TYPE_SHORT, 1, (uint32_t) orientation);
    writer->number(writer->out, 0, 4); /* no next directory */
}

void zoo_append_exif(zoo_bytes *out, int kind, int orientation) {
    const int big_endian = kind == ZOO_EXIF_BIG_ENDIAN;
    const exif_writer writer = {out, big_endian ? zoo_append_big_endian : zoo_append_little_endian};
    if (kind == ZOO_EXIF_EMPTY) return;
    zoo_append_text(out, kind == ZOO_EXIF_BYTE_ORDER ? "IM" : big_endian ? "MM" : "II");
    if (kind == ZOO_EXIF_CUT_IN_HEADER) return;
    writer.number(out, kind == ZOO_EXIF_MAGIC ? 43 : 42, 2);
    uint32_t at = 8;
    if (kind == ZOO_EXIF_FAR_AWAY) at = 1008;
    if (kind == ZOO_EXIF_HUGE_OFFSET) at = 4294967295u;
    if (kind == ZOO_EXIF_OFFSET_WRAPS) at = 4294967290u;
    if (kind == ZOO_EXIF_INTO_HEADER) at = 0;
    writer.number(out, at, 4);
    if (kind == ZOO_EXIF_FAR_AWAY) zoo_append_noise(out, 1000);

    switch (kind) {
    case ZOO_EXIF_AFTER_OTHERS:
        append_directory(&writer, 39, orientation);
        break;
    case ZOO_EXIF_LOOP:
        writer.number(out, 1, 2);
        append_tag(&writer, TAG_EXIF_DIRECTORY, TYPE_LONG, 1, 8);
        writer.number(out, 8, 4);
        break;
    case ZOO_EXIF_TOO_MANY_TAGS:
        writer.number(out, 65535, 2);
        for (int i = 0; i < 3; ++i) append_tag(&writer, 1, TYPE_LONG, 1, 1);
        break;
    case ZOO_EXIF_CUT_IN_TAG:
        writer.number(out, 1, 2);
        writer.number(out, TAG_ORIENTATION, 2);
        writer.number(out, TYPE_SHORT, 2);
        break;
    case ZOO_EXIF_ZERO_COUNT:
    case ZOO_EXIF_HUGE_COUNT:
    case ZOO_EXIF_UNKNOWN_TYPE:
    case ZOO_EXIF_AS_TEXT:
        writer.number(out, 1, 2);
        append_tag(&writer, TAG_ORIENTATION,
                   kind == ZOO_EXIF_UNKNOWN_TYPE ? 250
                   : kind == ZOO_EXIF_AS_TEXT    ? TYPE_ASCII
                                                 : TYPE_SHORT,
                   kind == ZOO_EXIF_ZERO_COUNT   ? 0
                   : kind == ZOO_EXIF_HUGE_COUNT ? 4294967295u
                                                 : 2,
                   kind == ZOO_EXIF_AS_TEXT ? '6' : 6);
        writer.number(out, 0, 4);
        break;
    case ZOO_EXIF_OUT_OF_RANGE:
        append_directory(&writer, 0, 9);
        break;
    case ZOO_EXIF_ZERO:
        append_directory(&writer, 0, 0);
        break;
    default:
        append_directory(&writer, 0, orientation);
    }
}
