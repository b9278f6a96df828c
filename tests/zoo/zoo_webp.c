/* WebP files, right and broken. Still ones come from libwebp's encoder; animations and the rest are put together by
 * hand from chunks ("WebP Container Specification").
 */
#include <stdlib.h>
#include <string.h>
#include <webp/encode.h>

#include "zoo/image_zoo.h"
#include "zoo/zoo_exif.h"
#include "zoo/zoo_picture.h"

enum { LOSSY = 0, LOSSLESS = 1, WITH_ALPHA = 2 };

static void append_encoded(zoo_bytes *out, int h, int w, int orientation, int how) {
    int stored_h, stored_w;
    zoo_stored_size(orientation, h, w, &stored_h, &stored_w);
    zoo_bytes pixels = {0};
    for (int r = 0; r < stored_h; ++r) {
        for (int c = 0; c < stored_w; ++c) {
            int y, x;
            uint8_t rgba[4];
            zoo_upright_of(orientation, h, w, r, c, &y, &x);
            zoo_colour(zoo_quadrant(y, x, h, w), rgba);
            if ((how & WITH_ALPHA) == 0) rgba[3] = 255;
            zoo_append(&pixels, rgba, 4);
        }
    }
    uint8_t *file = NULL;
    const size_t size = how & LOSSLESS ? WebPEncodeLosslessRGBA(pixels.data, stored_w, stored_h, 4 * stored_w, &file)
                                       : WebPEncodeRGBA(pixels.data, stored_w, stored_h, 4 * stored_w, 90, &file);
    if (size == 0) abort();
    zoo_append(out, file, size);
    WebPFree(file);
    zoo_bytes_free(&pixels);
}

/* --- Chunks --- */

static void begin_riff(zoo_bytes *out) {
    zoo_append(out, "RIFF\0\0\0\0WEBP", 12);
}

static void end_riff(zoo_bytes *out) {
    zoo_put_little_endian(out, 4, out->size - 8, 4);
}

static void append_chunk(zoo_bytes *out, const char *type, const void *data, size_t size) {
    zoo_append(out, type, 4);
    zoo_append_little_endian(out, size, 4);
    zoo_append(out, data, size);
    if (size % 2 != 0) zoo_append_repeated(out, 0, 1);
}

enum { HAS_ANIMATION = 0x02, HAS_XMP = 0x04, HAS_EXIF = 0x08, HAS_ALPHA = 0x10, HAS_ICC = 0x20 };

static void append_extended_header(zoo_bytes *out, int flags, uint32_t h, uint32_t w) {
    zoo_bytes data = {0};
    zoo_append_little_endian(&data, (uint64_t) flags, 4);
    zoo_append_little_endian(&data, w - 1, 3);
    zoo_append_little_endian(&data, h - 1, 3);
    append_chunk(out, "VP8X", data.data, data.size);
    zoo_bytes_free(&data);
}

static size_t find_chunk(const zoo_bytes *webp, const char *type) {
    for (size_t at = 12; at + 8 <= webp->size;) {
        if (memcmp(webp->data + at, type, 4) == 0) return at;
        const size_t size = webp->data[at + 4] | (size_t) webp->data[at + 5] << 8 | (size_t) webp->data[at + 6] << 16;
        at += 8 + size + size % 2;
    }
    abort();
}

/* What is after the 12 bytes of RIFF, and after a VP8X chunk where there is one: the picture's own chunks. */
static void append_picture_chunks(zoo_bytes *out, int h, int w, int orientation, int how) {
    zoo_bytes still = {0};
    append_encoded(&still, h, w, orientation, how);
    const size_t at = memcmp(still.data + 12, "VP8X", 4) == 0 ? 30 : 12;
    zoo_append(out, still.data + at, still.size - at);
    zoo_bytes_free(&still);
}

/* --- Files that are right --- */
enum { STILL, EXIF, EXIF_ODD, ICC_XMP, UNKNOWN_CHUNK, TRAILING_NOISE };
typedef struct webp_kind {
    int how, h, w, orientation, part;
} webp_kind;
static const webp_kind kinds[] = {
    {LOSSY, ZOO_H, ZOO_W, 0, STILL},
    {LOSSLESS, ZOO_H, ZOO_W, 0, STILL},
    {LOSSY | WITH_ALPHA, ZOO_H, ZOO_W, 0, STILL},
    {LOSSLESS | WITH_ALPHA, ZOO_H, ZOO_W, 0, STILL},
    {LOSSY, 1, 1, 0, STILL},
    {LOSSLESS, 3, 2, 0, STILL},
    {LOSSY, 16383, 1, 0, STILL},
    {LOSSLESS, 1, 16383, 0, STILL},
    {LOSSY, ZOO_H, ZOO_W, 6, EXIF},
    {LOSSLESS | WITH_ALPHA, ZOO_H, ZOO_W, 3, EXIF},
    {LOSSY, ZOO_H, ZOO_W, 1, EXIF_ODD}, /* 10 */
    {LOSSY, ZOO_H, ZOO_W, 0, ICC_XMP},
    {LOSSY, ZOO_H, ZOO_W, 0, UNKNOWN_CHUNK},
    {LOSSY, ZOO_H, ZOO_W, 0, TRAILING_NOISE},
};

