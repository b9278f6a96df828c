/* Options of a command line from a table: one row per option, with its range, its default and its help. An option may be
 * a setting of a recipe: then the library knows what fits and what is the default.
 */
#ifndef MOCO_EXAMPLE_COMMAND_LINE_H
#define MOCO_EXAMPLE_COMMAND_LINE_H

#include <moco/recipe.h>
#include <stdint.h>

enum {
    OPTION_TEXT,    /* const char ** */
    OPTION_INTEGER, /* int64_t *, within minimum .. maximum */
    OPTION_NUMBER,  /* double *, within minimum .. maximum */
    OPTION_CHOICE,  /* int32_t *: the index of the value in `choices`, or the value that `enum_kind` has */
    OPTION_FLAG,    /* int32_t *: 1 if given; takes no value */
    OPTION_SETTING  /* `key` of the command line's recipe; all of them are set at the end, in the order of the table */
};

typedef struct option_row {
    const char *name; /* without the dashes */
    int32_t kind;
    void *target;     /* holds the default before, which --help shows */
    const char *help; /* one line */
    double minimum;
    double maximum;
    const char *const *choices; /* NULL-terminated */
    const char *enum_kind;      /* see moco/names.h */
    const char *key;            /* see moco/recipe.h */
    const char *const
        *fields; /* NULL-terminated: more names that the library has for it, beside those of name and key */
} option_row;

typedef struct command_line {
    const char *program;
    const char *arguments;   /* of the usage line, such as "FILE [OPTION...]" */
    const char *description; /* a few lines */
    const option_row *rows;
    int32_t row_count;
    int32_t operands;    /* how many arguments without dashes there must be */
    moco_recipe *recipe; /* of the settings */
} command_line;

/* Takes --name value and --name=value. A mistake is told with a hint and ends the program with 2; --help and --version
 * end it with 0. operands[line->operands] gets the rest. */
void parse_command_line(const command_line *line, int argc, char **argv, const char **operands);

/* The value of --name as parse_command_line would take it, for an option that decides what others mean; NULL where it is
 * not given. */
const char *find_option(int argc, char **argv, const char *name);

/* For mistakes that only the program itself can see: prints them as above and exits with 2. */
void refuse_usage(const command_line *line, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
