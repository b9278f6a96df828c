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

moco_status moco_label_read(moco_label_reader *reader, const char *text, size_t length, int32_t *label, int32_t *fits) {
    int32_t number = MOCO_NO_LABEL;
    const int32_t is_number = number_label(text, length, &number);
    if (!reader->has_first) {
        reader->has_first = 1;
        reader->are_numbers = is_number;
    }
    *fits = is_number || !reader->are_numbers;
    if (!reader->are_numbers) return moco_class_table_add(reader->classes, text, length, label);
    if (is_number) *label = number;
    return MOCO_OK;
}
