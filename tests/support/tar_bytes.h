/* Tar files for tests, header by header. */
#ifndef MOCO_TEST_TAR_BYTES_H
#define MOCO_TEST_TAR_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tar_bytes {
    uint8_t *bytes;
    size_t size, capacity;
    size_t header; /* where the last header begins */
} tar_bytes;       /* starts zeroed */

static inline void tar_append(tar_bytes *tar, const void *bytes, size_t size) {
    if (tar->size + size > tar->capacity) {
        tar->capacity = 2 * (tar->size + size) + 4096;
        tar->bytes = (uint8_t *) realloc(tar->bytes, tar->capacity);
        if (tar->bytes == NULL) abort();
    }
    if (bytes == NULL) {
        memset(tar->bytes + tar->size, 0, size);
    } else if (size > 0) {
        memcpy(tar->bytes + tar->size, bytes, size);
    }
    tar->size += size;
}

/* The last header's checksum, after it was changed. */
static inline void tar_seal(tar_bytes *tar) {
    uint8_t *header = tar->bytes + tar->header;
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < 512; ++i) sum += header[i];
    snprintf((char *) header + 148, 8, "%06o", sum % 0777777u);
    header[155] = ' ';
}

/* A header alone. `magic`: "ustar\0" "00" (NULL), GNU's "ustar  ", or "" for the format before both. */
static inline void tar_header(tar_bytes *tar, const char *name, char type, uint64_t size, const char *magic) {
    char number[32];
    tar->header = tar->size;
    tar_append(tar, NULL, 512);
    uint8_t *header = tar->bytes + tar->header;
    memcpy(header, name, strlen(name) < 100 ? strlen(name) : 100);
    memcpy(header + 100, "0000644", 8);
    memcpy(header + 108, "0001750", 8);
    memcpy(header + 116, "0001750", 8);
    snprintf(number, sizeof number, "%011llo", (unsigned long long) size);
    memcpy(header + 124, number, 12);
    memcpy(header + 136, "13744637000", 12);
    header[156] = (uint8_t) type;
    if (magic == NULL) {
        memcpy(header + 257,
               "ustar\0"
               "00",
               8);
    } else {
        memcpy(header + 257, magic, strlen(magic));
    }
    tar_seal(tar);
}

/* What follows a header, filled up to whole blocks. */
static inline void tar_data(tar_bytes *tar, const void *bytes, size_t size) {
    tar_append(tar, bytes, size);
    tar_append(tar, NULL, (512 - size % 512) % 512);
}

static inline void tar_file(tar_bytes *tar, const char *name, const void *bytes, size_t size) {
    tar_header(tar, name, '0', size, NULL);
    tar_data(tar, bytes, size);
}

/* A link: type '1' is a hard one, '2' a symbolic one. */
static inline void tar_link(tar_bytes *tar, const char *name, char type, const char *target) {
    tar_header(tar, name, type, 0, NULL);
    memcpy(tar->bytes + tar->header + 157, target, strlen(target) < 100 ? strlen(target) : 100);
    tar_seal(tar);
}

static inline void tar_long_name(tar_bytes *tar, char type, const char *name) {
    tar_header(tar, "././@LongLink", type, strlen(name) + 1, "ustar  ");
    tar_data(tar, name, strlen(name) + 1);
}

/* A PAX header ('x' or 'g') of these records, such as "17 path=a/b.png\n". */
static inline void tar_pax(tar_bytes *tar, char type, const char *records) {
    tar_header(tar, "PaxHeaders/x", type, strlen(records), NULL);
    tar_data(tar, records, strlen(records));
}

/* "LENGTH key=value\n" into `record`. */
static inline const char *pax_record(char *record, const char *key, const char *value) {
    const size_t rest = strlen(key) + strlen(value) + 3;
    size_t length = rest + 1;
    while (length != rest + (size_t) snprintf(NULL, 0, "%zu", length)) ++length;
    sprintf(record, "%zu %s=%s\n", length, key, value);
    return record;
}

static inline void tar_end(tar_bytes *tar) {
    tar_append(tar, NULL, 1024);
}

static inline void tar_free(tar_bytes *tar) {
    free(tar->bytes);
    *tar = (tar_bytes){0};
}

#endif
