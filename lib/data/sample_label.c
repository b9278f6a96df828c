#include "data/sample_label.h"

#include <string.h>

#include "io/json_scalar.h"

size_t moco_sample_key(const char *name) {
    const char *slash = strrchr(name, '/');
    const size_t folder = slash == NULL ? 0 : (size_t) (slash - name) + 1;
    return folder + strcspn(name + folder, ".");
}

static int32_t is_ending(const char *text, const char *ending) {
    for (; *text != '\0' && *ending != '\0'; ++text, ++ending) {
        if ((*text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a' : *text) != *ending) return 0;
    }
    return *text == *ending;
}

int32_t moco_sample_kind(const char *name) {
    const char *ending = name + moco_sample_key(name);
    if (is_ending(ending, ".cls")) return MOCO_SAMPLE_CLS;
    return is_ending(ending, ".json") ? MOCO_SAMPLE_JSON : MOCO_SAMPLE_OTHER;
}

static int32_t is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static moco_status read_cls(const char *bytes, size_t size, char label[MOCO_LABEL_BYTES], size_t *length) {
    while (size > 0 && is_blank(bytes[0])) ++bytes, --size;
    while (size > 0 && is_blank(bytes[size - 1])) --size;
    if (size == 0) return moco_fail(MOCO_FORMAT, "it is empty; it must be the label, a number or a name");
    if (size >= MOCO_LABEL_BYTES) return moco_fail(MOCO_FORMAT, "a label of %zu bytes", size);
    if (memchr(bytes, '\0', size) != NULL || memchr(bytes, '\n', size) != NULL) {
        return moco_fail(MOCO_FORMAT, "it has more than one line, or a NUL byte; it must be the label alone");
    }
    memcpy(label, bytes, size);
    label[size] = '\0';
    *length = size;
    return MOCO_OK;
}

moco_status moco_sample_label(int32_t kind, const char *bytes, size_t size, char label[MOCO_LABEL_BYTES],
                              size_t *length) {
    static const char *const keys[] = {"label", "cls", "class"};
    *length = 0;
    if (kind == MOCO_SAMPLE_CLS) return read_cls(bytes, size, label, length);
    return moco_json_find_scalar(bytes, size, keys, sizeof keys / sizeof *keys, label, MOCO_LABEL_BYTES, length);
}
