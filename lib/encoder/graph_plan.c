#include "encoder/graph_plan.h"

#include <stdio.h>
#include <string.h>

#include "backend/layer_kinds.h"
#include "core/checked.h"

/* A plan in the making. */
typedef struct planner {
    moco_graph_plan *plan;
    moco_plan_layer_fn plan_layer;
    int32_t *current; /* graph value -> plan value */
    int32_t *plain;   /* plan value -> its PLAIN copy, -1: none yet */
} planner;

static int32_t is_training(const moco_graph_plan *plan) {
    return plan->key.mode == MOCO_MODE_TRAIN;
}

/* --- Steps and values --- */

static int32_t add_value(planner *p, int32_t producer, int32_t rank, int64_t n, int64_t c, int64_t h, int64_t w) {
    moco_plan_value *value = &p->plan->values[p->plan->value_count];
    const moco_plan_value fresh = {
        .rank = rank, .producer = producer, .dims = {n, c, h, w}, .memory = MOCO_NO_BLOCK, .gradient = MOCO_NO_BLOCK};
    *value = fresh;
    p->plain[p->plan->value_count] = -1;
    return p->plan->value_count++;
}

/* Appends a planned layer, which the plan owns from here on; answers the value it makes. */
static int32_t add_step(planner *p, const moco_planned_layer *layer, int32_t node, const int32_t *inputs) {
    moco_graph_plan *plan = p->plan;
    const int64_t *dims = layer->desc.output.dims;
    moco_plan_step *step = &plan->steps[plan->step_count];
    moco_plan_step fresh = {
        .layer = *layer,
        .node = node,
        .y = add_value(p, plan->step_count, layer->desc.output.rank, dims[0], dims[1], dims[2], dims[3]),
        .saved = MOCO_NO_BLOCK,
        .forward_scratch = MOCO_NO_BLOCK,
        .backward_scratch = MOCO_NO_BLOCK,
    };
    for (int32_t i = 0; i < layer->desc.input_count; ++i) {
        fresh.inputs[i] = inputs[i];
        fresh.gradient_part[i] = MOCO_NO_BLOCK;
    }
    *step = fresh;
    plan->kept_bytes += layer->info.kept_bytes;
    plan->values[step->y].layout = layer->info.output_layout;
    plan->values[step->y].bytes = layer->info.output_bytes;
    plan->values[step->y].dtype = layer->info.output_dtype;
    plan->step_count++;
    return step->y;
}

/* 1 if the step reads `value` as input `first` or a later one. */
static int32_t reads(const moco_plan_step *step, int32_t first, int32_t value) {
    for (int32_t i = first; i < step->layer.desc.input_count; ++i) {
        if (step->inputs[i] == value) return 1;
    }
    return 0;
}

static moco_value_desc describe_value(const planner *p, int32_t value) {
    const moco_plan_value *v = &p->plan->values[value];
    moco_value_desc desc = {.dtype = v->dtype, .rank = v->rank, .layout = v->layout};
    memcpy(desc.dims, v->dims, sizeof desc.dims);
    return desc;
}

/* The desc of a layer on `inputs`, as far as these and the plan decide it. */
static moco_layer_desc describe_inputs(const planner *p, int32_t kind, const int32_t *inputs, int32_t count) {
    moco_layer_desc desc = {
        .struct_size = sizeof desc,
        .kind = kind,
        .dtype = MOCO_DTYPE_F32,
        .training = is_training(p->plan),
        .skip_input_gradient = p->plan->values[inputs[MOCO_INPUT]].producer < 0 && !p->plan->input_gradient,
        .compute_dtype = p->plan->graph->compute_dtype,
        .constant_weights = p->plan->key.mode == MOCO_MODE_EVALUATE,
        .input_count = count,
    };
    for (int32_t i = 0; i < count; ++i) desc.inputs[i] = describe_value(p, inputs[i]);
    return desc;
}

