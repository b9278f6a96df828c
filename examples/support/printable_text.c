#include "support/printable_text.h"

/* Bytes of the character at `text`, as many as there are. */
static int character_length(const char *text) {
    int length = 1;
    while (((unsigned char) text[0] & 0xc0) == 0xc0 && ((unsigned char) text[length] & 0xc0) == 0x80 && length < 4)
        ++length;
    return length;
}

int print_printable(FILE *out, const char *text, int most) {
    int printed = 0;
    for (int done = 0; *text != '\0';) {
        const unsigned char byte = (unsigned char) text[0], next = (unsigned char) text[1];
        const int length = character_length(text);
        done += length;
        if (done > most) return printed + fprintf(out, " ...");
        if (byte == '\n' || byte == '\t') {
            printed += fprintf(out, byte == '\n' ? "\\n" : "\\t");
        } else if (byte < 0x20 || byte == 0x7f) {
            printed += fprintf(out, "\\x%02x", byte);
        } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
            printed += fprintf(out, "\\x%02x", next);
        } else {
            printed += fprintf(out, "%.*s", length, text);
        }
        text += length;
    }
    return printed;
}
