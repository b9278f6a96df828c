/* JPEG files with wrong lengths, tables, headers and scans; and those that ask for more than they are worth. */
#include <string.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_jpeg_writer.h"
#include "zoo/zoo_picture.h"

static const zoo_jpeg_options plain = {.orientation = 1};

/* --- Segment lengths: marker * 8 + how --- */
enum { LENGTH_0 = 0, LENGTH_1, LENGTH_SHORTER, LENGTH_LONGER, LENGTH_65535, LENGTH_2 };
#define LENGTH(marker, how) ((marker) *8 + (how))

static void make_length(zoo_bytes *out, int variant) {
    zoo_append_jpeg(out, &plain);
    const size_t at = zoo_jpeg_find(out, variant / 8, 0);
    const uint64_t right = zoo_jpeg_segment_size(out, at) - 2;
    const uint64_t wrong[] = {0, 1, right - 1, right + 1, 65535, 2};
    zoo_put_big_endian(out, at + 2, wrong[variant % 8], 2);
}

/* --- A segment that isn't there: marker * 8 + which --- */
static void make_missing(zoo_bytes *out, int variant) {
    zoo_append_jpeg(out, &plain);
    const size_t at = zoo_jpeg_find(out, variant / 8, variant % 8);
    zoo_remove(out, at, zoo_jpeg_segment_size(out, at));
}

/* --- The frame header: SOF's precision is its byte 4, then h, w, components --- */
enum {
    ZERO_HEIGHT,
    ZERO_WIDTH,
    ZERO_BOTH,
    HUGE_SQUARE,
    HUGE_TALL,
    TALLER,
    PRECISION_12,
    PRECISION_0,
    COMPONENTS_0,
    COMPONENTS_2,
    COMPONENTS_5,
    COMPONENTS_255,
    SAMPLING_0,
    SAMPLING_15,
    LOSSLESS,
    HIERARCHICAL,
    TWO_FRAMES,
    TABLE_NUMBER,
    SAME_IDS
};

static void make_frame(zoo_bytes *out, int variant) {
    zoo_append_jpeg(out, &plain);
    const size_t at = zoo_jpeg_find(out, JPEG_SOF0, 0);
    const size_t size = zoo_jpeg_segment_size(out, at);
    zoo_bytes copy = {0};
    switch (variant) {
    case ZERO_HEIGHT: /* a DNL marker would have to follow, which no decoder here knows */
        zoo_put_big_endian(out, at + 5, 0, 2);
        break;
    case ZERO_WIDTH:
        zoo_put_big_endian(out, at + 7, 0, 2);
        break;
    case ZERO_BOTH:
        zoo_put_big_endian(out, at + 5, 0, 4);
        break;
    case HUGE_SQUARE:
        zoo_put_big_endian(out, at + 5, 65500, 2);
        zoo_put_big_endian(out, at + 7, 65500, 2);
        break;
    case HUGE_TALL: /* more than libjpeg's own 65500 */
        zoo_put_big_endian(out, at + 5, 65535, 2);
        break;
    case TALLER: /* a hundred times the data there are */
        zoo_put_big_endian(out, at + 5, 3200, 2);
        break;
    case PRECISION_12:
        out->data[at + 4] = 12;
        break;
    case PRECISION_0:
        out->data[at + 4] = 0;
        break;
    case COMPONENTS_0:
        out->data[at + 9] = 0;
        break;
    case COMPONENTS_2:
        out->data[at + 9] = 2;
        break;
    case COMPONENTS_5:
        out->data[at + 9] = 5;
        break;
    case COMPONENTS_255:
        out->data[at + 9] = 255;
        break;
    case SAMPLING_0:
        out->data[at + 11] = 0;
        break;
    case SAMPLING_15:
        out->data[at + 11] = 0xff;
        break;
    case LOSSLESS:
        out->data[at + 1] = JPEG_SOF3;
        break;
    case HIERARCHICAL:
        out->data[at + 1] = 0xc5;
        break;
    case TWO_FRAMES:
        zoo_append(&copy, out->data + at, size);
        zoo_insert(out, at, copy.data, copy.size);
        break;
    case TABLE_NUMBER: /* of the quantisation table */
        out->data[at + 12] = 3;
        break;
    default:
        out->data[at + 13] = out->data[at + 10];
    }
    zoo_bytes_free(&copy);
}