/* `value` in the PLAIN layout: itself, or a copy by a reorder step. */
static moco_status to_plain(planner *p, int32_t value, int32_t *out) {
    *out = value;
    if (p->plan->values[value].layout == MOCO_LAYOUT_PLAIN) return MOCO_OK;
    if (p->plain[value] < 0) {
        const moco_layer_desc desc = describe_inputs(p, MOCO_LAYER_REORDER, &value, 1);
        moco_planned_layer layer;
        MOCO_TRY(p->plan_layer(p->plan->context, &desc, &layer));
        p->plain[value] = add_step(p, &layer, -1, &value);
        p->plan->values[p->plain[value]].layout = MOCO_LAYOUT_PLAIN;
    }
    *out = p->plain[value];
    return MOCO_OK;
}

static moco_status try_layer(planner *p, const moco_graph_node *node, const int32_t *inputs,
                             moco_planned_layer *layer) {
    moco_layer_desc desc = describe_inputs(p, node->kind, inputs, node->input_count);
    desc.epilogue = node->epilogue;
    desc.parameter_count = node->parameter_count;
    desc.of = node->of;
    MOCO_TRY(p->plan_layer(p->plan->context, &desc, layer));
    const moco_status status = moco_layer_check_mode(&layer->desc, p->plan->key.mode);
    if (status != MOCO_OK) moco_layer_release(layer);
    return status;
}

/* A layer takes its inputs as they are where it says so and the others are PLAIN or in the layout of the first. */
static int32_t accepts(const moco_planned_layer *layer) {
    const moco_value_desc *inputs = layer->desc.inputs;
    const uint64_t layout = inputs[MOCO_INPUT].layout;
    for (int32_t i = 1; i < layer->desc.input_count; ++i) {
        if (inputs[i].layout != MOCO_LAYOUT_PLAIN && inputs[i].layout != layout) return 0;
    }
    return layer->info.wanted_input_layout == layout;
}

/* A refusal, with which layer it is of and for what images. */
static moco_status explain(const planner *p, const moco_graph_node *node, int32_t index, moco_status status) {
    const moco_graph *graph = p->plan->graph;
    char layer[MOCO_NAME_CAPACITY + 16];
    snprintf(layer, sizeof layer, "layer %d", index);
    if (node->parameter_count > 0) { /* its name is that of its first parameter without the last part */
        const char *name = graph->parameters[node->parameters[0]].name, *end = strrchr(name, '.');
        snprintf(layer, sizeof layer, "layer %.*s", end == NULL ? (int) strlen(name) : (int) (end - name), name);
    }
    return moco_fail(status, "%s of this network can't take images of %lld x %lld x %lld x %lld: %s", layer,
                     (long long) p->plan->key.n, (long long) p->plan->key.c, (long long) p->plan->key.h,
                     (long long) p->plan->key.w, moco_last_error());
}

static moco_status plan_node(planner *p, int32_t index) {
    const moco_graph_node *node = &p->plan->graph->nodes[index];
    int32_t inputs[MOCO_LAYER_INPUTS] = {0}, all_plain = 1;
    for (int32_t i = 0; i < node->input_count; ++i) {
        inputs[i] = p->current[node->inputs[i]];
        all_plain &= p->plan->values[inputs[i]].layout == MOCO_LAYOUT_PLAIN;
    }
    moco_planned_layer layer;
    memset(&layer, 0, sizeof layer);
    moco_status status = try_layer(p, node, inputs, &layer);
    if (!all_plain && (status == MOCO_UNSUPPORTED || (status == MOCO_OK && !accepts(&layer)))) {
        if (status == MOCO_OK) moco_layer_release(&layer);
        for (int32_t i = 0; i < node->input_count; ++i) MOCO_TRY(to_plain(p, inputs[i], &inputs[i]));
        status = try_layer(p, node, inputs, &layer);
    }
    if (status == MOCO_INVALID_ARGUMENT) return explain(p, node, index, status);
    MOCO_TRY(status);
    if (!accepts(&layer)) {
        moco_layer_release(&layer);
        return moco_fail(MOCO_INTERNAL, "the backend refuses a PLAIN input for layer kind %d", node->kind);
    }
    p->current[index + 1] = add_step(p, &layer, index, inputs);
    return MOCO_OK;
}

