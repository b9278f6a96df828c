/* Files as torch.save writes them, made byte by byte: zip archives of stored entries, with whatever lie about them a test
 * wants, pickles' opcodes, and the legacy stream.
 */
#ifndef MOCO_TEST_TORCH_BYTES_H
#define MOCO_TEST_TORCH_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct torch_bytes {
    unsigned char *data;
    size_t size;
    size_t capacity;
} torch_bytes; /* starts zeroed; freed by free(data) */

static inline void put_bytes(torch_bytes *out, const void *bytes, size_t size) {
    if (out->size + size > out->capacity) {
        out->capacity = 2 * (out->size + size);
        out->data = (unsigned char *) realloc(out->data, out->capacity);
        if (out->data == NULL) abort();
    }
    if (size > 0) memcpy(out->data + out->size, bytes, size);
    out->size += size;
}

static inline void put_number(torch_bytes *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
        const unsigned char byte = (unsigned char) (value >> (8 * i));
        put_bytes(out, &byte, 1);
    }
}

static inline void put_repeated(torch_bytes *out, const char *bytes, size_t size, size_t times) {
    for (size_t i = 0; i < times; ++i) put_bytes(out, bytes, size);
}

/* --- Pickles: opcodes as string literals, zeros inside included --- */

#define PUT(out, literal) put_bytes(out, literal, sizeof(literal) - 1)
#define PROTO_2           "\x80\x02"
#define ORDERED_DICT      "ccollections\nOrderedDict\n)R"
#define TEXT_1            "X\x01\0\0\0" /* one character follows */
/* A storage of type `type` and key "k", with `elements` an opcode that pushes a number. */
#define STORAGE_OF(type, elements) "(X\x07\0\0\0storagectorch\n" type "\n" TEXT_1 "kX\x03\0\0\0cpu" elements "tQ"
/* _rebuild_tensor_v2 of it. */
#define TENSOR_OF(storage, offset, size, stride) \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset size stride "\x89" ORDERED_DICT "tR"

/* --- Zip archives --- */

/* What the archive says of an entry where it is not the truth; zeroed: nothing. */
typedef struct zip_lies {
    int32_t flags;         /* in both headers */
    int32_t method;        /* in both */
    int32_t local_flags;   /* 1: the local header's flags lack these, */
    int32_t other_name;    /* 1: has another name, */
    int32_t other_size;    /* 1: has another size */
    int32_t directory_crc; /* 1: the directory has another checksum, */
    int32_t directory_two_sizes;
    uint64_t directory_size;   /* != 0: this one as both sizes */
    uint64_t directory_header; /* != 0: this one plus 1 as the header's place */
    uint32_t attributes;
    int32_t zip64;      /* 1: sizes and place are in the extra field; 2: which is cut; 3: which is missing; 4: twice */
    int32_t descriptor; /* 12, 16, 20 or 24 bytes of it; negative: with a wrong size in it */
    int32_t no_crc;     /* 1: all checksums are 0 */
    int32_t disk;
    int32_t align; /* 1: the data begin at a multiple of 64, by an FB field */
} zip_lies;

typedef struct zip_maker {
    torch_bytes file;
    torch_bytes directory;
    int count;
} zip_maker;

static inline uint32_t slow_crc32(const unsigned char *bytes, size_t size) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; ++i) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) crc = crc & 1u ? 0xedb88320u ^ crc >> 1 : crc >> 1;
    }
    return ~crc;
}

static inline void put_zip64(torch_bytes *out, uint64_t size, uint64_t header, int cut) {
    put_number(out, 1, 2);
    put_number(out, cut ? 16 : 24, 2);
    put_number(out, size, 8);
    put_number(out, size, 8);
    if (!cut) put_number(out, header, 8);
}

