/* BMP files, right and broken, put together by hand. */
#include <stdlib.h>
#include <string.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_picture.h"

enum { FROM_ABOVE = 1, OS2 = 2, ALPHA = 4, FEW_COLOURS = 8, WRONG_OFFSET = 16, NO_END = 32, JUMPS = 64 };

typedef struct bmp_kind {
    const char *name;
    int bits, compression, header, flags;
    int look;
} bmp_kind;

static const bmp_kind kinds[] = {
    {"bmp-24.bmp", 24, 0, 40, 0, ZOO_COLOURS},
    {"bmp-24-from-above.bmp", 24, 0, 40, FROM_ABOVE, ZOO_COLOURS},
    {"bmp-24-os2.bmp", 24, 0, 12, OS2, ZOO_COLOURS},
    {"bmp-32.bmp", 32, 0, 40, 0, ZOO_COLOURS},
    {"bmp-32-fields.bmp", 32, 3, 40, 0, ZOO_COLOURS},
    {"bmp-alpha-v3.bmp", 32, 3, 56, ALPHA, ZOO_ALPHA},
    {"bmp-alpha-v4.bmp", 32, 3, 108, ALPHA, ZOO_ALPHA},
    {"bmp-alpha-v5-from-above.bmp", 32, 3, 124, ALPHA | FROM_ABOVE, ZOO_ALPHA},
    {"bmp-16.bmp", 16, 0, 40, 0, ZOO_COLOURS},
    {"bmp-16-fields.bmp", 16, 3, 52, 0, ZOO_COLOURS},
    {"bmp-8.bmp", 8, 0, 40, 0, ZOO_COLOURS},
    {"bmp-8-few-colours.bmp", 8, 0, 40, FEW_COLOURS, ZOO_COLOURS},
    {"bmp-8-os2.bmp", 8, 0, 12, OS2, ZOO_COLOURS},
    {"bmp-8-os2-v2.bmp", 8, 0, 64, 0, ZOO_COLOURS},
    {"bmp-8-wrong-offset.bmp", 8, 0, 40, WRONG_OFFSET, ZOO_COLOURS},
    {"bmp-4.bmp", 4, 0, 40, 0, ZOO_COLOURS},
    {"bmp-4-from-above.bmp", 4, 0, 40, FROM_ABOVE, ZOO_COLOURS},
    {"bmp-1.bmp", 1, 0, 40, 0, ZOO_TWO_COLOURS},
    {"bmp-rle8.bmp", 8, 1, 40, 0, ZOO_COLOURS},
    {"bmp-rle8-no-end.bmp", 8, 1, 40, NO_END, ZOO_COLOURS},
    {"bmp-rle8-jumps.bmp", 8, 1, 40, JUMPS, ZOO_COLOURS},
    {"bmp-rle4.bmp", 4, 2, 40, 0, ZOO_COLOURS},
    {"bmp-rle4-no-end.bmp", 4, 2, 40, NO_END, ZOO_COLOURS},
};

static void append_runs(zoo_bytes *out, const bmp_kind *kind) {
    for (int r = ZOO_H - 1; r >= 0; --r) {
        const int left = zoo_quadrant(r, 0, ZOO_H, ZOO_W), right = zoo_quadrant(r, ZOO_W - 1, ZOO_H, ZOO_W);
        const int first = kind->bits == 8 ? left : left * 17, second = kind->bits == 8 ? right : right * 17;
        if (kind->flags & JUMPS && left == 0) { /* the first colour needs no drawing */
            zoo_append(out, "\0\2", 2);
            zoo_append_big_endian(out, ZOO_W / 2 << 8, 2);
        } else { /* five pixels one by one, an odd number, and a run */
            const int five[2] = {first, kind->bits == 8 ? 5 : 3};
            zoo_append(out, "\0\5", 2);
            zoo_append_repeated(out, five[0], (size_t) five[1]);
            zoo_append_repeated(out, 0, 1);
            zoo_append_big_endian(out, (uint64_t) (ZOO_W / 2 - 5) << 8 | (uint64_t) first, 2);
        }
        zoo_append_big_endian(out, (uint64_t) (ZOO_W / 2) << 8 | (uint64_t) second, 2);
        if (r > 0) zoo_append(out, "\0\0", 2);
    }
    if ((kind->flags & NO_END) == 0) zoo_append(out, "\0\1", 2);
}