/* --- Memory --- */

static int64_t add_block(planner *p, uint64_t bytes, int64_t first, int64_t last) {
    if (bytes == 0) return MOCO_NO_BLOCK;
    const moco_arena_block block = {bytes, first, last, 0};
    p->plan->blocks[p->plan->block_count] = block;
    return p->plan->block_count++;
}

static int64_t backward_time(const moco_graph_plan *plan, int32_t step) {
    return 2 * (int64_t) plan->step_count - step;
}

/* A layer that can works in place where its input is not needed any more: less memory to go through, and what is
 * written is in the cache already. `source` is the block of the input (or of dL/dy), which then lives on as that of the
 * output. */
static int32_t continue_block(planner *p, const moco_plan_step *step, int64_t source, int64_t last) {
    const moco_plan_value *x = &p->plan->values[step->inputs[MOCO_INPUT]], *y = &p->plan->values[step->y];
    if (!step->layer.info.works_in_place || source == MOCO_NO_BLOCK) return 0;
    if (x->bytes != y->bytes || x->layout != y->layout) return 0;
    moco_arena_block *block = &p->plan->blocks[source];
    block->last = moco_max_i64(block->last, last);
    return 1;
}

/* When each value is read last. */
static void place_values(planner *p) {
    moco_graph_plan *plan = p->plan;
    for (int32_t v = 0; v < plan->value_count; ++v) {
        moco_plan_value *value = &plan->values[v];
        const int64_t first = value->producer < 0 ? 0 : value->producer;
        int64_t last = v == plan->output ? plan->step_count : first;
        for (int32_t s = 0; s < plan->step_count; ++s) {
            const moco_plan_step *step = &plan->steps[s];
            if (reads(step, 0, v)) last = moco_max_i64(last, s);
            if (!is_training(plan)) continue;
            int32_t reads_again = step->y == v && step->layer.info.backward_needs_y;
            for (int32_t i = 0; i < step->layer.desc.input_count; ++i) {
                reads_again |= step->inputs[i] == v && (step->layer.info.backward_needs_inputs & 1 << i);
            }
            if (reads_again) last = moco_max_i64(last, backward_time(plan, s));
        }
        const moco_plan_step *maker = value->producer < 0 ? NULL : &plan->steps[value->producer];
        if (maker != NULL && !is_training(plan) && !reads(maker, 1, maker->inputs[MOCO_INPUT])) {
            const int64_t block = plan->values[maker->inputs[MOCO_INPUT]].memory;
            const int32_t unused = block != MOCO_NO_BLOCK && plan->blocks[block].last == value->producer;
            if (unused && continue_block(p, maker, block, last)) {
                value->memory = block;
                continue;
            }
        }
        /* An input that no backward pass reads is used where the caller has it. */
        if (value->producer >= 0 || last > plan->step_count) value->memory = add_block(p, value->bytes, first, last);
    }
}

/* The gradient of `value` out of step `s`, going backward: the first to give one writes, the others add. */
static int32_t give_gradient(planner *p, int32_t value, int32_t s, int32_t accumulates, int32_t *written,
                             int64_t *part) {
    moco_plan_value *v = &p->plan->values[value];
    const int64_t now = backward_time(p->plan, s);
    if (v->producer < 0 && !p->plan->input_gradient) return MOCO_GRADIENT_NONE;
    if (written[value] && accumulates) return MOCO_GRADIENT_ACCUMULATE;
    if (written[value]) {
        *part = add_block(p, v->bytes, now, now);
        return MOCO_GRADIENT_ADD;
    }
    written[value] = 1;
    if (v->producer >= 0) v->gradient = add_block(p, v->bytes, now, backward_time(p->plan, v->producer));
    return MOCO_GRADIENT_WRITE;
}

