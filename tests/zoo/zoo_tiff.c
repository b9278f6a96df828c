/* TIFF files, right and broken, put together by hand: a header, the pixels, what does not fit into the directory, the
 * directory.
 */
#include <stdlib.h>
#include <string.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_jpeg_writer.h"
#include "zoo/zoo_picture.h"
#include "zoo/zoo_png_writer.h" /* deflate */

enum {
    BIG_ENDIAN_BYTES = 1,
    BIGTIFF = 2,
    PLANAR = 4,
    NO_SIZES = 8,
    TWO_PAGES = 16,
    PRIVATE_TAGS = 32,
    XMP_TAG = 64,
    LOOP = 128
};
enum { GREY = 1, RGB = 2, PALETTE = 3, INKS = 5, YCBCR = 6, WHITE_IS_ZERO = 0 };

typedef struct tiff_kind {
    const char *name;
    int photometric, bits, samples, compression;
    int tile;  /* its sides, a multiple of 16; 0: strips */
    int strip; /* rows of one */
    int alpha; /* 0: none; 1: colours are multiplied by it; 2: they are not */
    int orientation, flags, look;
} tiff_kind;

static const tiff_kind kinds[] = {
    {"tiff-rgb.tif", RGB, 8, 3, 1, 0, 10, 0, 0, 0, ZOO_COLOURS},
    {"tiff-rgb-big-endian.tif", RGB, 8, 3, 1, 0, 32, 0, 0, BIG_ENDIAN_BYTES, ZOO_COLOURS},
    {"tiff-rgb-bigtiff.tif", RGB, 8, 3, 1, 0, 5, 0, 0, BIGTIFF, ZOO_COLOURS},
    {"tiff-rgb-bigtiff-big-endian.tif", RGB, 8, 3, 1, 0, 5, 0, 0, BIGTIFF | BIG_ENDIAN_BYTES, ZOO_COLOURS},
    {"tiff-rgb-tiles.tif", RGB, 8, 3, 1, 16, 0, 0, 0, 0, ZOO_COLOURS},
    {"tiff-rgb-large-tile.tif", RGB, 8, 3, 1, 64, 0, 0, 0, 0, ZOO_COLOURS},
    {"tiff-rgb-planar.tif", RGB, 8, 3, 1, 0, 7, 0, 0, PLANAR, ZOO_COLOURS},
    {"tiff-rgb-planar-tiles.tif", RGB, 8, 3, 1, 16, 0, 0, 0, PLANAR, ZOO_COLOURS},
    {"tiff-rgb-16.tif", RGB, 16, 3, 1, 0, 8, 0, 0, 0, ZOO_COLOURS},
    {"tiff-rgb-16-big-endian.tif", RGB, 16, 3, 1, 0, 8, 0, 0, BIG_ENDIAN_BYTES, ZOO_COLOURS},
    {"tiff-rgb-deflate.tif", RGB, 8, 3, 8, 0, 8, 0, 0, 0, ZOO_COLOURS},
    {"tiff-rgb-deflate-old.tif", RGB, 8, 3, 32946, 16, 0, 0, 0, 0, ZOO_COLOURS},
    {"tiff-rgb-packbits.tif", RGB, 8, 3, 32773, 0, 8, 0, 0, 0, ZOO_COLOURS},
    {"tiff-rgba.tif", RGB, 8, 4, 1, 0, 8, 2, 0, 0, ZOO_ALPHA},
    {"tiff-rgba-planar.tif", RGB, 8, 4, 1, 0, 8, 2, 0, PLANAR, ZOO_ALPHA},
    {"tiff-rgba-premultiplied.tif", RGB, 8, 4, 1, 0, 8, 1, 0, 0, ZOO_ALPHA},
    {"tiff-grey.tif", GREY, 8, 1, 1, 0, 8, 0, 0, 0, ZOO_GREYS},
    {"tiff-grey-4.tif", GREY, 4, 1, 1, 0, 8, 0, 0, 0, ZOO_GREYS},
    {"tiff-grey-2.tif", GREY, 2, 1, 1, 0, 8, 0, 0, 0, ZOO_GREYS},
    {"tiff-grey-16.tif", GREY, 16, 1, 1, 0, 8, 0, 0, 0, ZOO_GREYS},
    {"tiff-grey-alpha.tif", GREY, 8, 2, 1, 0, 8, 2, 0, 0, ZOO_GREY_ALPHA},
    {"tiff-white-is-zero.tif", WHITE_IS_ZERO, 8, 1, 1, 0, 8, 0, 0, 0, ZOO_GREYS},
    {"tiff-palette.tif", PALETTE, 8, 1, 1, 0, 8, 0, 0, 0, ZOO_COLOURS},
    {"tiff-palette-4.tif", PALETTE, 4, 1, 1, 0, 8, 0, 0, 0, ZOO_COLOURS},
    {"tiff-inks.tif", INKS, 8, 4, 1, 0, 8, 0, 0, 0, ZOO_COLOURS},
    {"tiff-jpeg.tif", YCBCR, 8, 3, 7, 0, 32, 0, 0, 0, ZOO_COLOURS},
    {"tiff-orientation-2.tif", RGB, 8, 3, 1, 0, 8, 0, 2, 0, ZOO_COLOURS},
    {"tiff-orientation-3.tif", RGB, 8, 3, 1, 0, 8, 0, 3, BIG_ENDIAN_BYTES, ZOO_COLOURS},
    {"tiff-orientation-4.tif", RGB, 8, 3, 1, 16, 0, 0, 4, 0, ZOO_COLOURS},
    {"tiff-orientation-5.tif", RGB, 8, 3, 1, 0, 8, 0, 5, 0, ZOO_COLOURS},
    {"tiff-orientation-6.tif", RGB, 8, 3, 1, 0, 8, 0, 6, PLANAR, ZOO_COLOURS},
    {"tiff-orientation-7.tif", RGB, 8, 3, 1, 0, 8, 0, 7, BIGTIFF, ZOO_COLOURS},
    {"tiff-orientation-8.tif", RGB, 8, 4, 1, 0, 8, 2, 8, 0, ZOO_ALPHA},
    {"tiff-xmp-orientation-6.tif", RGB, 8, 3, 1, 0, 8, 0, 6, XMP_TAG, ZOO_COLOURS},
    {"tiff-without-sizes.tif", RGB, 8, 3, 1, 0, 32, 0, 0, NO_SIZES, ZOO_COLOURS},
    {"tiff-two-pages.tif", RGB, 8, 3, 1, 0, 8, 0, 0, TWO_PAGES, ZOO_COLOURS},
    {"tiff-loop-of-directories.tif", RGB, 8, 3, 1, 0, 8, 0, 0, LOOP, ZOO_COLOURS},
    {"tiff-private-tags.tif", RGB, 8, 3, 1, 0, 8, 0, 0, PRIVATE_TAGS, ZOO_COLOURS},
    /* One strip of more than 8 KiB, or one for each plane. */
    {"tiff-large-strip.tif", RGB, 16, 3, 1, 0, 32, 0, 0, 0, ZOO_COLOURS},
    {"tiff-large-strip-big-endian.tif", RGB, 16, 3, 1, 0, 1000, 0, 0, BIG_ENDIAN_BYTES, ZOO_COLOURS},
    {"tiff-large-strip-bigtiff.tif", RGB, 16, 3, 1, 0, 32, 0, 0, BIGTIFF, ZOO_COLOURS},
    {"tiff-large-strip-without-sizes.tif", RGB, 16, 3, 1, 0, 32, 0, 0, NO_SIZES, ZOO_COLOURS},
    {"tiff-large-strip-two-pages.tif", RGB, 16, 3, 1, 0, 32, 0, 0, TWO_PAGES, ZOO_COLOURS},
    {"tiff-large-strip-packbits.tif", RGB, 16, 3, 32773, 0, 32, 0, 0, 0, ZOO_COLOURS},
    {"tiff-large-strip-deflate.tif", RGB, 16, 3, 8, 0, 32, 0, 0, 0, ZOO_COLOURS},
    {"tiff-large-strip-inks.tif", INKS, 16, 4, 1, 0, 32, 0, 0, 0, ZOO_COLOURS},
    {"tiff-large-strip-rgba.tif", RGB, 16, 4, 1, 0, 32, 2, 0, 0, ZOO_ALPHA},
    {"tiff-large-strip-planar.tif", RGB, 16, 3, 1, 0, 32, 0, 0, PLANAR, ZOO_COLOURS},
    {"tiff-large-strip-2.tif", RGB, 16, 3, 1, 0, 32, 0, 2, 0, ZOO_COLOURS},
    {"tiff-large-strip-3.tif", RGB, 16, 3, 1, 0, 32, 0, 3, 0, ZOO_COLOURS},
    {"tiff-large-strip-4.tif", RGB, 16, 3, 1, 0, 32, 0, 4, 0, ZOO_COLOURS},
    {"tiff-large-strip-5.tif", RGB, 16, 3, 1, 0, 48, 0, 5, 0, ZOO_COLOURS},
    {"tiff-large-strip-6.tif", RGB, 16, 3, 1, 0, 48, 0, 6, 0, ZOO_COLOURS},
    {"tiff-large-strip-7.tif", RGB, 16, 3, 1, 0, 48, 0, 7, 0, ZOO_COLOURS},
    {"tiff-large-strip-8.tif", RGB, 16, 3, 1, 0, 48, 0, 8, 0, ZOO_COLOURS},
};

