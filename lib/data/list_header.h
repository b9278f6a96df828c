/* What the first line of a CSV calls its columns. */
#ifndef MOCO_LIST_HEADER_H
#define MOCO_LIST_HEADER_H

#include "data/list_reader.h"

/* Not NUL-terminated. */
typedef struct moco_text_part {
    char *text;
    size_t length;
} moco_text_part;

/* Columns from 0; -1: there is none. */
typedef struct moco_list_header {
    int32_t path, label;
    int32_t split; /* to which split an image belongs, which is not heeded */
} moco_list_header;

moco_list_header moco_list_find_columns(const moco_text_part *fields, int32_t count);
/* Of a header with a path. */
void moco_list_describe_header(const moco_list_header *header, const moco_text_part *fields, int32_t count,
                               moco_list_notes *notes);

#endif
