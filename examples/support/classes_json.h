/* What the labels of a dataset mean, as a file. */
#ifndef MOCO_EXAMPLE_CLASSES_JSON_H
#define MOCO_EXAMPLE_CLASSES_JSON_H

#include <moco/dataset.h>
#include <stdio.h>

/* `text` as a JSON string. Bytes that are no UTF-8 are written as Python's surrogateescape has them. */
void put_json_string(FILE *file, const char *text);

/* Writes the names of the classes as a JSON array of strings, label 0 first; returns how many. Bytes that are no UTF-8 are
 * written as Python's surrogateescape has them, so that os.fsencode gives them back. Where the dataset has no names, there
 * is no such file afterwards, and the answer is 0. Stops on failure. */
int64_t write_class_names(const char *path, const moco_dataset *dataset);

#endif