static void number(zoo_bytes *out, const tiff_kind *kind, uint64_t value, int bytes) {
    if (kind->flags & BIG_ENDIAN_BYTES) {
        zoo_append_big_endian(out, value, bytes);
    } else {
        zoo_append_little_endian(out, value, bytes);
    }
}

static void put_number(zoo_bytes *out, const tiff_kind *kind, size_t at, uint64_t value, int bytes) {
    if (kind->flags & BIG_ENDIAN_BYTES) {
        zoo_put_big_endian(out, at, value, bytes);
    } else {
        zoo_put_little_endian(out, at, value, bytes);
    }
}

/* Sample s of the stored pixel, 8 bits or a palette's number. */
static unsigned sample_of(const tiff_kind *kind, int r, int c, int s) {
    int y = 0, x = 0, stored_h = 0, stored_w = 0;
    zoo_stored_size(kind->orientation, ZOO_H, ZOO_W, &stored_h, &stored_w);
    if (r >= stored_h || c >= stored_w) return 0; /* of a tile */
    zoo_upright_of(kind->orientation, ZOO_H, ZOO_W, r, c, &y, &x);
    const int quadrant = zoo_quadrant(y, x, ZOO_H, ZOO_W);
    uint8_t rgba[4], grey, alpha;
    zoo_colour(quadrant, rgba);
    zoo_grey(quadrant, &grey, &alpha);
    if (kind->photometric == PALETTE) return (unsigned) quadrant;
    if (kind->photometric == INKS) return s < 3 ? 255u - rgba[s] : 0;
    if (kind->photometric == RGB) return s < 3 && kind->alpha == 1 ? rgba[s] * rgba[3] / 255u : rgba[s];
    if (s == 1) return alpha;
    return kind->photometric == WHITE_IS_ZERO ? 255u - grey : grey;
}

