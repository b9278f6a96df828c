/* Labels that are given as text: all numbers or all names, as the first one shows. */
#ifndef MOCO_LABEL_TEXT_H
#define MOCO_LABEL_TEXT_H

#include "data/class_table.h"

#define MOCO_LARGEST_LABEL (INT32_MAX - 1)

/* Starts zeroed but for the table, which names are added to. */
typedef struct moco_label_reader {
    moco_class_table *classes;
    int32_t has_first; /* a label was read */
    int32_t are_numbers;
} moco_label_reader;

/* The label of text[length], which is not empty: 0 .. MOCO_LARGEST_LABEL or MOCO_NO_LABEL as a number, or the name's
 * number in the table. *fits is 0 where labels are numbers and this is none, or where the first one is neither: "-2",
 * "0 1 0". */
moco_status moco_label_read(moco_label_reader *reader, const char *text, size_t length, int32_t *label, int32_t *fits);

#endif
