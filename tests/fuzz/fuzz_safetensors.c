/* Any bytes as a safetensors file: opened, and all read that it claims to hold. */
#define _GNU_SOURCE /* memfd_create */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const moco_safetensors *file, size_t size) {
    size_t sum = 0;
    for (int64_t i = 0; i < moco_safetensors_count(file); ++i) {
        const moco_safetensors_entry *entry = moco_safetensors_get(file, i);
        int64_t elements = 0;
        size_t bytes = 0;
        if (moco_safetensors_entry_size(entry, &elements, &bytes) != MOCO_OK || bytes > size) abort();
        if (moco_safetensors_find(file, entry->name) != i) abort();
        sum += bytes;
        void *values = malloc(bytes + 1);
        if (values == NULL || moco_safetensors_read(file, i, values) != MOCO_OK) abort();
        free(values);
    }
    if (sum > size) abort();
    (void) moco_safetensors_metadata(file, "format");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int descriptor = -1;
    static char path[64];
    if (descriptor < 0) {
        descriptor = memfd_create("fuzz", 0);
        if (descriptor < 0) abort();
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    }
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, data, size, 0) != (ssize_t) size) abort();
    moco_safetensors *file = NULL;
    if (moco_safetensors_open(&file, NULL, path) == MOCO_OK) read_all(file, size);
    moco_safetensors_close(file);
    return 0;
}
