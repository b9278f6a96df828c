/* Places blocks with known lifetimes in one piece of memory, so that blocks alive at the same time never overlap. */
#ifndef MOCO_ENCODER_ARENA_H
#define MOCO_ENCODER_ARENA_H

#include "core/context_internal.h"

typedef struct moco_arena_block {
    uint64_t bytes;
    int64_t first; /* time of the first write */
    int64_t last;  /* time of the last read, >= first */
    uint64_t offset;
} moco_arena_block;

/* Fills the offsets (multiples of the backends' alignment) and the arena's size. Largest blocks first, each at the lowest offset that is
 * free during its whole life: simple, and near the optimum for the nested lifetimes of a network. */
moco_status moco_arena_assign(moco_context *context, moco_arena_block *blocks, int64_t count, uint64_t *arena_bytes);

#endif
