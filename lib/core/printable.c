#include "core/printable.h"

#include <string.h>

#define LONGEST_ESCAPE 4

/* How many bytes the control character at `text` has, and which it is; 0 for anything else. */
static size_t read_control(const char *text, unsigned char *control) {
    *control = (unsigned char) text[0];
    if (*control < 0x20 || *control == 0x7f) return 1;
    if (*control != 0xc2) return 0;
    *control = (unsigned char) text[1];
    return *control >= 0x80 && *control <= 0x9f ? 2 : 0;
}

static size_t write_escape(char *out, unsigned char control) {
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    if (control == '\n' || control == '\t') {
        out[1] = control == '\n' ? 'n' : 't';
        return 2;
    }
    out[1] = 'x';
    out[2] = digits[control >> 4];
    out[3] = digits[control & 15];
    return LONGEST_ESCAPE;
}

void moco_copy_printable(char *out, size_t capacity, const char *text) {
    size_t used = 0;
    while (*text != '\0') {
        char piece[LONGEST_ESCAPE] = {*text};
        unsigned char control;
        size_t length = 1;
        const size_t taken = read_control(text, &control);
        if (taken > 0) length = write_escape(piece, control);
        if (used + length >= capacity) break;
        memcpy(out + used, piece, length);
        used += length;
        text += taken > 0 ? taken : 1;
    }
    out[used] = '\0';
}
