/* The zoo's picture as a JPEG file, and finding one's way in it. */
#ifndef MOCO_TEST_ZOO_JPEG_WRITER_H
#define MOCO_TEST_ZOO_JPEG_WRITER_H

#include "zoo/zoo_bytes.h"

enum { ZOO_JPEG_YCBCR = 0, ZOO_JPEG_GREY, ZOO_JPEG_RGB, ZOO_JPEG_CMYK, ZOO_JPEG_YCCK };

/* All zero: 32 x 48 (h x w), YCbCr 4:4:4, baseline, quality 90. */
typedef struct zoo_jpeg_options {
    int h, w; /* upright */
    int space;
    int chroma_h, chroma_w; /* luma samples per chroma sample, downwards and across: 4:2:0 has 2 and 2 */
    int progressive, arithmetic, optimised;
    int non_interleaved; /* one sequential scan for each component */
    int restart_blocks;  /* a restart marker after so many MCUs */
    int quality;
    int wide_tables;  /* quality below 25: quantisation tables of 16 bits */
    int no_container; /* neither JFIF nor Adobe marker */
    int orientation;  /* stored turned so; with EXIF data of `exif_kind` */
    int exif_kind;
    int comment; /* bytes in a comment */
} zoo_jpeg_options;

void zoo_append_jpeg(zoo_bytes *out, const zoo_jpeg_options *options);

enum {
    JPEG_SOF0 = 0xc0,
    JPEG_SOF2 = 0xc2,
    JPEG_SOF3 = 0xc3,
    JPEG_DHT = 0xc4,
    JPEG_RST0 = 0xd0,
    JPEG_SOI = 0xd8,
    JPEG_EOI = 0xd9,
    JPEG_SOS = 0xda,
    JPEG_DQT = 0xdb,
    JPEG_APP0 = 0xe0,
    JPEG_APP1 = 0xe1,
    JPEG_APP14 = 0xee,
    JPEG_COM = 0xfe
};

/* The offset of the 0xff of the marker's `occurrence`th (from 0) segment; aborts where there is none. */
size_t zoo_jpeg_find(const zoo_bytes *jpeg, int marker, int occurrence);
/* Two bytes for the marker, plus what its length says. */
size_t zoo_jpeg_segment_size(const zoo_bytes *jpeg, size_t at);
/* Where the entropy-coded data of scan `scan` begin. */
size_t zoo_jpeg_scan_data(const zoo_bytes *jpeg, int scan);

#endif
