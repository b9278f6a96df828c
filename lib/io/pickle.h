/* Python pickles of state_dicts as a tree of plain values. This is no interpreter: it knows the 31 opcodes that torch.save
 * writes and the globals of tensors, makes nodes of them, and refuses everything else by its name, even where it would not
 * be used. Nothing that a pickle says is ever executed.
 */
#ifndef MOCO_IO_PICKLE_H
#define MOCO_IO_PICKLE_H

#include "core/context_internal.h"

#define MOCO_PICKLE_MAX_RANK  8
#define MOCO_PICKLE_MAX_DEPTH 64                  /* of nesting */
#define MOCO_PICKLE_MAX_BYTES ((size_t) 64 << 20) /* of one pickle */
#define MOCO_PICKLE_MAX_NODES ((int64_t) 1 << 20) /* values in it, memo entries, and things on its stack */
#define MOCO_PICKLE_MAX_ITEMS ((int64_t) 1 << 21) /* of all its lists, tuples and dicts together */

enum {
    MOCO_PICKLE_NONE,
    MOCO_PICKLE_BOOL,
    MOCO_PICKLE_INT,
    MOCO_PICKLE_BIG_INT, /* of more than 64 bits: its little-endian bytes, as text */
    MOCO_PICKLE_FLOAT,
    MOCO_PICKLE_TEXT,  /* UTF-8 */
    MOCO_PICKLE_TUPLE, /* items */
    MOCO_PICKLE_LIST,
    MOCO_PICKLE_DICT, /* items: key, value, key, value ...; keys are TEXT or INT */
    MOCO_PICKLE_STORAGE,
    MOCO_PICKLE_TENSOR,
    MOCO_PICKLE_GLOBAL /* a class or function by name: only inside of a pickle, never in a finished tree's dicts */
};

typedef struct moco_pickle_node moco_pickle_node;

/* A run of elements that the pickle names by a key, and that lies elsewhere. */
typedef struct moco_pickle_storage {
    const moco_pickle_node *key; /* TEXT */
    int32_t dtype;               /* MOCO_SAFETENSORS_* */
    int32_t reserved;
    int64_t elements;
} moco_pickle_storage;

/* A view of a storage: every element lies inside. Strides, in elements, are at least 0. */
typedef struct moco_pickle_tensor {
    const moco_pickle_storage *storage;
    int64_t offset; /* in elements */
    int32_t rank;
    int32_t reserved;
    int64_t dims[MOCO_PICKLE_MAX_RANK];
    int64_t strides[MOCO_PICKLE_MAX_RANK];
} moco_pickle_tensor;

struct moco_pickle_node {
    int32_t kind;   /* MOCO_PICKLE_* */
    int32_t height; /* of the tree below it, when it was checked */
    int64_t count;  /* of items or, of a dict, pairs; bytes of a text */
    union {
        int64_t integer; /* BOOL and INT; of a GLOBAL, which */
        double real;
        const char *text; /* count bytes without a final zero, in the pickle itself */
        const moco_pickle_node **items;
        const moco_pickle_storage *storage;
        const moco_pickle_tensor *tensor;
    } as;
    int64_t capacity; /* of items */
};

typedef struct moco_pickle moco_pickle;

/* Reads the pickle that `bytes` begin with, which must outlive it. `name` is the file's, for sentences. *used: how long the
 * pickle is. *cut (may be NULL): 1 where it failed since the bytes ended before the pickle did.
 * Errors: FORMAT, UNSUPPORTED (something that Python would do and we don't, by its name), OUT_OF_MEMORY. */
moco_status moco_pickle_parse(moco_pickle **out, moco_context *context, const char *name, const void *bytes,
                              size_t size, size_t *used, int32_t *cut);
void moco_pickle_free(moco_pickle *pickle); /* NULL is a no-op */

/* The value that the pickle stands for: no circles, and nested at most MOCO_PICKLE_MAX_DEPTH deep; the same node may be in
 * several places. */
const moco_pickle_node *moco_pickle_root(const moco_pickle *pickle);

/* All storages that the pickle names, each key once. */
int64_t moco_pickle_storage_count(const moco_pickle *pickle);
const moco_pickle_storage *moco_pickle_storage_get(const moco_pickle *pickle, int64_t index);

/* 1 where the node is this text. */
int32_t moco_pickle_is_text(const moco_pickle_node *node, const char *text);
/* The value of a text key in a dict; NULL without, and for what is no dict. */
const moco_pickle_node *moco_pickle_find(const moco_pickle_node *dict, const char *key);

#endif
