/* Who holds a handle: the caller, once, and the parts and calls that use it. A handle lives as long as any of them does.
 *
 * What the caller is lent (a trainer's parts, a key encoder) it does not hold: destroying that, or a handle a second
 * time, lets go of nothing. A call that runs the caller's code holds its handles meanwhile.
 */
#ifndef MOCO_CORE_REFERENCES_H
#define MOCO_CORE_REFERENCES_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct moco_references {
    atomic_int count;
    atomic_int callers; /* 1: the caller's is among them */
} moco_references;

/* One reference: `callers` 1: the caller's; 0: that of the part which has made it. */
static inline void moco_references_init(moco_references *references, int callers) {
    atomic_init(&references->count, 1);
    atomic_init(&references->callers, callers);
}

static inline void moco_references_retain(moco_references *references) {
    atomic_fetch_add_explicit(&references->count, 1, memory_order_relaxed);
}

/* 1 for the last one, who disposes of the handle. */
static inline int32_t moco_references_release(moco_references *references) {
    return atomic_fetch_sub_explicit(&references->count, 1, memory_order_acq_rel) == 1;
}

/* 1 if only one is left, which a call holds that has retained the handle: it ends with the call. */
static inline int32_t moco_references_are_ours(moco_references *references) {
    return atomic_load_explicit(&references->count, memory_order_acquire) == 1;
}

/* The same for the caller, who may have none. */
static inline int32_t moco_references_destroy(moco_references *references) {
    return atomic_exchange(&references->callers, 0) != 0 && moco_references_release(references);
}

#endif
