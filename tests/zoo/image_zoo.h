/* The image zoo: odd, hostile and broken image files, made from nothing by this program code (no image is committed),
 * and what decoding has to make of each. make_image_zoo writes all of them into a folder; test_image_zoo.c tries them,
 * and the fuzz targets start from them.
 */
#ifndef MOCO_TEST_IMAGE_ZOO_H
#define MOCO_TEST_IMAGE_ZOO_H

#include <stdint.h>

#include "zoo/zoo_bytes.h"

/* What the upright picture shows: its four quadrants' colours, from the top left in reading order. Files that decode
 * hold such a picture however they are turned, so that one look tells whether they are upright and in their right
 * colours. */
enum {
    ZOO_ANYTHING = 0,    /* only the size is known */
    ZOO_COLOURS = 1,     /* red, green, blue, white */
    ZOO_GREYS = 2,       /* 0, 85, 170, 255 */
    ZOO_BLACK_WHITE = 3, /* 0, 0, 255, 255 */
    ZOO_TWO_COLOURS = 4, /* red, green, red, green */
    ZOO_ALPHA = 5,       /* red; green of alpha 0; blue of alpha 128; white: over white */
    ZOO_GREY_ALPHA = 6,  /* 0; 85 of alpha 0; 170 of alpha 128; 255: over white */
    ZOO_COLOUR_KEY = 7,  /* red, white for transparent green, blue, white */
    ZOO_GREY_KEY = 8,    /* 0, 255 for transparent 85, 170, 255 */
    ZOO_LOOKS
};
/* [look][quadrant][red, green, blue] as decoded */
extern const uint8_t zoo_looks[ZOO_LOOKS][4][3];
/* The quadrant that row y and column x of an h x w picture are in: 0 .. 3 */
int zoo_quadrant(int64_t y, int64_t x, int64_t h, int64_t w);

typedef struct zoo_entry {
    const char *
        name; /* of the file; unique; "jpeg-", "png-", "webp-", "bmp-", "pnm-", "tiff-" or "other-" is what it was made as */
    void (*make)(zoo_bytes *out, int variant);
    int variant;
    /* Decodes: the upright size. Else 0 and 0, and the refusal's sentence has one of the words in `reason`, which '|'
     * separates, in any case. */
    int h, w;
    int look; /* ZOO_COLOURS ... */
    const char *reason;
} zoo_entry;

/* The tables that make up the zoo. */
typedef struct zoo_table {
    const zoo_entry *entries;
    int count;
} zoo_table;
extern const zoo_table zoo_jpeg_good, zoo_jpeg_odd, zoo_jpeg_stray, zoo_jpeg_cut, zoo_jpeg_broken, zoo_png_good,
    zoo_png_odd, zoo_png_broken, zoo_webp_all, zoo_xmp_all, zoo_other_all;
zoo_table zoo_bmp_all(void);
zoo_table zoo_pnm_all(void);
zoo_table zoo_tiff_all(void); /* empty where libmoco was built without its TIFF decoder */

/* All of them by number. */
int image_zoo_count(void);
const zoo_entry *image_zoo_get(int index);
/* Writes every file of the zoo into `folder`, which exists. Returns 0, or -1 with errno as the failing call left it. */
int image_zoo_write(const char *folder);

#endif
