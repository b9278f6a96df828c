/* The zoo by number, its looks, and writing it into a folder. */
#include "zoo/image_zoo.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "zoo/zoo_picture.h"

const uint8_t zoo_looks[ZOO_LOOKS][4][3] = {
    [ZOO_COLOURS] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 255}},
    [ZOO_GREYS] = {{0, 0, 0}, {85, 85, 85}, {170, 170, 170}, {255, 255, 255}},
    [ZOO_BLACK_WHITE] = {{0, 0, 0}, {0, 0, 0}, {255, 255, 255}, {255, 255, 255}},
    [ZOO_TWO_COLOURS] = {{255, 0, 0}, {0, 255, 0}, {255, 0, 0}, {0, 255, 0}},
    [ZOO_ALPHA] = {{255, 0, 0}, {255, 255, 255}, {127, 127, 255}, {255, 255, 255}},
    [ZOO_GREY_ALPHA] = {{0, 0, 0}, {255, 255, 255}, {212, 212, 212}, {255, 255, 255}},
    [ZOO_COLOUR_KEY] = {{255, 0, 0}, {255, 255, 255}, {0, 0, 255}, {255, 255, 255}},
    [ZOO_GREY_KEY] = {{0, 0, 0}, {255, 255, 255}, {170, 170, 170}, {255, 255, 255}},
};

int zoo_quadrant(int64_t y, int64_t x, int64_t h, int64_t w) {
    return (2 * y >= h && h > 1 ? 2 : 0) + (2 * x >= w && w > 1 ? 1 : 0);
}

void zoo_colour(int quadrant, uint8_t rgba[4]) {
    memcpy(rgba, zoo_looks[ZOO_COLOURS][quadrant], 3);
    rgba[3] = quadrant == 1 ? 0 : quadrant == 2 ? 128 : 255;
}

void zoo_grey(int quadrant, uint8_t *grey, uint8_t *alpha) {
    *grey = zoo_looks[ZOO_GREYS][quadrant][0];
    *alpha = quadrant == 1 ? 0 : quadrant == 2 ? 128 : 255;
}

void zoo_stored_size(int orientation, int h, int w, int *stored_h, int *stored_w) {
    *stored_h = orientation >= 5 ? w : h;
    *stored_w = orientation >= 5 ? h : w;
}

/* EXIF 2.3, 4.6.4 A: what the stored row 0 and column 0 are on the upright picture. */
void zoo_upright_of(int orientation, int h, int w, int r, int c, int *y, int *x) {
    switch (orientation) {
    case 2: /* top, right */
        *y = r, *x = w - 1 - c;
        break;
    case 3: /* bottom, right */
        *y = h - 1 - r, *x = w - 1 - c;
        break;
    case 4: /* bottom, left */
        *y = h - 1 - r, *x = c;
        break;
    case 5: /* left, top */
        *y = c, *x = r;
        break;
    case 6: /* right, top */
        *y = c, *x = w - 1 - r;
        break;
    case 7: /* right, bottom */
        *y = h - 1 - c, *x = w - 1 - r;
        break;
    case 8: /* left, bottom */
        *y = h - 1 - c, *x = r;
        break;
    default: /* top, left */
        *y = r, *x = c;
    }
}

static const zoo_table *const tables[] = {&zoo_jpeg_good,   &zoo_jpeg_odd, &zoo_jpeg_stray, &zoo_jpeg_cut,
                                          &zoo_jpeg_broken, &zoo_png_good, &zoo_png_odd,    &zoo_png_broken,
                                          &zoo_webp_all,    &zoo_xmp_all,  &zoo_other_all};
enum { CONSTANT = (int) (sizeof tables / sizeof tables[0]), MADE = 3, TABLES = CONSTANT + MADE };

/* Those that a function fills: once, for several threads may ask. */
static zoo_table made[MADE];

static void make_tables(void) {
    made[0] = zoo_bmp_all();
    made[1] = zoo_pnm_all();
    made[2] = zoo_tiff_all();
}

static zoo_table table_at(int i) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_tables);
    return i < CONSTANT ? *tables[i] : made[i - CONSTANT];
}

int image_zoo_count(void) {
    int count = 0;
    for (int i = 0; i < TABLES; ++i) count += table_at(i).count;
    return count;
}

const zoo_entry *image_zoo_get(int index) {
    for (int i = 0; i < TABLES; ++i) {
        const zoo_table table = table_at(i);
        if (index < table.count) return table.entries + index;
        index -= table.count;
    }
    return NULL;
}

int image_zoo_write(const char *folder) {
    for (int i = 0; i < image_zoo_count(); ++i) {
        const zoo_entry *entry = image_zoo_get(i);
        char path[1024];
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->name) >= (int) sizeof path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        zoo_bytes bytes = {0};
        entry->make(&bytes, entry->variant);
        FILE *file = fopen(path, "wb");
        const int written = file != NULL && (bytes.size == 0 || fwrite(bytes.data, 1, bytes.size, file) == bytes.size);
        zoo_bytes_free(&bytes);
        if (file == NULL || fclose(file) != 0 || !written) return -1;
    }
    return 0;
}
