/* TIFF by libtiff: strips and tiles of 1 to 16 bits, greys, RGB, palettes and CMYK, with alpha; colours in YCbCr where they
 * are in JPEG. Of several pictures the first is read. Only the blocks that the window touches are decoded.
 *
 * libtiff's own handlers for errors and warnings are the process's, and print: here each file has its own.
 */
#include "data/image_decoders.h"

#ifdef MOCO_HAVE_TIFF

#include <stdio.h>
#include <string.h>

#include <tiffio.h>

#include "core/checked.h"

enum {
    MAX_SAMPLES = 5, /* of a pixel that are looked at: four inks and alpha */
    ZSTD_WINDOW = 128 << 20,
    SHARE = 8 /* of max_memory, the largest block that libtiff may take for itself */
};

typedef struct tiff_reader {
    moco_image_job *job;
    TIFF *tiff;
    uint64_t at;       /* in the file, for libtiff's reading */
    int32_t is_strict; /* pixels are being read: a warning means that they are damaged */
    int32_t failed;
    char reason[200]; /* libtiff's first complaint */
    /* The layout. */
    uint16_t bits, samples, photometric, planar, compression;
    int32_t colours; /* samples that make the colour: 1, 3 or 4 */
    int32_t alpha;   /* 0: none; else EXTRASAMPLE_ASSOCALPHA or _UNASSALPHA, in the sample behind the colours */
    int32_t is_tiled, by_rows; /* by_rows: a plane is one strip as it is, from which any rows are taken */
    int64_t block_h, block_w;
    uint64_t block_stride; /* bytes of a row in a block of one plane (or of all samples side by side) */
    const uint16_t *palette[3];
    /* Memory. */
    uint8_t *block; /* one strip or tile as stored */
    uint8_t *band;  /* the window's samples out of one row of blocks, 8 bits each */
    uint8_t *rows;  /* on their way into the image */
} tiff_reader;

/* --- libtiff's callbacks --- */

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
    tiff_reader *reader = (tiff_reader *) user;
    (void) tiff;
    (void) module;
    if (!reader->failed) vsnprintf(reader->reason, sizeof reader->reason, format, arguments);
    reader->failed = 1;
    return 1; /* handled */
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
    tiff_reader *reader = (tiff_reader *) user;
    return reader->is_strict ? on_error(tiff, user, module, format, arguments) : 1;
}

static tmsize_t on_read(thandle_t user, void *bytes, tmsize_t count) {
    tiff_reader *reader = (tiff_reader *) user;
    const uint64_t size = reader->job->size, left = reader->at < size ? size - reader->at : 0;
    const tmsize_t some = count < 0 ? 0 : (uint64_t) count > left ? (tmsize_t) left : count;
    if (some > 0) memcpy(bytes, reader->job->bytes + reader->at, (size_t) some);
    reader->at += (uint64_t) some;
    return some;
}

static tmsize_t on_write(thandle_t user, void *bytes, tmsize_t count) {
    (void) user, (void) bytes, (void) count;
    return 0;
}

static toff_t on_seek(thandle_t user, toff_t offset, int from) {
    tiff_reader *reader = (tiff_reader *) user;
    reader->at = from == SEEK_SET ? offset : from == SEEK_CUR ? reader->at + offset : reader->job->size + offset;
    return reader->at;
}

static int on_close(thandle_t user) {
    return (void) user, 0;
}

static toff_t on_size(thandle_t user) {
    return ((tiff_reader *) user)->job->size;
}

static int on_map(thandle_t user, void **base, toff_t *size) {
    const tiff_reader *reader = (const tiff_reader *) user;
    *base = (void *) (uintptr_t) reader->job->bytes; /* libtiff only reads there */
    *size = reader->job->size;
    return 1;
}

static void on_unmap(thandle_t user, void *base, toff_t size) {
    (void) user, (void) base, (void) size;
}

static moco_status fail_libtiff(const tiff_reader *reader) {
    return moco_fail(MOCO_FORMAT, "the TIFF file is damaged or not supported: %s",
                     reader->failed ? reader->reason : "libtiff refuses it");
}

