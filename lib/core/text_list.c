#include "core/text_list.h"

#include <stdio.h>
#include <string.h>

void moco_text_list_add(char *text, size_t capacity, const char *item, int32_t is_last) {
    const size_t used = strlen(text);
    const char *separator = used == 0 ? "" : is_last ? " or " : ", ";
    if (used + strlen(separator) + strlen(item) >= capacity) return;
    snprintf(text + used, capacity - used, "%s%s", separator, item);
}