/* --- Tables and scan headers --- */
enum {
    DQT_NUMBER,
    DQT_ZERO,
    DHT_NUMBER,
    DHT_OVERFULL,
    DHT_TOO_MANY,
    SOS_COMPONENT,
    SOS_COUNT,
    SOS_TABLE,
    SOS_SPECTRUM,
    SOS_BEFORE_SOF,
    GARBAGE_BETWEEN,
    SECOND_SOI,
    EOI_FIRST
};

static void make_table(zoo_bytes *out, int variant) {
    zoo_append_jpeg(out, &plain);
    const size_t dqt = zoo_jpeg_find(out, JPEG_DQT, 0), dht = zoo_jpeg_find(out, JPEG_DHT, 0);
    const size_t sos = zoo_jpeg_find(out, JPEG_SOS, 0), sof = zoo_jpeg_find(out, JPEG_SOF0, 0);
    zoo_bytes moved = {0};
    switch (variant) {
    case DQT_NUMBER:
        out->data[dqt + 4] = 0x0e;
        break;
    case DQT_ZERO:
        memset(out->data + dqt + 5, 0, 64);
        break;
    case DHT_NUMBER:
        out->data[dht + 4] = 0x0f;
        break;
    case DHT_OVERFULL: /* three codes of one bit */
        memset(out->data + dht + 5, 0, 16);
        out->data[dht + 5] = 3;
        out->data[dht + 20] = 9;
        break;
    case DHT_TOO_MANY:
        memset(out->data + dht + 5, 255, 16);
        break;
    case SOS_COMPONENT:
        out->data[sos + 5] = 77;
        break;
    case SOS_COUNT:
        out->data[sos + 4] = 5;
        break;
    case SOS_TABLE:
        out->data[sos + 6] = 0x33;
        break;
    case SOS_SPECTRUM: /* coefficients 70 to 9 */
        zoo_put_big_endian(out, sos + 11, 0x4609, 2);
        break;
    case SOS_BEFORE_SOF:
        zoo_append(&moved, out->data + sof, zoo_jpeg_segment_size(out, sof));
        zoo_insert(out, sos + zoo_jpeg_segment_size(out, sos), moved.data, moved.size);
        zoo_remove(out, sof, moved.size);
        break;
    case GARBAGE_BETWEEN:
        zoo_append_repeated(&moved, 0x41, 50);
        zoo_insert(out, dqt, moved.data, moved.size);
        break;
    case SECOND_SOI:
        zoo_append_big_endian(&moved, 0xff00u | JPEG_SOI, 2);
        zoo_insert(out, dqt, moved.data, moved.size);
        break;
    default:
        zoo_append_big_endian(&moved, 0xff00u | JPEG_EOI, 2);
        zoo_insert(out, 2, moved.data, moved.size);
    }
    zoo_bytes_free(&moved);
}

/* --- Scan data; a picture of 12 x 12 blocks with 24 restart intervals --- */
enum { RST_ONE_MISSING, RST_ALL_MISSING, RST_SHUFFLED, RST_UNEXPECTED, HOLE, NOISE, ZEROS, ONES, MARKER_INSIDE };

