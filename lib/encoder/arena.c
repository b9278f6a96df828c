#include "encoder/arena.h"

#include <string.h>

#include "backend/backend_chain.h"

/* Largest first; among equals the earlier one. */
static int32_t precedes(const moco_arena_block *blocks, int64_t a, int64_t b) {
    if (blocks[a].bytes != blocks[b].bytes) return blocks[a].bytes > blocks[b].bytes;
    if (blocks[a].first != blocks[b].first) return blocks[a].first < blocks[b].first;
    return a < b;
}

static void sift_down(int64_t *heap, int64_t root, int64_t count, const moco_arena_block *blocks) {
    for (;;) {
        int64_t child = 2 * root + 1;
        if (child >= count) return;
        if (child + 1 < count && precedes(blocks, heap[child], heap[child + 1])) child++;
        if (!precedes(blocks, heap[root], heap[child])) return;
        const int64_t swapped = heap[root];
        heap[root] = heap[child];
        heap[child] = swapped;
        root = child;
    }
}

/* Heap sort: unlike qsort it allocates nothing. */
static void sort_by_size(int64_t *order, int64_t count, const moco_arena_block *blocks) {
    for (int64_t i = 0; i < count; ++i) order[i] = i;
    for (int64_t i = count / 2 - 1; i >= 0; --i) sift_down(order, i, count, blocks);
    for (int64_t end = count - 1; end > 0; --end) {
        const int64_t swapped = order[0];
        order[0] = order[end];
        order[end] = swapped;
        sift_down(order, 0, end, blocks);
    }
}

static uint64_t aligned(uint64_t bytes, uint64_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

moco_status moco_arena_assign(moco_context *context, moco_arena_block *blocks, int64_t count, uint64_t *arena_bytes) {
    const uint64_t alignment = moco_buffer_alignment(context);
    uint64_t total = 0; /* an upper bound of every offset: if it can be counted, nothing below overflows */
    for (int64_t i = 0; i < count; ++i) {
        uint64_t rounded;
        if (__builtin_add_overflow(blocks[i].bytes, alignment - 1, &rounded) ||
            __builtin_add_overflow(total, rounded, &total) || total > SIZE_MAX / 2) {
            return moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: the layers' working memory is more than can be "
                                                 "addressed; use a smaller batch or smaller images");
        }
    }
    int64_t *order = (int64_t *) moco_allocate_zeroed(context, 2 * (size_t) count, sizeof *order);
    if (order == NULL) return MOCO_OUT_OF_MEMORY;
    int64_t *placed = order + count; /* by offset */
    sort_by_size(order, count, blocks);

    uint64_t size = 0;
    for (int64_t i = 0; i < count; ++i) {
        moco_arena_block *block = &blocks[order[i]];
        block->offset = 0;
        for (int64_t j = 0; j < i; ++j) {
            const moco_arena_block *other = &blocks[placed[j]];
            if (other->first > block->last || block->first > other->last) continue;
            if (other->offset >= block->offset + aligned(block->bytes, alignment))
                break; /* the gap before `other` is enough */
            const uint64_t end = other->offset + aligned(other->bytes, alignment);
            if (end > block->offset) block->offset = end;
        }
        int64_t position = i;
        while (position > 0 && blocks[placed[position - 1]].offset > block->offset) position--;
        memmove(&placed[position + 1], &placed[position], (size_t) (i - position) * sizeof *placed);
        placed[position] = order[i];
        const uint64_t end = block->offset + aligned(block->bytes, alignment);
        if (end > size) size = end;
    }
    moco_deallocate(context, order);
    *arena_bytes = size;
    return MOCO_OK;
}
