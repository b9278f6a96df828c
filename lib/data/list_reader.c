/* CSV is RFC 4180's, with any of tab, comma and semicolon, and line ends with or without CR. */
#include "data/list_reader.h"

#include <stdio.h>
#include <string.h>

#include "data/image_index.h"
#include "data/list_header.h"

#define MAX_SHOWN 200 /* bytes of a line in a message */

enum list_form {
    FORM_PATHS,  /* a path in each line */
    FORM_TABS,   /* path<TAB>label, or a path */
    FORM_PAIRS,  /* path, separator, label, told by the ending of an image's name */
    FORM_HEADER, /* columns that the first line names */
};

static moco_status refuse(const moco_list_reader *reader, int64_t line, const char *what, const char *text,
                          size_t length) {
    const int shown = (int) (length < MAX_SHOWN ? length : MAX_SHOWN);
    return moco_fail(MOCO_FORMAT, "%s, line %lld: %s: \"%.*s\"", reader->shown, (long long) line, what, shown, text);
}

static const char *separator_name(char separator) {
    return separator == ',' ? "comma" : separator == ';' ? "semicolon" : separator == '\t' ? "tab" : "blank";
}

/* --- Lines and records --- */

/* The line at reader->at, without its end. */
static moco_text_part line_here(const moco_list_reader *reader) {
    char *begin = reader->text + reader->at;
    const size_t left = reader->size - reader->at;
    char *end = (char *) memchr(begin, '\n', left);
    size_t length = end == NULL ? left : (size_t) (end - begin);
    if (length > 0 && begin[length - 1] == '\r') --length;
    return (moco_text_part){begin, length};
}

static void skip_line(moco_list_reader *reader) {
    const char *end = (const char *) memchr(reader->text + reader->at, '\n', reader->size - reader->at);
    reader->at = end == NULL ? reader->size : (size_t) (end - reader->text) + 1;
    reader->line++;
}

static void trim(moco_text_part *part) {
    while (part->length > 0 && (part->text[0] == ' ' || part->text[0] == '\t')) ++part->text, --part->length;
    while (part->length > 0 && (part->text[part->length - 1] == ' ' || part->text[part->length - 1] == '\t')) {
        --part->length;
    }
}

/* A field that begins with a quote, at *at; its content is moved together in place. Ends behind the closing quote. 0
 * where there is none. */
static int32_t read_quoted(moco_list_reader *reader, size_t *at, moco_text_part *field) {
    char *to = reader->text + *at + 1;
    *field = (moco_text_part){to, 0};
    for (size_t from = *at + 1; from < reader->size; ++from) {
        const char byte = reader->text[from];
        if (byte == '"') {
            if (from + 1 == reader->size || reader->text[from + 1] != '"') {
                field->length = (size_t) (to - field->text);
                *at = from + 1;
                return 1;
            }
            ++from;
        }
        if (byte == '\n') reader->line++;
        *to++ = byte;
    }
    return 0;
}

/* One record of fields, from reader->at on to the next line; *count may be more than there is room for. Blanks around
 * a field are left out but for those in quotes. */
static moco_status read_record(moco_list_reader *reader, char separator, moco_text_part fields[MOCO_LIST_COLUMNS],
                               int32_t *count) {
    const int64_t line = reader->line;
    const moco_text_part shown = line_here(reader);
    size_t at = reader->at;
    int32_t found = 0, ended = 0;
    while (!ended) {
        moco_text_part field = {reader->text + at, 0};
        while (at < reader->size && reader->text[at] == ' ') ++at;
        if (at < reader->size && reader->text[at] == '"') {
            if (!read_quoted(reader, &at, &field)) {
                return refuse(reader, line, "a quote is opened and not closed", shown.text, shown.length);
            }
            while (at < reader->size && (reader->text[at] == ' ' || reader->text[at] == '\r')) ++at;
            if (at < reader->size && reader->text[at] != separator && reader->text[at] != '\n') {
                return refuse(reader, line,
                              "text follows a closing quote; a quote inside a quoted field is written twice",
                              shown.text, shown.length);
            }
        } else {
            field.text = reader->text + at;
            while (at < reader->size && reader->text[at] != separator && reader->text[at] != '\n') ++at;
            field.length = (size_t) (reader->text + at - field.text);
            if (field.length > 0 && field.text[field.length - 1] == '\r') --field.length;
            trim(&field);
        }
        if (found < MOCO_LIST_COLUMNS) fields[found] = field;
        ++found;
        ended = at == reader->size || reader->text[at] == '\n';
        if (at < reader->size) ++at;
    }
    reader->at = at;
    reader->line++;
    *count = found;
    return MOCO_OK;
}

