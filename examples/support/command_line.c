#include "support/command_line.h"

#include <errno.h>
#include <math.h>
#include <moco/names.h>
#include <moco/version.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/example_support.h"
#include "support/option_names.h"

#define HELP_COLUMN 26
#define MOST_ROWS   64

void refuse_usage(const command_line *line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", line->program);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry '%s --help'.\n", line->program);
    va_end(arguments);
    exit(2);
}

/* The name of choice number `index`; NULL after the last. */
static const char *choice_name(const option_row *row, int32_t index) {
    if (row->enum_kind != NULL) return moco_enum_name(row->enum_kind, index);
    return row->choices == NULL ? NULL : row->choices[index];
}

/* --- Help --- */

static void print_default(const command_line *line, const option_row *row) {
    char setting[256];
    switch (row->kind) {
    case OPTION_TEXT: {
        const char *text = *(const char *const *) row->target;
        if (text != NULL) printf(" (%s)", text);
        break;
    }
    case OPTION_INTEGER:
        printf(" (%lld)", (long long) *(const int64_t *) row->target);
        break;
    case OPTION_NUMBER:
        printf(" (%g)", *(const double *) row->target);
        break;
    case OPTION_CHOICE:
        printf(" (%s)", choice_name(row, *(const int32_t *) row->target));
        break;
    case OPTION_SETTING:
        if (moco_recipe_get(line->recipe, row->key, setting, sizeof setting) == MOCO_OK) printf(" (%s)", setting);
        break;
    default:
        break;
    }
}

static const char *value_name(const option_row *row) {
    static const char *const names[] = {" TEXT", " N", " X", "", "", " VALUE"};
    return row->enum_kind != NULL ? "" : names[row->kind];
}

static void print_help(const command_line *line) {
    printf("Usage: %s %s\n\n%s\n\nOptions, with their defaults:\n", line->program, line->arguments, line->description);
    for (int32_t i = 0; i < line->row_count; ++i) {
        const option_row *row = &line->rows[i];
        int width = printf("  --%s%s", row->name, value_name(row));
        for (int32_t c = 0; choice_name(row, c) != NULL; ++c) {
            width += printf("%s%s", c == 0 ? " " : "|", choice_name(row, c));
        }
        if (width >= HELP_COLUMN) {
            printf("\n");
            width = 0;
        }
        printf("%*s%s", HELP_COLUMN - width, "", row->help);
        print_default(line, row);
        printf("\n");
    }
    printf("  --help, --version\n");
}

/* --- Values --- */

static void set_choice(const command_line *line, const option_row *row, const char *value) {
    for (int32_t c = 0; choice_name(row, c) != NULL; ++c) {
        if (strcmp(choice_name(row, c), value) != 0) continue;
        *(int32_t *) row->target = c;
        return;
    }
    char known[256] = "";
    for (int32_t c = 0; choice_name(row, c) != NULL; ++c) {
        strncat(known, c == 0 ? "" : ", ", sizeof known - strlen(known) - 1);
        strncat(known, choice_name(row, c), sizeof known - strlen(known) - 1);
    }
    refuse_usage(line, "--%s is \"%s\"; it must be one of: %s", row->name, value, known);
}

static void set_number(const command_line *line, const option_row *row, const char *value) {
    char *end;
    double number;
    errno = 0;
    if (row->kind == OPTION_INTEGER) {
        const long long integer = strtoll(value, &end, 10);
        number = (double) integer;
        if (end != value && *end == '\0' && errno == 0 && number >= row->minimum && number <= row->maximum) {
            *(int64_t *) row->target = (int64_t) integer;
            return;
        }
    } else {
        number = strtod(value, &end);
        if (end != value && *end == '\0' && isfinite(number) && number >= row->minimum && number <= row->maximum) {
            *(double *) row->target = number;
            return;
        }
    }
    refuse_usage(line, "--%s is \"%s\"; it must be %s from %.15g to %.15g", row->name, value,
                 row->kind == OPTION_INTEGER ? "a whole number" : "a number", row->minimum, row->maximum);
}

/* What the settings on the command line are to be, by row; NULL: not given. */
typedef struct given_settings {
    const char *values[MOST_ROWS];
} given_settings;

