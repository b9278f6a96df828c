/* A graph laid out for one shape and mode: its layers planned on the backends, a reorder wherever two of them disagree
 * on a layout, and a place in the arena for every activation, gradient and piece of working memory.
 *
 * Time runs over the steps: step i runs forward at time i; at time S (S steps) the output is read and its gradient
 * arrives; step i runs backward at time 2 S - i.
 */
#ifndef MOCO_ENCODER_GRAPH_PLAN_H
#define MOCO_ENCODER_GRAPH_PLAN_H

#include "backend/planned_layer.h"
#include "encoder/arena.h"
#include "encoder/encoder_internal.h"
#include "encoder/graph.h"

/* Plans one layer: moco_layer_plan, or a test's own. */
typedef moco_status (*moco_plan_layer_fn)(moco_context *context, const moco_layer_desc *desc, moco_planned_layer *out);

/* What a plan is made for. */
typedef struct moco_plan_key {
    int32_t mode;     /* MOCO_MODE_*; TRAIN: a backward pass may follow */
    int32_t features; /* 1: stop at graph->features */
    int64_t n;
    int64_t c;
    int64_t h;
    int64_t w;
} moco_plan_key;

#define MOCO_NO_BLOCK ((int64_t) -1)

typedef struct moco_plan_value {
    int32_t rank;
    int32_t producer; /* step; -1: the input */
    int64_t dims[4];
    uint64_t layout;
    uint64_t bytes;
    int32_t dtype;
    int32_t reserved;
    int64_t memory;   /* block; NO_BLOCK: the caller's input tensor */
    int64_t gradient; /* block; NO_BLOCK: the caller's tensor, or not wanted */
} moco_plan_value;

/* What a step does with the gradient of one of its inputs: a value with several readers has one that writes, the last
 * one. The others' is added: by the layer where that accumulates, else it writes a part, which is added afterwards. */
enum { MOCO_GRADIENT_NONE = 0, MOCO_GRADIENT_WRITE = 1, MOCO_GRADIENT_ACCUMULATE = 2, MOCO_GRADIENT_ADD = 3 };

typedef struct moco_plan_step {
    moco_planned_layer layer;
    int32_t node;                      /* of the graph; -1: a reorder */
    int32_t inputs[MOCO_LAYER_INPUTS]; /* plan values, as many as the layer has */
    int32_t y;
    int32_t gradient_use[MOCO_LAYER_INPUTS];  /* MOCO_GRADIENT_*, of each input */
    int64_t gradient_part[MOCO_LAYER_INPUTS]; /* blocks: where it goes before it is added */
    int64_t saved;
    int64_t forward_scratch;
    int64_t backward_scratch;
} moco_plan_step;

typedef struct moco_graph_plan {
    moco_context *context;
    const moco_graph *graph;
    moco_plan_key key;
    int32_t input_gradient; /* 1: the gradient of the input is wanted */
    int32_t step_count;
    int32_t value_count;
    int32_t output; /* plan value */
    int64_t block_count;
    moco_plan_step *steps;
    moco_plan_value *values;
    moco_arena_block *blocks;
    uint64_t arena_bytes;
    uint64_t kept_bytes; /* held by its layers themselves */
} moco_graph_plan;

/* INVALID_ARGUMENT for a shape that the network can't take. `plan_layer` NULL: moco_layer_plan. */
moco_status moco_graph_plan_create(moco_graph_plan **out, const moco_graph *graph, const moco_plan_key *key,
                                   int32_t input_gradient, moco_plan_layer_fn plan_layer);
void moco_graph_plan_destroy(moco_graph_plan *plan); /* NULL is a no-op */

/* --- graph_run.c --- */

/* `arena`: a buffer of at least arena_bytes. input n x c x h x w -> output n x dim, both PLAIN. In mode TRAIN the arena
 * then holds what the backward pass needs, and neither tensor is referred to any more. */
moco_status moco_graph_plan_forward(const moco_graph_plan *plan, void *arena, const moco_parameter_table *parameters,
                                    uint64_t weight_version, const moco_tensor *input, const moco_tensor *output);
/* d_output n x dim. Parameter gradients are overwritten, or added to with accumulate = 1, and `hook` (NULL: none) is
 * told of them. `d_input` NULL without input_gradient. */
moco_status moco_graph_plan_backward(const moco_graph_plan *plan, void *arena, const moco_parameter_table *parameters,
                                     uint64_t weight_version, int32_t accumulate, const moco_gradient_hook *hook,
                                     const moco_tensor *d_output, const moco_tensor *d_input);

#endif
