#include <string.h>

#include "encoder/graph_plan.h"
#include "encoder/running_statistics.h"

/* One pass over a plan: what every step's tensors are made from. */
typedef struct pass {
    const moco_graph_plan *plan;
    void *arena;
    const moco_parameter_table *parameters;
    uint64_t weight_version;
    const moco_tensor *input; /* forward: the images; backward: dL/d(images) or NULL */
    const moco_tensor *output;
} pass;

static moco_tensor block_of(const pass *run, int64_t block, int32_t dtype) {
    if (block == MOCO_NO_BLOCK) return moco_tensor_none();
    const moco_arena_block *placed = &run->plan->blocks[block];
    return moco_tensor_1d(run->arena, placed->offset, dtype, (int64_t) (placed->bytes / moco_dtype_size(dtype)));
}

/* Working memory. */
static moco_tensor block_tensor(const pass *run, int64_t block) {
    return block_of(run, block, MOCO_DTYPE_F32);
}

/* The tensor of `value` in `block`, or in the caller's memory where it has no block. */
static moco_tensor shaped(const pass *run, int32_t value, int64_t block, const moco_tensor *callers) {
    moco_tensor tensor = moco_tensor_none();
    if (block != MOCO_NO_BLOCK) {
        tensor = block_of(run, block, run->plan->values[value].dtype);
    } else if (callers != NULL) {
        tensor = *callers;
    }
    const moco_plan_value *planned = &run->plan->values[value];
    tensor.rank = planned->rank;
    memcpy(tensor.dims, planned->dims, sizeof tensor.dims);
    tensor.layout = planned->layout;
    return tensor;
}

static moco_tensor activation(const pass *run, int32_t value, const moco_tensor *callers) {
    return shaped(run, value, run->plan->values[value].memory, callers);
}

static void set_parameters(const pass *run, const moco_plan_step *step, moco_layer_args *args) {
    if (step->node < 0) return;
    const moco_graph_node *node = &run->plan->graph->nodes[step->node];
    const moco_parameter *items = run->parameters->items;
    for (int32_t i = 0; i < node->parameter_count; ++i) {
        args->parameters[i] = items[node->parameters[i]].value;
        args->d_parameters[i] = items[node->parameters[i]].gradient; /* none of a buffer */
    }
}

static moco_layer_args common_args(const pass *run, const moco_plan_step *step, int64_t scratch) {
    moco_layer_args args;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.mode = run->plan->key.mode;
    args.weight_version = run->weight_version;
    args.saved = block_tensor(run, step->saved);
    args.scratch = block_tensor(run, scratch);
    set_parameters(run, step, &args);
    return args;
}

moco_status moco_graph_plan_forward(const moco_graph_plan *plan, void *arena, const moco_parameter_table *parameters,
                                    uint64_t weight_version, const moco_tensor *input, const moco_tensor *output) {
    const pass run = {plan, arena, parameters, weight_version, input, output};
    if (plan->values[0].memory != MOCO_NO_BLOCK) {
        const moco_tensor kept = activation(&run, 0, NULL);
        MOCO_TRY(moco_tensor_copy(plan->context, &kept, input));
    }
    for (int32_t s = 0; s < plan->step_count; ++s) {
        const moco_plan_step *step = &plan->steps[s];
        moco_layer_args args = common_args(&run, step, step->forward_scratch);
        for (int32_t i = 0; i < step->layer.desc.input_count; ++i) {
            args.inputs[i] = activation(&run, step->inputs[i], input);
        }
        args.y = activation(&run, step->y, NULL);
        MOCO_TRY(moco_layer_forward(&step->layer, &args));
    }
    /* Before the caller's tensor is written. A graph without parameters, a caller's network's, has none to spoil. */
    if (plan->key.mode != MOCO_MODE_EVALUATE && plan->graph->parameter_count > 0) {
        MOCO_TRY(moco_running_statistics_check(parameters, plan->context));
    }
    const moco_tensor result = activation(&run, plan->output, NULL);
    return moco_tensor_copy(plan->context, output, &result);
}

/* gradient += part, as flat runs: layouts of the two are the same. */
static moco_status add_part(const pass *run, int32_t value, int64_t part) {
    const int32_t dtype = run->plan->values[value].dtype;
    const moco_tensor source = block_of(run, part, dtype);
    const int64_t block = run->plan->values[value].gradient;
    const moco_tensor target = block != MOCO_NO_BLOCK ? block_of(run, block, dtype)
                                                      : moco_tensor_1d(run->input->buffer, run->input->offset,
                                                                       MOCO_DTYPE_F32, moco_tensor_elements(&source));
    return moco_tensor_add(run->plan->context, &target, &source);
}

