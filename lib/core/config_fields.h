/* The fields of all parts' configurations in one table, and each of them as text: what recipes, the metadata of encoder
 * files and programs' options read and write.
 */
#ifndef MOCO_CORE_CONFIG_FIELDS_H
#define MOCO_CORE_CONFIG_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "core/status_internal.h"

enum {
    MOCO_FIELD_TEXT, /* const char *, never NULL */
    MOCO_FIELD_ENUM, /* int32_t, by the name of its value */
    MOCO_FIELD_I32,
    MOCO_FIELD_I64,
    MOCO_FIELD_U64,
    MOCO_FIELD_F64,
    MOCO_FIELD_F64_LIST, /* double[length], such as 120/160 */
    MOCO_FIELD_ENUM_LIST /* int32_t[length] such as jitter/flip, which the value 0 ends */
};

typedef struct moco_config_field {
    const char *key;  /* of recipes: the section's name, a dot, and */
    const char *name; /* the member's */
    int32_t kind;     /* MOCO_FIELD_* */
    int32_t length;   /* of a list */
    size_t offset;    /* in the struct */
    size_t count;     /* of a list: the offset of the int32_t that says how many entries count; 0: all of them do */
    double least;     /* of a number; the part itself may know more about what fits */
    double most;
    const char *enum_kind; /* see moco/names.h */
    int32_t of_run;        /* 1: how a run computes, no part of what it makes; no encoder file keeps it */
} moco_config_field;

/* One for each configuration, in the order of the data. */
enum {
    MOCO_CONFIG_LOADER,
    MOCO_CONFIG_AUGMENT,
    MOCO_CONFIG_ENCODER,
    MOCO_CONFIG_MOMENTUM_ENCODER,
    MOCO_CONFIG_QUEUE,
    MOCO_CONFIG_LOSS,
    MOCO_CONFIG_OPTIMIZER,
    MOCO_CONFIG_SCHEDULE,
    MOCO_CONFIG_TRAINER,
    MOCO_CONFIG_SECTIONS
};

typedef struct moco_config_section {
    const char *name; /* "loader", ... */
    size_t bytes;     /* sizeof the struct */
    const moco_config_field *fields;
    int32_t count;
} moco_config_section;

extern const moco_config_section moco_config_sections[MOCO_CONFIG_SECTIONS];

/* NULL where the section has no field called so. */
const moco_config_field *moco_config_find_field(int32_t section, const char *name);

/* The bytes of the struct that the field, with the count of a list, takes. */
size_t moco_config_field_bytes(const moco_config_field *field);

/* Room for any field's text that is not MOCO_FIELD_TEXT. */
#define MOCO_FIELD_TEXT_SIZE 256

/* *text: the field of `config` as text, in `buffer` or, of a MOCO_FIELD_TEXT, the string itself. INVALID_ARGUMENT for a
 * value without a text, such as a number that is no enum's or not finite; the sentence calls the field `key`. */
moco_status moco_config_field_text(const moco_config_field *field, const char *key, const void *config,
                                   char buffer[MOCO_FIELD_TEXT_SIZE], const char **text);

/* Puts what `text` says into the field. INVALID_ARGUMENT if it is no such value: the sentence calls the field `key` and
 * says what would be right, and `config` is as before. A MOCO_FIELD_TEXT points to `text` then. */
moco_status moco_config_set_field(const moco_config_field *field, const char *key, const char *text, void *config);

#endif