static void make_scan(zoo_bytes *out, int variant) {
    const zoo_jpeg_options options = {.h = 96, .w = 96, .restart_blocks = variant == RST_UNEXPECTED ? 0 : 6};
    zoo_append_jpeg(out, &options);
    const size_t begin = zoo_jpeg_scan_data(out, 0), end = out->size - 2;
    const size_t middle = (begin + end) / 2;
    zoo_bytes noise = {0};
    switch (variant) {
    case RST_ONE_MISSING:
        zoo_remove(out, zoo_jpeg_find(out, JPEG_RST0 + 3, 0), 2);
        break;
    case RST_ALL_MISSING:
        for (int i = 0; i < 23; ++i) zoo_remove(out, zoo_jpeg_find(out, JPEG_RST0 + i % 8, 0), 2);
        break;
    case RST_SHUFFLED: {
        const size_t one = zoo_jpeg_find(out, JPEG_RST0 + 1, 0), five = zoo_jpeg_find(out, JPEG_RST0 + 5, 0);
        out->data[one + 1] = JPEG_RST0 + 5;
        out->data[five + 1] = JPEG_RST0 + 1;
        break;
    }
    case RST_UNEXPECTED:
        zoo_append_big_endian(&noise, 0xff00u | JPEG_RST0, 2);
        zoo_insert(out, middle, noise.data, noise.size);
        break;
    case HOLE:
        zoo_remove(out, begin + (end - begin) / 4, (end - begin) / 2);
        break;
    case NOISE:
        zoo_append_noise(&noise, end - begin);
        memcpy(out->data + begin, noise.data, end - begin);
        break;
    case ZEROS:
        memset(out->data + begin, 0, end - begin);
        break;
    case ONES:
        memset(out->data + begin, 0xff, end - begin);
        break;
    default: /* a table where the scan goes on */
        zoo_append(&noise, "\xff\xdb\x00\x02", 4);
        zoo_insert(out, middle, noise.data, noise.size);
    }
    zoo_bytes_free(&noise);
}

/* --- Bombs --- */

/* A progressive grey picture of `side` x `side` in 882 scans of a few bytes each, all of them allowed by the standard:
 * every coefficient alone, bit by bit. Each scan makes the decoder go through all blocks. */
static void make_scan_bomb(zoo_bytes *out, int side) {
    const int blocks = (side / 8) * (side / 8);
    zoo_append_big_endian(out, 0xffd8ffdb, 4);
    zoo_append_big_endian(out, 67, 2);
    zoo_append_big_endian(out, 0, 1);
    zoo_append_repeated(out, 1, 64);
    zoo_append_big_endian(out, 0xffc2000b08, 5);
    zoo_append_big_endian(out, (uint64_t) side, 2);
    zoo_append_big_endian(out, (uint64_t) side, 2);
    zoo_append_big_endian(out, 0x01011100, 4);
    /* DC: "no difference" is the code 0. AC: 0xe0, "the next 16384 + 14 bits' worth of blocks have nothing", is 0;
     * 0x00, "this block has nothing", is 10. */
    zoo_append_big_endian(out, 0xffc4001400, 5);
    zoo_append_big_endian(out, 0x0100, 2);
    zoo_append_repeated(out, 0, 14);
    zoo_append_big_endian(out, 0, 1);
    zoo_append_big_endian(out, 0xffc4001510, 5);
    zoo_append_big_endian(out, 0x0101, 2);
    zoo_append_repeated(out, 0, 14);
    zoo_append_big_endian(out, 0xe000, 2);

    zoo_append_big_endian(out, 0xffda00080101, 6);
    zoo_append_big_endian(out, 0, 4); /* table 0; DC alone, all of its bits */
    zoo_append_repeated(out, 0, (size_t) blocks / 8);
    for (int k = 1; k < 64; ++k) {
        for (int low = 13; low >= 0; --low) {
            zoo_append_big_endian(out, 0xffda00080101, 6);
            zoo_append_big_endian(out, 0, 1);
            zoo_append_big_endian(out, (uint64_t) k, 1);
            zoo_append_big_endian(out, (uint64_t) k, 1);
            zoo_append_big_endian(out, (uint64_t) (low == 13 ? low : (low + 1) * 16 + low), 1);
            uint32_t bits = 0;
            int held = 0, left = blocks;
            while (left > 0 || held > 0) {
                if (left >= 32767) {
                    bits = bits << 15 | 0x3fff, held += 15, left -= 32767;
                } else if (left >= 16384) {
                    bits = bits << 15 | (uint32_t) (left - 16384), held += 15, left = 0;
                } else if (left > 0) {
                    bits = bits << 2 | 2, held += 2, --left;
                } else {
                    bits = bits << (8 - held) | (0xffu >> held), held = 8;
                }
                for (; held >= 8; held -= 8) {
                    const uint32_t byte = bits >> (held - 8) & 0xff;
                    zoo_append_big_endian(out, byte, 1);
                    if (byte == 0xff) zoo_append_big_endian(out, 0, 1);
                }
            }
        }
    }
    zoo_append_big_endian(out, 0xff00u | JPEG_EOI, 2);
}

