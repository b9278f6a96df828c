/* PNG files with something odd beside the picture that must not keep them from being decoded. */
#include <stdlib.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_exif.h"
#include "zoo/zoo_picture.h"
#include "zoo/zoo_png_writer.h"

static void make_hostile_exif(zoo_bytes *out, int kind) {
    const zoo_png_options options = {.colour = PNG_RGB, .orientation = 1, .exif_kind = kind};
    zoo_append_png(out, &options);
}

enum {
    ANIMATED,
    ANIMATED_DEFAULT_APART,
    UNKNOWN_CHUNKS,
    ICC_RUBBISH,
    ICC_BOMB,
    TEXT_BOMB,
    MANY_TEXTS,
    GAMMA_ZERO,
    ANCILLARY_LENGTHS,
    EMPTY_IDATS,
    EXIF_AFTER_IDAT,
    TRAILING_NOISE,
    PALETTE_SUGGESTED,
    PALETTE_SHORT_TRANSPARENCY,
    MORE_THAN_NEEDED
};

static void insert_chunk(zoo_bytes *out, const char *before, const char *type, const void *data, size_t size) {
    zoo_bytes chunk = {0};
    zoo_append_png_chunk(&chunk, type, data, size);
    zoo_insert(out, zoo_png_find(out, before, 0), chunk.data, chunk.size);
    zoo_bytes_free(&chunk);
}

/* `head` and then megabytes of zeros, deflated. */
static void insert_bomb(zoo_bytes *out, const char *type, const char *head, size_t head_size) {
    const size_t size = (size_t) 48 << 20;
    zoo_bytes chunk = {0};
    void *zeros = calloc(size, 1);
    if (zeros == NULL) abort();
    zoo_append(&chunk, head, head_size);
    zoo_append_deflated(&chunk, zeros, size, 1);
    insert_chunk(out, "IDAT", type, chunk.data, chunk.size);
    free(zeros);
    zoo_bytes_free(&chunk);
}

/* APNG: two frames; the default picture is the first of them, or stands apart. */
static void make_animated(zoo_bytes *out, int apart) {
    zoo_bytes control = {0}, data = {0};
    zoo_append_big_endian(&control, 2, 4);
    zoo_append_big_endian(&control, 0, 4);
    insert_chunk(out, "IDAT", "acTL", control.data, control.size);
    for (uint32_t frame = 0; frame < 2; ++frame) {
        control.size = data.size = 0;
        zoo_append_big_endian(&control, frame == 0 ? 0 : frame * 2 - 1, 4);
        zoo_append_big_endian(&control, ZOO_W, 4);
        zoo_append_big_endian(&control, ZOO_H, 4);
        zoo_append_big_endian(&control, 0, 8);
        zoo_append_big_endian(&control, 0x000a0064, 4);
        zoo_append_big_endian(&control, 0, 2);
        if (frame == 0 && !apart) {
            insert_chunk(out, "IDAT", "fcTL", control.data, control.size);
            continue;
        }
        const size_t idat = zoo_png_find(out, "IDAT", 0);
        zoo_append_big_endian(&data, frame * 2, 4);
        zoo_append(&data, out->data + idat + 8, zoo_png_chunk_size(out, idat) - 12);
        insert_chunk(out, "IEND", "fcTL", control.data, control.size);
        insert_chunk(out, "IEND", "fdAT", data.data, data.size);
    }
    zoo_bytes_free(&control);
    zoo_bytes_free(&data);
}

