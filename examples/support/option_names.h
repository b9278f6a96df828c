/* From the library's words to the user's: its sentences name fields and arguments, of which a user typed options. */
#ifndef MOCO_EXAMPLE_OPTION_NAMES_H
#define MOCO_EXAMPLE_OPTION_NAMES_H

#include <stddef.h>

#define OPTION_SENTENCE_SIZE 1200

/* Sentences about `field`, such as "drop_last" or "loader.drop_last", speak of `option` from now on. Both strings must
 * last. */
void name_option(const char *field, const char *option);

/* The sentence in the words of the options, with the names of values (mlp) for their constants (MOCO_HEAD_MLP). A name of
 * one plain word, such as "capacity", is only taken for a field where it has the place of one: "capacity is 0; ..." or, of
 * a section, "momentum of the optimizer is 1; ...". Returns `text`. */
const char *in_options(const char *sentence, char text[OPTION_SENTENCE_SIZE]);

#endif
