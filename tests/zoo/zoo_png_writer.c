/* The zoo's picture as a PNG file. Section numbers are those of the PNG specification, 2nd edition. */
#include "zoo/zoo_png_writer.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_exif.h"
#include "zoo/zoo_picture.h"

void zoo_append_png_signature(zoo_bytes *out) {
    zoo_append(out, "\x89PNG\r\n\x1a\n", 8);
}

void zoo_append_png_chunk(zoo_bytes *out, const char *type, const void *data, size_t size) {
    const size_t at = out->size;
    zoo_append_big_endian(out, size, 4);
    zoo_append(out, type, 4);
    zoo_append(out, data, size);
    zoo_append_big_endian(out, 0, 4);
    zoo_png_fix_crc(out, at);
}

void zoo_png_fix_crc(zoo_bytes *png, size_t at) {
    const size_t size = zoo_png_chunk_size(png, at);
    zoo_put_big_endian(png, at + size - 4, crc32(0, png->data + at + 4, (uInt) size - 8), 4);
}

size_t zoo_png_chunk_size(const zoo_bytes *png, size_t at) {
    size_t size = 0;
    for (size_t i = 0; i < 4; ++i) size = size << 8 | png->data[at + i];
    return 12 + size;
}

size_t zoo_png_find(const zoo_bytes *png, const char *type, int occurrence) {
    for (size_t at = 8; at + 12 <= png->size; at += zoo_png_chunk_size(png, at)) {
        if (memcmp(png->data + at + 4, type, 4) == 0 && occurrence-- == 0) return at;
    }
    abort();
}

void zoo_append_deflated(zoo_bytes *out, const void *data, size_t size, int level) {
    uLongf deflated = compressBound(size);
    uint8_t *bytes = (uint8_t *) malloc(deflated);
    if (bytes == NULL || compress2(bytes, &deflated, (const Bytef *) data, size, level) != Z_OK) abort();
    zoo_append(out, bytes, deflated);
    free(bytes);
}

void zoo_append_png_header(zoo_bytes *out, uint32_t h, uint32_t w, int depth, int colour, int compression, int filter,
                           int interlaced) {
    zoo_bytes header = {0};
    zoo_append_big_endian(&header, w, 4);
    zoo_append_big_endian(&header, h, 4);
    const uint8_t rest[5] = {(uint8_t) depth, (uint8_t) colour, (uint8_t) compression, (uint8_t) filter,
                             (uint8_t) interlaced};
    zoo_append(&header, rest, 5);
    zoo_append_png_chunk(out, "IHDR", header.data, header.size);
    zoo_bytes_free(&header);
}

/* --- Rows --- */

static int channels_of(int colour) {
    return colour == PNG_RGB ? 3 : colour == PNG_GREY_ALPHA ? 2 : colour == PNG_RGBA ? 4 : 1;
}

/* The 8-bit channels of the pixel that is stored at row r and column c; a palette's index. */
static void sample(const zoo_png_options *options, int h, int w, int r, int c, uint8_t channels[4]) {
    int y, x;
    zoo_upright_of(options->orientation, h, w, r, c, &y, &x);
    const int quadrant = zoo_quadrant(y, x, h, w);
    if (options->colour == PNG_PALETTE) {
        channels[0] = (uint8_t) (options->depth == 1 ? quadrant & 1 : quadrant);
    } else if (options->colour == PNG_GREY || options->colour == PNG_GREY_ALPHA) {
        zoo_grey(quadrant, channels, channels + 1);
    } else {
        zoo_colour(quadrant, channels);
    }
}

/* One row of a pass, packed: pixels at columns first, first + step, ... (7.2) */
static size_t pack_row(const zoo_png_options *options, int h, int w, int r, int first, int step, int stored_w,
                       uint8_t *row) {
    const int depth = options->depth > 0 ? options->depth : 8, count = channels_of(options->colour);
    size_t bit = 0;
    for (int c = first; c < stored_w; c += step) {
        uint8_t channels[4];
        sample(options, h, w, r, c, channels);
        for (int i = 0; i < count; ++i, bit += (size_t) depth) {
            if (depth == 16) {
                row[bit / 8] = row[bit / 8 + 1] = channels[i];
            } else if (depth == 8) {
                row[bit / 8] = channels[i];
            } else {
                const int value = options->colour == PNG_PALETTE ? channels[i] : channels[i] >> (8 - depth);
                if (bit % 8 == 0) row[bit / 8] = 0;
                row[bit / 8] = (uint8_t) (row[bit / 8] | value << (8 - depth - (int) (bit % 8)));
            }
        }
    }
    return (bit + 7) / 8;
}

