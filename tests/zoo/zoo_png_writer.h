/* The zoo's picture as a PNG file, chunk by chunk, and finding one's way in it. */
#ifndef MOCO_TEST_ZOO_PNG_WRITER_H
#define MOCO_TEST_ZOO_PNG_WRITER_H

#include "zoo/zoo_bytes.h"

enum { PNG_GREY = 0, PNG_RGB = 2, PNG_PALETTE = 3, PNG_GREY_ALPHA = 4, PNG_RGBA = 6 };

/* All zero: 32 x 48 (h x w), grey, 8 bits, no filter, one IDAT. */
typedef struct zoo_png_options {
    int h, w; /* upright */
    int colour;
    int depth;
    int interlaced;
    int filter;       /* 0 .. 4: of every row; 5: they take turns */
    int transparency; /* a tRNS chunk: alpha for palettes; else the key colour is quadrant 1's */
    int idat_bytes;   /* of each IDAT; 0: all in one */
    int orientation;  /* stored turned so, with an eXIf chunk of `exif_kind` */
    int exif_kind;
} zoo_png_options;

void zoo_append_png(zoo_bytes *out, const zoo_png_options *options);

/* The parts of one, for files put together otherwise. */
void zoo_append_png_signature(zoo_bytes *out);
void zoo_append_png_chunk(zoo_bytes *out, const char *type, const void *data, size_t size);
void zoo_append_png_header(zoo_bytes *out, uint32_t h, uint32_t w, int depth, int colour, int compression, int filter,
                           int interlaced);
/* Rows with their filter bytes, not yet compressed. */
void zoo_append_png_rows(zoo_bytes *out, const zoo_png_options *options);
void zoo_append_png_palette(zoo_bytes *out, int depth);
/* zlib's format. */
void zoo_append_deflated(zoo_bytes *out, const void *data, size_t size, int level);

/* The offset of the length field of a chunk; aborts where there is none. And its size with length, type and CRC. */
size_t zoo_png_find(const zoo_bytes *png, const char *type, int occurrence);
size_t zoo_png_chunk_size(const zoo_bytes *png, size_t at);
/* After its data were changed. */
void zoo_png_fix_crc(zoo_bytes *png, size_t at);

#endif