/* "c": strips are those of the file; libtiff would show a large one as many. */
static moco_status open_file(tiff_reader *reader) {
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (options == NULL) return moco_fail(MOCO_OUT_OF_MEMORY, "libtiff is out of memory");
    const uint64_t most = reader->job->limits->max_memory / SHARE;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options,
                                        most < 65536 ? 65536 : (tmsize_t) (most > INT64_MAX ? INT64_MAX : most));
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, reader);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, reader);
    reader->tiff = TIFFClientOpenExt("it", "rc", (thandle_t) reader, on_read, on_write, on_seek, on_close, on_size,
                                     on_map, on_unmap, options);
    TIFFOpenOptionsFree(options);
    if (reader->tiff == NULL) return fail_libtiff(reader);
    reader->failed = 0; /* complaints about tags without which it does */
    return MOCO_OK;
}

/* --- The layout --- */

static moco_status check_compression(const tiff_reader *reader) {
    static const uint16_t known[] = {
        COMPRESSION_NONE, COMPRESSION_CCITTRLE, COMPRESSION_CCITTFAX3,     COMPRESSION_CCITTFAX4, COMPRESSION_LZW,
        COMPRESSION_JPEG, COMPRESSION_PACKBITS, COMPRESSION_ADOBE_DEFLATE, COMPRESSION_DEFLATE,   COMPRESSION_ZSTD};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) {
        if (reader->compression == known[i] && TIFFIsCODECConfigured(known[i])) return MOCO_OK;
    }
    return moco_fail(MOCO_FORMAT, "a TIFF file of compression %d is not supported", reader->compression);
}

static int is_supported(const tiff_reader *reader, uint16_t sample_format, uint16_t inks) {
    const int bits = reader->bits, whole = bits == 8 || bits == 16, few = bits == 1 || bits == 2 || bits == 4;
    if (sample_format != SAMPLEFORMAT_UINT && sample_format != SAMPLEFORMAT_VOID) return 0;
    if (reader->planar != PLANARCONFIG_CONTIG && reader->planar != PLANARCONFIG_SEPARATE) return 0;
    switch (reader->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
        return whole || few;
    case PHOTOMETRIC_PALETTE:
        return bits == 8 || few;
    case PHOTOMETRIC_RGB:
        return whole;
    case PHOTOMETRIC_SEPARATED:
        return whole && inks == INKSET_CMYK;
    case PHOTOMETRIC_YCBCR: /* libtiff makes it RGB */
        return bits == 8 && reader->compression == COMPRESSION_JPEG && reader->planar == PLANARCONFIG_CONTIG;
    default:
        return 0;
    }
}

static moco_status read_colours(tiff_reader *reader) {
    TIFF *tiff = reader->tiff;
    uint16_t sample_format = SAMPLEFORMAT_UINT, inks = INKSET_CMYK, extras = 0, *extra = NULL;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &reader->bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &reader->samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &reader->planar);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &sample_format);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_INKSET, &inks);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extras, &extra);
    if (TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &reader->photometric) != 1) {
        reader->photometric = reader->samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
    }
    const uint16_t kind = reader->photometric;
    reader->colours = kind == PHOTOMETRIC_SEPARATED ? 4 : kind == PHOTOMETRIC_RGB || kind == PHOTOMETRIC_YCBCR ? 3 : 1;
    if (!is_supported(reader, sample_format, inks) || reader->samples < reader->colours ||
        (kind == PHOTOMETRIC_YCBCR && reader->samples != 3)) {
        return moco_fail(MOCO_FORMAT,
                         "a TIFF file of %d samples of %d bits (photometric %d, sample format %d) is not supported",
                         reader->samples, reader->bits, kind, sample_format);
    }
    if (extras > 0 && reader->samples > reader->colours && kind != PHOTOMETRIC_SEPARATED &&
        (extra[0] == EXTRASAMPLE_ASSOCALPHA || extra[0] == EXTRASAMPLE_UNASSALPHA)) {
        reader->alpha = extra[0];
    }
    if (kind == PHOTOMETRIC_PALETTE) {
        uint16_t *red = NULL, *green = NULL, *blue = NULL;
        if (TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue) != 1) {
            return moco_fail(MOCO_FORMAT, "the TIFF file is damaged: it has no palette");
        }
        reader->palette[0] = red, reader->palette[1] = green, reader->palette[2] = blue;
    }
    if (kind == PHOTOMETRIC_YCBCR) TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    return MOCO_OK;
}

