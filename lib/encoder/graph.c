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
    if (*capacity > INT32_MAX / 2)
        return moco_fail(MOCO_INVALID_ARGUMENT, "a network has too many layers to be counted");
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

int32_t moco_graph_append(moco_graph *graph, const moco_graph_node *node) {
    if (graph->status != MOCO_OK) return 0;
    void *array = graph->nodes;
    graph->status = reserve(graph->context, &array, graph->node_count, &graph->node_capacity, sizeof *node);
    graph->nodes = (moco_graph_node *) array;
    if (graph->status != MOCO_OK) return 0;
    graph->nodes[graph->node_count] = *node;
    return ++graph->node_count;
}

/* The channels of `value`: those of the nearest layer before it that says so, else the images'. */
static int64_t channels_of(const moco_graph *graph, int32_t value) {
    for (; value > 0; value = graph->nodes[value - 1].inputs[MOCO_INPUT]) {
        if (graph->nodes[value - 1].channels > 0) return graph->nodes[value - 1].channels;
    }
    return graph->input_channels;
}

int32_t moco_graph_conv(moco_graph *graph, int32_t input, int32_t weight, int32_t stride, int32_t padding) {
    if (graph->status != MOCO_OK) return 0;
    const int64_t *dims = graph->parameters[weight].dims;
    const moco_conv2d_desc conv = {
        .out_c = dims[0],
        .kernel = (int32_t) dims[2],
        .stride = stride,
        .padding = padding,
        .groups = (int32_t) (channels_of(graph, input) / dims[1]),
        .direct = graph->direct_convolution,
    };
    const moco_graph_node node = {.kind = MOCO_LAYER_CONV2D,
                                  .input_count = 1,
                                  .inputs = {input},
                                  .parameter_count = 1,
                                  .parameters = {weight},
                                  .channels = conv.out_c,
                                  .of.conv2d = conv};
    return moco_graph_append(graph, &node);
}

int32_t moco_graph_norm_layer(moco_graph *graph, int32_t input, moco_graph_norm norm, int32_t residual, int32_t relu) {
    const moco_norm_desc statistics = {
        .eps = graph->bn_eps, .momentum = graph->bn_momentum, .groups = graph->bn_groups, .strided = graph->bn_strided};
    const moco_graph_node node = {.kind = MOCO_LAYER_BATCH_NORM,
                                  .epilogue = relu ? MOCO_EPILOGUE_RELU : MOCO_EPILOGUE_NONE,
                                  .input_count = residual >= 0 ? 2 : 1,
                                  .inputs = {input, residual},
                                  .parameter_count = 4,
                                  .parameters = {norm.weight, norm.bias, norm.running_mean, norm.running_var},
                                  .of.norm = statistics};
    return moco_graph_append(graph, &node);
}

int32_t moco_graph_linear(moco_graph *graph, int32_t input, const char *prefix, int64_t in_c, int64_t out_c,
                          int32_t relu) {
    const moco_graph_parameter weight = {.kind = MOCO_PARAMETER_LEARNABLE,
                                         .rank = 2,
                                         .dims = {out_c, in_c, 1, 1},
                                         .start = MOCO_START_UNIFORM,
                                         .fan = in_c};
    moco_graph_node node = {.kind = MOCO_LAYER_LINEAR,
                            .epilogue = relu ? MOCO_EPILOGUE_RELU : MOCO_EPILOGUE_NONE,
                            .input_count = 1,
                            .inputs = {input},
                            .parameter_count = 2,
                            .channels = out_c,
                            .of.linear.out_c = out_c};
    node.parameters[MOCO_WEIGHT] = declare(graph, prefix, "weight", &weight);
    node.parameters[MOCO_BIAS] =
        declare_vector(graph, prefix, "bias", MOCO_PARAMETER_LEARNABLE, out_c, MOCO_START_UNIFORM, in_c);
    return moco_graph_append(graph, &node);
}

int32_t moco_graph_max_pool(moco_graph *graph, int32_t input, int32_t kernel, int32_t stride, int32_t padding) {
    const moco_pool_desc window = {.kernel = kernel, .stride = stride, .padding = padding};
    const moco_graph_node node = {.kind = MOCO_LAYER_MAX_POOL, .input_count = 1, .inputs = {input}, .of.pool = window};
    return moco_graph_append(graph, &node);
}

int32_t moco_graph_plain_layer(moco_graph *graph, int32_t input, int32_t kind) {
    const moco_graph_node node = {.kind = kind, .input_count = 1, .inputs = {input}};
    return moco_graph_append(graph, &node);
}
