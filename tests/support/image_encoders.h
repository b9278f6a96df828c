/* Encoded images in memory, by the formats' own libraries, and pictures to encode. Each encoder is there where its
 * library is.
 */
#ifndef MOCO_TEST_IMAGE_ENCODERS_H
#define MOCO_TEST_IMAGE_ENCODERS_H

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"

#define UNUSED_HERE __attribute__((unused))

typedef struct encoded {
    uint8_t *bytes;
    size_t size;
} encoded;

UNUSED_HERE static void encoded_append(encoded *to, const void *bytes, size_t size) {
    uint8_t *grown = (uint8_t *) realloc(to->bytes, to->size + size + 1);
    if (grown == NULL) abort();
    if (size > 0) memcpy(grown + to->size, bytes, size);
    to->bytes = grown;
    to->size += size;
}

/* Waves, noise and a hard edge, as h x w x channels bytes; the caller frees them. */
UNUSED_HERE static uint8_t *make_picture(int h, int w, int channels) {
    uint8_t *pixels = (uint8_t *) malloc((size_t) (h * w * channels));
    if (pixels == NULL) abort();
    uint32_t noise = 12345;
    for (int y = 0; y < h; ++y) {
        for (int x = 0; x < w; ++x) {
            for (int c = 0; c < channels; ++c) {
                noise = noise * 1664525u + 1013904223u;
                const double wave = 128.0 + 90.0 * sin(0.21 * x + c) * cos(0.17 * y - c) + (double) (noise >> 27);
                const int inside = 2 * y > h && 3 * x > w;
                pixels[(y * w + x) * channels + c] = (uint8_t) (inside ? 40 * c + 30 : wave);
            }
        }
    }
    return pixels;
}

/* A TIFF block with one entry, the orientation. */
enum { EXIF_BYTES = 26 };
UNUSED_HERE static void make_exif(uint8_t block[EXIF_BYTES], int orientation, int little_endian) {
    static const uint8_t big[EXIF_BYTES] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1};
    static const uint8_t little[EXIF_BYTES] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0};
    memcpy(block, little_endian ? little : big, EXIF_BYTES);
    block[little_endian ? 18 : 19] = (uint8_t) orientation;
}

#ifdef MOCO_HAVE_JPEG
#include <jpeglib.h>

typedef struct jpeg_spec {
    int components; /* of the picture: 1, 3 or 4 (Adobe's inverted inks) */
    int h_samples, v_samples;
    int progressive, restart, rgb; /* rgb: stored without conversion to YCbCr; of 4: YCCK where not */
    int orientation;               /* 0: no EXIF */
} jpeg_spec;

UNUSED_HERE static encoded encode_jpeg(const uint8_t *pixels, int h, int w, jpeg_spec spec) {
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &bytes, &size);
    info.image_height = (JDIMENSION) h;
    info.image_width = (JDIMENSION) w;
    info.input_components = spec.components;
    info.in_color_space = spec.components == 1 ? JCS_GRAYSCALE : spec.components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&info);
    if (spec.components == 3 && spec.rgb) jpeg_set_colorspace(&info, JCS_RGB);
    if (spec.components == 4 && !spec.rgb) jpeg_set_colorspace(&info, JCS_YCCK);
    jpeg_set_quality(&info, 90, TRUE);
    info.comp_info[0].h_samp_factor = spec.h_samples > 0 ? spec.h_samples : 1;
    info.comp_info[0].v_samp_factor = spec.v_samples > 0 ? spec.v_samples : 1;
    if (spec.components == 4) {
        info.comp_info[3].h_samp_factor = info.comp_info[0].h_samp_factor;
        info.comp_info[3].v_samp_factor = info.comp_info[0].v_samp_factor;
    }
    if (spec.progressive) jpeg_simple_progression(&info);
    info.restart_interval = (unsigned) spec.restart;
    jpeg_start_compress(&info, TRUE);
    if (spec.orientation > 0) {
        uint8_t marker[6 + EXIF_BYTES] = "Exif\0";
        make_exif(marker + 6, spec.orientation, spec.orientation % 2);
        jpeg_write_marker(&info, JPEG_APP0 + 1, marker, sizeof marker);
    }
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = (JSAMPROW) (uintptr_t) (pixels + (size_t) info.next_scanline * (size_t) (w * spec.components));
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return (encoded){bytes, size};
}
#endif

