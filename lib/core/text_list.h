/* "a, b or c", for sentences that say what would be right. */
#ifndef MOCO_CORE_TEXT_LIST_H
#define MOCO_CORE_TEXT_LIST_H

#include <stddef.h>
#include <stdint.h>

/* Appends `item` to the list in text[capacity], with ", " before it or, where it is the last, " or ". What does not fit
 * is left out. */
void moco_text_list_add(char *text, size_t capacity, const char *item, int32_t is_last);

#endif
