/* PNG files that are cut short, damaged, out of order, or ask for more than they are worth. */
#include <stdlib.h>
#include <string.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_picture.h"
#include "zoo/zoo_png_writer.h"

static const zoo_png_options plain = {.colour = PNG_PALETTE};

/* --- Chunks by name: kind * 4 + what is done --- */
static const char *const types[] = {"IHDR", "PLTE", "IDAT", "IEND"};
enum { IHDR = 0, PLTE, IDAT, IEND };
enum { BAD_CRC = 0, MISSING, TWICE, CUT_BEFORE, CUT_IN_HEAD, CUT_IN_DATA, CUT_IN_CRC, HUGE_LENGTH, LENGTH_TOP_BIT };
#define CHUNK(type, what) ((type) *16 + (what))

static void make_chunk(zoo_bytes *out, int variant) {
    zoo_append_png(out, &plain);
    const size_t at = zoo_png_find(out, types[variant / 16], 0), size = zoo_png_chunk_size(out, at);
    zoo_bytes copy = {0};
    switch (variant % 16) {
    case BAD_CRC:
        out->data[at + size - 2] ^= 0x10;
        break;
    case MISSING:
        zoo_remove(out, at, size);
        break;
    case TWICE:
        zoo_append(&copy, out->data + at, size);
        zoo_insert(out, at, copy.data, copy.size);
        break;
    case CUT_BEFORE:
        zoo_truncate(out, at);
        break;
    case CUT_IN_HEAD:
        zoo_truncate(out, at + 6);
        break;
    case CUT_IN_DATA:
        zoo_truncate(out, at + 8 + (size - 12) / 2);
        break;
    case CUT_IN_CRC:
        zoo_truncate(out, at + size - 2);
        break;
    case HUGE_LENGTH:
        zoo_put_big_endian(out, at, 0x7fffffff, 4);
        break;
    default:
        zoo_put_big_endian(out, at, 0xfffffff0, 4);
    }
    zoo_bytes_free(&copy);
}

/* --- The header alone is wrong; what follows is one row's worth of data --- */
typedef struct header_fields {
    uint32_t h, w;
    int depth, colour, compression, filter, interlaced;
} header_fields;
static const header_fields headers[] = {
    {0, 48, 8, PNG_RGB, 0, 0, 0},
    {32, 0, 8, PNG_RGB, 0, 0, 0},
    {65500, 65500, 8, PNG_RGB, 0, 0, 0},
    {2147483647, 2147483647, 16, PNG_RGBA, 0, 0, 0},
    {0x80000000u, 4, 8, PNG_RGB, 0, 0, 0},
    {4, 0xffffffffu, 8, PNG_RGB, 0, 0, 0},
    {1, 1000000, 8, PNG_RGB, 0, 0, 0},
    {32, 48, 3, PNG_GREY, 0, 0, 0},
    {32, 48, 0, PNG_RGB, 0, 0, 0},
    {32, 48, 4, PNG_RGB, 0, 0, 0},
    {32, 48, 16, PNG_PALETTE, 0, 0, 0},
    {32, 48, 8, 5, 0, 0, 0},
    {32, 48, 8, 255, 0, 0, 0},
    {32, 48, 8, PNG_RGB, 1, 0, 0},
    {32, 48, 8, PNG_RGB, 0, 1, 0},
    {32, 48, 8, PNG_RGB, 0, 0, 2},
    {13000, 13000, 16, PNG_RGBA, 0, 0, 1}, /* 1.3 GB of rows, interlaced: all of them at once */
};

static void make_header(zoo_bytes *out, int variant) {
    const header_fields *fields = &headers[variant];
    uint8_t row[200] = {0};
    zoo_bytes deflated = {0};
    zoo_append_png_signature(out);
    zoo_append_png_header(out, fields->h, fields->w, fields->depth, fields->colour, fields->compression, fields->filter,
                          fields->interlaced);
    zoo_append_deflated(&deflated, row, sizeof row, 6);
    zoo_append_png_chunk(out, "IDAT", deflated.data, deflated.size);
    zoo_append_png_chunk(out, "IEND", NULL, 0);
    zoo_bytes_free(&deflated);
}