static void make_good(zoo_bytes *out, int variant) {
    const webp_kind *kind = &kinds[variant];
    if (kind->part == STILL || kind->part == TRAILING_NOISE) {
        append_encoded(out, kind->h, kind->w, 0, kind->how);
        if (kind->part == TRAILING_NOISE) zoo_append_noise(out, 500);
        return;
    }
    int stored_h, stored_w;
    zoo_stored_size(kind->orientation, kind->h, kind->w, &stored_h, &stored_w);
    zoo_bytes data = {0};
    const int exif = kind->part == EXIF || kind->part == EXIF_ODD;
    begin_riff(out);
    append_extended_header(out,
                           (exif ? HAS_EXIF : 0) | (kind->part == ICC_XMP ? HAS_ICC | HAS_XMP : 0) |
                               (kind->how & WITH_ALPHA ? HAS_ALPHA : 0),
                           (uint32_t) stored_h, (uint32_t) stored_w);
    if (kind->part == ICC_XMP) append_chunk(out, "ICCP", "no profile", 10);
    if (kind->part == UNKNOWN_CHUNK) append_chunk(out, "ZOO!", "odd", 3);
    append_picture_chunks(out, kind->h, kind->w, kind->orientation, kind->how);
    if (kind->part == ICC_XMP) append_chunk(out, "XMP ", "<x/>", 4);
    if (exif) {
        zoo_append_exif(&data, kind->part == EXIF ? 0 : ZOO_EXIF_LOOP, kind->orientation);
        append_chunk(out, "EXIF", data.data, data.size);
    }
    end_riff(out);
    zoo_bytes_free(&data);
}

/* --- Animations: the first frame counts --- */
enum { WHOLE_CANVAS, OFFSET_FRAME, NO_FRAMES, FRAME_OUTSIDE, CUT_IN_ANIM, CUT_IN_FRAME, CUT_BEFORE_FRAMES };

static void append_frame(zoo_bytes *out, int y, int x, int h, int w, int how) {
    zoo_bytes frame = {0};
    zoo_append_little_endian(&frame, (uint64_t) x / 2, 3);
    zoo_append_little_endian(&frame, (uint64_t) y / 2, 3);
    zoo_append_little_endian(&frame, (uint64_t) w - 1, 3);
    zoo_append_little_endian(&frame, (uint64_t) h - 1, 3);
    zoo_append_little_endian(&frame, 100, 3);
    zoo_append_little_endian(&frame, 0, 1);
    append_picture_chunks(&frame, h, w, 0, how);
    append_chunk(out, "ANMF", frame.data, frame.size);
    zoo_bytes_free(&frame);
}

static void make_animated(zoo_bytes *out, int variant) {
    begin_riff(out);
    append_extended_header(out, HAS_ANIMATION | HAS_ALPHA, ZOO_H, ZOO_W);
    append_chunk(out, "ANIM", "\xff\xff\xff\xff\0", 6);
    const size_t frames = out->size;
    if (variant == OFFSET_FRAME) append_frame(out, 8, 12, ZOO_H / 2, ZOO_W / 2, LOSSLESS);
    if (variant == FRAME_OUTSIDE) append_frame(out, 30, 40, ZOO_H, ZOO_W, LOSSLESS);
    if (variant != NO_FRAMES && variant != OFFSET_FRAME && variant != FRAME_OUTSIDE) {
        append_frame(out, 0, 0, ZOO_H, ZOO_W, LOSSY);
        append_frame(out, 2, 2, ZOO_H / 2, ZOO_W / 2, LOSSLESS | WITH_ALPHA);
    }
    end_riff(out);
    if (variant == CUT_IN_ANIM) zoo_truncate(out, frames - 3);
    if (variant == CUT_BEFORE_FRAMES) zoo_truncate(out, frames);
    if (variant == CUT_IN_FRAME) zoo_truncate(out, frames + 60);
}