/* --- Headers --- */

/* A header of columns that are parted by `separator`; *is_header is 0 where the first line is none. */
static moco_status try_header(moco_list_reader *reader, char separator, moco_list_notes *notes, int32_t *is_header) {
    moco_text_part fields[MOCO_LIST_COLUMNS];
    const moco_list_reader before = *reader;
    const moco_text_part line = line_here(reader);
    int32_t count = 0, has_image = 0;
    *is_header = 0;
    /* Reading a doubled quote moves bytes, which must not happen before it is known what this is; words have none. */
    for (size_t i = 1; i < line.length; ++i) {
        if (line.text[i] == '"' && line.text[i - 1] == '"') return MOCO_OK;
    }
    reader->size = (size_t) (line.text - reader->text) + line.length;
    const moco_status status = read_record(reader, separator, fields, &count);
    *reader = before;
    if (status != MOCO_OK || count > MOCO_LIST_COLUMNS || (count == 1 && separator != ',')) return MOCO_OK;
    for (int32_t i = 0; i < count; ++i) has_image |= moco_has_image_name(fields[i].text, fields[i].length);
    const moco_list_header header = moco_list_find_columns(fields, count);
    if (has_image || (header.path < 0 && (header.label < 0 || count < 2))) return MOCO_OK;
    if (header.path < 0) {
        return refuse(reader, reader->line,
                      "this header names no column of paths; call it path, filename, file or image", line.text,
                      line.length);
    }
    reader->path_column = header.path;
    reader->label_column = header.label;
    reader->form = FORM_HEADER;
    reader->separator = separator;
    reader->columns = count;
    *is_header = 1;
    skip_line(reader);
    moco_list_describe_header(&header, fields, count, notes);
    return MOCO_OK;
}

/* --- Lines without a header --- */

enum { LINE_PATH, LINE_PATH_WITH_SEPARATOR, LINE_PAIR, LINE_ODD };

