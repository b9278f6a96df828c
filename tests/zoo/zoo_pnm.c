/* PBM, PGM and PPM files, right and broken. */
#include <stdio.h>
#include <string.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_picture.h"

typedef struct pnm_kind {
    const char *name;
    int kind;
    unsigned most;
    const char *header; /* what is between the kind and the pixels: h, w and the largest sample are 32, 48 and `most` */
    int look;
} pnm_kind;

static const pnm_kind kinds[] = {
    {"pnm-1.pbm", 1, 1, "\n48 32\n", ZOO_BLACK_WHITE},
    {"pnm-2.pgm", 2, 255, "\n48 32\n255\n", ZOO_GREYS},
    {"pnm-3.ppm", 3, 255, "\n48 32\n255\n", ZOO_COLOURS},
    {"pnm-4.pbm", 4, 1, "\n48 32\n", ZOO_BLACK_WHITE},
    {"pnm-5.pgm", 5, 255, "\n48 32\n255\n", ZOO_GREYS},
    {"pnm-6.ppm", 6, 255, "\n48 32\n255\n", ZOO_COLOURS},
    {"pnm-5-of-3.pgm", 5, 3, " 48 32 3 ", ZOO_GREYS},
    {"pnm-6-of-16-bits.ppm", 6, 65535, "\n48 32\n65535\n", ZOO_COLOURS},
    {"pnm-3-of-16-bits.ppm", 3, 65535, "\n48 32\n65535\n", ZOO_COLOURS},
    {"pnm-6-comments.ppm", 6, 255, "\n# a comment\n48 # and\r#more\n32 #\n255\n", ZOO_COLOURS},
    {"pnm-6-windows.ppm", 6, 255, "\r\n48\t32\v255\n", ZOO_COLOURS},
    {"pnm-6-zeros.ppm", 6, 255, "\n0000000048 0000000032\n00255\n", ZOO_COLOURS},
};

static void append_pixels(zoo_bytes *out, int kind, unsigned most) {
    unsigned held = 0;
    for (int y = 0; y < ZOO_H; ++y) {
        for (int x = 0; x < ZOO_W; ++x) {
            const int quadrant = zoo_quadrant(y, x, ZOO_H, ZOO_W), channels = kind == 3 || kind == 6 ? 3 : 1;
            uint8_t rgba[4], grey, alpha;
            zoo_colour(quadrant, rgba);
            zoo_grey(quadrant, &grey, &alpha);
            for (int c = 0; c < channels; ++c) {
                const unsigned value = (unsigned) (channels == 3 ? rgba[c] : grey) * most / 255;
                char text[16];
                snprintf(text, sizeof text, x == ZOO_W - 1 && c == channels - 1 ? "%u\n" : "%u ", value);
                if (kind == 1) {
                    zoo_append_text(out, quadrant < 2 ? "1" : "0");
                } else if (kind == 4) {
                    held = held << 1 | (quadrant < 2);
                    if (x % 8 == 7) zoo_append_big_endian(out, held & 255, 1);
                } else if (kind < 4) {
                    zoo_append_text(out, text);
                } else {
                    zoo_append_big_endian(out, value, most > 255 ? 2 : 1);
                }
            }
        }
    }
}

static void append_pnm(zoo_bytes *out, const pnm_kind *kind) {
    const char name[3] = {'P', (char) ('0' + kind->kind), 0};
    zoo_append_text(out, name);
    zoo_append_text(out, kind->header);
    append_pixels(out, kind->kind, kind->most);
}

static void make_good(zoo_bytes *out, int variant) {
    append_pnm(out, &kinds[variant]);
}

static void make_two(zoo_bytes *out, int variant) {
    append_pnm(out, &kinds[variant]);
    append_pnm(out, &kinds[variant]);
}

static void make_cut(zoo_bytes *out, int size) {
    append_pnm(out, &kinds[size < 0 ? 2 : 5]);
    zoo_truncate(out, size < 0 ? out->size + (size_t) size - 1 : (size_t) size);
}

/* Text in place of the header, or of the whole file. */
static const char *const texts[] = {
    "P6\n0 32\n255\n",
    "P6\n48 0\n255\n",
    "P6\n48 32\n0\n",
    "P6\n48 32\n65536\n",
    "P6\n-48 32\n255\n",
    "P6\n48 32\n255X",
    "P6\n99999999999 32\n255\n",
    "P6\n65500 65500 255\n",
    "P6\n4294967295 4294967295 255\n",
    "P6\n# no end",
    "P1\n48 32\n012",
    "P2\n2 1\n9\n10 1 ",
    "P2\n2 1\n9\n1x1 ",
    "P3\n2 1\n9\n1 1 1 1 1",
    "P1\n9999999999 9999999999\n",
    "P6\n48 32",
    "P6 \n",
    "P7\nWIDTH 1\nHEIGHT 1\n",
    "P5\n48 32 255.0\n",
};

static void make_text(zoo_bytes *out, int variant) {
    zoo_append_text(out, texts[variant]);
    if (variant < 6 || variant == 18) append_pixels(out, 6, 255);
}

#define DAMAGED "cut short|damaged|empty|limit|known format"
#define TEXT(name, variant) \
    { "pnm-" name ".ppm", make_text, variant, 0, 0, 0, DAMAGED }

enum { GOOD = (int) (sizeof kinds / sizeof kinds[0]) };

static const zoo_entry others[] = {
    {"pnm-two-pictures.ppm", make_two, 5, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    {"pnm-two-pictures-of-text.ppm", make_two, 2, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    {"pnm-cut-in-header.ppm", make_cut, 9, 0, 0, 0, DAMAGED},
    {"pnm-cut-after-header.ppm", make_cut, 13, 0, 0, 0, DAMAGED},
    {"pnm-cut-in-pixels.ppm", make_cut, 2000, 0, 0, 0, DAMAGED},
    {"pnm-cut-last-byte.ppm", make_cut, 13 + ZOO_H *ZOO_W * 3 - 1, 0, 0, 0, DAMAGED},
    {"pnm-cut-in-text.ppm", make_cut, -100, 0, 0, 0, DAMAGED},
    TEXT("width-0", 0),
    TEXT("height-0", 1),
    TEXT("largest-0", 2),
    TEXT("largest-65536", 3),
    TEXT("negative", 4),
    TEXT("no-white-space", 5),
    TEXT("eleven-digits", 6),
    TEXT("huge", 7),
    TEXT("huger", 8),
    TEXT("comment-without-end", 9),
    TEXT("bit-2", 10),
    TEXT("sample-too-large", 11),
    TEXT("letter", 12),
    TEXT("one-sample-short", 13),
    TEXT("huge-of-text", 14),
    TEXT("size-alone", 15),
    TEXT("nothing", 16),
    TEXT("pam", 17),
    TEXT("fraction", 18),
};
enum { OTHERS = (int) (sizeof others / sizeof others[0]) };

zoo_table zoo_pnm_all(void) {
    static zoo_entry entries[GOOD + OTHERS];
    for (int i = 0; i < GOOD; ++i) {
        entries[i] = (zoo_entry){kinds[i].name, make_good, i, ZOO_H, ZOO_W, kinds[i].look, NULL};
    }
    memcpy(entries + GOOD, others, sizeof others);
    return (zoo_table){entries, GOOD + OTHERS};
}