static void append_packed_rows(zoo_bytes *out, const zoo_bytes *rows) { /* literal stretches */
    for (size_t at = 0; at < rows->size; at += 100) {
        const size_t some = rows->size - at < 100 ? rows->size - at : 100;
        zoo_append_repeated(out, (int) some - 1, 1);
        zoo_append(out, rows->data + at, some);
    }
}

static void append_block(zoo_bytes *out, const tiff_kind *kind, int top, int left, int h, int w, int plane) {
    zoo_bytes rows = {0};
    if (kind->compression == 7) {
        static const zoo_jpeg_options jpeg = {.no_container = 1};
        zoo_append_jpeg(out, &jpeg);
        return;
    }
    for (int r = top; r < top + h; ++r) {
        unsigned held = 0;
        int bits = 0;
        for (int c = left; c < left + w; ++c) {
            const int first = plane < 0 ? 0 : plane, end = plane < 0 ? kind->samples : plane + 1;
            for (int s = first; s < end; ++s) {
                const unsigned value = sample_of(kind, r, c, s);
                if (kind->bits == 16) {
                    number(&rows, kind, value << 8 | 0x55, 2);
                } else {
                    const unsigned most = (1u << kind->bits) - 1;
                    held = held << kind->bits | (kind->photometric == PALETTE ? value : value * most / 255);
                    bits += kind->bits;
                    if (bits == 8) zoo_append_repeated(&rows, (int) held & 255, 1), bits = 0;
                }
            }
        }
        if (bits > 0) zoo_append_repeated(&rows, (int) (held << (8 - bits)) & 255, 1);
    }
    if (kind->compression == 8 || kind->compression == 32946) {
        zoo_append_deflated(out, rows.data, rows.size, 9);
    } else if (kind->compression == 32773) {
        append_packed_rows(out, &rows);
    } else {
        zoo_append(out, rows.data, rows.size);
    }
    zoo_bytes_free(&rows);
}

