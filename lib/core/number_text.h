/* Numbers as text that means the same in every locale. */
#ifndef MOCO_CORE_NUMBER_TEXT_H
#define MOCO_CORE_NUMBER_TEXT_H

#include <stdint.h>

#define MOCO_NUMBER_TEXT_SIZE 32

/* The shortest decimal text that reads back as exactly `value`, such as "0.1"; "nan", "inf" or "-inf" otherwise. */
void moco_double_to_text(double value, char text[MOCO_NUMBER_TEXT_SIZE]);

/* 1 and *value if all of `text` is one finite number, else 0. */
int32_t moco_text_to_double(const char *text, double *value);
int32_t moco_text_to_i64(const char *text, int64_t *value);
int32_t moco_text_to_u64(const char *text, uint64_t *value);

#endif
