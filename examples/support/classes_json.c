#include "support/classes_json.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "support/example_support.h"

/* How many bytes the UTF-8 character at `at` has; 0: it is none. */
static int utf8_length(const unsigned char *at) {
    const unsigned char first = at[0];
    const int length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (length == 1) return 1;
    if (first < 0xc2 || first > 0xf4) return 0;
    for (int i = 1; i < length; ++i) {
        if ((at[i] & 0xc0) != 0x80) return 0;
    }
    /* Longer than need be, a surrogate, or beyond the last one. */
    if ((first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] > 0x9f)) return 0;
    if ((first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] > 0x8f)) return 0;
    return length;
}

void put_json_string(FILE *file, const char *text) {
    fputc('"', file);
    for (const unsigned char *at = (const unsigned char *) text; *at != '\0';) {
        const int length = utf8_length(at);
        if (length == 0) {
            fprintf(file, "\\udc%02x", *at++);
        } else if (*at < 0x20 || *at == 0x7f) {
            fprintf(file, "\\u%04x", *at++);
        } else {
            if (*at == '"' || *at == '\\') fputc('\\', file);
            fwrite(at, 1, (size_t) length, file);
            at += length;
        }
    }
    fputc('"', file);
}

int64_t write_class_names(const char *path, const moco_dataset *dataset) {
    const int64_t classes = moco_dataset_classes(dataset);
    if (classes == 0 || moco_dataset_class_name(dataset, 0) == NULL) {
        if (unlink(path) != 0 && errno != ENOENT) stop("cannot remove %s: %s", path, strerror(errno));
        return 0;
    }
    FILE *file = fopen(path, "w");
    if (file == NULL) stop("cannot write %s: %s", path, strerror(errno));
    for (int64_t i = 0; i < classes; ++i) {
        fputs(i == 0 ? "[" : ",\n ", file);
        put_json_string(file, moco_dataset_class_name(dataset, i));
    }
    fputs("]\n", file);
    const int failed = ferror(file);
    if (fclose(file) != 0 || failed) stop("cannot write %s: %s", path, strerror(errno));
    return classes;
}
