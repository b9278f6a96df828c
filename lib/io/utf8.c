#include "io/utf8.h"

size_t moco_utf8_length(const unsigned char *text, size_t size) {
    if (text[0] < 0x80) return 1;
    size_t length;
    uint32_t code;
    if (text[0] >= 0xC2 && text[0] <= 0xDF) {
        length = 2;
        code = text[0] & 0x1Fu;
    } else if (text[0] >= 0xE0 && text[0] <= 0xEF) {
        length = 3;
        code = text[0] & 0x0Fu;
    } else if (text[0] >= 0xF0 && text[0] <= 0xF4) {
        length = 4;
        code = text[0] & 0x07u;
    } else {
        return 0;
    }
    if (length > size) return 0;
    for (size_t i = 1; i < length; ++i) {
        if ((text[i] & 0xC0u) != 0x80u) return 0; /* the terminating NUL too */
        code = code << 6 | (text[i] & 0x3Fu);
    }
    if (length == 3 && (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF))) return 0;
    if (length == 4 && (code < 0x10000 || code > 0x10FFFF)) return 0;
    return length;
}

int32_t moco_utf8_is_valid(const char *text, size_t size) {
    const unsigned char *at = (const unsigned char *) text;
    while (size > 0) {
        const size_t length = moco_utf8_length(at, size);
        if (length == 0) return 0;
        at += length;
        size -= length;
    }
    return 1;
}
