/* The allocator of a context that is given none. Everything in lib/ allocates through moco_allocate() of
 * context_internal.h. */
#ifndef MOCO_CORE_MEMORY_H
#define MOCO_CORE_MEMORY_H

#include <stdint.h>

/* A moco_allocate_fn and a moco_deallocate_fn: small blocks are the C library's, large ones are mapped, in large pages
 * where they pay, and go back to the system when they are freed. Nothing of the process is changed for it. Aligned to 64;
 * a size is a multiple of it. */
void *moco_default_allocate(uint64_t size, uint64_t alignment, void *user);
void moco_default_deallocate(void *memory, void *user);

#endif