/* A progressive frame of `side` x `side` whose coefficients alone would fill gigabytes, and no more data than a small
 * one. */
static void make_memory_bomb(zoo_bytes *out, int side) {
    static const zoo_jpeg_options options = {.progressive = 1};
    zoo_append_jpeg(out, &options);
    const size_t at = zoo_jpeg_find(out, JPEG_SOF2, 0);
    zoo_put_big_endian(out, at + 5, (uint64_t) side, 2);
    zoo_put_big_endian(out, at + 7, (uint64_t) side, 2);
}

#define DAMAGED                                                                                                        \
    "no marker|inside a marker|the marker|ends before|frame header|bogus|corrupt|unsupported|invalid|not defined|has " \
    "a zero|DNL"
#define LENGTHS(name, marker, how, reason) \
    { "jpeg-length-" name ".jpg", make_length, LENGTH(marker, how), 0, 0, 0, reason }
/* What is lost, or left over, is nothing that the picture needs; Pillow decodes these, too. */
#define HARMLESS(name, marker, how) \
    { "jpeg-length-" name ".jpg", make_length, LENGTH(marker, how), ZOO_H, ZOO_W, ZOO_COLOURS, NULL }
#define MISSING(name, marker, which, reason) \
    { "jpeg-missing-" name ".jpg", make_missing, (marker) *8 + (which), 0, 0, 0, reason }
#define FRAME(name, variant, reason) \
    { "jpeg-" name ".jpg", make_frame, variant, 0, 0, 0, reason }
#define TABLE(name, variant) \
    { "jpeg-" name ".jpg", make_table, variant, 0, 0, 0, DAMAGED }
#define SCAN(name, variant) \
    { "jpeg-scan-" name ".jpg", make_scan, variant, 0, 0, 0, DAMAGED }