static inline void zip_add(zip_maker *zip, const char *name, const void *data, size_t size, const zip_lies *told) {
    static const zip_lies honest;
    const zip_lies *lies = told == NULL ? &honest : told;
    const uint64_t header = zip->file.size;
    const size_t length = strlen(name);
    const uint32_t crc = lies->no_crc ? 0 : slow_crc32((const unsigned char *) data, size);
    const int later = lies->descriptor != 0;
    const int flags = lies->flags | (later ? 8 : 0);
    const size_t begin = zip->file.size + 30 + length + 4;
    const size_t padding = lies->align ? (64 - begin % 64) % 64 : 0;
    put_number(&zip->file, 0x04034b50, 4);
    put_number(&zip->file, 20, 2);
    put_number(&zip->file, (uint64_t) (flags & ~lies->local_flags), 2);
    put_number(&zip->file, (uint64_t) lies->method, 2);
    put_number(&zip->file, 0, 4); /* time */
    put_number(&zip->file, later ? 0 : crc, 4);
    put_number(&zip->file, later ? 0 : size, 4);
    put_number(&zip->file, later ? 0 : size + (uint64_t) lies->other_size, 4);
    put_number(&zip->file, length, 2);
    put_number(&zip->file, lies->align ? 4 + padding : 0, 2);
    put_bytes(&zip->file, name, length);
    if (lies->other_name) zip->file.data[zip->file.size - 1] ^= 1;
    if (lies->align) {
        PUT(&zip->file, "FB");
        put_number(&zip->file, padding, 2);
        put_repeated(&zip->file, "Z", 1, padding);
    }
    put_bytes(&zip->file, data, size);
    const int bytes = abs(lies->descriptor);
    if (later) {
        if (bytes == 16 || bytes == 24) put_number(&zip->file, 0x08074b50, 4);
        put_number(&zip->file, crc, 4);
        put_number(&zip->file, size, bytes > 16 ? 8 : 4);
        put_number(&zip->file, size + (lies->descriptor < 0), bytes > 16 ? 8 : 4);
    }

    torch_bytes *out = &zip->directory;
    torch_bytes extra = {0};
    const uint64_t claimed = lies->directory_size != 0 ? lies->directory_size : size;
    const uint64_t place = lies->directory_header != 0 ? lies->directory_header - 1 : header;
    if (lies->zip64 == 1 || lies->zip64 == 2 || lies->zip64 == 4) put_zip64(&extra, claimed, place, lies->zip64 == 2);
    if (lies->zip64 == 4) put_zip64(&extra, claimed, place, 0);
    put_number(out, 0x02014b50, 4);
    put_number(out, 20, 2);
    put_number(out, 20, 2);
    put_number(out, (uint64_t) flags, 2);
    put_number(out, (uint64_t) lies->method, 2);
    put_number(out, 0, 4);
    put_number(out, crc ^ (uint32_t) lies->directory_crc, 4);
    put_number(out, lies->zip64 ? 0xffffffffu : claimed + (uint64_t) lies->directory_two_sizes, 4);
    put_number(out, lies->zip64 ? 0xffffffffu : claimed, 4);
    put_number(out, length, 2);
    put_number(out, extra.size, 2);
    put_number(out, 0, 2);
    put_number(out, (uint64_t) lies->disk, 2);
    put_number(out, 0, 2);
    put_number(out, lies->attributes, 4);
    put_number(out, lies->zip64 ? 0xffffffffu : place, 4);
    put_bytes(out, name, length);
    put_bytes(out, extra.data, extra.size);
    free(extra.data);
    zip->count++;
}

/* What its end says where it is not the truth. */
typedef struct zip_end_lies {
    int32_t
        zip64; /* 1: with a Zip64 end; 2: which points elsewhere; 3: which contradicts the other; 4: which is none */
    int32_t more_entries;
    int32_t disk;
    int32_t comment;  /* 1: one of 4 bytes */
    int32_t gap;      /* 1: a byte before the directory */
    int32_t behind;   /* 1: a byte behind the directory */
    uint64_t at;      /* != 0: where the directory is said to be */
    uint64_t size;    /* != 0: how large */
    uint64_t entries; /* != 0: of the Zip64 end */
} zip_end_lies;

/* The archive, complete in zip->file. */
static inline void zip_finish(zip_maker *zip, const zip_end_lies *told) {
    static const zip_end_lies honest;
    const zip_end_lies *lies = told == NULL ? &honest : told;
    torch_bytes *out = &zip->file;
    if (lies->gap) put_number(out, 0, 1);
    const uint64_t at = lies->at != 0 ? lies->at : out->size;
    const uint64_t size = lies->size != 0 ? lies->size : zip->directory.size;
    const uint64_t count = (uint64_t) (zip->count + lies->more_entries);
    put_bytes(out, zip->directory.data, zip->directory.size);
    if (lies->behind) put_number(out, 0, 1);
    if (lies->zip64) {
        const uint64_t end = out->size;
        put_number(out, lies->zip64 == 4 ? 0 : 0x06064b50, 4);
        put_number(out, 44, 8);
        put_number(out, 45, 2);
        put_number(out, 45, 2);
        put_number(out, 0, 8);
        put_number(out, lies->entries != 0 ? lies->entries : count, 8);
        put_number(out, lies->entries != 0 ? lies->entries : count, 8);
        put_number(out, size, 8);
        put_number(out, at + (lies->zip64 == 3), 8);
        put_number(out, 0x07064b50, 4);
        put_number(out, 0, 4);
        put_number(out, end + (lies->zip64 == 2), 8);
        put_number(out, 1, 4);
    }
    put_number(out, 0x06054b50, 4);
    put_number(out, (uint64_t) lies->disk, 2);
    put_number(out, 0, 2);
    put_number(out, lies->entries != 0 ? 0xffff : count, 2);
    put_number(out, lies->entries != 0 ? 0xffff : count, 2);
    put_number(out, lies->zip64 == 1 ? 0xffffffffu : size, 4);
    put_number(out, lies->zip64 == 1 ? 0xffffffffu : at, 4);
    put_number(out, lies->comment ? 4 : 0, 2);
    if (lies->comment) PUT(out, "note");
    free(zip->directory.data);
    memset(&zip->directory, 0, sizeof zip->directory);
}

/* --- The legacy stream --- */

#define LEGACY_MAGIC    PROTO_2 "\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."
#define LEGACY_PROTOCOL PROTO_2 "M\xe9\x03."
#define LEGACY_SYSTEM   PROTO_2 "}X\x0d\0\0\0little_endian\x88s."

#endif