static int paeth(int a, int b, int c) {
    const int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/* Section 9.2. `above` is the unfiltered row above, zeros for a pass's first. */
static void append_filtered(zoo_bytes *out, int filter, const uint8_t *row, const uint8_t *above, size_t size,
                            size_t pixel) {
    zoo_append_big_endian(out, (uint64_t) filter, 1);
    for (size_t i = 0; i < size; ++i) {
        const int a = i >= pixel ? row[i - pixel] : 0, b = above[i], c = i >= pixel ? above[i - pixel] : 0;
        const int predicted[] = {0, a, b, (a + b) / 2, paeth(a, b, c)};
        zoo_append_big_endian(out, (uint8_t) (row[i] - predicted[filter]), 1);
    }
}

void zoo_append_png_rows(zoo_bytes *out, const zoo_png_options *options) {
    /* Adam7 (8.2): first row, first column, row step, column step; the last is the picture in one pass. */
    static const int passes[8][4] = {{0, 0, 8, 8}, {0, 4, 8, 8}, {4, 0, 8, 4}, {0, 2, 4, 4},
                                     {2, 0, 4, 2}, {0, 1, 2, 2}, {1, 0, 2, 1}, {0, 0, 1, 1}};
    const int h = options->h > 0 ? options->h : ZOO_H, w = options->w > 0 ? options->w : ZOO_W;
    const int depth = options->depth > 0 ? options->depth : 8;
    int stored_h, stored_w;
    zoo_stored_size(options->orientation, h, w, &stored_h, &stored_w);
    size_t pixel = (size_t) (channels_of(options->colour) * depth / 8);
    if (pixel == 0) pixel = 1;
    uint8_t *rows = (uint8_t *) calloc(2, 8 * (size_t) stored_w + 8);
    if (rows == NULL) abort();
    for (int pass = options->interlaced ? 0 : 7; pass < (options->interlaced ? 7 : 8); ++pass) {
        uint8_t *row = rows, *above = rows + 8 * (size_t) stored_w + 8;
        memset(above, 0, 8 * (size_t) stored_w + 8);
        if (passes[pass][1] >= stored_w) continue; /* an empty pass has no rows at all */
        for (int r = passes[pass][0], i = 0; r < stored_h; r += passes[pass][2], ++i) {
            const size_t size = pack_row(options, h, w, r, passes[pass][1], passes[pass][3], stored_w, row);
            append_filtered(out, options->filter == 5 ? i % 5 : options->filter, row, above, size, pixel);
            uint8_t *swapped = row;
            row = above;
            above = swapped;
        }
    }
    free(rows);
}

void zoo_append_png_palette(zoo_bytes *out, int depth) {
    uint8_t palette[12], rgba[4];
    for (int i = 0; i < 4; ++i) {
        zoo_colour(i, rgba);
        memcpy(palette + 3 * i, rgba, 3);
    }
    zoo_append_png_chunk(out, "PLTE", palette, depth == 1 ? 6 : 12);
}

static void append_transparency(zoo_bytes *out, const zoo_png_options *options) {
    const int depth = options->depth > 0 ? options->depth : 8;
    zoo_bytes chunk = {0};
    uint8_t rgba[4], grey, alpha;
    if (options->colour == PNG_PALETTE) {
        for (int i = 0; i < (depth == 1 ? 2 : 4); ++i) {
            zoo_colour(i, rgba);
            zoo_append(&chunk, rgba + 3, 1);
        }
    } else {
        zoo_colour(1, rgba);
        zoo_grey(1, &grey, &alpha);
        if (options->colour == PNG_GREY) rgba[0] = grey;
        for (int i = 0; i < (options->colour == PNG_GREY ? 1 : 3); ++i) {
            zoo_append_big_endian(&chunk, (uint64_t) (depth == 16 ? rgba[i] * 257 : rgba[i] >> (8 - depth)), 2);
        }
    }
    zoo_append_png_chunk(out, "tRNS", chunk.data, chunk.size);
    zoo_bytes_free(&chunk);
}

void zoo_append_png(zoo_bytes *out, const zoo_png_options *options) {
    const int h = options->h > 0 ? options->h : ZOO_H, w = options->w > 0 ? options->w : ZOO_W;
    const int depth = options->depth > 0 ? options->depth : 8;
    int stored_h, stored_w;
    zoo_stored_size(options->orientation, h, w, &stored_h, &stored_w);
    zoo_bytes rows = {0}, deflated = {0}, exif = {0};
    zoo_append_png_signature(out);
    zoo_append_png_header(out, (uint32_t) stored_h, (uint32_t) stored_w, depth, options->colour, 0, 0,
                          options->interlaced);
    if (options->orientation > 0) {
        zoo_append_exif(&exif, options->exif_kind, options->orientation);
        zoo_append_png_chunk(out, "eXIf", exif.data, exif.size);
    }
    if (options->colour == PNG_PALETTE) zoo_append_png_palette(out, depth);
    if (options->transparency) append_transparency(out, options);
    zoo_append_png_rows(&rows, options);
    zoo_append_deflated(&deflated, rows.data, rows.size, 6);
    size_t at = 0;
    do {
        size_t size = deflated.size - at;
        if (options->idat_bytes > 0 && size > (size_t) options->idat_bytes) size = (size_t) options->idat_bytes;
        zoo_append_png_chunk(out, "IDAT", deflated.data + at, size);
        at += size;
    } while (at < deflated.size);
    zoo_append_png_chunk(out, "IEND", NULL, 0);
    zoo_bytes_free(&rows);
    zoo_bytes_free(&deflated);
    zoo_bytes_free(&exif);
}
