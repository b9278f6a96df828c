#define _DEFAULT_SOURCE /* madvise */
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/context_internal.h"

#define ALIGNMENT  64
#define LARGE_PAGE ((size_t) 2 << 20)
#define LARGE      ((size_t) 16 << 20) /* from here on the rounding up is little */

/* Activations and weights in large pages spare the processor most misses of its address cache: several per cent of a
 * training step. Where the system has none to give, the advice has no effect. */
void *moco_default_allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
#ifdef MADV_HUGEPAGE
    if (size >= LARGE && size <= SIZE_MAX - LARGE_PAGE) {
        const size_t rounded = ((size_t) size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
        void *memory = aligned_alloc(LARGE_PAGE, rounded);
        if (memory != NULL) madvise(memory, rounded, MADV_HUGEPAGE);
        return memory;
    }
#endif
    return aligned_alloc((size_t) alignment, (size_t) size);
}

void moco_default_deallocate(void *memory, void *user) {
    (void) user;
    free(memory);
}

void *moco_allocate(moco_context *context, size_t size) {
    void *memory = NULL;
    /* aligned_alloc wants a multiple of the alignment, and a valid pointer for size 0. */
    const size_t rounded = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded >= size) {
        memory = context == NULL ? moco_default_allocate(rounded, ALIGNMENT, NULL)
                                 : context->allocate(rounded, ALIGNMENT, context->allocator_user);
    }
    if (memory == NULL) moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: an allocation of %zu bytes failed", size);
    return memory;
}

void *moco_allocate_zeroed(moco_context *context, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: %zu elements of %zu bytes are more than can be addressed", count,
                  size);
        return NULL;
    }
    void *memory = moco_allocate(context, bytes);
    if (memory != NULL) memset(memory, 0, bytes);
    return memory;
}

char *moco_duplicate_string(moco_context *context, const char *string) {
    const size_t bytes = strlen(string) + 1;
    char *copy = (char *) moco_allocate(context, bytes);
    if (copy != NULL) memcpy(copy, string, bytes);
    return copy;
}

void moco_deallocate(moco_context *context, void *memory) {
    if (memory == NULL) return;
    if (context == NULL) {
        moco_default_deallocate(memory, NULL);
    } else {
        context->deallocate(memory, context->allocator_user);
    }
}
