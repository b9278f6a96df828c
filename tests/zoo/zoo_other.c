/* Files that are no pictures at all, or are not what their name says. */
#include <stdlib.h>
#include <string.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_jpeg_writer.h"
#include "zoo/zoo_picture.h"
#include "zoo/zoo_png_writer.h"

enum {
    EMPTY,
    ONE_BYTE,
    TEXT,
    HTML,
    GZIP,
    GIF,
    BMP,
    TIFF,
    NOISE,
    ZEROS,
    JPEG_MAGIC_ONLY,
    JPEG_AFTER_BOM,
    JPEG_AFTER_ZEROS,
    JPEG_AS_BASE64
};

static void make(zoo_bytes *out, int variant) {
    static const zoo_jpeg_options jpeg = {0};
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    zoo_bytes picture = {0};
    switch (variant) {
    case EMPTY:
        break;
    case ONE_BYTE:
        zoo_append_big_endian(out, 0xff, 1);
        break;
    case TEXT:
        zoo_append_text(out, "This is no picture.\n");
        break;
    case HTML: /* what a scraper keeps of a picture that is gone */
        zoo_append_text(out, "<!DOCTYPE html><html><head><title>404</title></head><body>Not found</body></html>\n");
        break;
    case GZIP:
        zoo_append(out, "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
        zoo_append_noise(out, 500);
        break;
    case GIF:
        zoo_append(out, "GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;", 35);
        break;
    case BMP:
        zoo_append(out, "BM:\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x18\0", 30);
        zoo_append_repeated(out, 0, 28);
        break;
    case TIFF:
        zoo_append(out, "II*\0\x08\0\0\0\0\0\0\0\0\0", 14);
        break;
    case NOISE:
        zoo_append_noise(out, 4000);
        break;
    case ZEROS: /* what a crash of the file system leaves */
        zoo_append_repeated(out, 0, 4096);
        break;
    case JPEG_MAGIC_ONLY:
        zoo_append_big_endian(out, 0xffd8ff, 3);
        break;
    case JPEG_AFTER_BOM:
        zoo_append_text(out, "\xef\xbb\xbf");
        zoo_append_jpeg(out, &jpeg);
        break;
    case JPEG_AFTER_ZEROS:
        zoo_append_repeated(out, 0, 100);
        zoo_append_jpeg(out, &jpeg);
        break;
    default:
        zoo_append_jpeg(&picture, &jpeg);
        for (size_t i = 0; i + 3 <= picture.size; i += 3) {
            const unsigned bits = picture.data[i] * 65536u + picture.data[i + 1] * 256u + picture.data[i + 2];
            for (int shift = 18; shift >= 0; shift -= 6) zoo_append(out, digits + (bits >> shift & 63), 1);
        }
    }
    zoo_bytes_free(&picture);
}

static void make_misnamed(zoo_bytes *out, int png) {
    static const zoo_jpeg_options jpeg = {0};
    static const zoo_png_options rgb = {.colour = PNG_RGB};
    if (png) {
        zoo_append_png(out, &rgb);
    } else {
        zoo_append_jpeg(out, &jpeg);
    }
}

#define NOT_ONE "known format"
#define OTHER(name, which) \
    { "other-" name, make, which, 0, 0, 0, NOT_ONE }
static const zoo_entry entries[] = {
    {"other-empty.jpg", make, EMPTY, 0, 0, 0, "empty"},
    OTHER("one-byte.jpg", ONE_BYTE),
    OTHER("text.jpg", TEXT),
    OTHER("html.jpg", HTML),
    OTHER("gzip.png", GZIP),
    OTHER("gif.gif.jpg", GIF),
    {"other-bmp.jpg", make, BMP, 1, 1, 0, NULL},
    {"other-tiff.jpg", make, TIFF, 0, 0, 0, "empty|MOCO_WITH_TIFF"},
    OTHER("noise.webp", NOISE),
    OTHER("zeros.png", ZEROS),
    {"other-jpeg-magic-only.jpg", make, JPEG_MAGIC_ONLY, 0, 0, 0, "cut short"},
    OTHER("jpeg-after-bom.jpg", JPEG_AFTER_BOM),
    OTHER("jpeg-after-zeros.jpg", JPEG_AFTER_ZEROS),
    OTHER("jpeg-as-base64.jpg", JPEG_AS_BASE64),
    {"other-png-named.jpg", make_misnamed, 1, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    {"other-jpeg-named.png", make_misnamed, 0, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    {"other-jpeg-named.webp", make_misnamed, 0, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
};
const zoo_table zoo_other_all = {entries, (int) (sizeof entries / sizeof entries[0])};
