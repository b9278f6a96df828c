/* The names of classes as they are met, and their final numbers: by sorted name, as torchvision's ImageFolder has them.
 */
#ifndef MOCO_CLASS_TABLE_H
#define MOCO_CLASS_TABLE_H

#include "core/context_internal.h"

/* Starts zeroed but for the context. */
typedef struct moco_class_table {
    moco_context *context;
    char *names; /* NUL-terminated, one after another */
    size_t names_size, names_capacity;
    size_t *name_at; /* [count] */
    size_t name_at_capacity;
    int32_t count;
    int32_t *slots; /* hash table of numbers + 1, 0: free */
    uint32_t slot_count;
} moco_class_table;

/* The number of the class called name[length], a new one if it was not met before. */
moco_status moco_class_table_add(moco_class_table *table, const char *name, size_t length, int32_t *number);

/* Sorts: ranks[number] is the final number of each class; *names, one allocation, points to the names in their order.
 * Both are then the caller's. */
moco_status moco_class_table_sort(const moco_class_table *table, int32_t **ranks, const char *const **names);

void moco_class_table_release(moco_class_table *table);

/* Makes room for `needed` bytes in *memory, whose first `used` bytes are kept; grows by doubling. */
moco_status moco_grow(moco_context *context, void **memory, size_t used, size_t *capacity, size_t needed);

/* What to sort by name. */
typedef struct moco_named {
    const char *name;
    int64_t number;
} moco_named;

/* Stable merge sort, bytewise but for '/', which comes before all other bytes: so a folder's content stays together,
 * and a list of paths has the order in which the folders are walked. qsort would take memory behind the context's back.
 */
moco_status moco_sort_names(moco_context *context, moco_named *items, int64_t count);
int32_t moco_compare_names(const char *a, const char *b);

#endif
