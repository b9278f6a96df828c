/* BMP: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits, whatever the masks of their colours, runs (RLE), from below or
 * from above. The alpha of 32 bits counts where the header has a mask for it, as in Pillow.
 */
#include <string.h>

#include "core/checked.h"
#include "data/image_decoders.h"

enum { FILE_HEADER = 14, PLAIN = 0, RUNS_8 = 1, RUNS_4 = 2, BIT_FIELDS = 3, INKS = 4 };

typedef struct bmp_layout {
    int64_t h, w;
    int32_t bits;        /* of a pixel */
    int32_t compression; /* PLAIN ... */
    int32_t from_above;  /* the first row comes first */
    int32_t colours;     /* of the palette, at most 2^bits */
    int32_t colour_bytes;
    size_t palette_at, pixels_at;
    uint64_t stride;      /* of a row, where rows have one */
    uint32_t masks[INKS]; /* red, green, blue, alpha; where bits > 8 */
} bmp_layout;

static uint32_t u16(const uint8_t *bytes) {
    return (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8;
}

static uint32_t u32(const uint8_t *bytes) {
    return u16(bytes) | u16(bytes + 2) << 16;
}

/* --- The header --- */

/* One run of bits, so that values are in order. */
static int is_mask(uint32_t mask) {
    const uint32_t lowest = mask & (0u - mask);
    return mask != 0 && ((mask + lowest) & mask) == 0;
}

static moco_status read_masks(const uint8_t *bytes, size_t size, size_t header, bmp_layout *layout, size_t *at) {
    static const uint32_t masks_16[INKS] = {0x7c00, 0x03e0, 0x001f, 0}, masks_32[INKS] = {0xff0000, 0xff00, 0xff, 0};
    memcpy(layout->masks, layout->bits == 16 ? masks_16 : masks_32, sizeof layout->masks);
    if (layout->compression != BIT_FIELDS) return MOCO_OK;
    const int inks = header >= 56 ? 4 : 3;
    if (header == 40) {
        if (size - *at < 12) return moco_image_fail_short("BMP", "inside its header");
        *at += 12;
    }
    for (int i = 0; i < inks; ++i) layout->masks[i] = u32(bytes + FILE_HEADER + 40 + 4 * i);
    for (int i = 0; i < INKS; ++i) {
        const uint32_t mask = layout->masks[i];
        if ((i < 3 || mask != 0) && (!is_mask(mask) || (layout->bits == 16 && mask > 0xffff))) {
            return moco_fail(MOCO_FORMAT, "the BMP file is damaged: the mask of its colour %d is %08x", i + 1, mask);
        }
    }
    return MOCO_OK;
}

static moco_status check_kind(const bmp_layout *layout) {
    const int32_t bits = layout->bits;
    switch (layout->compression) {
    case PLAIN:
        if (bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32) return MOCO_OK;
        break;
    case RUNS_8:
    case RUNS_4:
        if (bits == (layout->compression == RUNS_8 ? 8 : 4) && !layout->from_above) return MOCO_OK;
        break;
    case BIT_FIELDS:
        if (bits == 16 || bits == 32) return MOCO_OK;
        break;
    default:
        break;
    }
    return moco_fail(MOCO_FORMAT, "a BMP file of %d bits for each pixel with compression %d is not supported", bits,
                     layout->compression);
}

static moco_status read_layout(const uint8_t *bytes, size_t size, bmp_layout *layout) {
    *layout = (bmp_layout){.colour_bytes = 4};
    if (size < FILE_HEADER + 12) return moco_image_fail_short("BMP", "inside its header");
    const size_t header = u32(bytes + FILE_HEADER), known = header == 12 ? 12 : 40;
    const uint8_t *fields = bytes + FILE_HEADER;
    if (size - FILE_HEADER < header || header < known) return moco_image_fail_short("BMP", "inside its header");
    int64_t h = 0;
    uint32_t colours = 0;
    if (header == 12) { /* OS/2's */
        layout->w = u16(fields + 4);
        h = u16(fields + 6);
        layout->bits = (int32_t) u16(fields + 10);
        layout->colour_bytes = 3;
    } else {
        layout->w = (int32_t) u32(fields + 4);
        h = (int32_t) u32(fields + 8);
        layout->bits = (int32_t) u16(fields + 14);
        layout->compression = (int32_t) u32(fields + 16);
        colours = u32(fields + 32);
    }
    layout->from_above = h < 0;
    layout->h = h < 0 ? -h : h;
    if (layout->h == 0 || layout->w <= 0) return moco_image_fail_empty("BMP", layout->h, layout->w);
    MOCO_TRY(check_kind(layout));

    size_t at = FILE_HEADER + header;
    if (layout->bits > 8) MOCO_TRY(read_masks(bytes, size, header, layout, &at));
    layout->palette_at = at;
    if (layout->bits <= 8) {
        const uint32_t most = UINT32_C(1) << layout->bits;
        layout->colours = (int32_t) (colours == 0 || colours > most ? most : colours);
        if ((size - at) / (size_t) layout->colour_bytes < (size_t) layout->colours) {
            return moco_image_fail_short("BMP", "inside its palette");
        }
    }
    layout->pixels_at = u32(bytes + 10);
    /* Some writers forget the palette, as Pillow knows, too. */
    if (layout->bits <= 8 && layout->pixels_at == at) {
        layout->pixels_at += (size_t) (layout->colours * layout->colour_bytes);
    }
    if (layout->pixels_at < at) {
        return moco_fail(MOCO_FORMAT, "the BMP file is damaged: its pixels would begin at byte %zu of its header",
                         layout->pixels_at);
    }
    if (layout->pixels_at > size) return moco_image_fail_short("BMP", "before its pixels");
    const size_t room = size - layout->pixels_at;
    layout->stride = ((uint64_t) layout->w * (uint64_t) layout->bits + 31) / 32 * 4; /* below 2^36 */
    if (layout->compression == RUNS_8 || layout->compression == RUNS_4) {
        if (header != 12 && u32(fields + 20) > room) return moco_image_fail_short("BMP", "inside its pixels");
    } else if (room / layout->stride < (uint64_t) layout->h) {
        return moco_image_fail_short("BMP", "inside its pixels");
    }
    return MOCO_OK;
}

moco_status moco_bmp_walk(const uint8_t *bytes, size_t size, moco_stored_header *header) {
    bmp_layout layout;
    header->format = MOCO_FORMAT_BMP;
    MOCO_TRY(read_layout(bytes, size, &layout));
    header->h = layout.h;
    header->w = layout.w;
    return MOCO_OK;
}

/* --- Runs --- */

/* Where the next pixel goes, and the window's part of the picture, where it is kept. */
typedef struct run_pen {
    const moco_image_window *part;
    uint8_t *plane;            /* palette numbers of the part */
    int64_t h, w, row, column; /* row: from below */
} run_pen;

static void put(run_pen *pen, uint8_t colour) {
    const int64_t y = pen->h - 1 - pen->row - pen->part->top, x = pen->column - pen->part->left;
    if (pen->column < pen->w) ++pen->column; /* what is behind a row's end is lost */
    if (y >= 0 && y < pen->part->h && x >= 0 && x < pen->part->w) {
        pen->plane[y * pen->part->w + x] = colour;
    }
}

static void put_packed(run_pen *pen, const uint8_t *bytes, int count, int bits) {
    for (int i = 0; i < count; ++i) {
        put(pen, bits == 8 ? bytes[i] : i % 2 == 0 ? (uint8_t) (bytes[i / 2] >> 4) : bytes[i / 2] & 15);
    }
}

/* All of the file's runs into the plane, which holds zeros: what no run reaches is of the palette's first colour. */
static moco_status draw_runs(const moco_image_job *job, const bmp_layout *layout, uint8_t *plane) {
    const uint8_t *bytes = job->bytes;
    const int bits = layout->bits;
    run_pen pen = {.part = &job->part, .plane = plane, .h = layout->h, .w = layout->w};
    int64_t steps = 0;
    for (size_t at = layout->pixels_at; pen.row < pen.h;) {
        if (job->size - at < 2) {
            /* Without the mark of the end, but with all pixels. */
            if (pen.row == pen.h - 1 && pen.column == pen.w) return MOCO_OK;
            return moco_image_fail_short("BMP", "inside its pixels");
        }
        const int first = bytes[at], second = bytes[at + 1];
        at += 2;
        if (first > 0) {
            const uint8_t pair[1] = {(uint8_t) second};
            for (int i = 0; i < first; ++i) {
                put(&pen, bits == 8 ? pair[0] : i % 2 == 0 ? (uint8_t) (second >> 4) : (uint8_t) (second & 15));
            }
        } else if (second == 0) { /* the end of the row */
            pen.row++;
            pen.column = 0;
        } else if (second == 1) { /* of the picture */
            return MOCO_OK;
        } else if (second == 2) { /* a jump */
            if (job->size - at < 2) return moco_image_fail_short("BMP", "inside its pixels");
            pen.column = moco_min_i64(pen.column + bytes[at], pen.w);
            pen.row += bytes[at + 1];
            at += 2;
        } else {
            const size_t length = (size_t) (second * bits + 7) / 8;
            if (job->size - at < length) return moco_image_fail_short("BMP", "inside its pixels");
            put_packed(&pen, bytes + at, second, bits);
            at += length;
            if (length % 2 != 0 && at < job->size) ++at;
        }
        if (++steps % 4096 == 0 && moco_image_is_late(job)) return moco_image_fail_late(job);
    }
    return MOCO_OK;
}

/* --- Colours --- */

static uint8_t scaled(uint32_t pixel, uint32_t mask) {
    if (mask == 0) return 255; /* no alpha */
    const uint32_t lowest = mask & (0u - mask), most = mask / lowest, value = (pixel & mask) / lowest;
    return (uint8_t) (most == 255 ? value : (uint64_t) value * 255 / most); /* rounded down as Pillow does */
}

static void colour_by_palette(const bmp_layout *layout, const uint8_t *palette, uint32_t colour, uint8_t *to) {
    if (colour >= (uint32_t) layout->colours) {
        memset(to, 0, 3);
        return;
    }
    const uint8_t *from = palette + colour * (uint32_t) layout->colour_bytes;
    to[0] = from[2], to[1] = from[1], to[2] = from[0];
}

/* `count` pixels from column `left` of a stored row on: RGB, or RGBA where there is a mask for alpha. */
static void convert_row(const bmp_layout *layout, const uint8_t *palette, const uint8_t *row, int64_t left,
                        int64_t count, uint8_t *to) {
    const int32_t bits = layout->bits;
    const int channels = layout->masks[3] != 0 ? MOCO_RGBA : MOCO_RGB;
    for (int64_t i = 0; i < count; ++i, to += channels) {
        const int64_t x = left + i;
        if (bits <= 8) {
            const int64_t bit = x * bits;
            const uint32_t colour = (uint32_t) row[bit / 8] >> (8 - bits - bit % 8);
            colour_by_palette(layout, palette, colour & ((1u << bits) - 1), to);
        } else if (bits == 24) {
            const uint8_t *from = row + 3 * x;
            to[0] = from[2], to[1] = from[1], to[2] = from[0];
        } else {
            const uint32_t pixel = bits == 16 ? u16(row + 2 * x) : u32(row + 4 * x);
            for (int c = 0; c < channels; ++c) to[c] = scaled(pixel, layout->masks[c]);
        }
    }
}

static moco_status place_rows(const moco_image_job *job, const bmp_layout *layout, const uint8_t *plane,
                              uint8_t *rows) {
    const moco_image_window *part = &job->part;
    const int32_t channels = layout->masks[3] != 0 ? MOCO_RGBA : MOCO_RGB;
    const size_t stride = (size_t) (part->w * channels);
    const uint8_t *palette = job->bytes + layout->palette_at;
    for (int64_t row = 0; row < part->h; row += MOCO_PLACE_ROWS) {
        const int64_t some = moco_min_i64(MOCO_PLACE_ROWS, part->h - row);
        for (int64_t y = 0; y < some; ++y) {
            uint8_t *to = rows + (size_t) y * stride;
            if (plane != NULL) {
                const uint8_t *from = plane + (row + y) * part->w;
                for (int64_t x = 0; x < part->w; ++x) colour_by_palette(layout, palette, from[x], to + 3 * x);
            } else {
                const int64_t top = part->top + row + y, stored = layout->from_above ? top : layout->h - 1 - top;
                convert_row(layout, palette, job->bytes + layout->pixels_at + (size_t) stored * (size_t) layout->stride,
                            part->left, part->w, to);
            }
        }
        moco_image_place(job, row, some, rows, stride, channels);
        if (moco_image_is_late(job)) return moco_image_fail_late(job);
    }
    return MOCO_OK;
}

moco_status moco_bmp_decode(moco_image_job *job) {
    bmp_layout layout;
    MOCO_TRY(read_layout(job->bytes, job->size, &layout));
    const int has_runs = layout.compression == RUNS_8 || layout.compression == RUNS_4;
    const moco_image_window counted = moco_image_counted(job);
    const uint64_t pixels = (uint64_t) counted.h * (uint64_t) counted.w; /* max_pixels is checked */
    const uint64_t strip = (uint64_t) counted.w * MOCO_RGBA * MOCO_PLACE_ROWS;
    MOCO_TRY(moco_image_begin(job, 1, strip + (has_runs ? pixels : 0)));
    uint8_t *rows = (uint8_t *) moco_allocate(job->context, (size_t) strip), *plane = NULL;
    moco_status status = rows == NULL ? MOCO_OUT_OF_MEMORY : MOCO_OK;
    if (status == MOCO_OK && has_runs) {
        plane = (uint8_t *) moco_allocate_zeroed(job->context, (size_t) pixels, 1);
        status = plane == NULL ? MOCO_OUT_OF_MEMORY : draw_runs(job, &layout, plane);
    }
    if (status == MOCO_OK) status = place_rows(job, &layout, plane, rows);
    moco_deallocate(job->context, plane);
    moco_deallocate(job->context, rows);
    return status;
}
