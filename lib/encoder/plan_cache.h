/* Runs a graph at any shape: plans are made at a shape's first use and kept for a few shapes, as long as their layers'
 * own memory, copies of weights, is within a budget; the least recently used goes first. Each pass has a workspace,
 * which keeps its training forward until its backward; meanwhile everything without a backward pass runs in other
 * memory, so that evaluating never disturbs a pending one.
 */
#ifndef MOCO_ENCODER_PLAN_CACHE_H
#define MOCO_ENCODER_PLAN_CACHE_H

#include "encoder/graph_plan.h"
#include "encoder/workspace.h"

#define MOCO_CACHED_PLANS 8
/* Of the memory of the weights themselves: what plans may hold together beside the one that is used. */
#define MOCO_CACHED_WEIGHTS 2

typedef struct moco_plan_cache {
    const moco_graph *graph;
    int32_t input_gradient;
    int32_t reserved;
    uint64_t budget; /* bytes */
    uint64_t clock;
    moco_graph_plan *plans[MOCO_CACHED_PLANS];
    uint64_t last_used[MOCO_CACHED_PLANS];
    const moco_graph_plan *pending[MOCO_ENCODER_PASSES]; /* whose forward waits for its backward; NULL: none does */
    moco_workspace *own[MOCO_ENCODER_PASSES];            /* the first from the start, others from their first forward */
    /* Borrowed from another cache: forwards without a backward run in it while its owner has none pending. May be NULL.
     */
    moco_workspace *lent;
    moco_workspace *spare; /* for such forwards while all the others are taken; NULL until then */
} moco_plan_cache;

/* Prepares a zeroed cache. The graph must outlive it. */
moco_status moco_plan_cache_init(moco_plan_cache *cache, const moco_graph *graph, int32_t input_gradient);
/* Lends the workspace of pass 0 of `source`, which may then run in another thread at the same time: while it is at
 * work in there, `cache` goes elsewhere. */
void moco_plan_cache_lend(moco_plan_cache *cache, const moco_plan_cache *source);
void moco_plan_cache_release(moco_plan_cache *cache);

/* Makes the plan, so that a shape that the network can't take is told before anything is computed. */
moco_status moco_plan_cache_prepare(moco_plan_cache *cache, const moco_plan_key *key);

/* As moco_graph_plan_forward, for the shape of `input` (n x c x h x w). `pass` (0 .. MOCO_ENCODER_PASSES - 1) matters
 * in mode TRAIN alone. A failure in planning or for want of memory leaves the pass's pending backward valid; another
 * pass's stays so in any case. */
moco_status moco_plan_cache_forward(moco_plan_cache *cache, int32_t pass, int32_t mode, int32_t features,
                                    const moco_parameter_table *parameters, uint64_t weight_version,
                                    const moco_tensor *input, const moco_tensor *output);
/* For the pass's last forward in mode TRAIN, once. */
moco_status moco_plan_cache_backward(moco_plan_cache *cache, int32_t pass, const moco_parameter_table *parameters,
                                     uint64_t weight_version, int32_t accumulate, const moco_gradient_hook *hook,
                                     const moco_tensor *d_output, const moco_tensor *d_input);

#endif