static moco_status read_blocks(tiff_reader *reader) {
    TIFF *tiff = reader->tiff;
    const moco_stored_header *header = &reader->job->header;
    uint32_t block_h = 0, block_w = 0;
    reader->is_tiled = TIFFIsTiled(tiff);
    if (reader->is_tiled) {
        TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &block_w);
        TIFFGetField(tiff, TIFFTAG_TILELENGTH, &block_h);
    } else {
        TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &block_h);
        block_w = (uint32_t) header->w;
        if (block_h > (uint64_t) header->h) block_h = (uint32_t) header->h;
    }
    if (block_h == 0 || block_w == 0) return moco_fail(MOCO_FORMAT, "the TIFF file is damaged: its blocks are empty");
    const uint64_t blocks = reader->is_tiled ? TIFFNumberOfTiles(tiff) : TIFFNumberOfStrips(tiff);
    if (blocks > header->blocks) { /* libtiff would look for the others at the file's beginning */
        return moco_fail(MOCO_FORMAT, "the TIFF file is damaged: it needs %llu blocks and has offsets for %llu",
                         (unsigned long long) blocks, (unsigned long long) header->blocks);
    }
    reader->by_rows = !reader->is_tiled && reader->compression == COMPRESSION_NONE && block_h >= header->h;
    reader->block_h = reader->by_rows ? moco_min_i64(MOCO_PLACE_ROWS, header->h) : block_h;
    reader->block_w = block_w;
    const uint64_t samples = reader->planar == PLANARCONFIG_CONTIG ? reader->samples : 1;
    const uint64_t stride = ((uint64_t) block_w * samples * reader->bits + 7) / 8; /* below 2^53 */
    const uint64_t libtiff = (uint64_t) (reader->is_tiled ? TIFFTileRowSize64(tiff) : TIFFScanlineSize64(tiff));
    if (stride != libtiff || reader->failed) return fail_libtiff(reader);
    reader->block_stride = stride;
    return MOCO_OK;
}

static moco_status read_layout(tiff_reader *reader) {
    uint32_t h = 0, w = 0;
    TIFFGetField(reader->tiff, TIFFTAG_IMAGELENGTH, &h);
    TIFFGetField(reader->tiff, TIFFTAG_IMAGEWIDTH, &w);
    if (h != reader->job->header.h || w != reader->job->header.w) {
        return moco_fail(MOCO_FORMAT, "the TIFF file is damaged: its picture has two sizes");
    }
    TIFFGetFieldDefaulted(reader->tiff, TIFFTAG_COMPRESSION, &reader->compression);
    MOCO_TRY(check_compression(reader));
    MOCO_TRY(read_colours(reader));
    return read_blocks(reader);
}

/* --- Samples --- */

/* 8 bits of a stored sample: the high ones of 16, a palette's number, a grey spread over 0 .. 255. */
static uint8_t sample_at(const tiff_reader *reader, const uint8_t *row, int64_t index) {
    const int bits = reader->bits;
    if (bits == 8) return row[index];
    if (bits == 16) {
        uint16_t value;
        memcpy(&value, row + 2 * index, sizeof value); /* in this machine's order */
        return (uint8_t) (value >> 8);
    }
    const int64_t bit = index * bits;
    const int most = (1 << bits) - 1, value = row[bit / 8] >> (8 - bits - bit % 8) & most;
    return (uint8_t) (reader->photometric == PHOTOMETRIC_PALETTE ? value : value * (255 / most));
}

/* The window's part of the block whose first pixel is at row y and column x of the image: its samples from `plane` on (all
 * of them where they are side by side) into the band, whose first row is the image's row `top`. */
