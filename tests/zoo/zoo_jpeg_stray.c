/* JPEG files with bytes between their segments that belong to none: cameras and old programs write such files. Where they
 * are put there the picture is whole; where they are the rest of a damaged scan it is not.
 */
#include <string.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_jpeg_writer.h"
#include "zoo/zoo_picture.h"

static const zoo_jpeg_options files[] = {
    {0},
    {.chroma_h = 2, .chroma_w = 2},
    {.space = ZOO_JPEG_GREY},
    {.restart_blocks = 5},
    {.progressive = 1},
    {.progressive = 1, .chroma_h = 2, .chroma_w = 2, .optimised = 1},
    {.non_interleaved = 1},
    {.space = ZOO_JPEG_CMYK},
    {.arithmetic = 1},
};

enum { ZEROS, LINE_FEEDS, TEXT, NOISE, STUFFED, STRAYS };

static void append_stray(zoo_bytes *out, int kind, size_t count) {
    const size_t end = out->size + count;
    switch (kind) {
    case ZEROS:
        zoo_append_repeated(out, 0, count);
        break;
    case LINE_FEEDS:
        zoo_append_repeated(out, '\n', count);
        break;
    case TEXT:
        while (out->size < end) zoo_append_text(out, "Copyright (c) 2004. ");
        break;
    case STUFFED:
        while (out->size < end) zoo_append(out, "\xff", 2);
        break;
    default:
        zoo_append_noise(out, count);
        for (size_t i = end - count; i < end; ++i) out->data[i] &= 0x7f; /* no marker */
    }
    zoo_truncate(out, end - (kind == STUFFED ? count % 2 : 0));
}

/* variant: bytes + 1000 * kind of bytes + 10000 * file */
static void make_before_end(zoo_bytes *out, int variant) {
    zoo_bytes stray = {0};
    zoo_append_jpeg(out, &files[variant / 10000]);
    append_stray(&stray, variant / 1000 % 10, (size_t) (variant % 1000));
    zoo_insert(out, out->size - 2, stray.data, stray.size);
    zoo_bytes_free(&stray);
}

/* Before every segment up to the first scan; variant as above. */
static void make_between(zoo_bytes *out, int variant) {
    zoo_bytes stray = {0};
    zoo_append_jpeg(out, &files[variant / 10000]);
    append_stray(&stray, variant / 1000 % 10, (size_t) (variant % 1000));
    size_t at = 2 + zoo_jpeg_segment_size(out, 2); /* directly behind SOI they would be another signature */
    while (out->data[at + 1] != JPEG_SOS) {
        zoo_insert(out, at, stray.data, stray.size);
        at += stray.size + zoo_jpeg_segment_size(out, at + stray.size);
    }
    zoo_insert(out, at, stray.data, stray.size);
    zoo_bytes_free(&stray);
}

/* Behind each of the first four scans. */
static void make_between_scans(zoo_bytes *out, int variant) {
    zoo_bytes stray = {0};
    zoo_append_jpeg(out, &files[variant / 10000]);
    append_stray(&stray, variant / 1000 % 10, (size_t) (variant % 1000));
    for (int scan = 3; scan >= 0; --scan) {
        size_t at = zoo_jpeg_scan_data(out, scan);
        while (out->data[at] != 0xff || out->data[at + 1] == 0) ++at;
        zoo_insert(out, at, stray.data, stray.size);
    }
    zoo_bytes_free(&stray);
}

enum { LOWER, PADDED_WITH_ZEROS, LAST_BITS_CHANGED, LOWER_PROGRESSIVE };

static void make_left_over(zoo_bytes *out, int variant) {
    zoo_append_jpeg(out, &files[variant == LOWER_PROGRESSIVE ? 4 : 0]);
    const size_t sof = zoo_jpeg_find(out, variant == LOWER_PROGRESSIVE ? JPEG_SOF2 : JPEG_SOF0, 0);
    switch (variant) {
    case LOWER: /* so that the lower half of the picture is left over */
    case LOWER_PROGRESSIVE:
        zoo_put_big_endian(out, sof + 5, ZOO_H / 2, 2);
        break;
    default: /* ends inside a byte that is none of an encoder's */
        zoo_insert(out, out->size - 2, "\x12\x34\x56\x78", 4);
        out->data[out->size - 7] &= 0xfe;
        if (variant == LAST_BITS_CHANGED) out->data[out->size - 7] ^= 0x06;
    }
}

#define STRAY(name, make, file, kind, bytes) \
    { "jpeg-stray-" name ".jpg", make, (bytes) + 1000 * (kind) + 10000 * (file), ZOO_H, ZOO_W, ZOO_COLOURS, NULL }
#define LEFT_OVER(name, variant) \
    { "jpeg-left-over-" name ".jpg", make_left_over, variant, 0, 0, 0, "left over|damaged|cut short" }
static const zoo_entry entries[] = {
    STRAY("1-before-end", make_before_end, 0, ZEROS, 1),
    STRAY("16-zeros-before-end", make_before_end, 0, ZEROS, 16),
    STRAY("245-zeros-before-end", make_before_end, 1, ZEROS, 245),
    STRAY("16-line-feeds-before-end", make_before_end, 1, LINE_FEEDS, 16),
    STRAY("16-text-before-end", make_before_end, 0, TEXT, 16),
    STRAY("245-text-before-end", make_before_end, 1, TEXT, 245),
    STRAY("16-noise-before-end", make_before_end, 1, NOISE, 16),
    STRAY("245-noise-before-end", make_before_end, 0, NOISE, 245),
    STRAY("245-stuffed-before-end", make_before_end, 0, STUFFED, 245),
    {"jpeg-stray-grey-before-end.jpg", make_before_end, 245 + 1000 * NOISE + 10000 * 2, ZOO_H, ZOO_W, ZOO_GREYS, NULL},
    STRAY("restarts-before-end", make_before_end, 3, NOISE, 16),
    STRAY("progressive-before-end", make_before_end, 4, NOISE, 245),
    STRAY("progressive-420-before-end", make_before_end, 5, ZEROS, 16),
    STRAY("non-interleaved-before-end", make_before_end, 6, TEXT, 245),
    STRAY("inks-before-end", make_before_end, 7, TEXT, 16),
    STRAY("line-feed-between", make_between, 0, LINE_FEEDS, 1),
    STRAY("zero-between", make_between, 1, ZEROS, 1),
    STRAY("stuffed-between", make_between, 0, STUFFED, 2),
    STRAY("noise-between", make_between, 4, NOISE, 300),
    STRAY("progressive-between-scans", make_between_scans, 4, LINE_FEEDS, 3),
    STRAY("progressive-420-between-scans", make_between_scans, 5, NOISE, 100),
    {"jpeg-stray-arithmetic.jpg", make_before_end, 16 + 10000 * 8, 0, 0, 0, "left over|damaged"},
    LEFT_OVER("lower-half", LOWER),
    LEFT_OVER("lower-half-progressive", LOWER_PROGRESSIVE),
    LEFT_OVER("padded-with-zeros", PADDED_WITH_ZEROS),
    LEFT_OVER("last-bits-changed", LAST_BITS_CHANGED),
};
const zoo_table zoo_jpeg_stray = {entries, (int) (sizeof entries / sizeof entries[0])};