static void set_value(const command_line *line, const option_row *row, const char *value, given_settings *given) {
    if (row->kind == OPTION_CHOICE) {
        set_choice(line, row, value);
    } else if (row->kind == OPTION_SETTING) {
        given->values[row - line->rows] = value;
    } else if (row->kind == OPTION_TEXT) {
        if (*value == '\0') refuse_usage(line, "--%s is empty", row->name);
        *(const char **) row->target = value;
    } else {
        set_number(line, row, value);
    }
}

static void apply_settings(const command_line *line, const given_settings *given) {
    for (int32_t i = 0; i < line->row_count; ++i) {
        if (given->values[i] == NULL) continue;
        char text[OPTION_SENTENCE_SIZE];
        if (moco_recipe_set(line->recipe, line->rows[i].key, given->values[i]) == MOCO_OK) continue;
        refuse_usage(line, "%s", in_options(moco_last_error(), text));
    }
}

/* --- Names --- */

/* Room for "--name" and the row's name as a field, name_with_underscores. */
static char option_texts[MOST_ROWS][2][64];

/* The library's words for a row: its name, its key with and without the section, and those that it lists. */
static void name_row(const option_row *row, char texts[2][64]) {
    const char *option = texts[0];
    snprintf(texts[0], sizeof texts[0], "--%s", row->name);
    snprintf(texts[1], sizeof texts[1], "%s", row->name);
    for (char *at = texts[1]; *at != '\0'; ++at) {
        if (*at == '-') *at = '_';
    }
    name_option(texts[1], option);
    if (row->key != NULL) {
        const char *dot = strchr(row->key, '.');
        name_option(row->key, option);
        if (dot != NULL) name_option(dot + 1, option);
    }
    for (int32_t i = 0; row->fields != NULL && row->fields[i] != NULL; ++i) name_option(row->fields[i], option);
}

/* --- Arguments --- */

/* The row of `name` up to an '=', or NULL. */
static const option_row *find_row(const command_line *line, const char *name) {
    const size_t length = strcspn(name, "=");
    for (int32_t i = 0; i < line->row_count; ++i) {
        const char *candidate = line->rows[i].name;
        if (strlen(candidate) == length && strncmp(candidate, name, length) == 0) return &line->rows[i];
    }
    return NULL;
}

/* How many arguments option argv[0] takes. */
static int parse_option(const command_line *line, char **argv, given_settings *given) {
    const char *name = argv[0] + 2;
    if (strcmp(name, "help") == 0) {
        print_help(line);
        exit(0);
    }
    if (strcmp(name, "version") == 0) {
        printf("%s (libmoco %s)\n", line->program, moco_version_string());
        exit(0);
    }
    const option_row *row = find_row(line, name);
    if (row == NULL) refuse_usage(line, "there is no option %s", argv[0]);
    const char *equals = strchr(name, '=');
    if (row->kind == OPTION_FLAG) {
        if (equals != NULL) refuse_usage(line, "--%s takes no value", row->name);
        *(int32_t *) row->target = 1;
        return 1;
    }
    if (equals != NULL) {
        set_value(line, row, equals + 1, given);
        return 1;
    }
    if (argv[1] == NULL) refuse_usage(line, "--%s needs a value", row->name);
    set_value(line, row, argv[1], given);
    return 2;
}

void parse_command_line(const command_line *line, int argc, char **argv, const char **operands) {
    int32_t found = 0;
    given_settings given = {{NULL}};
    if (line->row_count > MOST_ROWS) stop("%d options are more than %d", line->row_count, MOST_ROWS);
    /* From the last to the first: where two rows have a name, it is the earlier one's. */
    for (int32_t i = line->row_count - 1; i >= 0; --i) name_row(&line->rows[i], option_texts[i]);
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "-h") == 0) {
            print_help(line);
            exit(0);
        }
        if (argv[i][0] == '-' && argv[i][1] == '-') {
            i += parse_option(line, argv + i, &given);
        } else if (argv[i][0] == '-' || found == line->operands) {
            refuse_usage(line, "unexpected argument \"%s\"", argv[i]);
        } else {
            operands[found++] = argv[i++];
        }
    }
    if (found < line->operands) refuse_usage(line, "usage: %s %s", line->program, line->arguments);
    apply_settings(line, &given);
}

const char *find_option(int argc, char **argv, const char *name) {
    const size_t length = strlen(name);
    const char *value = NULL;
    for (int i = 1; i < argc; ++i) {
        if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, length) != 0) continue;
        if (argv[i][2 + length] == '=') value = argv[i] + 3 + length;
        if (argv[i][2 + length] == '\0' && i + 1 < argc) value = argv[i + 1];
    }
    return value;
}