/* --- The compressed rows --- */
enum {
    ROWS_NONE,
    ROWS_HALF,
    ROWS_ALL_BUT_A_BYTE,
    ZLIB_HEADER,
    ZLIB_DICTIONARY,
    ZLIB_NOISE,
    ZLIB_CUT,
    ZLIB_CUT_LAST,
    ZLIB_CHECKSUM,
    FILTER_5,
    FILTER_255,
    INDEX_BEYOND,
    DIMENSION_BOMB
};

static void make_rows(zoo_bytes *out, int variant) {
    zoo_png_options options = {.colour = variant == INDEX_BEYOND ? PNG_PALETTE : PNG_RGB};
    if (variant == DIMENSION_BOMB) options = (zoo_png_options){.colour = PNG_GREY, .depth = 1, .h = 1, .w = 1};
    zoo_bytes rows = {0}, deflated = {0};
    uint32_t h = ZOO_H, w = ZOO_W;
    zoo_append_png_rows(&rows, &options);
    if (variant == ROWS_NONE) rows.size = 0;
    if (variant == ROWS_HALF) rows.size /= 2;
    if (variant == ROWS_ALL_BUT_A_BYTE) --rows.size;
    if (variant == FILTER_5) rows.data[10 * (1 + 3 * ZOO_W)] = 5;
    if (variant == FILTER_255) rows.data[0] = 255;
    if (variant == INDEX_BEYOND) rows.data[100] = 200;
    if (variant == DIMENSION_BOMB) { /* honest: 13000 x 13000 pixels of 1 bit in 20 KB, over half a gigabyte decoded */
        h = w = 13000;
        rows.size = 0;
        zoo_append_repeated(&rows, 0, 13000 * (1 + 13000 / 8));
    }
    zoo_append_deflated(&deflated, rows.data, rows.size, 9);
    if (variant == ZLIB_HEADER) deflated.data[0] = 0x79;
    if (variant == ZLIB_DICTIONARY) zoo_put_big_endian(&deflated, 0, 0x78bb, 2);
    if (variant == ZLIB_NOISE) {
        deflated.size = 2;
        zoo_append_noise(&deflated, 500);
    }
    if (variant == ZLIB_CUT) deflated.size /= 2;
    if (variant == ZLIB_CUT_LAST) deflated.size -= 8;
    if (variant == ZLIB_CHECKSUM) deflated.data[deflated.size - 1] ^= 1;

    zoo_append_png_signature(out);
    zoo_append_png_header(out, h, w, variant == DIMENSION_BOMB ? 1 : 8, options.colour, 0, 0, 0);
    if (variant == INDEX_BEYOND) zoo_append_png_palette(out, 8);
    zoo_append_png_chunk(out, "IDAT", deflated.data, deflated.size);
    zoo_append_png_chunk(out, "IEND", NULL, 0);
    zoo_bytes_free(&rows);
    zoo_bytes_free(&deflated);
}

/* --- Order, and chunks that are no good --- */
enum {
    PALETTE_LAST,
    DATA_FIRST,
    END_FIRST,
    DATA_SPLIT,
    PALETTE_OF_4_BYTES,
    PALETTE_EMPTY,
    PALETTE_OF_257,
    UNKNOWN_CRITICAL,
    APPLE,
    SIGNATURE_ONLY,
    SIGNATURE_CUT,
    SIGNATURE_AS_TEXT,
    TYPE_NOT_LETTERS,
    ANCILLARY_CRC
};

static void move_chunk(zoo_bytes *out, const char *type, size_t to) {
    const size_t at = zoo_png_find(out, type, 0), size = zoo_png_chunk_size(out, at);
    zoo_bytes chunk = {0};
    zoo_append(&chunk, out->data + at, size);
    if (to > at) {
        zoo_insert(out, to, chunk.data, size);
        zoo_remove(out, at, size);
    } else {
        zoo_remove(out, at, size);
        zoo_insert(out, to, chunk.data, size);
    }
    zoo_bytes_free(&chunk);
}

