/* A context whose memory is counted: how much there is now, and how much there was at most. */
#ifndef MOCO_TEST_COUNTED_MEMORY_H
#define MOCO_TEST_COUNTED_MEMORY_H

#include <moco/context.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct counted_memory {
    atomic_size_t now;
    atomic_size_t most;
} counted_memory;

#define COUNTED_ROOM 64 /* in front of each allocation, for its size; keeps the alignment */

static inline void *counted_allocate(uint64_t size, uint64_t alignment, void *user) {
    counted_memory *memory = (counted_memory *) user;
    const size_t bytes = (size_t) size;
    if (alignment > COUNTED_ROOM) abort();
    char *block = (char *) aligned_alloc(COUNTED_ROOM, (bytes + 2 * COUNTED_ROOM - 1) / COUNTED_ROOM * COUNTED_ROOM);
    if (block == NULL) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    const size_t now = atomic_fetch_add(&memory->now, bytes) + bytes;
    size_t most = memory->most;
    while (now > most && !atomic_compare_exchange_weak(&memory->most, &most, now)) continue;
    return block + COUNTED_ROOM;
}

static inline void counted_deallocate(void *pointer, void *user) {
    counted_memory *memory = (counted_memory *) user;
    size_t bytes;
    if (pointer == NULL) return;
    memcpy(&bytes, (char *) pointer - COUNTED_ROOM, sizeof bytes);
    free((char *) pointer - COUNTED_ROOM);
    memory->now -= bytes; /* last: who sees 0 knows that all is freed */
}

static inline void count_memory(moco_context_config *config, counted_memory *memory) {
    config->allocate = counted_allocate;
    config->deallocate = counted_deallocate;
    config->allocator_user = memory;
}

/* One thread; its own few kilobytes count, too. */
static inline moco_context *counted_context(counted_memory *memory) {
    moco_context_config config;
    moco_context *context = NULL;
    if (moco_context_config_init(&config, sizeof config) != MOCO_OK) abort();
    config.threads = 1;
    count_memory(&config, memory);
    if (moco_context_create(&context, &config) != MOCO_OK) abort();
    return context;
}

#endif
