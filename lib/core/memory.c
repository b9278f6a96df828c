#define _DEFAULT_SOURCE /* madvise, MAP_ANONYMOUS */
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/context_internal.h"

#define ALIGNMENT  64
#define LARGE_PAGE ((size_t) 2 << 20)
#define LARGE      ((size_t) 16 << 20) /* from here on the rounding up is little */

/* A block from here on is mapped by itself, so that the system has it back when it is freed. The C library would keep
 * those below its own, moving threshold, and with image sizes that change hold several times of what is in use. But
 * mapping costs a page fault for every 4 KiB, so what may come and go in every step is mapped only where it is huge. */
#define MAPPED_FROM         ((size_t) 4 << 20)
#define LASTING_MAPPED_FROM ((size_t) 256 << 10)

/* The address sanitizer and its leak check know the C library's blocks only. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#endif

/* In the ALIGNMENT bytes before each block. */
typedef struct block_head {
    void *base;    /* what the system or the C library gave */
    size_t mapped; /* bytes; 0: the C library's */
} block_head;

static void *begin_block(void *base, size_t offset, size_t mapped) {
    char *memory = (char *) base + offset;
    const block_head head = {base, mapped};
    memcpy(memory - ALIGNMENT, &head, sizeof head);
    return memory;
}

#ifdef HAS_ADDRESS_SANITIZER
static void *map_block(size_t size) {
    (void) size;
    return NULL;
}
#else
/* Activations and weights in large pages spare the processor most misses of its address cache: several per cent of a
 * training step. Where the system has none to give, the advice has no effect. NULL without memory. */
static void *map_block(size_t size) {
    const int32_t is_large = size >= LARGE;
    const size_t before = is_large ? LARGE_PAGE : ALIGNMENT;
    if (size > SIZE_MAX - 2 * LARGE_PAGE) return NULL;
    const size_t mapped = before + (is_large ? (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE : size);
    void *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return NULL;
    size_t offset = ALIGNMENT;
#ifdef MADV_HUGEPAGE
    if (is_large) {
        const size_t past = (uintptr_t) base % LARGE_PAGE; /* a page's own beginning leaves no room for the head */
        offset = past == 0 ? LARGE_PAGE : LARGE_PAGE - past;
        madvise((char *) base + offset, mapped - LARGE_PAGE, MADV_HUGEPAGE);
    }
#endif
    return begin_block(base, offset, mapped);
}
#endif

static void *allocate_block(size_t size, size_t mapped_from) {
    if (size > SIZE_MAX - ALIGNMENT) return NULL;
    void *memory = size >= mapped_from ? map_block(size) : NULL;
    if (memory != NULL) return memory;
    void *base = aligned_alloc(ALIGNMENT, size + ALIGNMENT);
    return base == NULL ? NULL : begin_block(base, ALIGNMENT, 0);
}

void *moco_default_allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
    (void) alignment; /* ALIGNMENT is all that is asked for */
    return size > SIZE_MAX - ALIGNMENT ? NULL : allocate_block((size_t) size, MAPPED_FROM);
}

void moco_default_deallocate(void *memory, void *user) {
    (void) user;
    block_head head;
    memcpy(&head, (char *) memory - ALIGNMENT, sizeof head);
    if (head.mapped > 0) {
        munmap(head.base, head.mapped);
    } else {
        free(head.base);
    }
}

static void *allocate(moco_context *context, size_t size, size_t mapped_from) {
    void *memory = NULL;
    /* aligned_alloc wants a multiple of the alignment, and a valid pointer for size 0. */
    const size_t rounded = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded >= size) {
        memory = context == NULL || context->allocate == moco_default_allocate
                     ? allocate_block(rounded, mapped_from)
                     : context->allocate(rounded, ALIGNMENT, context->allocator_user);
    }
    if (memory == NULL) moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: an allocation of %zu bytes failed", size);
    return memory;
}

void *moco_allocate(moco_context *context, size_t size) {
    return allocate(context, size, MAPPED_FROM);
}

void *moco_allocate_lasting(moco_context *context, size_t size) {
    return allocate(context, size, LASTING_MAPPED_FROM);
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