typedef struct block_list {
    uint64_t at[64], bytes[64];
    int count;
} block_list;

static void append_blocks(zoo_bytes *out, const tiff_kind *kind, int h, int w, block_list *blocks) {
    const int block_h = kind->tile ? kind->tile : kind->strip, block_w = kind->tile ? kind->tile : w;
    for (int plane = kind->flags & PLANAR ? 0 : -1; plane < (kind->flags & PLANAR ? kind->samples : 0); ++plane) {
        for (int y = 0; y < h; y += block_h) {
            for (int x = 0; x < w; x += block_w) {
                const size_t begin = out->size;
                append_block(out, kind, y, x, kind->tile || y + block_h <= h ? block_h : h - y, block_w, plane);
                if (blocks->count == 64) abort();
                blocks->at[blocks->count] = begin;
                blocks->bytes[blocks->count++] = out->size - begin;
                zoo_append_repeated(out, 0, out->size % 2);
            }
        }
    }
}

/* Values are put before the directory where they don't fit into the entry. */
static void entry(zoo_bytes *out, zoo_bytes *directory, const tiff_kind *kind, int tag, int type,
                  const uint64_t *values, int count) {
    const int inside = kind->flags & BIGTIFF ? 8 : 4, width = type == 1 ? 1 : type == 3 ? 2 : 4;
    zoo_bytes raw = {0};
    for (int i = 0; i < count; ++i) number(&raw, kind, values[i], width);
    number(directory, kind, (uint64_t) tag, 2);
    number(directory, kind, (uint64_t) type, 2);
    number(directory, kind, (uint64_t) count, inside);
    if (raw.size > (size_t) inside) {
        number(directory, kind, out->size, inside);
        zoo_append(out, raw.data, raw.size);
        zoo_append_repeated(out, 0, out->size % 2);
    } else {
        zoo_append_repeated(&raw, 0, (size_t) inside - raw.size);
        zoo_append(directory, raw.data, raw.size);
    }
    zoo_bytes_free(&raw);
}

static void append_directory(zoo_bytes *out, const tiff_kind *kind, int h, int w, const block_list *blocks) {
    static const char packet[] = "<x tiff:Orientation='6'/>";
    zoo_bytes directory = {0};
    uint64_t one[5] = {0}, table[3 * 256] = {0};
    int entries = 0;
#define ENTRY(tag, type, value) \
    (one[0] = (uint64_t) (value), entry(out, &directory, kind, tag, type, one, 1), ++entries)
#define ENTRIES(tag, type, values, count) (entry(out, &directory, kind, tag, type, values, count), ++entries)
    ENTRY(256, 3, w);
    ENTRY(257, 4, h);
    for (int i = 0; i < 5; ++i) one[i] = (uint64_t) kind->bits;
    ENTRIES(258, 3, one, kind->samples);
    ENTRY(259, 3, kind->compression);
    ENTRY(262, 3, kind->photometric);
    if (!kind->tile) ENTRIES(273, 4, blocks->at, blocks->count);
    if (kind->orientation > 0 && !(kind->flags & XMP_TAG)) ENTRY(274, 3, kind->orientation);
    ENTRY(277, 3, kind->samples);
    if (!kind->tile) ENTRY(278, 3, kind->strip);
    if (!kind->tile && !(kind->flags & NO_SIZES)) ENTRIES(279, 4, blocks->bytes, blocks->count);
    ENTRY(284, 3, kind->flags & PLANAR ? 2 : 1);
    if (kind->photometric == PALETTE) {
        for (int i = 0; i < 4; ++i) {
            uint8_t rgba[4];
            zoo_colour(i, rgba);
            for (int c = 0; c < 3; ++c) table[c * (1 << kind->bits) + i] = (uint64_t) rgba[c] << 8;
        }
        ENTRIES(320, 3, table, 3 << kind->bits);
    }
    if (kind->tile) {
        ENTRY(322, 3, kind->tile);
        ENTRY(323, 3, kind->tile);
        ENTRIES(324, 4, blocks->at, blocks->count);
        ENTRIES(325, 4, blocks->bytes, blocks->count);
    }
    if (kind->alpha > 0) ENTRY(338, 3, kind->alpha);
    if (kind->flags & XMP_TAG) {
        for (size_t i = 0; i < sizeof packet; ++i) table[i] = (uint8_t) packet[i];
        ENTRIES(700, 1, table, (int) sizeof packet);
    }
    if (kind->flags & PRIVATE_TAGS) {
        ENTRY(34665, 4, 0xffffff);
        ENTRY(50000, 99, 7);
        ENTRY(65000, 3, 1);
    }
    const int inside = kind->flags & BIGTIFF ? 8 : 4;
    const size_t at = out->size;
    put_number(out, kind, kind->flags & BIGTIFF ? 8 : 4, at, inside);
    number(out, kind, (uint64_t) entries, kind->flags & BIGTIFF ? 8 : 2);
    zoo_append(out, directory.data, directory.size);
    number(out, kind, kind->flags & LOOP ? at : kind->flags & TWO_PAGES ? out->size + (size_t) inside : 0, inside);
    if (kind->flags & TWO_PAGES) zoo_append(out, "\0\0\0\0\0\0", 6);
    zoo_bytes_free(&directory);
}

