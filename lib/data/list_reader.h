/* Reads a list of images out of its bytes: plain paths, path<TAB>label, and CSV with or without a header. The words of
 * dataset.h ("filelist:FILE") are its grammar. What could be read in two ways is refused, with the line.
 */
#ifndef MOCO_LIST_READER_H
#define MOCO_LIST_READER_H

#include <stddef.h>
#include <stdint.h>

#include "core/status_internal.h"

/* Points into the list's bytes; not NUL-terminated, without a NUL. */
typedef struct moco_list_row {
    const char *path;
    size_t path_length; /* > 0 */
    const char *label;
    size_t label_length; /* 0: none */
    int64_t line;        /* counted from 1: where the row begins */
} moco_list_row;

enum { MOCO_LIST_COLUMNS = 64 }; /* at most, of a CSV */

typedef struct moco_list_reader {
    const char *shown; /* the list in messages */
    char *text;
    size_t size;
    size_t at;
    int64_t line;   /* of the byte at `at` */
    int32_t form;   /* list_form of list_reader.c */
    char separator; /* of the columns */
    int32_t columns;
    int32_t path_column, label_column; /* of a list with a header; label_column -1: none */
    int64_t doubtful_line;             /* the first whose path holds a separator; 0: none yet */
    int32_t has_plain_path;            /* one without a separator was met */
} moco_list_reader;

/* The notes of moco_list_begin, for the log; each is empty where there is nothing to say. */
typedef struct moco_list_notes {
    char columns[256]; /* which columns a header gives the path and the label */
    char warning[256]; /* what the list has, and is not heeded */
} moco_list_notes;

/* Looks at the beginning. `text` is changed when quoted fields are read, and stays until the last row was. FORMAT: a
 * header without a path, bytes that are no text. */
moco_status moco_list_begin(moco_list_reader *reader, char *text, size_t size, const char *shown,
                            moco_list_notes *notes);
/* The next row; *found is 0 at the end. FORMAT with the line and what would be right. */
moco_status moco_list_next(moco_list_reader *reader, moco_list_row *row, int32_t *found);

#endif