static int32_t is_letter(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Whether it ends as file names do, with a dot and up to five letters and digits: ".gif" and not ".5". */
static int32_t has_ending(const moco_text_part *line) {
    size_t at = line->length;
    while (at > 0 && (is_letter(line->text[at - 1]) || (line->text[at - 1] >= '0' && line->text[at - 1] <= '9'))) --at;
    return at > 0 && line->text[at - 1] == '.' && at < line->length && line->length - at <= 5 &&
           is_letter(line->text[at]);
}

/* What a line without a tab is. A pair is cut at the first separator behind an image's name. */
static int32_t classify(moco_text_part line, char *separator, moco_text_part *path, moco_text_part *label) {
    static const char separators[] = {',', ';', ' '};
    int32_t has_separator = 0;
    trim(&line);
    for (size_t s = 0; s < sizeof separators; ++s) {
        for (size_t i = 1; i < line.length; ++i) {
            if (line.text[i] != separators[s]) continue;
            if (!has_separator) *separator = separators[s];
            has_separator = 1;
            if (separators[s] == ' ' && line.text[i - 1] == ' ') continue;
            moco_text_part name = {line.text, i}, rest = {line.text + i + 1, line.length - i - 1};
            trim(&name);
            trim(&rest);
            if (!moco_has_image_name(name.text, name.length)) continue;
            if (moco_has_image_name(rest.text, rest.length)) break; /* one path, or two */
            const int32_t has_blank = separators[s] == ' ' && memchr(rest.text, ' ', rest.length) != NULL;
            *separator = separators[s];
            *path = name;
            *label = rest;
            return has_blank || memchr(rest.text, ',', rest.length) || memchr(rest.text, ';', rest.length) ? LINE_ODD
                                                                                                           : LINE_PAIR;
        }
    }
    if (!has_separator) return LINE_PATH;
    if (moco_has_image_name(line.text, line.length) || (*separator == ' ' && has_ending(&line))) {
        return LINE_PATH_WITH_SEPARATOR;
    }
    return LINE_ODD;
}

static moco_status refuse_line(const moco_list_reader *reader, const moco_text_part *line, const char *why) {
    char what[256];
    snprintf(what, sizeof what,
             "%s; write path<TAB>label (a tab at the end for a path alone), or begin with a header such as "
             "path,label",
             why);
    return refuse(reader, reader->line, what, line->text, line->length);
}

/* A path alone, or in quotes. */
static moco_status take_path(moco_list_reader *reader, const moco_text_part *line, moco_list_row *row) {
    char separator = ' ';
    moco_text_part path = *line, label = {NULL, 0};
    if (line->text[0] == '"' && line->length > 1 && line->text[line->length - 1] == '"' &&
        memchr(line->text + 1, '"', line->length - 2) == NULL && line->length > 2) {
        path = (moco_text_part){line->text + 1, line->length - 2};
        reader->has_plain_path = 1;
    } else {
        const int32_t kind = classify(*line, &separator, &path, &label);
        char why[128];
        if (kind == LINE_PAIR || kind == LINE_ODD) {
            snprintf(why, sizeof why, "a %s, and whether it parts a path from a label is not clear",
                     separator_name(separator));
            return refuse_line(reader, line, why);
        }
        path = *line;
        /* Blanks are in many paths; "3 a.png" may be a label and a path. */
        size_t digits = 0;
        while (digits < line->length && line->text[digits] >= '0' && line->text[digits] <= '9') ++digits;
        const int32_t begins_with_number = digits > 0 && digits < line->length && line->text[digits] == ' ';
        if (kind == LINE_PATH || (separator == ' ' && !begins_with_number)) {
            reader->has_plain_path = 1;
        } else if (reader->doubtful_line == 0) {
            reader->doubtful_line = reader->line;
        }
    }
    row->path = path.text;
    row->path_length = path.length;
    return MOCO_OK;
}

static moco_status take_pair(const moco_list_reader *reader, moco_text_part *line, moco_list_row *row) {
    char separator = ' ';
    char why[128];
    moco_text_part path = {NULL, 0}, label = {NULL, 0};
    if (classify(*line, &separator, &path, &label) != LINE_PAIR || separator != reader->separator) {
        snprintf(why, sizeof why, "this is no path, %s and label, as the first line is",
                 separator_name(reader->separator));
        return refuse_line(reader, line, why);
    }
    row->path = path.text;
    row->path_length = path.length;
    row->label = label.text;
    row->label_length = label.length;
    return MOCO_OK;
}

static moco_status take_tabs(moco_list_reader *reader, const moco_text_part *line, moco_list_row *row) {
    const char *tab = (const char *) memchr(line->text, '\t', line->length);
    if (tab == NULL) {
        char separator = ' ';
        moco_text_part path, label;
        if (classify(*line, &separator, &path, &label) == LINE_PAIR) {
            return refuse_line(reader, line, "there is no tab between path and label");
        }
    }
    row->path = line->text;
    row->path_length = tab == NULL ? line->length : (size_t) (tab - line->text);
    if (row->path_length == 0) {
        return refuse(reader, reader->line, "the path before the tab is missing", line->text, line->length);
    }
    if (tab == NULL) return MOCO_OK;
    row->label = tab + 1;
    row->label_length = line->length - row->path_length - 1;
    if (memchr(row->label, '\t', row->label_length) != NULL) {
        return refuse(reader, reader->line, "there is a second tab; a line is path<TAB>label", line->text,
                      line->length);
    }
    return MOCO_OK;
}

static moco_status take_columns(moco_list_reader *reader, moco_list_row *row) {
    moco_text_part fields[MOCO_LIST_COLUMNS];
    const moco_text_part line = line_here(reader);
    const int64_t number = reader->line;
    char what[128];
    int32_t count = 0;
    MOCO_TRY(read_record(reader, reader->separator, fields, &count));
    if (count != reader->columns) {
        snprintf(what, sizeof what, "%d columns, where the header has %d (%s)", count, reader->columns,
                 separator_name(reader->separator));
        return refuse(reader, number, what, line.text, line.length);
    }
    if (fields[reader->path_column].length == 0) {
        return refuse(reader, number, "the path is missing", line.text, line.length);
    }
    row->path = fields[reader->path_column].text;
    row->path_length = fields[reader->path_column].length;
    if (reader->label_column < 0) return MOCO_OK;
    row->label = fields[reader->label_column].text;
    row->label_length = fields[reader->label_column].length;
    return MOCO_OK;
}

/* --- All of it --- */

/* Empty lines are none. 0 at the end. */
static int32_t find_line(moco_list_reader *reader, moco_text_part *line) {
    while (reader->at < reader->size) {
        *line = line_here(reader);
        if (line->length > 0) return 1;
        skip_line(reader);
    }
    return 0;
}

moco_status moco_list_begin(moco_list_reader *reader, char *text, size_t size, const char *shown,
                            moco_list_notes *notes) {
    static const char separators[] = {'\t', ',', ';'};
    moco_text_part line, path, label;
    *notes = (moco_list_notes){.columns = ""};
    *reader = (moco_list_reader){.shown = shown, .text = text, .size = size, .line = 1, .label_column = -1};
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) reader->at = 3; /* a byte order mark */
    if (size >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0)) {
        return moco_fail(MOCO_FORMAT, "%s is text in UTF-16; save it as UTF-8", shown);
    }
    if (!find_line(reader, &line)) return MOCO_OK;
    for (size_t i = 0; i < sizeof separators; ++i) {
        int32_t is_header = 0;
        if (separators[i] != ',' && memchr(line.text, separators[i], line.length) == NULL) continue;
        if (i > 0 && memchr(line.text, '\t', line.length) != NULL) break;
        MOCO_TRY(try_header(reader, separators[i], notes, &is_header));
        if (is_header) return MOCO_OK;
    }
    reader->form = FORM_PATHS;
    if (memchr(text, '\t', size) != NULL) {
        reader->form = FORM_TABS;
    } else if (classify(line, &reader->separator, &path, &label) == LINE_PAIR) {
        reader->form = FORM_PAIRS;
    }
    return MOCO_OK;
}