static void append_tiff(zoo_bytes *out, const tiff_kind *kind) {
    block_list blocks = {0};
    int h = 0, w = 0;
    zoo_stored_size(kind->orientation, ZOO_H, ZOO_W, &h, &w);
    zoo_append_text(out, kind->flags & BIG_ENDIAN_BYTES ? "MM" : "II");
    number(out, kind, kind->flags & BIGTIFF ? 43 : 42, 2);
    if (kind->flags & BIGTIFF) {
        number(out, kind, 8, 2);
        number(out, kind, 0, 2);
    }
    number(out, kind, 0, kind->flags & BIGTIFF ? 8 : 4);
    append_blocks(out, kind, h, w, &blocks);
    append_directory(out, kind, h, w, &blocks);
}

static void make_good(zoo_bytes *out, int variant) {
    append_tiff(out, &kinds[variant]);
}

/* The entry of a tag in a plain little-endian file, or its bytes from `field` on changed. */
typedef struct tiff_wound {
    const char *name;
    int kind, tag, field, bytes; /* field: 0 tag, 2 type, 4 count, 8 value */
    uint32_t value;
    int cut; /* > 0: to so many bytes; < 0: so many off the end */
    const char *reason;
} tiff_wound;

#define DAMAGED "damaged|cut short|not supported|empty|limit|memory|blocks"
static const tiff_wound wounds[] = {
    {"tiff-cut-in-header.tif", 0, 0, 0, 0, 0, 6, DAMAGED},
    {"tiff-cut-after-header.tif", 0, 0, 0, 0, 0, 8, DAMAGED},
    {"tiff-cut-in-pixels.tif", 0, 0, 0, 0, 0, 2000, DAMAGED},
    {"tiff-cut-in-directory.tif", 0, 0, 0, 0, 0, -30, DAMAGED},
    {"tiff-bigtiff-cut.tif", 2, 0, 0, 0, 0, 14, DAMAGED},
    {"tiff-width-0.tif", 0, 256, 8, 2, 0, 0, DAMAGED},
    {"tiff-height-0.tif", 0, 257, 8, 4, 0, 0, DAMAGED},
    {"tiff-height-highest.tif", 0, 257, 8, 4, 0xffffffffu, 0, DAMAGED},
    {"tiff-height-65000.tif", 0, 257, 8, 4, 65000, 0, DAMAGED},
    {"tiff-width-65535.tif", 0, 256, 8, 2, 65535, 0, DAMAGED},
    {"tiff-width-is-a-string.tif", 0, 256, 2, 2, 2, 0, DAMAGED},
    {"tiff-no-width.tif", 0, 256, 0, 2, 255, 0, DAMAGED},
    {"tiff-bits-3.tif", 16, 258, 8, 2, 3, 0, DAMAGED},
    {"tiff-bits-32.tif", 16, 258, 8, 2, 32, 0, DAMAGED},
    {"tiff-bits-0.tif", 16, 258, 8, 2, 0, 0, DAMAGED},
    {"tiff-bits-far-away.tif", 0, 258, 8, 4, 0xfffffff0u, 0, DAMAGED},
    {"tiff-compression-old-jpeg.tif", 0, 259, 8, 2, 6, 0, DAMAGED},
    {"tiff-compression-unknown.tif", 0, 259, 8, 2, 4711, 0, DAMAGED},
    {"tiff-compression-lzma.tif", 0, 259, 8, 2, 34925, 0, DAMAGED},
    {"tiff-not-deflate.tif", 0, 259, 8, 2, 8, 0, DAMAGED},
    {"tiff-not-lzw.tif", 0, 259, 8, 2, 5, 0, DAMAGED},
    {"tiff-not-jpeg.tif", 0, 259, 8, 2, 7, 0, DAMAGED},
    {"tiff-not-zstd.tif", 0, 259, 8, 2, 50000, 0, DAMAGED},
    {"tiff-not-fax.tif", 0, 259, 8, 2, 4, 0, DAMAGED},
    {"tiff-not-packbits.tif", 0, 259, 8, 2, 32773, 0, DAMAGED},
    {"tiff-photometric-lab.tif", 0, 262, 8, 2, 8, 0, DAMAGED},
    {"tiff-photometric-ycbcr.tif", 0, 262, 8, 2, 6, 0, DAMAGED},
    {"tiff-palette-missing.tif", 22, 320, 0, 2, 400, 0, DAMAGED},
    {"tiff-offsets-missing.tif", 0, 273, 0, 2, 400, 0, DAMAGED},
    {"tiff-offsets-far-away.tif", 0, 273, 8, 4, 0x7ffffff0u, 0, DAMAGED},
    {"tiff-offsets-too-few.tif", 0, 273, 4, 4, 2, 0, DAMAGED},
    {"tiff-offsets-too-many.tif", 0, 273, 4, 4, 0x40000000u, 0, DAMAGED},
    {"tiff-sizes-too-many.tif", 0, 279, 4, 4, 0xffffffffu, 0, DAMAGED},
    {"tiff-one-strip-too-large.tif", 1, 279, 8, 4, 0, 0, DAMAGED},
    {"tiff-large-strip-outside.tif", 38, 273, 8, 4, 4000, 0, DAMAGED},
    {"tiff-samples-0.tif", 0, 277, 8, 2, 0, 0, DAMAGED},
    {"tiff-samples-65535.tif", 0, 277, 8, 2, 65535, 0, DAMAGED},
    {"tiff-samples-1-of-rgb.tif", 0, 277, 8, 2, 1, 0, DAMAGED},
    {"tiff-strips-of-0-rows.tif", 0, 278, 8, 2, 0, 0, DAMAGED},
    {"tiff-planar-3.tif", 0, 284, 8, 2, 3, 0, DAMAGED},
    {"tiff-tile-0.tif", 4, 322, 8, 2, 0, 0, DAMAGED},
    {"tiff-tile-65520.tif", 4, 323, 8, 2, 65520, 0, DAMAGED},
    {"tiff-tile-17.tif", 4, 322, 8, 2, 17, 0, DAMAGED},
};

