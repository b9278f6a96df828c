/* Sorting in place, in n log n steps whatever the order of a hostile file, and without the memory that the C library's qsort
 * may take.
 */
#ifndef MOCO_IO_HEAP_SORT_H
#define MOCO_IO_HEAP_SORT_H

#include <stddef.h>
#include <stdint.h>

/* 1 where element `a` goes behind element `b`. */
typedef int32_t (*moco_goes_behind_fn)(const void *a, const void *b);

/* Elements that are in order already cost one pass. */
void moco_heap_sort(void *elements, size_t count, size_t size, moco_goes_behind_fn behind);

#endif