moco_status moco_list_next(moco_list_reader *reader, moco_list_row *row, int32_t *found) {
    moco_text_part line;
    *found = 0;
    if (!find_line(reader, &line)) {
        if (reader->doubtful_line == 0 || reader->has_plain_path) return MOCO_OK;
        return moco_fail(MOCO_FORMAT,
                         "%s, line %lld: in every line something may be a label before a path, or a part of the path; "
                         "begin with a header such as label,path, or write path<TAB>label (a tab at the end for a "
                         "path alone)",
                         reader->shown, (long long) reader->doubtful_line);
    }
    *row = (moco_list_row){.path = "", .label = "", .line = reader->line};
    if (reader->form == FORM_HEADER) {
        MOCO_TRY(take_columns(reader, row));
    } else {
        if (memchr(line.text, '\0', line.length) != NULL) {
            return refuse(reader, reader->line, "there is a NUL byte", line.text, line.length);
        }
        if (reader->form == FORM_PATHS) MOCO_TRY(take_path(reader, &line, row));
        if (reader->form == FORM_PAIRS) MOCO_TRY(take_pair(reader, &line, row));
        if (reader->form == FORM_TABS) MOCO_TRY(take_tabs(reader, &line, row));
        skip_line(reader);
    }
    if (memchr(row->path, '\0', row->path_length) != NULL || memchr(row->label, '\0', row->label_length) != NULL) {
        return refuse(reader, row->line, "there is a NUL byte", row->path, row->path_length);
    }
    if (row->path_length >= MOCO_MAX_NAME) {
        return refuse(reader, row->line, "the path is too long", row->path, row->path_length);
    }
    *found = 1;
    return MOCO_OK;
}