static void make_order(zoo_bytes *out, int variant) {
    const zoo_png_options split = {.colour = PNG_RGB, .idat_bytes = 20};
    const zoo_png_options grey = {.colour = PNG_RGB};
    zoo_append_png(out, variant == DATA_SPLIT ? &split : variant >= UNKNOWN_CRITICAL ? &grey : &plain);
    const size_t idat = zoo_png_find(out, "IDAT", 0);
    zoo_bytes chunk = {0}, palette = {0};
    switch (variant) {
    case PALETTE_LAST:
        move_chunk(out, "PLTE", zoo_png_find(out, "IEND", 0));
        break;
    case DATA_FIRST:
        move_chunk(out, "IDAT", 8);
        break;
    case END_FIRST:
        move_chunk(out, "IEND", idat);
        break;
    case DATA_SPLIT:
        zoo_append_png_chunk(&chunk, "tEXt", "Comment\0between", 15);
        zoo_insert(out, zoo_png_find(out, "IDAT", 1), chunk.data, chunk.size);
        break;
    case PALETTE_OF_4_BYTES:
    case PALETTE_EMPTY:
    case PALETTE_OF_257: {
        const size_t at = zoo_png_find(out, "PLTE", 0);
        zoo_remove(out, at, zoo_png_chunk_size(out, at));
        zoo_append_repeated(&palette, 7, variant == PALETTE_EMPTY ? 0 : variant == PALETTE_OF_257 ? 771 : 4);
        zoo_append_png_chunk(&chunk, "PLTE", palette.data, palette.size);
        zoo_insert(out, at, chunk.data, chunk.size);
        break;
    }
    case UNKNOWN_CRITICAL:
    case APPLE: /* Xcode's variant starts with this chunk; its rows are not PNG's */
        zoo_append_png_chunk(&chunk, variant == APPLE ? "CgBI" : "ABCD", "\x50\0\x20\2", 4);
        zoo_insert(out, variant == APPLE ? 8 : idat, chunk.data, chunk.size);
        break;
    case SIGNATURE_ONLY:
        zoo_truncate(out, 8);
        break;
    case SIGNATURE_CUT:
        zoo_truncate(out, 5);
        break;
    case SIGNATURE_AS_TEXT: /* transferred as text: CR LF became LF */
        zoo_remove(out, 4, 1);
        break;
    case ANCILLARY_CRC:
        zoo_append_png_chunk(&chunk, "tEXt", "Comment\0wrong", 13);
        chunk.data[chunk.size - 1] ^= 0x55;
        zoo_insert(out, idat, chunk.data, chunk.size);
        break;
    default:
        zoo_append_png_chunk(&chunk, "\1\2\3\4", "", 0);
        zoo_insert(out, idat, chunk.data, chunk.size);
    }
    zoo_bytes_free(&chunk);
    zoo_bytes_free(&palette);
}

#define SHORT "cut short"
#define DAMAGED                                                                       \
    "CRC|inside a chunk|chunk of its end|begin with its header|no pixel data|out of " \
    "place|duplicate|incorrect|missing|invalid|"                                      \
    "not enough|unhandled|known format"
#define CHUNKS(name, type, what, reason) \
    { "png-" name ".png", make_chunk, CHUNK(type, what), 0, 0, 0, reason }
#define HEADER(name, variant, reason) \
    { "png-header-" name ".png", make_header, variant, 0, 0, 0, reason }
#define ROWS(name, variant, reason) \
    { "png-" name ".png", make_rows, variant, 0, 0, 0, reason }
#define ORDER(name, variant) \
    { "png-" name ".png", make_order, variant, 0, 0, 0, DAMAGED }