static void append_row(zoo_bytes *out, const bmp_kind *kind, int y) {
    const size_t begin = out->size;
    unsigned held = 0;
    int bits = 0;
    for (int x = 0; x < ZOO_W; ++x) {
        const int quadrant = zoo_quadrant(y, x, ZOO_H, ZOO_W);
        uint8_t c[4];
        zoo_colour(quadrant, c);
        const unsigned r = c[0], g = c[1], b = c[2];
        if (kind->bits == 32) {
            const unsigned alpha = kind->flags & ALPHA ? c[3] : 77;
            zoo_append_little_endian(out, alpha << 24 | r << 16 | g << 8 | b, 4);
        } else if (kind->bits == 24) {
            zoo_append_little_endian(out, r << 16 | g << 8 | b, 3);
        } else if (kind->bits == 16) {
            const unsigned green = kind->compression == 3 ? g >> 2 << 5 : g >> 3 << 5;
            zoo_append_little_endian(out, r >> 3 << (kind->compression == 3 ? 11 : 10) | green | b >> 3, 2);
        } else {
            held = held << kind->bits | (unsigned) (kind->bits == 1 ? quadrant & 1 : quadrant);
            bits += kind->bits;
            if (bits == 8 || x == ZOO_W - 1) zoo_append_little_endian(out, held << (8 - bits) & 255, 1);
            if (bits == 8) held = 0, bits = 0;
        }
    }
    zoo_append_repeated(out, 0, (4 - (out->size - begin) % 4) % 4);
}

static void append_header(zoo_bytes *out, const bmp_kind *kind) {
    static const unsigned masks_16[] = {0xf800, 0x07e0, 0x001f, 0}, masks_32[] = {0xff0000, 0xff00, 0xff, 0xff000000};
    const unsigned *masks = kind->bits == 16 ? masks_16 : masks_32;
    zoo_append(out, "BM\0\0\0\0\0\0\0\0\0\0\0\0", 14);
    zoo_append_little_endian(out, (uint64_t) kind->header, 4);
    if (kind->header == 12) {
        zoo_append_little_endian(out, ZOO_W, 2);
        zoo_append_little_endian(out, ZOO_H, 2);
        zoo_append_little_endian(out, 1, 2);
        zoo_append_little_endian(out, (uint64_t) kind->bits, 2);
        return;
    }
    zoo_append_little_endian(out, ZOO_W, 4);
    zoo_append_little_endian(out, (uint64_t) (kind->flags & FROM_ABOVE ? -ZOO_H : ZOO_H), 4);
    zoo_append_little_endian(out, 1, 2);
    zoo_append_little_endian(out, (uint64_t) kind->bits, 2);
    zoo_append_little_endian(out, (uint64_t) kind->compression, 4);
    zoo_append_repeated(out, 0, 12);
    zoo_append_little_endian(out, kind->flags & FEW_COLOURS ? 4 : 0, 4);
    zoo_append_little_endian(out, 0, 4);
    if (kind->compression == 3) {
        for (int i = 0; i < (kind->flags & ALPHA ? 4 : 3); ++i) zoo_append_little_endian(out, masks[i], 4);
    }
    const size_t whole = 14 + (size_t) kind->header;
    if (out->size < whole) zoo_append_repeated(out, 0, whole - out->size);
}