/* --- Broken stills --- */
enum {
    CUT_IN_RIFF,
    CUT_AFTER_RIFF,
    CUT_AFTER_TAG,
    CUT_IN_FRAME_HEADER,
    CUT_MIDDLE,
    CUT_LAST_BYTES,
    CUT_LOSSLESS_HEADER,
    CUT_LOSSLESS_MIDDLE,
    CUT_EXTENDED,
    CUT_ALPHA,
    CUT_AFTER_ALPHA,
    RIFF_SIZE_ZERO,
    RIFF_SIZE_SMALL,
    RIFF_SIZE_LARGE,
    RIFF_SIZE_MAX,
    CHUNK_SIZE_MAX,
    CHUNK_SIZE_SMALL,
    KEY_FRAME,
    START_CODE,
    ZERO_SIZE,
    PARTITION,
    LOSSLESS_SIGNATURE,
    LOSSLESS_VERSION,
    LOSSLESS_NOISE,
    CANVAS_MISMATCH,
    CANVAS_HUGE,
    NO_PICTURE,
    WAVE_FILE
};

static void make_broken(zoo_bytes *out, int variant) {
    const int lossless = variant == CUT_LOSSLESS_HEADER || variant == CUT_LOSSLESS_MIDDLE ||
                         (variant >= LOSSLESS_SIGNATURE && variant <= LOSSLESS_NOISE);
    const int extended = variant == CUT_EXTENDED || variant == CUT_ALPHA || variant == CUT_AFTER_ALPHA ||
                         variant == CANVAS_MISMATCH || variant == CANVAS_HUGE;
    append_encoded(out, ZOO_H, ZOO_W, 0, lossless ? LOSSLESS : extended ? LOSSY | WITH_ALPHA : LOSSY);
    zoo_bytes noise = {0};
    switch (variant) {
    case CUT_IN_RIFF:
        zoo_truncate(out, 10);
        break;
    case CUT_AFTER_RIFF:
        zoo_truncate(out, 12);
        break;
    case CUT_AFTER_TAG:
        zoo_truncate(out, 16);
        break;
    case CUT_IN_FRAME_HEADER:
        zoo_truncate(out, 26);
        break;
    case CUT_LOSSLESS_HEADER:
        zoo_truncate(out, 23);
        break;
    case CUT_MIDDLE:
    case CUT_LOSSLESS_MIDDLE:
        zoo_truncate(out, (30 + out->size) / 2);
        break;
    case CUT_LAST_BYTES:
        zoo_truncate(out, out->size - 9);
        break;
    case CUT_EXTENDED:
        zoo_truncate(out, 25);
        break;
    case CUT_ALPHA:
        zoo_truncate(out, find_chunk(out, "ALPH") + 10);
        break;
    case CUT_AFTER_ALPHA:
        zoo_truncate(out, find_chunk(out, "VP8 "));
        break;
    case RIFF_SIZE_ZERO:
        zoo_put_little_endian(out, 4, 0, 4);
        break;
    case RIFF_SIZE_SMALL:
        zoo_put_little_endian(out, 4, 30, 4);
        break;
    case RIFF_SIZE_LARGE:
        zoo_put_little_endian(out, 4, out->size + 1000, 4);
        break;
    case RIFF_SIZE_MAX:
        zoo_put_little_endian(out, 4, 0xffffffff, 4);
        break;
    case CHUNK_SIZE_MAX:
        zoo_put_little_endian(out, 16, 0xffffffff, 4);
        break;
    case CHUNK_SIZE_SMALL:
        zoo_put_little_endian(out, 16, 12, 4);
        break;
    case KEY_FRAME: /* one that is the difference to another */
        out->data[20] |= 1;
        break;
    case START_CODE:
        out->data[23] ^= 0xff;
        break;
    case ZERO_SIZE:
        zoo_put_little_endian(out, 26, 0, 4);
        break;
    case PARTITION: /* larger than the data */
        zoo_put_little_endian(out, 20, (out->data[20] & 0x1fu) | 0xffffe0u, 3);
        break;
    case LOSSLESS_SIGNATURE:
        out->data[20] = 0x30;
        break;
    case LOSSLESS_VERSION:
        out->data[24] |= 0xe0;
        break;
    case LOSSLESS_NOISE:
        zoo_append_noise(&noise, out->size - 25);
        memcpy(out->data + 25, noise.data, noise.size);
        break;
    case CANVAS_MISMATCH:
        zoo_put_little_endian(out, 24, 99, 3);
        break;
    case CANVAS_HUGE:
        zoo_put_little_endian(out, 24, 0xffffffffffffu, 6);
        break;
    case NO_PICTURE:
        out->size = 0;
        begin_riff(out);
        append_extended_header(out, 0, ZOO_H, ZOO_W);
        append_chunk(out, "XMP ", "<x/>", 4);
        end_riff(out);
        break;
    default:
        memcpy(out->data + 8, "WAVE", 4);
    }
    zoo_bytes_free(&noise);
}