static const zoo_entry entries[] = {
    LENGTHS("app0-0", JPEG_APP0, LENGTH_0, DAMAGED),
    HARMLESS("app0-longer", JPEG_APP0, LENGTH_LONGER),
    LENGTHS("app0-65535", JPEG_APP0, LENGTH_65535, DAMAGED),
    LENGTHS("app1-1", JPEG_APP1, LENGTH_1, DAMAGED),
    HARMLESS("app1-shorter", JPEG_APP1, LENGTH_SHORTER),
    LENGTHS("app1-65535", JPEG_APP1, LENGTH_65535, DAMAGED),
    LENGTHS("dqt-1", JPEG_DQT, LENGTH_1, DAMAGED),
    LENGTHS("dqt-2", JPEG_DQT, LENGTH_2, DAMAGED),
    LENGTHS("dqt-shorter", JPEG_DQT, LENGTH_SHORTER, DAMAGED),
    LENGTHS("dqt-longer", JPEG_DQT, LENGTH_LONGER, DAMAGED),
    LENGTHS("sof-2", JPEG_SOF0, LENGTH_2, DAMAGED),
    LENGTHS("sof-shorter", JPEG_SOF0, LENGTH_SHORTER, DAMAGED),
    LENGTHS("sof-longer", JPEG_SOF0, LENGTH_LONGER, DAMAGED),
    LENGTHS("sof-65535", JPEG_SOF0, LENGTH_65535, DAMAGED),
    LENGTHS("dht-0", JPEG_DHT, LENGTH_0, DAMAGED),
    LENGTHS("dht-shorter", JPEG_DHT, LENGTH_SHORTER, DAMAGED),
    LENGTHS("dht-longer", JPEG_DHT, LENGTH_LONGER, DAMAGED),
    LENGTHS("sos-0", JPEG_SOS, LENGTH_0, DAMAGED),
    LENGTHS("sos-shorter", JPEG_SOS, LENGTH_SHORTER, DAMAGED),
    LENGTHS("sos-65535", JPEG_SOS, LENGTH_65535, DAMAGED),
    MISSING("soi", JPEG_SOI, 0, "known format"),
    MISSING("sof", JPEG_SOF0, 0, DAMAGED),
    MISSING("first-dqt", JPEG_DQT, 0, "quantization table"),
    MISSING("second-dqt", JPEG_DQT, 1, "quantization table"),
    MISSING("sos", JPEG_SOS, 0, DAMAGED),
    FRAME("zero-height", ZERO_HEIGHT, "empty"),
    FRAME("zero-width", ZERO_WIDTH, "empty"),
    FRAME("zero-size", ZERO_BOTH, "empty"),
    FRAME("huge-65500x65500", HUGE_SQUARE, "in all"),
    FRAME("huge-65535-rows", HUGE_TALL, "each side"),
    FRAME("taller-than-its-data", TALLER, DAMAGED),
    FRAME("precision-12", PRECISION_12, "precision 12"),
    FRAME("precision-0", PRECISION_0, "precision 0"),
    FRAME("components-0", COMPONENTS_0, DAMAGED),
    FRAME("components-2", COMPONENTS_2, DAMAGED),
    FRAME("components-5", COMPONENTS_5, DAMAGED),
    FRAME("components-255", COMPONENTS_255, DAMAGED),
    FRAME("sampling-0", SAMPLING_0, "sampling factors"),
    FRAME("sampling-15", SAMPLING_15, "sampling factors"),
    FRAME("lossless", LOSSLESS, DAMAGED),
    FRAME("hierarchical", HIERARCHICAL, DAMAGED),
    FRAME("two-frames", TWO_FRAMES, DAMAGED),
    FRAME("table-number", TABLE_NUMBER, "table"),
    FRAME("same-component-ids", SAME_IDS, DAMAGED),
    TABLE("dqt-number", DQT_NUMBER),
    TABLE("dqt-zero", DQT_ZERO),
    TABLE("dht-number", DHT_NUMBER),
    TABLE("dht-overfull", DHT_OVERFULL),
    TABLE("dht-too-many", DHT_TOO_MANY),
    TABLE("sos-component", SOS_COMPONENT),
    TABLE("sos-count", SOS_COUNT),
    TABLE("sos-table", SOS_TABLE),
    TABLE("sos-spectrum", SOS_SPECTRUM),
    TABLE("sos-before-sof", SOS_BEFORE_SOF),
    {"jpeg-garbage-between.jpg", make_table, GARBAGE_BETWEEN, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    TABLE("second-soi", SECOND_SOI),
    TABLE("eoi-first", EOI_FIRST),
    SCAN("restart-one-missing", RST_ONE_MISSING),
    SCAN("restart-all-missing", RST_ALL_MISSING),
    SCAN("restart-shuffled", RST_SHUFFLED),
    SCAN("restart-unexpected", RST_UNEXPECTED),
    SCAN("hole", HOLE),
    SCAN("noise", NOISE),
    SCAN("zeros", ZEROS),
    SCAN("ones", ONES),
    SCAN("marker-inside", MARKER_INSIDE),
    {"jpeg-bomb-scans.jpg", make_scan_bomb, 1024, 0, 0, 0, "scans"},
    {"jpeg-bomb-memory.jpg", make_memory_bomb, 13000, 0, 0, 0, "of memory"},
};
const zoo_table zoo_jpeg_broken = {entries, (int) (sizeof entries / sizeof entries[0])};