static void append_bmp(zoo_bytes *out, const bmp_kind *kind) {
    append_header(out, kind);
    const size_t palette_at = out->size;
    if (kind->bits <= 8) {
        const int colours = kind->flags & FEW_COLOURS ? 4 : 1 << kind->bits;
        for (int i = 0; i < colours; ++i) {
            uint8_t c[4] = {9, 9, 9, 0};
            if (i < 4) zoo_colour(i, c);
            const unsigned rgb = (unsigned) c[0] << 16 | (unsigned) c[1] << 8 | c[2];
            zoo_append_little_endian(out, rgb, kind->flags & OS2 ? 3 : 4);
        }
    }
    zoo_put_little_endian(out, 10, kind->flags & WRONG_OFFSET ? palette_at : out->size, 4);
    const size_t pixels_at = out->size;
    if (kind->compression == 1 || kind->compression == 2) {
        append_runs(out, kind);
        zoo_put_little_endian(out, 34, out->size - pixels_at, 4);
    } else {
        for (int r = 0; r < ZOO_H; ++r) append_row(out, kind, kind->flags & FROM_ABOVE ? r : ZOO_H - 1 - r);
    }
    zoo_put_little_endian(out, 2, out->size, 4);
}

static void make_good(zoo_bytes *out, int variant) {
    append_bmp(out, &kinds[variant]);
}

enum { TRAILING, ONE_PIXEL, COLOURS_BEYOND, EARLY_END, LONG_RUNS, FAR_JUMP };

static void make_odd(zoo_bytes *out, int variant) {
    append_bmp(out, &kinds[variant == EARLY_END || variant == LONG_RUNS || variant == FAR_JUMP ? 18 : 10]);
    const size_t pixels = 14 + 40 + 1024;
    switch (variant) {
    case TRAILING:
        zoo_append_noise(out, 999);
        break;
    case ONE_PIXEL:
        zoo_put_little_endian(out, 18, 1, 4);
        zoo_put_little_endian(out, 22, 1, 4);
        zoo_put_little_endian(out, pixels, 0, 4);
        break;
    case COLOURS_BEYOND: /* numbers that the palette does not have */
        zoo_put_little_endian(out, 46, 2, 4);
        zoo_put_little_endian(out, 10, pixels, 4);
        break;
    case EARLY_END:
        zoo_put_big_endian(out, pixels, 0x0001, 2);
        break;
    case LONG_RUNS: /* over the ends of the rows */
        for (size_t at = pixels; at + 2 <= out->size; at += 2) zoo_put_big_endian(out, at, 0xff01, 2);
        zoo_append(out, "\0\1", 2);
        break;
    default:
        zoo_put_big_endian(out, pixels, 0x0002ffff, 4);
        zoo_put_big_endian(out, pixels + 4, 0x0001, 2);
    }
}

/* A number in the header of 24 bits, or of 8 where it is about colours: at, bytes, value. */
typedef struct bmp_wound {
    const char *name;
    int kind, at, bytes;
    uint32_t value;
    int cut; /* to so many bytes; 0: not */
    const char *reason;
} bmp_wound;

