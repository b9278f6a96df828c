/* JPEG files that are right, from the usual to the rare. */
#include "zoo/image_zoo.h"
#include "zoo/zoo_exif.h"
#include "zoo/zoo_jpeg_writer.h"
#include "zoo/zoo_picture.h"

static const zoo_jpeg_options kinds[] = {
    {0},
    {.chroma_w = 2},
    {.chroma_h = 2, .chroma_w = 2},
    {.chroma_w = 4},
    {.chroma_h = 2},
    {.space = ZOO_JPEG_GREY},
    {.space = ZOO_JPEG_RGB},
    {.space = ZOO_JPEG_CMYK},
    {.space = ZOO_JPEG_YCCK},
    {.space = ZOO_JPEG_YCCK, .chroma_h = 2, .chroma_w = 2},
    {.progressive = 1}, /* 10 */
    {.progressive = 1, .chroma_h = 2, .chroma_w = 2},
    {.progressive = 1, .space = ZOO_JPEG_GREY},
    {.progressive = 1, .space = ZOO_JPEG_CMYK},
    {.arithmetic = 1},
    {.arithmetic = 1, .progressive = 1},
    {.optimised = 1},
    {.restart_blocks = 1},
    {.restart_blocks = 6, .progressive = 1},
    {.non_interleaved = 1},
    {.non_interleaved = 1, .chroma_h = 2, .chroma_w = 2}, /* 20 */
    {.quality = 100},
    {.quality = 5, .wide_tables = 1},
    {.h = 1, .w = 1},
    {.h = 1, .w = 1, .chroma_h = 2, .chroma_w = 2},
    {.h = 3, .w = 2},
    {.h = 17, .w = 41, .chroma_h = 2, .chroma_w = 2},
    {.h = 65000, .w = 1, .chroma_h = 2, .chroma_w = 2},
    {.h = 1, .w = 65000, .chroma_h = 2, .chroma_w = 2},
    {.h = 65500, .w = 8},
    {.orientation = 1}, /* 30 */
    {.orientation = 2},
    {.orientation = 3},
    {.orientation = 4},
    {.orientation = 5},
    {.orientation = 6},
    {.orientation = 7},
    {.orientation = 8},
    {.orientation = 6, .exif_kind = ZOO_EXIF_BIG_ENDIAN},
    {.orientation = 8, .exif_kind = ZOO_EXIF_AFTER_OTHERS},
    {.orientation = 5, .exif_kind = ZOO_EXIF_FAR_AWAY}, /* 40 */
    {.orientation = 6, .chroma_h = 2, .chroma_w = 2, .h = 19, .w = 37},
    {.orientation = 7, .progressive = 1, .space = ZOO_JPEG_GREY},
    {.orientation = 3, .space = ZOO_JPEG_CMYK},
    {.comment = 65000},
    {.no_container = 1},
    {.space = ZOO_JPEG_RGB, .no_container = 1}, /* told by its component ids, 'R', 'G' and 'B' */
};

static void make(zoo_bytes *out, int variant) {
    zoo_append_jpeg(out, &kinds[variant]);
}

#define GOOD(name, variant, look) \
    { "jpeg-" name ".jpg", make, variant, ZOO_H, ZOO_W, look, NULL }
static const zoo_entry entries[] = {
    GOOD("444", 0, ZOO_COLOURS),
    GOOD("422", 1, ZOO_COLOURS),
    GOOD("420", 2, ZOO_COLOURS),
    GOOD("411", 3, ZOO_COLOURS),
    GOOD("440", 4, ZOO_COLOURS),
    GOOD("grey", 5, ZOO_GREYS),
    GOOD("rgb", 6, ZOO_COLOURS),
    GOOD("cmyk", 7, ZOO_COLOURS),
    GOOD("ycck", 8, ZOO_COLOURS),
    GOOD("ycck-420", 9, ZOO_COLOURS),
    GOOD("progressive", 10, ZOO_COLOURS),
    GOOD("progressive-420", 11, ZOO_COLOURS),
    GOOD("progressive-grey", 12, ZOO_GREYS),
    GOOD("progressive-cmyk", 13, ZOO_COLOURS),
    GOOD("arithmetic", 14, ZOO_COLOURS),
    GOOD("arithmetic-progressive", 15, ZOO_COLOURS),
    GOOD("optimised", 16, ZOO_COLOURS),
    GOOD("restart-every-block", 17, ZOO_COLOURS),
    GOOD("restart-progressive", 18, ZOO_COLOURS),
    GOOD("non-interleaved", 19, ZOO_COLOURS),
    GOOD("non-interleaved-420", 20, ZOO_COLOURS),
    GOOD("quality-100", 21, ZOO_COLOURS),
    GOOD("quality-5-wide-tables", 22, ZOO_ANYTHING),
    {"jpeg-1x1.jpg", make, 23, 1, 1, ZOO_COLOURS, NULL},
    {"jpeg-1x1-420.jpg", make, 24, 1, 1, ZOO_COLOURS, NULL},
    {"jpeg-3x2.jpg", make, 25, 3, 2, ZOO_ANYTHING, NULL},
    {"jpeg-17x41-420.jpg", make, 26, 17, 41, ZOO_COLOURS, NULL},
    {"jpeg-65000x1.jpg", make, 27, 65000, 1, ZOO_COLOURS, NULL},
    {"jpeg-1x65000.jpg", make, 28, 1, 65000, ZOO_COLOURS, NULL},
    {"jpeg-65500x8.jpg", make, 29, 65500, 8, ZOO_COLOURS, NULL},
    GOOD("orientation-1", 30, ZOO_COLOURS),
    GOOD("orientation-2", 31, ZOO_COLOURS),
    GOOD("orientation-3", 32, ZOO_COLOURS),
    GOOD("orientation-4", 33, ZOO_COLOURS),
    GOOD("orientation-5", 34, ZOO_COLOURS),
    GOOD("orientation-6", 35, ZOO_COLOURS),
    GOOD("orientation-7", 36, ZOO_COLOURS),
    GOOD("orientation-8", 37, ZOO_COLOURS),
    GOOD("orientation-6-big-endian", 38, ZOO_COLOURS),
    GOOD("orientation-8-last-tag", 39, ZOO_COLOURS),
    GOOD("orientation-5-far-away", 40, ZOO_COLOURS),
    {"jpeg-orientation-6-19x37.jpg", make, 41, 19, 37, ZOO_COLOURS, NULL},
    GOOD("orientation-7-progressive-grey", 42, ZOO_GREYS),
    GOOD("orientation-3-cmyk", 43, ZOO_COLOURS),
    GOOD("long-comment", 44, ZOO_COLOURS),
    GOOD("no-container", 45, ZOO_COLOURS),
    GOOD("rgb-no-container", 46, ZOO_COLOURS),
};
const zoo_table zoo_jpeg_good = {entries, (int) (sizeof entries / sizeof entries[0])};
