/* The part of Python's pickle, protocol 2, that torch.save writes for a dictionary of tensors. Each function appends one
 * value (or its beginning or end) to a moco_byte_buffer; nothing is memoized, so every value stands alone.
 *
 *   moco_pickle_begin(b);
 *   moco_pickle_dict_begin(b, MOCO_DICT_ORDERED);
 *   moco_pickle_text(b, "fc.bias"); moco_pickle_tensor(b, MOCO_STORAGE_FLOAT, "0", 1, dims);
 *   moco_pickle_dict_end(b);
 *   moco_pickle_end(b);
 */
#ifndef MOCO_IO_PICKLE_WRITER_H
#define MOCO_IO_PICKLE_WRITER_H

#include "io/byte_buffer.h"

enum { MOCO_STORAGE_FLOAT = 0, MOCO_STORAGE_LONG = 1 }; /* torch.FloatStorage, LongStorage */
enum { MOCO_DICT_PLAIN = 0, MOCO_DICT_ORDERED = 1 };    /* dict, collections.OrderedDict */

void moco_pickle_begin(moco_byte_buffer *pickle);
void moco_pickle_end(moco_byte_buffer *pickle);

/* Keys and values, each a value, come in between in turn. */
void moco_pickle_dict_begin(moco_byte_buffer *pickle, int32_t kind);
void moco_pickle_dict_end(moco_byte_buffer *pickle);

void moco_pickle_text(moco_byte_buffer *pickle, const char *text);                           /* UTF-8 */
void moco_pickle_text_after(moco_byte_buffer *pickle, const char *prefix, const char *text); /* one string of both */
void moco_pickle_integer(moco_byte_buffer *pickle, int64_t value);
void moco_pickle_true(moco_byte_buffer *pickle);
/* A contiguous tensor of its own storage, whose elements are in the archive's entry data/<key>. */
void moco_pickle_tensor(moco_byte_buffer *pickle, int32_t storage, const char *key, int32_t rank, const int64_t *dims);

#endif