#ifdef MOCO_HAVE_PNG
#include <png.h>

typedef struct png_spec {
    int depth, colour_type, interlaced;
    int palette; /* entries */
    int tRNS;    /* a transparent colour: that of the first pixel; for a palette: entry i has alpha 16 i */
    int orientation;
} png_spec;

UNUSED_HERE static void png_append(png_structp png, png_bytep bytes, size_t size) {
    encoded_append((encoded *) png_get_io_ptr(png), bytes, size);
}

UNUSED_HERE static int png_spec_channels(png_spec spec) {
    return (spec.colour_type & PNG_COLOR_MASK_COLOR && spec.colour_type != PNG_COLOR_TYPE_PALETTE ? 3 : 1) +
           (spec.colour_type & PNG_COLOR_MASK_ALPHA ? 1 : 0);
}

UNUSED_HERE static png_color palette_entry(int i) {
    return (png_color){(png_byte) (i * 37), (png_byte) (255 - i * 11), (png_byte) (i * 101)};
}

/* Samples of `depth` bits, one in each element. */
UNUSED_HERE static encoded encode_png(const uint16_t *samples, int h, int w, png_spec spec) {
    const int channels = png_spec_channels(spec);
    encoded out = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    uint8_t *rows = (uint8_t *) calloc((size_t) (h * w * channels), 2);
    uint8_t **pointers = (uint8_t **) malloc(sizeof *pointers * (size_t) h);
    if (info == NULL || rows == NULL || pointers == NULL || setjmp(png_jmpbuf(png)) != 0) abort();
    png_set_write_fn(png, &out, png_append, NULL);
    png_set_IHDR(png, info, (png_uint_32) w, (png_uint_32) h, spec.depth, spec.colour_type,
                 spec.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_color palette[256];
    png_byte alphas[256];
    for (int i = 0; i < spec.palette; ++i) {
        palette[i] = palette_entry(i);
        alphas[i] = (png_byte) (16 * i);
    }
    if (spec.palette > 0) png_set_PLTE(png, info, palette, spec.palette);
    if (spec.tRNS && spec.palette > 0) png_set_tRNS(png, info, alphas, spec.palette < 16 ? spec.palette : 16, NULL);
    if (spec.tRNS && spec.palette == 0) {
        png_color_16 colour = {.red = samples[0], .green = samples[channels > 1], .gray = samples[0]};
        if (channels > 1) colour.blue = samples[2];
        png_set_tRNS(png, info, NULL, 0, &colour);
    }
    uint8_t exif[EXIF_BYTES];
    make_exif(exif, spec.orientation, 1);
    if (spec.orientation > 0) png_set_eXIf_1(png, info, EXIF_BYTES, exif);
    for (int y = 0; y < h; ++y) {
        uint8_t *row = pointers[y] = rows + (size_t) y * (size_t) (w * channels * 2);
        for (int i = 0; i < w * channels; ++i) {
            const unsigned sample = samples[y * w * channels + i];
            if (spec.depth == 16) {
                row[2 * i] = (uint8_t) (sample >> 8);
                row[2 * i + 1] = (uint8_t) sample;
            } else {
                const int bit = i * spec.depth;
                row[bit / 8] = (uint8_t) (row[bit / 8] | sample << (8 - spec.depth - bit % 8));
            }
        }
    }
    png_set_rows(png, info, pointers);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
    free(pointers);
    free(rows);
    return out;
}
#endif

#ifdef MOCO_HAVE_WEBP
#include <webp/encode.h>

/* channels 3 or 4; a quality below 0 is lossless. Freed by free(), as the others. */
UNUSED_HERE static encoded encode_webp(const uint8_t *pixels, int h, int w, int channels, float quality) {
    uint8_t *bytes = NULL;
    encoded out = {0};
    size_t size = 0;
    const int stride = w * channels;
    if (quality < 0.0f) {
        size = channels == 3 ? WebPEncodeLosslessRGB(pixels, w, h, stride, &bytes)
                             : WebPEncodeLosslessRGBA(pixels, w, h, stride, &bytes);
    } else {
        size = channels == 3 ? WebPEncodeRGB(pixels, w, h, stride, quality, &bytes)
                             : WebPEncodeRGBA(pixels, w, h, stride, quality, &bytes);
    }
    if (size == 0) abort();
    encoded_append(&out, bytes, size);
    WebPFree(bytes);
    return out;
}

static void put_little(uint8_t *to, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) to[i] = (uint8_t) (value >> 8 * i);
}

