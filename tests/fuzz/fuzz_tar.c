/* The tar reader on any bytes: it ends, moves on by whole blocks, and names no byte outside the file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/tar_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static moco_tar_entry entry;
    moco_tar_reader reader;
    int32_t found = 1;
    uint64_t at = 0;
    moco_tar_read_memory(&reader, data, size, "fuzz.tar");
    while (found) {
        if (moco_tar_next(&reader, &entry, &found) != MOCO_OK) return 0;
        if (!found) break;
        if (reader.at < at + MOCO_TAR_BLOCK || reader.at > size) abort();
        if (entry.data_at > size || entry.data_size > size - entry.data_at) abort();
        if (memchr(entry.name, '\0', sizeof entry.name) == NULL || entry.first_size > entry.data_size) abort();
        if (memchr(entry.link, '\0', sizeof entry.link) == NULL || reader.trailing_at > size) abort();
        if (memcmp(entry.first, data + entry.data_at, entry.first_size) != 0) abort();
        at = reader.at;
    }
    return 0;
}