#define SHORT \
    "known format|cut short|no picture|not inside the canvas|refuses its picture|no signature|empty|header's size"
#define GOOD(name, variant, look) \
    { "webp-" name ".webp", make_good, variant, ZOO_H, ZOO_W, look, NULL }
#define BROKEN(name, variant) \
    { "webp-" name ".webp", make_broken, variant, 0, 0, 0, SHORT }
#define BROKEN_ANIMATION(name, variant) \
    { "webp-animated-" name ".webp", make_animated, variant, 0, 0, 0, SHORT }
static const zoo_entry entries[] = {
    GOOD("lossy", 0, ZOO_COLOURS),
    GOOD("lossless", 1, ZOO_COLOURS),
    GOOD("lossy-alpha", 2, ZOO_ALPHA),
    GOOD("lossless-alpha", 3, ZOO_ALPHA),
    {"webp-1x1.webp", make_good, 4, 1, 1, ZOO_COLOURS, NULL},
    {"webp-3x2.webp", make_good, 5, 3, 2, ZOO_COLOURS, NULL},
    {"webp-16383x1.webp", make_good, 6, 16383, 1, ZOO_COLOURS, NULL},
    {"webp-1x16383.webp", make_good, 7, 1, 16383, ZOO_COLOURS, NULL},
    GOOD("orientation-6", 8, ZOO_COLOURS),
    GOOD("orientation-3-lossless-alpha", 9, ZOO_ALPHA),
    GOOD("exif-loop", 10, ZOO_COLOURS),
    GOOD("icc-xmp", 11, ZOO_COLOURS),
    GOOD("unknown-chunk", 12, ZOO_COLOURS),
    GOOD("trailing-noise", 13, ZOO_COLOURS),
    {"webp-animated.webp", make_animated, WHOLE_CANVAS, ZOO_H, ZOO_W, ZOO_COLOURS, NULL},
    {"webp-animated-offset-frame.webp", make_animated, OFFSET_FRAME, ZOO_H, ZOO_W, ZOO_ANYTHING, NULL},
    BROKEN_ANIMATION("no-frames", NO_FRAMES),
    BROKEN_ANIMATION("frame-outside", FRAME_OUTSIDE),
    BROKEN_ANIMATION("cut-in-anim", CUT_IN_ANIM),
    BROKEN_ANIMATION("cut-before-frames", CUT_BEFORE_FRAMES),
    BROKEN_ANIMATION("cut-in-frame", CUT_IN_FRAME),
    BROKEN("cut-in-riff", CUT_IN_RIFF),
    BROKEN("cut-after-riff", CUT_AFTER_RIFF),
    BROKEN("cut-after-tag", CUT_AFTER_TAG),
    BROKEN("cut-in-frame-header", CUT_IN_FRAME_HEADER),
    BROKEN("cut-middle", CUT_MIDDLE),
    BROKEN("cut-last-bytes", CUT_LAST_BYTES),
    BROKEN("cut-lossless-header", CUT_LOSSLESS_HEADER),
    BROKEN("cut-lossless-middle", CUT_LOSSLESS_MIDDLE),
    BROKEN("cut-extended", CUT_EXTENDED),
    BROKEN("cut-alpha", CUT_ALPHA),
    BROKEN("cut-after-alpha", CUT_AFTER_ALPHA),
    BROKEN("riff-size-zero", RIFF_SIZE_ZERO),
    BROKEN("riff-size-small", RIFF_SIZE_SMALL),
    BROKEN("riff-size-large", RIFF_SIZE_LARGE),
    BROKEN("riff-size-max", RIFF_SIZE_MAX),
    BROKEN("chunk-size-max", CHUNK_SIZE_MAX),
    BROKEN("chunk-size-small", CHUNK_SIZE_SMALL),
    BROKEN("key-frame", KEY_FRAME),
    BROKEN("start-code", START_CODE),
    BROKEN("zero-size", ZERO_SIZE),
    BROKEN("partition", PARTITION),
    BROKEN("lossless-signature", LOSSLESS_SIGNATURE),
    BROKEN("lossless-version", LOSSLESS_VERSION),
    BROKEN("lossless-noise", LOSSLESS_NOISE),
    BROKEN("canvas-mismatch", CANVAS_MISMATCH),
    {"webp-canvas-huge.webp", make_broken, CANVAS_HUGE, 0, 0, 0, "in all|header's size"},
    BROKEN("no-picture", NO_PICTURE),
    {"webp-wave-file.webp", make_broken, WAVE_FILE, 0, 0, 0, "known format"},
};
const zoo_table zoo_webp_all = {entries, (int) (sizeof entries / sizeof entries[0])};
