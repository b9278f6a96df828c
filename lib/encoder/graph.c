#include "encoder/graph.h"

#include <moco/encoder.h>
#include <stdio.h>
#include <string.h>

moco_graph *moco_graph_create(moco_context *context) {
    moco_graph *graph = (moco_graph *) moco_allocate_zeroed(context, 1, sizeof *graph);
    if (graph == NULL) return NULL;
    graph->context = context;
    graph->bn_groups = 1;
    graph->bn_eps = 1e-5;
    graph->bn_momentum = 0.1;
    return graph;
}

void moco_graph_destroy(moco_graph *graph) {
    if (graph == NULL) return;
    moco_deallocate(graph->context, graph->nodes);
    moco_deallocate(graph->context, graph->parameters);
    moco_deallocate(graph->context, graph);
}

moco_status moco_graph_copy(moco_graph **out, const moco_graph *graph) {
    moco_graph *copy = moco_graph_create(graph->context);
    if (copy == NULL) return MOCO_OUT_OF_MEMORY;
    *copy = *graph;
    copy->node_capacity = graph->node_count;
    copy->parameter_capacity = graph->parameter_count;
    const size_t node_bytes = (size_t) graph->node_count * sizeof *copy->nodes;
    const size_t parameter_bytes = (size_t) graph->parameter_count * sizeof *copy->parameters;
    copy->nodes = (moco_graph_node *) moco_allocate(graph->context, node_bytes);
    copy->parameters = (moco_graph_parameter *) moco_allocate(graph->context, parameter_bytes);
    if (copy->nodes == NULL || copy->parameters == NULL) {
        moco_graph_destroy(copy);
        return MOCO_OUT_OF_MEMORY;
    }
    if (node_bytes > 0) memcpy(copy->nodes, graph->nodes, node_bytes);
    if (parameter_bytes > 0) memcpy(copy->parameters, graph->parameters, parameter_bytes);
    *out = copy;
    return MOCO_OK;
}

/* Room for one more element of an array that doubles. */
static moco_status reserve(moco_context *context, void **array, int32_t count, int32_t *capacity, size_t size) {
    if (count < *capacity) return MOCO_OK;
    const int32_t larger = *capacity == 0 ? 64 : 2 * *capacity;
    void *grown = moco_allocate_zeroed(context, (size_t) larger, size);
    if (grown == NULL) return MOCO_OUT_OF_MEMORY;
    if (count > 0) memcpy(grown, *array, (size_t) count * size);
    moco_deallocate(context, *array);
    *array = grown;
    *capacity = larger;
    return MOCO_OK;
}

/* --- Parameters --- */

/* After a failure, indices and values are 0: builders go on harmlessly, and graph->status tells. */
static int32_t declare(moco_graph *graph, const char *prefix, const char *suffix, const moco_graph_parameter *like) {
    if (graph->status != MOCO_OK) return 0;
    void *array = graph->parameters;
    graph->status = reserve(graph->context, &array, graph->parameter_count, &graph->parameter_capacity, sizeof *like);
    graph->parameters = (moco_graph_parameter *) array;
    if (graph->status != MOCO_OK) return 0;
    moco_graph_parameter *parameter = &graph->parameters[graph->parameter_count];
    *parameter = *like;
    snprintf(parameter->name, sizeof parameter->name, "%s.%s", prefix, suffix);
    return graph->parameter_count++;
}

int32_t moco_graph_declare_conv(moco_graph *graph, const char *prefix, int64_t in_c, int64_t out_c, int32_t kernel,
                                int32_t groups) {
    const moco_graph_parameter weight = {
        .kind = MOCO_PARAMETER_LEARNABLE,
        .rank = 4,
        .dims = {out_c, in_c / groups, kernel, kernel},
        .start = MOCO_START_KAIMING,
        .fan = out_c * kernel * kernel, /* PyTorch's fan_out does not divide by the groups */
    };
    return declare(graph, prefix, "weight", &weight);
}

static int32_t declare_vector(moco_graph *graph, const char *prefix, const char *suffix, int32_t kind, int64_t elements,
                              int32_t start, int64_t fan) {
    const moco_graph_parameter vector = {
        .kind = kind, .rank = 1, .dims = {elements, 1, 1, 1}, .start = start, .fan = fan};
    return declare(graph, prefix, suffix, &vector);
}

