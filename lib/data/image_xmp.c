/* XMP's orientation: the property tiff:Orientation of a packet, which may be anything at all. Written as an attribute,
 * tiff:Orientation="6", or as an element, <tiff:Orientation>6</tiff:Orientation>. The rest of the XML is not looked at.
 */
#include <string.h>

#include "data/image_decoders.h"

static int is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static size_t skip_blanks(const uint8_t *text, size_t size, size_t at) {
    while (at < size && is_blank(text[at])) ++at;
    return at;
}

/* Where the value begins behind the name that ends at `at`, or `size`. */
static size_t find_value(const uint8_t *text, size_t size, size_t at) {
    at = skip_blanks(text, size, at);
    if (at >= size || (text[at] != '=' && text[at] != '>')) return size;
    const int is_attribute = text[at] == '=';
    at = skip_blanks(text, size, at + 1);
    if (!is_attribute) return at;
    if (at >= size || (text[at] != '"' && text[at] != '\'')) return size;
    return skip_blanks(text, size, at + 1);
}

int32_t moco_xmp_find_orientation(const uint8_t *packet, size_t size) {
    static const char name[] = "tiff:Orientation";
    const size_t length = sizeof name - 1;
    for (size_t at = 0; size - at > length; ++at) {
        const uint8_t *found = (const uint8_t *) memchr(packet + at, name[0], size - at - length);
        if (found == NULL) return 0;
        at = (size_t) (found - packet);
        if (memcmp(found, name, length) != 0) continue;
        const size_t value = find_value(packet, size, at + length);
        if (value >= size || packet[value] < '1' || packet[value] > '8') continue;
        /* One digit, and then the value's end. */
        const size_t end = skip_blanks(packet, size, value + 1);
        if (end < size && (packet[end] == '"' || packet[end] == '\'' || packet[end] == '<')) return packet[value] - '0';
    }
    return 0;
}
