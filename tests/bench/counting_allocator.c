#include "counting_allocator.h"

#include <stdlib.h>
#include <string.h>

/* The size is kept in front of the memory, in as many bytes as the alignment. */
typedef struct block_header {
    uint64_t size;
    uint64_t alignment;
} block_header;

static void *count_allocate(uint64_t size, uint64_t alignment, void *user) {
    counting_allocator *allocator = (counting_allocator *) user;
    if (size > SIZE_MAX / 2) return NULL;
    char *memory =
        (char *) aligned_alloc((size_t) alignment, (size_t) ((size + 2 * alignment - 1) / alignment * alignment));
    if (memory == NULL) return NULL;
    memory += alignment;
    const block_header header = {size, alignment};
    memcpy(memory - sizeof header, &header, sizeof header);
    pthread_mutex_lock(&allocator->mutex);
    allocator->in_use += size;
    if (allocator->in_use > allocator->peak) allocator->peak = allocator->in_use;
    pthread_mutex_unlock(&allocator->mutex);
    return memory;
}

static void count_deallocate(void *memory, void *user) {
    counting_allocator *allocator = (counting_allocator *) user;
    block_header header;
    memcpy(&header, (char *) memory - sizeof header, sizeof header);
    pthread_mutex_lock(&allocator->mutex);
    allocator->in_use -= header.size;
    pthread_mutex_unlock(&allocator->mutex);
    free((char *) memory - header.alignment);
}

void counting_allocator_init(counting_allocator *allocator) {
    memset(allocator, 0, sizeof *allocator);
    pthread_mutex_init(&allocator->mutex, NULL);
}

void counting_allocator_use(counting_allocator *allocator, moco_context_config *config) {
    config->allocate = count_allocate;
    config->deallocate = count_deallocate;
    config->allocator_user = allocator;
}

uint64_t counting_allocator_mark(counting_allocator *allocator) {
    pthread_mutex_lock(&allocator->mutex);
    const uint64_t in_use = allocator->in_use;
    allocator->peak = in_use;
    pthread_mutex_unlock(&allocator->mutex);
    return in_use;
}

uint64_t counting_allocator_peak(counting_allocator *allocator) {
    pthread_mutex_lock(&allocator->mutex);
    const uint64_t peak = allocator->peak;
    pthread_mutex_unlock(&allocator->mutex);
    return peak;
}
