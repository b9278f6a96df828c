#include "data/list_header.h"

#include <stdio.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Without case, '_', '-' and blanks; the first that a column is called wins. */
static const char *const path_words[] = {"path",          "filepath", "imagepath", "imgpath",   "filename",
                                         "imagefilename", "file",     "imagefile", "imagename", "image",
                                         "img",           "imageid",  "id"};
static const char *const label_words[] = {"label",   "labels",    "class",      "classes",      "category",
                                          "target",  "classname", "labelname",  "categoryname", "targetname",
                                          "classid", "labelid",   "categoryid", "targetid",     "classlabel"};
static const char *const split_words[] = {"split", "subset", "set", "fold", "partition", "usage"};

/* Whether the field is this word. */
static int32_t is_word(const moco_text_part *field, const char *word) {
    for (size_t i = 0; i < field->length; ++i) {
        const char byte = field->text[i];
        if (byte == '_' || byte == '-' || byte == ' ') continue;
        const char lower = byte >= 'A' && byte <= 'Z' ? (char) (byte - 'A' + 'a') : byte;
        if (*word == '\0' || lower != *word++) return 0;
    }
    return *word == '\0';
}

/* The column called by the first of the words that one has; -1: none. */
static int32_t find_column(const moco_text_part *fields, int32_t count, const char *const *words, size_t word_count) {
    for (size_t word = 0; word < word_count; ++word) {
        for (int32_t i = 0; i < count; ++i) {
            if (is_word(&fields[i], words[word])) return i;
        }
    }
    return -1;
}

moco_list_header moco_list_find_columns(const moco_text_part *fields, int32_t count) {
    return (moco_list_header){find_column(fields, count, path_words, COUNT_OF(path_words)),
                              find_column(fields, count, label_words, COUNT_OF(label_words)),
                              find_column(fields, count, split_words, COUNT_OF(split_words))};
}

static int shown_length(const moco_text_part *field) {
    return field->length < 60 ? (int) field->length : 60;
}

void moco_list_describe_header(const moco_list_header *header, const moco_text_part *fields, int32_t count,
                               moco_list_notes *notes) {
    const moco_text_part *path = &fields[header->path];
    if (header->label >= 0) {
        const moco_text_part *label = &fields[header->label];
        snprintf(notes->columns, sizeof notes->columns,
                 "paths are in the column \"%.*s\", labels in \"%.*s\", as its header says", shown_length(path),
                 path->text, shown_length(label), label->text);
    } else if (count > 1) {
        snprintf(notes->warning, sizeof notes->warning,
                 "no column of its header is called label, class, category or target, so that its images have no "
                 "labels");
    }
    if (header->split >= 0) {
        const moco_text_part *split = &fields[header->split];
        snprintf(notes->warning, sizeof notes->warning,
                 "its column \"%.*s\" is not heeded: all rows are taken, whatever their split", shown_length(split),
                 split->text);
    }
}
