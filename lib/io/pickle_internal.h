/* What the files that read pickles share. */
#ifndef MOCO_IO_PICKLE_INTERNAL_H
#define MOCO_IO_PICKLE_INTERNAL_H

#include "io/pickle.h"

typedef struct moco_pickle_block moco_pickle_block; /* of memory */

struct moco_pickle {
    moco_context *context;
    const char *name;
    const moco_pickle_node *root;
    moco_pickle_block *blocks;
    size_t block_used;
    int64_t nodes;
    int64_t items;
    int64_t storages;
    const moco_pickle_storage **storage_list; /* in the order of their first mention */
    int64_t slot_count;                       /* of a hash table: 0 is empty, else a place in the list, plus 1 */
    int64_t *slots;
    /* While it is read: */
    const unsigned char *bytes;
    size_t size;
    size_t at;
    int32_t cut;
    int64_t depth;
    int64_t stack_capacity;
    moco_pickle_node **stack; /* NULL: a mark */
    int64_t memo_count;
    moco_pickle_node **memo; /* NULL: none */
};

/* Fails in a sentence that says where in the pickle. */
moco_status moco_pickle_refuse(const moco_pickle *pickle, moco_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Memory that lives as long as the pickle; NULL without. */
void *moco_pickle_allocate(moco_pickle *pickle, size_t bytes);
moco_status moco_pickle_node_make(moco_pickle *pickle, int32_t kind, moco_pickle_node **out);
/* Appends to a list, a tuple or, both parts of a pair one after another, a dict; `count` stays the caller's. */
moco_status moco_pickle_add_item(moco_pickle *pickle, moco_pickle_node *node, int64_t place,
                                 const moco_pickle_node *item);

/* The next bytes of the pickle; FORMAT where there are not so many. */
moco_status moco_pickle_take(moco_pickle *pickle, size_t count, const unsigned char **bytes);
/* A little-endian number of 1 to 4 bytes. */
moco_status moco_pickle_take_number(moco_pickle *pickle, size_t count, uint32_t *number);

/* Room for element `index` of an array of pointers: the stack or the memo. */
moco_status moco_pickle_grow(moco_pickle *pickle, moco_pickle_node ***array, int64_t *capacity, int64_t index,
                             const char *what);
moco_status moco_pickle_push(moco_pickle *pickle, moco_pickle_node *node);
moco_status moco_pickle_push_new(moco_pickle *pickle, int32_t kind, moco_pickle_node **out);
/* Fail where there is nothing above the last mark. */
moco_status moco_pickle_top(const moco_pickle *pickle, moco_pickle_node **out);
moco_status moco_pickle_pop(moco_pickle *pickle, moco_pickle_node **out);
/* Where the things above the last mark begin. */
moco_status moco_pickle_find_mark(const moco_pickle *pickle, int64_t *first);

/* The node of "module name"; UNSUPPORTED for all but those of tensors. */
moco_status moco_pickle_global(moco_pickle *pickle, const char *module, const char *name, moco_pickle_node **out);
/* A global called with a tuple. */
moco_status moco_pickle_call(moco_pickle *pickle, const moco_pickle_node *function, const moco_pickle_node *arguments,
                             moco_pickle_node **out);
/* What a persistent id stands for: a storage. */
moco_status moco_pickle_persistent(moco_pickle *pickle, const moco_pickle_node *id, moco_pickle_node **out);
/* The finished tree: no circles, not too deep. */
moco_status moco_pickle_check_tree(const moco_pickle *pickle, const moco_pickle_node *root);

#endif
