/* Runs a graph at any shape: plans are made at a shape's first use and kept for a few shapes, the least recently used
 * goes first. Plans share two arenas: one keeps a training forward until its backward, the other is for everything
 * without a backward pass, so that evaluating never disturbs a pending one.
 */
#ifndef MOCO_ENCODER_PLAN_CACHE_H
#define MOCO_ENCODER_PLAN_CACHE_H

#include "encoder/graph_plan.h"

#define MOCO_CACHED_PLANS 8

typedef struct moco_plan_arena {
    void *buffer;
    uint64_t bytes;
} moco_plan_arena;

typedef struct moco_plan_cache {
    const moco_graph *graph;
    int32_t input_gradient;
    int32_t reserved;
    uint64_t clock;
    moco_graph_plan *plans[MOCO_CACHED_PLANS];
    uint64_t last_used[MOCO_CACHED_PLANS];
    const moco_graph_plan *pending; /* its forward waits for a backward */
    moco_plan_arena training;
    moco_plan_arena transient;
} moco_plan_cache;

/* Prepares a zeroed cache; allocates nothing. The graph must outlive it. */
void moco_plan_cache_init(moco_plan_cache *cache, const moco_graph *graph, int32_t input_gradient);
void moco_plan_cache_release(moco_plan_cache *cache);

/* As moco_graph_plan_forward, for the shape of `input` (n x c x h x w). While it fails in planning or for want of
 * memory, a pending backward stays valid. */
moco_status moco_plan_cache_forward(moco_plan_cache *cache, int32_t mode, int32_t features,
                                    const moco_parameter_table *parameters, uint64_t weight_version,
                                    const moco_tensor *input, const moco_tensor *output);
/* For the last forward in mode TRAIN, once. */
moco_status moco_plan_cache_backward(moco_plan_cache *cache, const moco_parameter_table *parameters,
                                     uint64_t weight_version, int32_t accumulate, const moco_tensor *d_output,
                                     const moco_tensor *d_input);

#endif