static const bmp_wound wounds[] = {
    {"bmp-cut-in-header.bmp", 0, 0, 0, 0, 20, "cut short"},
    {"bmp-cut-after-header.bmp", 0, 0, 0, 0, 54, "cut short"},
    {"bmp-cut-in-palette.bmp", 10, 0, 0, 0, 300, "cut short"},
    {"bmp-cut-in-pixels.bmp", 0, 0, 0, 0, 3000, "cut short"},
    {"bmp-cut-last-byte.bmp", 0, 0, 0, 0, 54 + ZOO_H *ZOO_W * 3 - 1, "cut short"},
    {"bmp-cut-runs.bmp", 18, 0, 0, 0, 1100, "cut short"},
    {"bmp-runs-without-end.bmp", 18, 34, 4, 0, 1100, "cut short"},
    {"bmp-width-0.bmp", 0, 18, 4, 0, 0, "empty"},
    {"bmp-width-negative.bmp", 0, 18, 4, 0xffffffffu, 0, "empty"},
    {"bmp-height-0.bmp", 0, 22, 4, 0, 0, "empty"},
    {"bmp-height-lowest.bmp", 0, 22, 4, 0x80000000u, 0, "cut short"},
    {"bmp-height-highest.bmp", 0, 22, 4, 0x7fffffffu, 0, "cut short"},
    {"bmp-width-highest.bmp", 0, 18, 4, 0x7fffffffu, 0, "cut short"},
    {"bmp-runs-huger.bmp", 18, 18, 4, 0x7fffffffu, 0, "limit"},
    {"bmp-bits-3.bmp", 0, 28, 2, 3, 0, "not supported"},
    {"bmp-bits-64.bmp", 0, 28, 2, 64, 0, "not supported"},
    {"bmp-compression-jpeg.bmp", 0, 30, 4, 4, 0, "not supported"},
    {"bmp-compression-odd.bmp", 0, 30, 4, 0xdeadbeefu, 0, "not supported"},
    {"bmp-runs-of-24-bits.bmp", 0, 30, 4, 1, 0, "not supported"},
    {"bmp-runs-from-above.bmp", 18, 22, 4, 0xffffffe0u, 0, "not supported"},
    {"bmp-offset-0.bmp", 0, 10, 4, 0, 0, "of its header"},
    {"bmp-offset-huge.bmp", 0, 10, 4, 0xffffffffu, 0, "cut short"},
    {"bmp-header-huge.bmp", 0, 14, 4, 0xffff0028u, 0, "cut short|known format"},
    {"bmp-mask-zero.bmp", 9, 54, 4, 0, 0, "mask"},
    {"bmp-mask-with-hole.bmp", 9, 54, 4, 0xa000, 0, "mask"},
    {"bmp-mask-of-17-bits.bmp", 9, 54, 4, 0x1ff00, 0, "mask"},
};

static void make_broken(zoo_bytes *out, int variant) {
    const bmp_wound *wound = &wounds[variant];
    append_bmp(out, &kinds[wound->kind]);
    if (wound->bytes > 0) zoo_put_little_endian(out, (size_t) wound->at, wound->value, wound->bytes);
    if (wound->cut > 0) zoo_truncate(out, (size_t) wound->cut);
}

enum { GOOD = (int) (sizeof kinds / sizeof kinds[0]), BROKEN = (int) (sizeof wounds / sizeof wounds[0]), ODD = 6 };

static zoo_entry entries[GOOD + BROKEN + ODD];

zoo_table zoo_bmp_all(void) {
    static const zoo_entry odd[ODD] = {
        {"bmp-trailing-noise.bmp", make_odd, TRAILING, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
        {"bmp-1x1.bmp", make_odd, ONE_PIXEL, 1, 1, ZOO_COLOURS, NULL},
        {"bmp-colours-beyond-the-palette.bmp", make_odd, COLOURS_BEYOND, ZOO_H, ZOO_W, ZOO_ANYTHING, NULL},
        {"bmp-rle8-early-end.bmp", make_odd, EARLY_END, ZOO_H, ZOO_W, ZOO_ANYTHING, NULL},
        {"bmp-rle8-long-runs.bmp", make_odd, LONG_RUNS, ZOO_H, ZOO_W, ZOO_ANYTHING, NULL},
        {"bmp-rle8-far-jump.bmp", make_odd, FAR_JUMP, ZOO_H, ZOO_W, ZOO_ANYTHING, NULL},
    };
    for (int i = 0; i < GOOD; ++i) {
        entries[i] = (zoo_entry){kinds[i].name, make_good, i, ZOO_H, ZOO_W, kinds[i].look, NULL};
    }
    for (int i = 0; i < BROKEN; ++i) {
        entries[GOOD + i] = (zoo_entry){wounds[i].name, make_broken, i, 0, 0, 0, wounds[i].reason};
    }
    memcpy(entries + GOOD + BROKEN, odd, sizeof odd);
    return (zoo_table){entries, GOOD + BROKEN + ODD};
}
