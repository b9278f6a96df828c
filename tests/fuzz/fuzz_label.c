/* Any bytes as the .cls and the .json of a sample; and as its name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/sample_label.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_label(int32_t kind, const char *bytes, size_t size) {
    char label[MOCO_LABEL_BYTES];
    size_t length = 7;
    memset(label, 'x', sizeof label);
    const moco_status status = moco_sample_label(kind, bytes, size, label, &length);
    if (status != MOCO_OK) {
        if (status != MOCO_FORMAT && status != MOCO_UNSUPPORTED) abort();
        if (moco_last_error()[0] == '\0') abort();
    } else if (length > 0 && (length >= MOCO_LABEL_BYTES || strlen(label) != length)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = (char *) malloc(size + 1); /* exactly as large as the data, for the sanitizer */
    char *name = (char *) malloc(size + 1);
    if (copy != NULL && name != NULL) {
        if (size > 0) memcpy(copy, data, size);
        if (size > 0) memcpy(name, data, size);
        name[size] = '\0';
        const size_t key = moco_sample_key(name);
        if (key > strlen(name) || (name[key] != '\0' && name[key] != '.') || strchr(name + key, '/') != NULL) abort();
        if (moco_sample_kind(name) != MOCO_SAMPLE_OTHER && name[key] != '.') abort();
        char *exact = (char *) realloc(copy, size > 0 ? size : 1);
        if (exact != NULL) copy = exact;
        read_label(MOCO_SAMPLE_CLS, copy, size);
        read_label(MOCO_SAMPLE_JSON, copy, size);
    }
    free(copy);
    free(name);
    return 0;
}
