/* POSIX.1-2001 ustar, and what older writers made of it. */
#include "data/tar_header.h"

#include <string.h>

int32_t moco_tar_is_zero(const uint8_t *block) {
    for (size_t i = 0; i < MOCO_TAR_BLOCK; ++i) {
        if (block[i] != 0) return 0;
    }
    return 1;
}

int32_t moco_tar_parse_number(const uint8_t *field, size_t bytes, uint64_t *number) {
    uint64_t value = 0;
    size_t i = 0;
    if (field[0] & 0x80) {
        if (field[0] != 0x80) return 0; /* negative, or far too large */
        for (i = 1; i < bytes; ++i) {
            if (value >> 55 != 0) return 0;
            value = value << 8 | field[i];
        }
    } else {
        while (i < bytes && field[i] == ' ') ++i;
        for (; i < bytes && field[i] >= '0' && field[i] <= '7'; ++i) {
            value = value << 3 | (uint64_t) (field[i] - '0');
        }
        for (; i < bytes; ++i) {
            if (field[i] != ' ' && field[i] != '\0') return 0;
        }
    }
    *number = value;
    return 1;
}

int32_t moco_tar_has_right_checksum(const uint8_t *block) {
    uint64_t stored = 0;
    int64_t unsigned_sum = 0, signed_sum = 0;
    if (!moco_tar_parse_number(block + CHECKSUM_AT, CHECKSUM_BYTES, &stored)) return 0;
    for (size_t i = 0; i < MOCO_TAR_BLOCK; ++i) {
        const uint8_t byte = i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_BYTES ? ' ' : block[i];
        unsigned_sum += byte;
        signed_sum += (int8_t) byte;
    }
    return (uint64_t) unsigned_sum == stored || (signed_sum >= 0 && (uint64_t) signed_sum == stored);
}

moco_status moco_tar_refuse_first_block(const char *shown, const uint8_t *block, size_t size) {
    static const struct {
        const char *name, *remedy;
        uint8_t bytes[6];
        size_t size;
    } kinds[] = {
        {"gzip", "gunzip", {0x1F, 0x8B}, 2},
        {"compress", "uncompress", {0x1F, 0x9D}, 2},
        {"bzip2", "bunzip2", {'B', 'Z', 'h'}, 3},
        {"xz", "unxz", {0xFD, '7', 'z', 'X', 'Z', 0}, 6},
        {"zstd", "unzstd", {0x28, 0xB5, 0x2F, 0xFD}, 4},
        {"lz4", "unlz4", {0x04, 0x22, 0x4D, 0x18}, 4},
        {"lzip", "lzip -d", {'L', 'Z', 'I', 'P'}, 4},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        if (size >= kinds[i].size && memcmp(block, kinds[i].bytes, kinds[i].size) == 0) {
            return moco_fail(MOCO_FORMAT,
                             "%s is compressed with %s, so that its images can't be read in place; decompress it (%s)",
                             shown, kinds[i].name, kinds[i].remedy);
        }
    }
    return moco_fail(MOCO_FORMAT, "%s is no tar: its first block is no header", shown);
}

/* A field that ends with a NUL or its last byte. */
static size_t field_length(const uint8_t *field, size_t bytes) {
    const void *end = memchr(field, '\0', bytes);
    return end == NULL ? bytes : (size_t) ((const uint8_t *) end - field);
}

void moco_tar_header_name(const uint8_t *block, char *name) {
    size_t length = 0;
    /* GNU's old format ("ustar  ") keeps times where POSIX has the prefix. */
    if (memcmp(block + MAGIC_AT, "ustar", 6) == 0 && block[PREFIX_AT] != '\0') {
        length = field_length(block + PREFIX_AT, PREFIX_BYTES);
        memcpy(name, block + PREFIX_AT, length);
        name[length++] = '/';
    }
    const size_t rest = field_length(block + NAME_AT, NAME_BYTES);
    memcpy(name + length, block + NAME_AT, rest);
    name[length + rest] = '\0';
}

int32_t moco_tar_parse_decimal(const uint8_t *text, size_t length, uint64_t *number) {
    uint64_t value = 0;
    if (length == 0) return 0;
    for (size_t i = 0; i < length; ++i) {
        const uint64_t digit = (uint64_t) text[i] - '0'; /* enormous for what is less than '0' */
        if (digit > 9 || value > ((uint64_t) INT64_MAX - digit) / 10) return 0;
        value = value * 10 + digit;
    }
    *number = value;
    return 1;
}

void moco_tar_header_link(const uint8_t *block, char *name) {
    const size_t length = field_length(block + LINK_AT, NAME_BYTES);
    memcpy(name, block + LINK_AT, length);
    name[length] = '\0';
}
