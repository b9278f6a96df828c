#include "support/option_names.h"

#include <ctype.h>
#include <moco/names.h>
#include <stdio.h>
#include <string.h>

#include "support/example_support.h"

#define MOST_NAMES 256

static struct {
    const char *field;
    const char *option;
} names[MOST_NAMES];
static int name_count;

void name_option(const char *field, const char *option) {
    for (int i = 0; i < name_count; ++i) {
        if (strcmp(names[i].field, field) != 0) continue;
        names[i].option = option;
        return;
    }
    if (name_count == MOST_NAMES) stop("more than %d names of options", MOST_NAMES);
    names[name_count].field = field;
    names[name_count++].option = option;
}

static const char *option_of(const char *word, size_t length) {
    static const char query[] = "query_"; /* the query encoder is the one that is chosen */
    if (length > sizeof query && strncmp(word, query, sizeof query - 1) == 0) {
        return option_of(word + sizeof query - 1, length - (sizeof query - 1));
    }
    for (int i = 0; i < name_count; ++i) {
        if (strlen(names[i].field) == length && strncmp(names[i].field, word, length) == 0) return names[i].option;
    }
    return NULL;
}

static int is_of_a_word(char c) {
    return isalnum((unsigned char) c) || c == '_' || c == '.' || c == '-';
}

/* How long the word at `at` is, without a full stop behind it. */
static size_t word_length(const char *at) {
    size_t length = 0;
    while (is_of_a_word(at[length])) ++length;
    while (length > 0 && at[length - 1] == '.') --length;
    return length;
}

/* 1 where the word can only be a field's, or stands where a sentence names what it is about. */
static int names_a_field(const char *sentence, const char *word, size_t length) {
    if (memchr(word, '_', length) != NULL || memchr(word, '.', length) != NULL) return 1;
    const int begins = word == sentence || (word - sentence > 1 && strchr(":;", word[-2]) != NULL);
    return begins && (strncmp(word + length, " is ", 4) == 0 || strncmp(word + length, " has ", 5) == 0 ||
                      strncmp(word + length, ": ", 2) == 0);
}

/* --- "FIELD of the PART is ..." --- */

/* The option of PART.FIELD where the sentence goes on so behind the field; *length becomes that of all up to " is". */
static const char *option_of_part(const char *word, size_t *length) {
    static const char of_the[] = " of the ";
    const char *part = word + *length + sizeof of_the - 1;
    const char *end;
    char key[128];
    if (strncmp(word + *length, of_the, sizeof of_the - 1) != 0) return NULL;
    end = strstr(part, " is ");
    if (end == NULL || *length + (size_t) (end - part) + 2 > sizeof key) return NULL;
    snprintf(key, sizeof key, "%.*s.%.*s", (int) (end - part), part, (int) *length, word);
    for (char *at = key; *at != '\0'; ++at) {
        if (*at == ' ') *at = '_'; /* "momentum encoder" */
    }
    const char *option = option_of(key, strlen(key));
    if (option != NULL) *length = (size_t) (end - word);
    return option;
}

/* --- MOCO_HEAD_MLP -> "mlp" --- */

/* 1 where the constant ends in the value's name. */
static int ends_in(const char *constant, size_t length, const char *name) {
    const size_t bytes = strlen(name);
    if (bytes + 1 >= length || constant[length - bytes - 1] != '_') return 0;
    for (size_t i = 0; i < bytes; ++i) {
        const char wanted = name[i] == '-' ? '_' : (char) toupper((unsigned char) name[i]);
        if (constant[length - bytes + i] != wanted) return 0;
    }
    return 1;
}

/* A value's name is its constant's without the prefix (moco/names.h), so the longest that fits. */
static const char *value_of(const char *word, size_t length) {
    const char *best = NULL;
    if (length < 5 || strncmp(word, "MOCO_", 5) != 0) return NULL;
    for (int32_t kind = 0; moco_enum_kind(kind) != NULL; ++kind) {
        const char *name;
        for (int32_t value = 0; (name = moco_enum_name(moco_enum_kind(kind), value)) != NULL; ++value) {
            if (ends_in(word, length, name) && (best == NULL || strlen(name) > strlen(best))) best = name;
        }
    }
    return best;
}

/* --- The sentence --- */

/* What stands for the word at `at` of *length, which may grow; NULL: itself. */
static const char *replacement(const char *sentence, const char *at, size_t *length) {
    const char *other = value_of(at, *length);
    if (other == NULL) other = option_of_part(at, length);
    if (other == NULL && names_a_field(sentence, at, *length)) other = option_of(at, *length);
    return other;
}

const char *in_options(const char *sentence, char text[OPTION_SENTENCE_SIZE]) {
    size_t used = 0;
    int quoted = 0; /* what was typed stays as it is */
    for (const char *at = sentence; *at != '\0' && used + 1 < OPTION_SENTENCE_SIZE;) {
        size_t length = quoted || (at > sentence && is_of_a_word(at[-1])) ? 0 : word_length(at);
        const char *other = length > 0 ? replacement(sentence, at, &length) : NULL;
        if (other != NULL) {
            used += (size_t) snprintf(text + used, OPTION_SENTENCE_SIZE - used, "%s", other);
            at += length;
            continue;
        }
        if (*at == '"') quoted = !quoted;
        text[used++] = *at++;
    }
    if (used >= OPTION_SENTENCE_SIZE) used = OPTION_SENTENCE_SIZE - 1;
    text[used] = '\0';
    return text;
}