/* 1 if no other input of the step is the same value: two gradients of one value can't both be added to in one call. */
static int32_t alone(const moco_plan_step *step, int32_t input) {
    int32_t same = 0;
    for (int32_t i = 0; i < step->layer.desc.input_count; ++i) same += step->inputs[i] == step->inputs[input];
    return same == 1;
}

static moco_status place_gradients(planner *p) {
    moco_graph_plan *plan = p->plan;
    int32_t *written = (int32_t *) moco_allocate_zeroed(plan->context, (size_t) plan->value_count, sizeof *written);
    if (written == NULL) return MOCO_OUT_OF_MEMORY;
    written[plan->output] = 1; /* by the caller */
    moco_status status = MOCO_OK;
    for (int32_t s = plan->step_count - 1; s >= 0; --s) {
        moco_plan_step *step = &plan->steps[s];
        if (!written[step->y]) {
            status = moco_fail(MOCO_INTERNAL, "layer %d of the network leads nowhere", s);
            break;
        }
        for (int32_t i = step->layer.desc.input_count - 1; i > MOCO_INPUT; --i) {
            const int32_t accumulates = (step->layer.info.accumulates_inputs & 1 << i) && alone(step, i);
            step->gradient_use[i] = give_gradient(p, step->inputs[i], s, accumulates, written, &step->gradient_part[i]);
        }
        const int32_t first = step->inputs[MOCO_INPUT];
        moco_plan_value *x = &plan->values[first];
        const int64_t dy = plan->values[step->y].gradient;
        if (!written[first] && x->producer >= 0 && !reads(step, 1, first) &&
            continue_block(p, step, dy, backward_time(plan, x->producer))) {
            x->gradient = dy;
            written[first] = 1;
            step->gradient_use[MOCO_INPUT] = MOCO_GRADIENT_WRITE;
        } else {
            const int32_t accumulates =
                (step->layer.info.accumulates_inputs & 1 << MOCO_INPUT) && alone(step, MOCO_INPUT);
            step->gradient_use[MOCO_INPUT] =
                give_gradient(p, first, s, accumulates, written, &step->gradient_part[MOCO_INPUT]);
        }
    }
    moco_deallocate(plan->context, written);
    return status;
}

static moco_status place_memory(planner *p) {
    moco_graph_plan *plan = p->plan;
    const size_t most = (size_t) plan->value_count * 2 + (size_t) plan->step_count * (3 + MOCO_LAYER_INPUTS);
    plan->blocks = (moco_arena_block *) moco_allocate_zeroed(plan->context, most, sizeof *plan->blocks);
    if (plan->blocks == NULL) return MOCO_OUT_OF_MEMORY;

    place_values(p);
    for (int32_t s = 0; s < plan->step_count; ++s) {
        moco_plan_step *step = &plan->steps[s];
        const moco_layer_info *info = &step->layer.info;
        step->saved = add_block(p, info->saved_bytes, s, is_training(plan) ? backward_time(plan, s) : s);
        step->forward_scratch = add_block(p, info->scratch_bytes, s, s);
        if (!is_training(plan)) continue;
        step->backward_scratch = add_block(p, info->scratch_bytes, backward_time(plan, s), backward_time(plan, s));
    }
    if (is_training(plan)) MOCO_TRY(place_gradients(p));
    return moco_arena_assign(plan->context, plan->blocks, plan->block_count, &plan->arena_bytes);
}

/* --- The whole --- */