static void keep_block(const tiff_reader *reader, int64_t y, int64_t x, int32_t plane, int64_t top) {
    const moco_image_window *part = &reader->job->part;
    const int32_t held = reader->colours + (reader->alpha != 0);
    const int is_planar = reader->planar == PLANARCONFIG_SEPARATE;
    const int32_t first = is_planar ? plane : 0, last = is_planar ? plane + 1 : held;
    const int64_t bottom = moco_min_i64(y + reader->block_h, part->top + part->h);
    const int64_t left = moco_max_i64(x, part->left), right = moco_min_i64(x + reader->block_w, part->left + part->w);
    for (int64_t row = top; row < bottom; ++row) {
        const uint8_t *from = reader->block + (size_t) (row - y) * (size_t) reader->block_stride;
        uint8_t *to = reader->band + (size_t) ((row - top) * part->w * held);
        for (int64_t column = left; column < right; ++column) {
            for (int32_t s = first; s < last; ++s) {
                const int64_t index = is_planar ? column - x : (column - x) * reader->samples + s;
                to[(column - part->left) * held + s] = sample_at(reader, from, index);
            }
        }
    }
}

/* As Pillow takes alpha back out of colours that have been multiplied by it. */
static void divide_by_alpha(uint8_t *rgba) {
    const int alpha = rgba[3];
    for (int c = 0; c < 3 && alpha != 0 && alpha != 255; ++c) {
        const int value = rgba[c] * 255 / alpha;
        rgba[c] = (uint8_t) (value > 255 ? 255 : value);
    }
}

/* One row of the band: RGB, or RGBA. */
static void convert_row(const tiff_reader *reader, const uint8_t *samples, uint8_t *to) {
    const int64_t count = reader->job->part.w;
    const int32_t channels = reader->alpha != 0 ? MOCO_RGBA : MOCO_RGB, held = reader->colours + (reader->alpha != 0);
    if (reader->photometric == PHOTOMETRIC_SEPARATED) {
        for (int64_t i = 0; i < 4 * count; ++i) to[i] = (uint8_t) ~samples[i];
        moco_image_convert_inks(to, count);
        return;
    }
    for (int64_t i = 0; i < count; ++i, samples += held, to += channels) {
        for (int c = 0; c < 3; ++c) {
            const uint8_t value = samples[reader->colours == 3 ? c : 0];
            to[c] = reader->photometric == PHOTOMETRIC_PALETTE      ? (uint8_t) (reader->palette[c][value] >> 8)
                    : reader->photometric == PHOTOMETRIC_MINISWHITE ? (uint8_t) ~value
                                                                    : value;
        }
        if (reader->alpha != 0) to[3] = samples[reader->colours];
        if (reader->alpha == EXTRASAMPLE_ASSOCALPHA) divide_by_alpha(to);
    }
}

/* --- Pixels --- */

/* The block that begins at row y and column x, of one plane, all of it. */
static moco_status read_block(tiff_reader *reader, int64_t y, int64_t x, int32_t plane) {
    const int64_t rows = reader->is_tiled ? reader->block_h : moco_min_i64(reader->block_h, reader->job->header.h - y);
    const tmsize_t bytes = (tmsize_t) ((uint64_t) rows * reader->block_stride);
    tmsize_t got = 0;
    memset(reader->block, 0, (size_t) bytes);
    if (reader->is_tiled) {
        const uint32_t tile = TIFFComputeTile(reader->tiff, (uint32_t) x, (uint32_t) y, 0, (uint16_t) plane);
        got = TIFFReadEncodedTile(reader->tiff, tile, reader->block, bytes);
    } else if (reader->by_rows) {
        for (uint8_t *row = reader->block; got < bytes; got += (tmsize_t) reader->block_stride) {
            if (TIFFReadScanline(reader->tiff, row + got, (uint32_t) y++, (uint16_t) plane) != 1) break;
        }
    } else {
        const uint32_t strip = TIFFComputeStrip(reader->tiff, (uint32_t) y, (uint16_t) plane);
        got = TIFFReadEncodedStrip(reader->tiff, strip, reader->block, bytes);
    }
    if (reader->failed || got < 0) return fail_libtiff(reader);
    if (got != bytes) return moco_image_fail_short("TIFF", "inside its pixels");
    return moco_image_is_late(reader->job) ? moco_image_fail_late(reader->job) : MOCO_OK;
}