static const zoo_entry entries[] = {
    CHUNKS("crc-ihdr", IHDR, BAD_CRC, "CRC"),
    CHUNKS("crc-plte", PLTE, BAD_CRC, "CRC"),
    CHUNKS("crc-idat", IDAT, BAD_CRC, "CRC"),
    CHUNKS("crc-iend", IEND, BAD_CRC, "CRC"),
    CHUNKS("missing-ihdr", IHDR, MISSING, DAMAGED),
    CHUNKS("missing-plte", PLTE, MISSING, "PLTE"),
    CHUNKS("missing-idat", IDAT, MISSING, DAMAGED),
    CHUNKS("missing-iend", IEND, MISSING, SHORT),
    CHUNKS("two-ihdr", IHDR, TWICE, DAMAGED),
    CHUNKS("two-plte", PLTE, TWICE, DAMAGED),
    CHUNKS("cut-in-ihdr-head", IHDR, CUT_IN_HEAD, SHORT),
    CHUNKS("cut-in-ihdr", IHDR, CUT_IN_DATA, SHORT),
    CHUNKS("cut-in-ihdr-crc", IHDR, CUT_IN_CRC, SHORT),
    CHUNKS("cut-before-plte", PLTE, CUT_BEFORE, SHORT),
    CHUNKS("cut-in-plte", PLTE, CUT_IN_DATA, SHORT),
    CHUNKS("cut-before-idat", IDAT, CUT_BEFORE, SHORT),
    CHUNKS("cut-in-idat-head", IDAT, CUT_IN_HEAD, SHORT),
    CHUNKS("cut-in-idat", IDAT, CUT_IN_DATA, SHORT),
    CHUNKS("cut-in-idat-crc", IDAT, CUT_IN_CRC, SHORT),
    CHUNKS("cut-in-iend", IEND, CUT_IN_HEAD, SHORT),
    CHUNKS("cut-in-iend-crc", IEND, CUT_IN_CRC, SHORT),
    CHUNKS("length-ihdr-huge", IHDR, HUGE_LENGTH, DAMAGED),
    CHUNKS("length-plte-huge", PLTE, HUGE_LENGTH, DAMAGED),
    CHUNKS("length-idat-huge", IDAT, HUGE_LENGTH, DAMAGED),
    CHUNKS("length-idat-top-bit", IDAT, LENGTH_TOP_BIT, DAMAGED),
    HEADER("zero-height", 0, "empty"),
    HEADER("zero-width", 1, "empty"),
    HEADER("65500x65500", 2, "in all"),
    HEADER("2147483647x2147483647", 3, "each side"),
    HEADER("height-top-bit", 4, "each side"),
    HEADER("width-top-bit", 5, "each side"),
    HEADER("1x1000000", 6, "each side"),
    HEADER("depth-3", 7, "IHDR"),
    HEADER("depth-0", 8, "IHDR"),
    HEADER("rgb-depth-4", 9, "IHDR"),
    HEADER("palette-depth-16", 10, "IHDR"),
    HEADER("colour-5", 11, "IHDR"),
    HEADER("colour-255", 12, "IHDR"),
    HEADER("compression-1", 13, "IHDR"),
    HEADER("filter-1", 14, "IHDR"),
    HEADER("interlace-2", 15, "IHDR"),
    HEADER("bomb-interlaced", 16, "of memory"),
    ROWS("rows-none", ROWS_NONE, "not enough image data"),
    ROWS("rows-half", ROWS_HALF, "not enough image data"),
    ROWS("rows-all-but-a-byte", ROWS_ALL_BUT_A_BYTE, "not enough image data"),
    ROWS("zlib-header", ZLIB_HEADER, DAMAGED),
    ROWS("zlib-dictionary", ZLIB_DICTIONARY, "dictionary"),
    ROWS("zlib-noise", ZLIB_NOISE, DAMAGED),
    ROWS("zlib-cut", ZLIB_CUT, "not enough image data"),
    ROWS("zlib-cut-last", ZLIB_CUT_LAST, "not enough image data"),
    ROWS("zlib-checksum", ZLIB_CHECKSUM, DAMAGED),
    ROWS("row-filter-5", FILTER_5, "filter"),
    ROWS("row-filter-255", FILTER_255, "filter"),
    /* No decoder minds: such pixels are black. */
    {"png-palette-index-beyond.png", make_rows, INDEX_BEYOND, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    ROWS("bomb-13000x13000", DIMENSION_BOMB, "of memory"),
    ORDER("palette-last", PALETTE_LAST),
    ORDER("data-first", DATA_FIRST),
    ORDER("end-first", END_FIRST),
    ORDER("data-split", DATA_SPLIT),
    ORDER("palette-of-4-bytes", PALETTE_OF_4_BYTES),
    ORDER("palette-empty", PALETTE_EMPTY),
    ORDER("palette-of-257", PALETTE_OF_257),
    ORDER("unknown-critical", UNKNOWN_CRITICAL),
    ORDER("apple", APPLE),
    ORDER("signature-only", SIGNATURE_ONLY),
    ORDER("signature-cut", SIGNATURE_CUT),
    ORDER("signature-as-text", SIGNATURE_AS_TEXT),
    ORDER("type-not-letters", TYPE_NOT_LETTERS),
    ORDER("crc-ancillary", ANCILLARY_CRC),
};
const zoo_table zoo_png_broken = {entries, (int) (sizeof entries / sizeof entries[0])};
