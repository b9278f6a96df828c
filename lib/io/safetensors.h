/* safetensors files (huggingface/safetensors, README "Format"): 8 bytes with the length of a JSON header, the header,
 * and the tensors' bytes, little-endian and without gaps.
 */
#ifndef MOCO_IO_SAFETENSORS_H
#define MOCO_IO_SAFETENSORS_H

#include "core/context_internal.h"

/* The format's own limit on the header, and ours on dimensions. */
#define MOCO_SAFETENSORS_MAX_HEADER 100000000
#define MOCO_SAFETENSORS_MAX_RANK   8

/* Names as in the file, element sizes in bytes. */
#define MOCO_SAFETENSORS_DTYPES(X) \
    X(BOOL, 1)                     \
    X(U8, 1)                       \
    X(I8, 1)                       \
    X(F8_E4M3, 1)                  \
    X(F8_E5M2, 1)                  \
    X(I16, 2)                      \
    X(U16, 2)                      \
    X(F16, 2)                      \
    X(BF16, 2)                     \
    X(I32, 4)                      \
    X(U32, 4)                      \
    X(F32, 4)                      \
    X(I64, 8)                      \
    X(U64, 8)                      \
    X(F64, 8)

enum {
#define MOCO_SAFETENSORS_ENUM(name, size) MOCO_SAFETENSORS_##name,
    MOCO_SAFETENSORS_DTYPES(MOCO_SAFETENSORS_ENUM)
#undef MOCO_SAFETENSORS_ENUM
        MOCO_SAFETENSORS_DTYPE_COUNT
};

const char *moco_safetensors_dtype_name(int32_t dtype);
size_t moco_safetensors_dtype_size(int32_t dtype);

typedef struct moco_safetensors_entry {
    const char *name;
    int32_t dtype; /* MOCO_SAFETENSORS_* */
    int32_t rank;  /* 0 .. MOCO_SAFETENSORS_MAX_RANK; 0: one element */
    int64_t dims[MOCO_SAFETENSORS_MAX_RANK];
} moco_safetensors_entry;

/* Elements and bytes of a tensor; INVALID_ARGUMENT where a dim is negative or they overflow. */
moco_status moco_safetensors_entry_size(const moco_safetensors_entry *entry, int64_t *elements, size_t *bytes);

/* --- Writing --- */

/* Fills in the values of tensor `index`, in the machine's own byte order. */
typedef moco_status (*moco_safetensors_fill_fn)(int64_t index, void *values, void *user);

/* Writes `count` tensors in the order given, atomically. Metadata: `metadata_count` keys and values. Memory: the header
 * and the largest tensor. Errors: INVALID_ARGUMENT (a name twice or not UTF-8, a bad shape), IO, OUT_OF_MEMORY, and
 * what `fill` fails with. */
moco_status moco_safetensors_write(moco_context *context, const char *path, const moco_safetensors_entry *entries,
                                   int64_t count, const char *const *keys, const char *const *values,
                                   int64_t metadata_count, moco_safetensors_fill_fn fill, void *user);

/* The same of values that lie in memory, tensor_values[i] those of tensor i, without a copy on the way. */
moco_status moco_safetensors_write_values(moco_context *context, const char *path,
                                          const moco_safetensors_entry *entries, const void *const *tensor_values,
                                          int64_t count, const char *const *keys, const char *const *values,
                                          int64_t metadata_count);

/* --- Reading --- */

typedef struct moco_safetensors moco_safetensors;

/* Opens a file and checks all of its header; no tensor is read yet. Errors: NOT_FOUND, IO, FORMAT (which tensor and
 * what is wrong), UNSUPPORTED (built without Jansson). */
moco_status moco_safetensors_open(moco_safetensors **out, moco_context *context, const char *path);
void moco_safetensors_close(moco_safetensors *file); /* NULL is a no-op */

int64_t moco_safetensors_count(const moco_safetensors *file);
/* In the order of the data. Lives as long as `file`. */
const moco_safetensors_entry *moco_safetensors_get(const moco_safetensors *file, int64_t index);
/* The index of a name, -1 if it is none. */
int64_t moco_safetensors_find(const moco_safetensors *file, const char *name);
/* All values of a tensor, in the machine's own byte order. */
moco_status moco_safetensors_read(const moco_safetensors *file, int64_t index, void *values);
/* NULL for a key that is none. Lives as long as `file`. */
const char *moco_safetensors_metadata(const moco_safetensors *file, const char *key);
/* The next entry of the metadata, from *place on, which is NULL at first; NULL behind the last. */
const char *moco_safetensors_metadata_next(const moco_safetensors *file, void **place, const char **value);

/* --- Shared by both --- */

/* Between little-endian and the machine's own order, in place; nothing to do on most machines. */
void moco_safetensors_swap(void *values, int64_t elements, size_t element_size);

#endif