static moco_status check_key(const moco_graph *graph, const moco_plan_key *key) {
    MOCO_REQUIRE(key->n >= 1, "n is %lld; it must be at least 1", (long long) key->n);
    MOCO_REQUIRE(key->h >= 1 && key->w >= 1, "h is %lld and w is %lld; both must be at least 1", (long long) key->h,
                 (long long) key->w);
    const int64_t dims[5] = {key->c, key->h, key->w, key->n, (int64_t) sizeof(float)};
    int64_t bytes;
    MOCO_TRY(moco_checked_product(dims, 5, "the size of the images", &bytes));
    MOCO_REQUIRE(graph->flat_inputs == 0 || key->c * key->h * key->w == graph->flat_inputs,
                 "channels * h * w is %lld * %lld * %lld; it must be mlp_input_dim, %lld", (long long) key->c,
                 (long long) key->h, (long long) key->w, (long long) graph->flat_inputs);
    return MOCO_OK;
}

static moco_status make_plan(planner *p) {
    moco_graph_plan *plan = p->plan;
    const moco_graph *graph = plan->graph;
    const moco_plan_key *key = &plan->key;
    const int32_t output = key->features ? graph->features : graph->output;
    /* A node may need a reorder before each input, and the output one behind it. */
    const size_t most = (1 + MOCO_LAYER_INPUTS) * (size_t) graph->node_count + 2;
    plan->steps = (moco_plan_step *) moco_allocate_zeroed(plan->context, most, sizeof *plan->steps);
    plan->values = (moco_plan_value *) moco_allocate_zeroed(plan->context, most, sizeof *plan->values);
    p->plain = (int32_t *) moco_allocate_zeroed(plan->context, most, sizeof *p->plain);
    p->current = (int32_t *) moco_allocate_zeroed(plan->context, (size_t) graph->node_count + 1, sizeof *p->current);
    if (plan->steps == NULL || plan->values == NULL || p->plain == NULL || p->current == NULL) {
        return MOCO_OUT_OF_MEMORY;
    }

    p->current[0] = graph->flat_inputs > 0 ? add_value(p, -1, 2, key->n, graph->flat_inputs, 1, 1)
                                           : add_value(p, -1, 4, key->n, key->c, key->h, key->w);
    plan->values[0].bytes = (uint64_t) (key->n * key->c * key->h * key->w) * sizeof(float);
    for (int32_t i = 0; i < output; ++i) MOCO_TRY(plan_node(p, i));
    MOCO_TRY(to_plain(p, p->current[output], &plan->output));
    return place_memory(p);
}

moco_status moco_graph_plan_create(moco_graph_plan **out, const moco_graph *graph, const moco_plan_key *key,
                                   int32_t input_gradient, moco_plan_layer_fn plan_layer) {
    MOCO_TRY(check_key(graph, key));
    moco_graph_plan *plan = (moco_graph_plan *) moco_allocate_zeroed(graph->context, 1, sizeof *plan);
    if (plan == NULL) return MOCO_OUT_OF_MEMORY;
    plan->context = graph->context;
    plan->graph = graph;
    plan->key = *key;
    plan->input_gradient = input_gradient;
    planner p = {.plan = plan, .plan_layer = plan_layer != NULL ? plan_layer : moco_layer_plan};
    const moco_status status = make_plan(&p);
    moco_deallocate(graph->context, p.plain);
    moco_deallocate(graph->context, p.current);
    if (status != MOCO_OK) {
        moco_graph_plan_destroy(plan);
        return status;
    }
    moco_log(graph->context, MOCO_LOG_DEBUG,
             "planned %d layers for %lld x %lld x %lld x %lld in mode %d: arena %.1f MiB", plan->step_count,
             (long long) key->n, (long long) key->c, (long long) key->h, (long long) key->w, key->mode,
             (double) plan->arena_bytes / 1048576.0);
    *out = plan;
    return MOCO_OK;
}

void moco_graph_plan_destroy(moco_graph_plan *plan) {
    if (plan == NULL) return;
    for (int32_t s = 0; s < plan->step_count; ++s) moco_layer_release(&plan->steps[s].layer);
    moco_deallocate(plan->context, plan->steps);
    moco_deallocate(plan->context, plan->values);
    moco_deallocate(plan->context, plan->blocks);
    moco_deallocate(plan->context, plan);
}
