/* EXIF data (a small TIFF file) with an orientation, right or wrong. */
#ifndef MOCO_TEST_ZOO_EXIF_H
#define MOCO_TEST_ZOO_EXIF_H

#include "zoo/zoo_bytes.h"

/* The ways in which EXIF data can be wrong or odd. ZOO_EXIF_HOSTILE and those after it hold no orientation that counts.
 */
enum {
    ZOO_EXIF_LITTLE_ENDIAN = 0,
    ZOO_EXIF_BIG_ENDIAN,
    ZOO_EXIF_AFTER_OTHERS, /* the last of 40 tags */
    ZOO_EXIF_FAR_AWAY,     /* the directory is behind 1000 bytes of rubbish */
    ZOO_EXIF_HOSTILE,
    ZOO_EXIF_LOOP = ZOO_EXIF_HOSTILE, /* directories that point at themselves and each other; no orientation */
    ZOO_EXIF_HUGE_OFFSET,             /* the directory is at 4294967295 */
    ZOO_EXIF_OFFSET_WRAPS,            /* 4294967290: adding the tags wraps around in 32 bits */
    ZOO_EXIF_INTO_HEADER,             /* the directory is at 0 */
    ZOO_EXIF_TOO_MANY_TAGS,           /* claims 65535 of them */
    ZOO_EXIF_CUT_IN_HEADER,
    ZOO_EXIF_CUT_IN_TAG,
    ZOO_EXIF_EMPTY,
    ZOO_EXIF_BYTE_ORDER,   /* "IM" */
    ZOO_EXIF_MAGIC,        /* 43 where TIFF has 42 */
    ZOO_EXIF_ZERO_COUNT,   /* the orientation has no values */
    ZOO_EXIF_HUGE_COUNT,   /* or 4294967295 of them */
    ZOO_EXIF_UNKNOWN_TYPE, /* or a type that is none */
    ZOO_EXIF_OUT_OF_RANGE, /* the orientation is 9 */
    ZOO_EXIF_ZERO,         /* or 0 */
    ZOO_EXIF_AS_TEXT,      /* or the string "6" */
    ZOO_EXIF_KINDS
};

void zoo_append_exif(zoo_bytes *out, int kind, int orientation);

#endif
