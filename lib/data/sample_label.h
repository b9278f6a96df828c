/* WebDataset's samples: the files of a tar that share a key are one sample, and a .cls or .json among them may have the
 * label of its images.
 */
#ifndef MOCO_SAMPLE_LABEL_H
#define MOCO_SAMPLE_LABEL_H

#include <stddef.h>

#include "core/status_internal.h"

#define MOCO_LABEL_BYTES 1024 /* of a label's text with its NUL */

enum { MOCO_SAMPLE_OTHER = 0, MOCO_SAMPLE_CLS = 1, MOCO_SAMPLE_JSON = 2 };
enum { MOCO_LARGEST_CLS = 4096, MOCO_LARGEST_JSON = 1 << 20 }; /* bytes */

/* The length of a name's key: up to the first dot of what follows the last slash. */
size_t moco_sample_key(const char *name);
/* MOCO_SAMPLE_*, by what follows the key's dot: "cls" or "json" in any case. */
int32_t moco_sample_kind(const char *name);

/* The label in the bytes of such a file, as text of *length bytes in label[MOCO_LABEL_BYTES]; 0: it has none. A .cls is
 * the label, with blanks or a line's end around it; a .json is an object that may have a "label", "cls" or "class".
 * FORMAT with what is wrong with the bytes; UNSUPPORTED: a .json, built without Jansson. */
moco_status moco_sample_label(int32_t kind, const char *bytes, size_t size, char label[MOCO_LABEL_BYTES],
                              size_t *length);

#endif