static void make_broken(zoo_bytes *out, int variant) {
    const tiff_wound *wound = &wounds[variant];
    append_tiff(out, &kinds[wound->kind]);
    if (wound->bytes > 0) { /* a big-endian file's directory is not looked through: its first offset is what is wrong */
        const int is_little = out->data[0] == 'I';
        size_t at = is_little ? out->data[4] | (size_t) out->data[5] << 8 : out->data[7] | (size_t) out->data[6] << 8;
        for (at += 2; at + 12 <= out->size; at += 12) {
            const int tag = is_little ? out->data[at] | out->data[at + 1] << 8 : out->data[at] << 8 | out->data[at + 1];
            if (tag != wound->tag) continue;
            if (is_little) {
                zoo_put_little_endian(out, at + (size_t) wound->field, wound->value, wound->bytes);
            } else {
                zoo_put_big_endian(out, at + (size_t) wound->field, 0xfffff, wound->bytes);
            }
            break;
        }
    }
    if (wound->cut > 0) zoo_truncate(out, (size_t) wound->cut);
    if (wound->cut < 0) zoo_truncate(out, out->size - (size_t) -wound->cut);
}

enum { GOOD = (int) (sizeof kinds / sizeof kinds[0]), BROKEN = (int) (sizeof wounds / sizeof wounds[0]) };

zoo_table zoo_tiff_all(void) {
    static zoo_entry entries[GOOD + BROKEN];
    for (int i = 0; i < GOOD; ++i) {
        entries[i] = (zoo_entry){kinds[i].name, make_good, i, ZOO_H, ZOO_W, kinds[i].look, NULL};
    }
    for (int i = 0; i < BROKEN; ++i) {
        entries[GOOD + i] = (zoo_entry){wounds[i].name, make_broken, i, 0, 0, 0, wounds[i].reason};
    }
#ifdef ZOO_HAS_TIFF
    return (zoo_table){entries, GOOD + BROKEN};
#else
    return (zoo_table){entries, 0};
#endif
}