UNUSED_HERE static void webp_chunk(encoded *to, const char *type, const uint8_t *content, size_t size) {
    uint8_t head[8];
    memcpy(head, type, 4);
    put_little(head + 4, (uint32_t) size, 4);
    encoded_append(to, head, 8);
    encoded_append(to, content, size);
    if (size % 2 != 0) encoded_append(to, "", 1);
}

/* The picture with EXIF or, where `animated`, as the first frame at (top, left), both even, of an h x w canvas. */
UNUSED_HERE static encoded wrap_webp(encoded simple, int picture_h, int picture_w, int orientation, int animated, int h,
                                     int w, int top, int left) {
    encoded out = {0}, frame = {0};
    /* The simple file's chunks, without a VP8X that it may have. */
    size_t begin = 12;
    if (memcmp(simple.bytes + 12, "VP8X", 4) == 0) begin += 18;
    uint8_t head[16] = {0};
    encoded_append(&out, "RIFF\0\0\0\0WEBP", 12);
    head[0] = (uint8_t) ((animated ? 2 : 0) | (orientation > 0 ? 8 : 0) | (begin > 12 ? 16 : 0));
    put_little(head + 4, (uint32_t) w - 1, 3);
    put_little(head + 7, (uint32_t) h - 1, 3);
    webp_chunk(&out, "VP8X", head, 10);
    if (animated) {
        webp_chunk(&out, "ANIM", (const uint8_t *) "\0\0\0\0\0\0", 6);
        memset(head, 0, sizeof head);
        put_little(head, (uint32_t) left / 2, 3);
        put_little(head + 3, (uint32_t) top / 2, 3);
        put_little(head + 6, (uint32_t) picture_w - 1, 3);
        put_little(head + 9, (uint32_t) picture_h - 1, 3);
        encoded_append(&frame, head, 16);
        encoded_append(&frame, simple.bytes + begin, simple.size - begin);
        webp_chunk(&out, "ANMF", frame.bytes, frame.size);
        free(frame.bytes);
    } else {
        encoded_append(&out, simple.bytes + begin, simple.size - begin);
    }
    uint8_t exif[EXIF_BYTES];
    make_exif(exif, orientation, 0);
    if (orientation > 0) webp_chunk(&out, "EXIF", exif, EXIF_BYTES);
    put_little(out.bytes + 4, (uint32_t) (out.size - 8), 4);
    free(simple.bytes);
    return out;
}
#endif

/* --- Expectations --- */

/* The upright pixel (Y, X) of a stored h x w picture. */
UNUSED_HERE static const uint8_t *upright_pixel(const uint8_t *stored, int64_t h, int64_t w, int orientation, int64_t Y,
                                                int64_t X) {
    const int64_t y[9] = {0, Y, Y, h - 1 - Y, h - 1 - Y, X, h - 1 - X, h - 1 - X, X};
    const int64_t x[9] = {0, X, w - 1 - X, w - 1 - X, X, Y, Y, w - 1 - Y, w - 1 - Y};
    return stored + 3 * (y[orientation] * w + x[orientation]);
}

/* All of `image` is the upright `stored`, an h x w picture of RGB. */
UNUSED_HERE static void assert_upright(const moco_image *image, const uint8_t *stored, int64_t h, int64_t w,
                                       int orientation, const char *what) {
    assert_int_equal(image->held.h, orientation < 5 ? h : w);
    assert_int_equal(image->held.w, orientation < 5 ? w : h);
    for (int64_t y = 0; y < image->held.h; ++y) {
        for (int64_t x = 0; x < image->held.w; ++x) {
            const uint8_t *is = image->pixels + 3 * (y * image->held.w + x);
            const uint8_t *be = upright_pixel(stored, h, w, orientation, y, x);
            if (memcmp(is, be, 3) != 0) {
                fail_msg("%s, orientation %d, row %lld, column %lld: %d %d %d instead of %d %d %d", what, orientation,
                         (long long) y, (long long) x, is[0], is[1], is[2], be[0], be[1], be[2]);
            }
        }
    }
}

#endif
