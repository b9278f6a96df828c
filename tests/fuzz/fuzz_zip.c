/* Any bytes as a zip archive: what is taken lies inside of it, has a name of its own, and can be read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/zip_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const moco_zip *zip, size_t size) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < moco_zip_count(zip); ++i) {
        const moco_zip_entry *entry = moco_zip_get(zip, i);
        if (entry->data > size || entry->size > size - entry->data) abort();
        if (entry->name[0] == '/' || strstr(entry->name, "..") == entry->name) abort();
        if (moco_zip_find(zip, entry->name) != i) abort();
        sum += entry->size;
        void *bytes = malloc((size_t) entry->size + 1);
        if (bytes == NULL) abort();
        (void) moco_zip_read(zip, i, 0, bytes, (size_t) entry->size); /* the checksum may be wrong */
        if (entry->size > 1 && moco_zip_read(zip, i, 1, bytes, (size_t) entry->size - 1) != MOCO_OK) abort();
        if (moco_zip_read(zip, i, 1, bytes, (size_t) entry->size) == MOCO_OK) abort();
        free(bytes);
    }
    if (sum > size) abort(); /* no entry overlaps another */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    moco_byte_source source = {0};
    moco_zip *zip = NULL;
    if (moco_byte_source_memory(&source, NULL, "fuzz.zip", data, size) != MOCO_OK) abort();
    if (moco_zip_open(&zip, NULL, &source) == MOCO_OK) read_all(zip, size);
    moco_zip_close(zip);
    moco_byte_source_close(&source);
    return 0;
}