static void make_odd(zoo_bytes *out, int variant) {
    const int palette = variant == PALETTE_SHORT_TRANSPARENCY;
    const zoo_png_options options = {.colour = palette ? PNG_PALETTE : PNG_RGB};
    zoo_append_png(out, &options);
    zoo_bytes data = {0};
    switch (variant) {
    case ANIMATED:
    case ANIMATED_DEFAULT_APART:
        make_animated(out, variant == ANIMATED_DEFAULT_APART);
        break;
    case UNKNOWN_CHUNKS:
        zoo_append_noise(&data, 1000);
        insert_chunk(out, "IDAT", "abCd", data.data, data.size);
        insert_chunk(out, "IEND", "zzZz", data.data, data.size);
        insert_chunk(out, "IEND", "teSt", NULL, 0);
        break;
    case ICC_RUBBISH:
        zoo_append(&data, "no profile\0\0not deflated at all", 31);
        insert_chunk(out, "IDAT", "iCCP", data.data, data.size);
        break;
    case ICC_BOMB:
        insert_bomb(out, "iCCP", "profile\0", 9);
        break;
    case TEXT_BOMB:
        insert_bomb(out, "zTXt", "Comment\0", 9);
        insert_bomb(out, "iTXt", "Comment\0\1\0\0", 12);
        break;
    case MANY_TEXTS:
        for (int i = 0; i < 2000; ++i) zoo_append_png_chunk(&data, "tEXt", "Comment\0once more", 17);
        zoo_insert(out, zoo_png_find(out, "IDAT", 0), data.data, data.size);
        break;
    case GAMMA_ZERO:
        insert_chunk(out, "IDAT", "gAMA", "\0\0\0", 4);
        insert_chunk(out, "IDAT", "cHRM",
                     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                     32);
        insert_chunk(out, "IDAT", "sBIT", "\x63\0\xff", 3);
        break;
    case ANCILLARY_LENGTHS:
        insert_chunk(out, "IDAT", "gAMA", "\1\2\3\4\5", 5);
        insert_chunk(out, "IDAT", "pHYs", "", 0);
        insert_chunk(out, "IDAT", "tIME", "\1", 1);
        insert_chunk(out, "IDAT", "bKGD", "\1", 1);
        insert_chunk(out, "IDAT", "sRGB", "\1\2\3", 3);
        break;
    case EMPTY_IDATS:
        for (int i = 0; i < 100; ++i) zoo_append_png_chunk(&data, "IDAT", NULL, 0);
        zoo_insert(out, zoo_png_find(out, "IDAT", 0), data.data, data.size);
        break;
    case EXIF_AFTER_IDAT: /* allowed; without an orientation it changes nothing */
        zoo_append_exif(&data, 0, 1);
        insert_chunk(out, "IEND", "eXIf", data.data, data.size);
        break;
    case TRAILING_NOISE:
        zoo_append_noise(out, 1000);
        break;
    case PALETTE_SUGGESTED: /* a colour picture may have one */
        zoo_append_png_palette(&data, 8);
        zoo_insert(out, zoo_png_find(out, "IDAT", 0), data.data, data.size);
        break;
    case PALETTE_SHORT_TRANSPARENCY:
        insert_chunk(out, "IDAT", "tRNS", "\xff", 1);
        break;
    default: { /* the compressed rows go on after the last: 48 MiB of zeros, in an honest stream */
        zoo_bytes rows = {0};
        zoo_append_png_rows(&rows, &options);
        zoo_append_repeated(&rows, 0, (size_t) 48 << 20);
        zoo_append_deflated(&data, rows.data, rows.size, 1);
        zoo_bytes_free(&rows);
        const size_t at = zoo_png_find(out, "IDAT", 0);
        zoo_remove(out, at, zoo_png_chunk_size(out, at));
        insert_chunk(out, "IEND", "IDAT", data.data, data.size);
    }
    }
    zoo_bytes_free(&data);
}

#define HOSTILE(name, kind) \
    { "png-exif-" name ".png", make_hostile_exif, kind, ZOO_H, ZOO_W, ZOO_COLOURS, NULL }
#define ODD(name, variant) \
    { "png-" name ".png", make_odd, variant, ZOO_H, ZOO_W, ZOO_COLOURS, NULL }
static const zoo_entry entries[] = {
    HOSTILE("loop", ZOO_EXIF_LOOP),
    HOSTILE("huge-offset", ZOO_EXIF_HUGE_OFFSET),
    HOSTILE("offset-wraps", ZOO_EXIF_OFFSET_WRAPS),
    HOSTILE("too-many-tags", ZOO_EXIF_TOO_MANY_TAGS),
    HOSTILE("cut-in-tag", ZOO_EXIF_CUT_IN_TAG),
    HOSTILE("empty", ZOO_EXIF_EMPTY),
    HOSTILE("huge-count", ZOO_EXIF_HUGE_COUNT),
    ODD("animated", ANIMATED),
    ODD("animated-default-apart", ANIMATED_DEFAULT_APART),
    ODD("unknown-chunks", UNKNOWN_CHUNKS),
    ODD("icc-rubbish", ICC_RUBBISH),
    ODD("icc-bomb", ICC_BOMB),
    ODD("text-bomb", TEXT_BOMB),
    ODD("many-texts", MANY_TEXTS),
    ODD("gamma-zero", GAMMA_ZERO),
    ODD("ancillary-lengths", ANCILLARY_LENGTHS),
    ODD("empty-idats", EMPTY_IDATS),
    ODD("exif-after-idat", EXIF_AFTER_IDAT),
    ODD("trailing-noise", TRAILING_NOISE),
    ODD("palette-suggested", PALETTE_SUGGESTED),
    ODD("palette-short-transparency", PALETTE_SHORT_TRANSPARENCY),
    ODD("bomb-more-than-needed", MORE_THAN_NEEDED),
};
const zoo_table zoo_png_odd = {entries, (int) (sizeof entries / sizeof entries[0])};
