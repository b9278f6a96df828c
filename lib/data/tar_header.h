/* The fields of a tar's header block of 512 bytes. */
#ifndef MOCO_TAR_HEADER_H
#define MOCO_TAR_HEADER_H

#include "data/tar_reader.h"

enum {
    NAME_AT = 0,
    NAME_BYTES = 100,
    SIZE_AT = 124,
    NUMBER_BYTES = 12,
    CHECKSUM_AT = 148,
    CHECKSUM_BYTES = 8,
    TYPE_AT = 156,
    LINK_AT = 157, /* the name that a link leads to; of NAME_BYTES */
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    PREFIX_BYTES = 155,
    GNU_EXTENDED_AT = 482,  /* an old GNU sparse file's map goes on in the next block */
    MORE_EXTENDED_AT = 504, /* the same in that block */
};

int32_t moco_tar_is_zero(const uint8_t *block);

/* Up to 12 octal digits between blanks and NULs, or a binary number behind a first byte of 0x80. 0 if it is neither or
 * more than 2^63 - 1. */
int32_t moco_tar_parse_number(const uint8_t *field, size_t bytes, uint64_t *number);
/* Decimal digits alone, as PAX has them. */
int32_t moco_tar_parse_decimal(const uint8_t *text, size_t length, uint64_t *number);

/* The sum of the bytes with blanks for the checksum itself; some old writers took the bytes as signed. */
int32_t moco_tar_has_right_checksum(const uint8_t *block);

/* With ustar's prefix, into name[MOCO_TAR_MAX_NAME]. */
void moco_tar_header_name(const uint8_t *block, char *name);
/* Where a link leads, into name[MOCO_TAR_MAX_NAME]. */
void moco_tar_header_link(const uint8_t *block, char *name);

/* FORMAT: what the file `shown`, whose first block is no header, may be instead. */
moco_status moco_tar_refuse_first_block(const char *shown, const uint8_t *block, size_t size);

#endif
