/* Any bytes as a list of images: it ends, its rows lie inside the bytes, in order, without a NUL. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/image_index.h"
#include "data/list_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int lies_in(const char *part, size_t length, const char *text, size_t size) {
    return length == 0 || (part >= text && length <= size && (size_t) (part - text) <= size - length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = (char *) malloc(size > 0 ? size : 1);
    moco_list_reader reader;
    moco_list_notes notes;
    int32_t found = 1;
    int64_t line = 0, rows = 0;
    if (text == NULL) return 0;
    if (size > 0) memcpy(text, data, size);
    moco_status status = moco_list_begin(&reader, text, size, "list.csv", &notes);
    if (memchr(notes.columns, 0, sizeof notes.columns) == NULL) abort();
    if (memchr(notes.warning, 0, sizeof notes.warning) == NULL) abort();
    while (status == MOCO_OK && found) {
        moco_list_row row;
        status = moco_list_next(&reader, &row, &found);
        if (status != MOCO_OK || !found) break;
        if (row.path_length == 0 || row.path_length >= MOCO_MAX_NAME || row.line <= line) abort();
        if (!lies_in(row.path, row.path_length, text, size) || !lies_in(row.label, row.label_length, text, size))
            abort();
        if (memchr(row.path, 0, row.path_length) != NULL || memchr(row.label, 0, row.label_length) != NULL) abort();
        if (reader.at > size || ++rows > (int64_t) size) abort();
        line = row.line;
    }
    if (status != MOCO_OK && (status != MOCO_FORMAT || moco_last_error()[0] == 0)) abort();
    free(text);
    return 0;
}