/* A frozen parameter's gradient is zero, whatever its layer made. */
static moco_status clear_frozen(const pass *run, const moco_plan_step *step) {
    if (step->node < 0) return MOCO_OK;
    const moco_graph_node *node = &run->plan->graph->nodes[step->node];
    for (int32_t i = 0; i < node->parameter_count; ++i) {
        const moco_parameter *item = &run->parameters->items[node->parameters[i]];
        if (item->gradient.buffer == NULL || (item->flags & MOCO_PARAMETER_FROZEN) == 0) continue;
        MOCO_TRY(moco_tensor_fill_zero(run->plan->context, &item->gradient));
    }
    return MOCO_OK;
}

/* 1 if a step before `s`, which goes backward later, has a gradient for parameter `index`. */
static int32_t is_used_before(const moco_graph_plan *plan, int32_t s, int64_t index) {
    for (int32_t before = 0; before < s; ++before) {
        if (plan->steps[before].node < 0) continue;
        const moco_graph_node *node = &plan->graph->nodes[plan->steps[before].node];
        for (int32_t i = 0; i < node->parameter_count; ++i) {
            if (node->parameters[i] == index) return 1;
        }
    }
    return 0;
}

/* After the backward of step `s`: tells of the parameters that no other step comes to, as far as they follow each other
 * from the end of the table, and moves *ready, the first of those told of, down. */
static moco_status announce(const pass *run, int32_t s, const moco_gradient_hook *hook, int64_t *ready) {
    int64_t first = *ready;
    if (hook == NULL) return MOCO_OK;
    while (first > 0 && (run->parameters->items[first - 1].kind != MOCO_PARAMETER_LEARNABLE ||
                         !is_used_before(run->plan, s, first - 1))) {
        --first;
    }
    if (first == *ready) return MOCO_OK;
    const int64_t end = *ready;
    *ready = first;
    if (hook->ready(first, end, hook->user) == 0) return MOCO_OK;
    return moco_fail(MOCO_CALLBACK, "the gradient hook returned non-zero for parameters %lld to %lld",
                     (long long) first, (long long) end - 1);
}

/* What a backward pass reads of input i, and where its gradient goes. */
static void set_backward_input(const pass *run, const moco_plan_step *step, int32_t i, moco_layer_args *args) {
    const int32_t value = step->inputs[i], use = step->gradient_use[i];
    if (step->layer.info.backward_needs_inputs & 1 << i) args->inputs[i] = activation(run, value, NULL);
    if (use == MOCO_GRADIENT_ADD) {
        args->d_inputs[i] = shaped(run, value, step->gradient_part[i], NULL);
    } else if (use != MOCO_GRADIENT_NONE) {
        if (use == MOCO_GRADIENT_ACCUMULATE) args->accumulate_inputs |= 1 << i;
        args->d_inputs[i] = shaped(run, value, run->plan->values[value].gradient, run->input);
    }
}

moco_status moco_graph_plan_backward(const moco_graph_plan *plan, void *arena, const moco_parameter_table *parameters,
                                     uint64_t weight_version, int32_t accumulate, const moco_gradient_hook *hook,
                                     const moco_tensor *d_output, const moco_tensor *d_input) {
    const pass run = {plan, arena, parameters, weight_version, d_input, d_output};
    int64_t ready = parameters->count;
    for (int32_t s = plan->step_count - 1; s >= 0; --s) {
        const moco_plan_step *step = &plan->steps[s];
        moco_layer_args args = common_args(&run, step, step->backward_scratch);
        args.accumulate = accumulate;
        for (int32_t i = 0; i < step->layer.desc.input_count; ++i) set_backward_input(&run, step, i, &args);
        if (step->layer.info.backward_needs_y) args.y = activation(&run, step->y, NULL);
        args.dy = shaped(&run, step->y, plan->values[step->y].gradient, d_output);
        MOCO_TRY(moco_layer_backward(&step->layer, &args));
        MOCO_TRY(clear_frozen(&run, step));
        MOCO_TRY(announce(&run, s, hook, &ready));
        for (int32_t i = 0; i < step->layer.desc.input_count; ++i) {
            if (step->gradient_use[i] != MOCO_GRADIENT_ADD) continue;
            MOCO_TRY(add_part(&run, step->inputs[i], step->gradient_part[i]));
        }
    }
    return MOCO_OK;
}