/* A row of blocks, which begins at the image's row y: the window's part of it goes into the image. */
static moco_status read_band(tiff_reader *reader, int64_t y) {
    const moco_image_job *job = reader->job;
    const moco_image_window *part = &job->part;
    const int32_t held = reader->colours + (reader->alpha != 0);
    const int32_t planes = reader->planar == PLANARCONFIG_SEPARATE ? held : 1;
    const int64_t top = moco_max_i64(y, part->top), bottom = moco_min_i64(y + reader->block_h, part->top + part->h);
    for (int32_t plane = 0; plane < planes; ++plane) {
        for (int64_t x = 0; x < job->header.w; x += reader->block_w) {
            const int is_outside = x >= part->left + part->w || x + reader->block_w <= part->left;
            if (is_outside && !job->check_all) continue;
            MOCO_TRY(read_block(reader, y, x, plane));
            if (!is_outside && top < bottom) keep_block(reader, y, x, plane, top);
        }
    }
    const int32_t channels = reader->alpha != 0 ? MOCO_RGBA : MOCO_RGB;
    const size_t stride = (size_t) (4 * part->w);
    for (int64_t row = top; row < bottom; row += MOCO_PLACE_ROWS) {
        const int64_t some = moco_min_i64(MOCO_PLACE_ROWS, bottom - row);
        for (int64_t i = 0; i < some; ++i) {
            convert_row(reader, reader->band + (size_t) ((row - top + i) * part->w * held),
                        reader->rows + (size_t) i * stride);
        }
        moco_image_place(job, row - part->top, some, reader->rows, stride, channels);
    }
    return MOCO_OK;
}

static moco_status read_pixels(tiff_reader *reader) {
    moco_image_job *job = reader->job;
    MOCO_TRY(open_file(reader));
    MOCO_TRY(read_layout(reader));
    const moco_image_window *window = &job->window, counted = moco_image_counted(job);
    const uint64_t most = job->limits->max_memory;
    const uint64_t held = (uint64_t) (reader->colours + (reader->alpha != 0));
    const uint64_t rows = (uint64_t) moco_min_i64(reader->block_h, counted.h);
    const uint64_t strip = (uint64_t) counted.w * 4 * MOCO_PLACE_ROWS;
    const uint64_t band = rows * (uint64_t) counted.w * held; /* max_pixels is checked */
    if (reader->block_stride > most / (uint64_t) reader->block_h) {
        return moco_fail(MOCO_FORMAT, "its blocks of %lld x %lld pixels take more memory than the limit of %.0f MiB",
                         (long long) reader->block_h, (long long) reader->block_w, (double) most / 1048576.0);
    }
    const uint64_t block = (uint64_t) reader->block_h * reader->block_stride;
    const uint64_t inside = reader->compression == COMPRESSION_ZSTD   ? ZSTD_WINDOW
                            : reader->compression == COMPRESSION_JPEG ? 3 * block /* coefficients, where progressive */
                                                                      : 0;
    MOCO_TRY(moco_image_begin(job, 1, block + band + strip + inside));
    reader->block = (uint8_t *) moco_allocate(job->context, (size_t) block);
    reader->band = (uint8_t *) moco_allocate(job->context, (size_t) band);
    reader->rows = (uint8_t *) moco_allocate(job->context, (size_t) strip);
    if (reader->block == NULL || reader->band == NULL || reader->rows == NULL) return MOCO_OUT_OF_MEMORY;
    reader->is_strict = 1;
    reader->failed = 0;
    for (int64_t y = 0; y < job->header.h; y += reader->block_h) {
        const int is_outside = y >= window->top + window->h || y + reader->block_h <= window->top;
        if (!is_outside || job->check_all) MOCO_TRY(read_band(reader, y));
    }
    return MOCO_OK;
}

moco_status moco_tiff_decode(moco_image_job *job) {
    tiff_reader reader = {.job = job, .compression = COMPRESSION_NONE, .bits = 1, .samples = 1};
    const moco_status status = read_pixels(&reader);
    if (reader.tiff != NULL) TIFFClose(reader.tiff);
    moco_deallocate(job->context, reader.block);
    moco_deallocate(job->context, reader.band);
    moco_deallocate(job->context, reader.rows);
    return status;
}

#else

moco_status moco_tiff_decode(moco_image_job *job) {
    return moco_image_require_decoder(job->header.format);
}

#endif
