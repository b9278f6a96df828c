#include "data/label_text.h"

#include <string.h>

#include "core/number_text.h"
#include <moco/dataset.h>

/* 1 and *number where all of the text is a label as a number. */
static int32_t number_label(const char *text, size_t length, int32_t *number) {
    char digits[16];
    int64_t value = 0;
    if (length == 0 || length >= sizeof digits) return 0;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!moco_text_to_i64(digits, &value) || value < MOCO_NO_LABEL || value > MOCO_LARGEST_LABEL) return 0;
    *number = (int32_t) value;
    return 1;
}

static int32_t is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/* Numbers with blanks between them, as a box or several labels are written, or one with a sign: taken for a name it
 * would hide a mistake. */
static int32_t is_no_name(const char *text, size_t length) {
    int32_t numbers = 0, has_sign = 0;
    for (size_t at = 0; at < length;) {
        const size_t begin = at;
        if (text[at] == '-' || text[at] == '+') ++at, has_sign = 1;
        size_t digits = 0, dots = 0;
        for (; at < length && (is_digit(text[at]) || text[at] == '.'); ++at) {
            digits += text[at] != '.';
            dots += text[at] == '.';
        }
        if (digits == 0 || dots > 1 || (at < length && text[at] != ' ' && text[at] != '\t')) return 0;
        while (at < length && (text[at] == ' ' || text[at] == '\t')) ++at;
        numbers += at > begin;
    }
    return numbers > 1 || has_sign;
}

moco_status moco_label_read(moco_label_reader *reader, const char *text, size_t length, int32_t *label, int32_t *fits) {
    int32_t number = MOCO_NO_LABEL;
    const int32_t is_number = number_label(text, length, &number);
    if (!reader->has_first) {
        reader->has_first = 1;
        reader->are_numbers = is_number || is_no_name(text, length);
    }
    *fits = is_number || !reader->are_numbers;
    if (!reader->are_numbers) return moco_class_table_add(reader->classes, text, length, label);
    if (is_number) *label = number;
    return MOCO_OK;
}