moco_graph_norm moco_graph_declare_norm(moco_graph *graph, const char *prefix, int64_t channels, int32_t start_weight) {
    moco_graph_norm norm;
    norm.weight = declare_vector(graph, prefix, "weight", MOCO_PARAMETER_LEARNABLE, channels, start_weight, 0);
    norm.bias = declare_vector(graph, prefix, "bias", MOCO_PARAMETER_LEARNABLE, channels, MOCO_START_ZERO, 0);
    norm.running_mean =
        declare_vector(graph, prefix, "running_mean", MOCO_PARAMETER_BUFFER, channels, MOCO_START_ZERO, 0);
    norm.running_var = declare_vector(graph, prefix, "running_var", MOCO_PARAMETER_BUFFER, channels, MOCO_START_ONE, 0);
    return norm;
}

/* --- Layers --- */

static int32_t append(moco_graph *graph, moco_graph_node node) {
    if (graph->status != MOCO_OK) return 0;
    void *array = graph->nodes;
    graph->status = reserve(graph->context, &array, graph->node_count, &graph->node_capacity, sizeof node);
    graph->nodes = (moco_graph_node *) array;
    if (graph->status != MOCO_OK) return 0;
    graph->nodes[graph->node_count] = node;
    return ++graph->node_count;
}

static moco_graph_node bare_node(int32_t kind, int32_t input) {
    const moco_graph_node node = {
        .kind = kind,
        .input = input,
        .residual = -1,
        .weight = -1,
        .bias = -1,
        .running_mean = -1,
        .running_var = -1,
        .kernel = 1,
        .stride = 1,
        .groups = 1,
    };
    return node;
}

int32_t moco_graph_conv(moco_graph *graph, int32_t input, int32_t weight, int32_t stride, int32_t padding) {
    if (graph->status != MOCO_OK) return 0;
    const moco_graph_parameter *parameter = &graph->parameters[weight];
    moco_graph_node node = bare_node(MOCO_LAYER_CONV2D, input);
    /* The groups follow from the channels that flow in. */
    int64_t in_c = graph->input_channels;
    for (int32_t value = input; value > 0; value = graph->nodes[value - 1].input) {
        if (graph->nodes[value - 1].out_c == 0) continue;
        in_c = graph->nodes[value - 1].out_c;
        break;
    }
    node.weight = weight;
    node.out_c = parameter->dims[0];
    node.kernel = (int32_t) parameter->dims[2];
    node.stride = stride;
    node.padding = padding;
    node.groups = (int32_t) (in_c / parameter->dims[1]);
    return append(graph, node);
}

int32_t moco_graph_norm_layer(moco_graph *graph, int32_t input, moco_graph_norm norm, int32_t residual, int32_t relu) {
    moco_graph_node node = bare_node(MOCO_LAYER_BATCH_NORM, input);
    node.residual = residual;
    node.weight = norm.weight;
    node.bias = norm.bias;
    node.running_mean = norm.running_mean;
    node.running_var = norm.running_var;
    node.relu = relu;
    return append(graph, node);
}

int32_t moco_graph_linear(moco_graph *graph, int32_t input, const char *prefix, int64_t in_c, int64_t out_c,
                          int32_t relu) {
    const moco_graph_parameter weight = {.kind = MOCO_PARAMETER_LEARNABLE,
                                         .rank = 2,
                                         .dims = {out_c, in_c, 1, 1},
                                         .start = MOCO_START_UNIFORM,
                                         .fan = in_c};
    moco_graph_node node = bare_node(MOCO_LAYER_LINEAR, input);
    node.weight = declare(graph, prefix, "weight", &weight);
    node.bias = declare_vector(graph, prefix, "bias", MOCO_PARAMETER_LEARNABLE, out_c, MOCO_START_UNIFORM, in_c);
    node.out_c = out_c;
    node.relu = relu;
    return append(graph, node);
}

int32_t moco_graph_max_pool(moco_graph *graph, int32_t input, int32_t kernel, int32_t stride, int32_t padding) {
    moco_graph_node node = bare_node(MOCO_LAYER_MAX_POOL, input);
    node.kernel = kernel;
    node.stride = stride;
    node.padding = padding;
    return append(graph, node);
}

int32_t moco_graph_plain_layer(moco_graph *graph, int32_t input, int32_t kind) {
    return append(graph, bare_node(kind, input));
}
