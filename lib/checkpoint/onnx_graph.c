#include "checkpoint/onnx_graph.h"

#include <moco/names.h>
#include <stdio.h>
#include <string.h>

#define PLACES      48     /* of a value's name */
#define L2_EPSILON  1e-12f /* of MOCO_LAYER_L2_NORMALIZE */
#define PIXEL_RANGE 255.0

typedef struct translation {
    moco_onnx_graph *out;
    const moco_export_job *job;
    const moco_graph *network;
    int32_t nodes;  /* how many of the network's are translated */
    int32_t last;   /* the value that is the output */
    int32_t *uses;  /* [nodes + 1]: how many layers read a value */
    int32_t *folds; /* [nodes]: the BatchNorm that a layer takes in, or of a BatchNorm the layer it is in; -1: none */
    char (*names)[PLACES]; /* [nodes + 1]: of the values */
} translation;

/* --- Initializers --- */

static moco_status grow(moco_onnx_graph *out) {
    const int32_t capacity = out->capacity == 0 ? 64 : 2 * out->capacity;
    moco_onnx_initializer *grown =
        (moco_onnx_initializer *) moco_allocate_zeroed(out->context, (size_t) capacity, sizeof *grown);
    if (grown == NULL) return MOCO_OUT_OF_MEMORY;
    if (out->count > 0) memcpy(grown, out->initializers, (size_t) out->count * sizeof *grown);
    moco_deallocate(out->context, out->initializers);
    out->initializers = grown;
    out->capacity = capacity;
    return MOCO_OK;
}

/* Room that a failure leaves harmless: what is written into it is not used. */
static moco_onnx_initializer *add_initializer(moco_onnx_graph *out, const char *name, int32_t source, int32_t rank,
                                              const int64_t *dims) {
    if (out->message.status == MOCO_OK && out->count == out->capacity) out->message.status = grow(out);
    if (out->message.status != MOCO_OK) return NULL;
    moco_onnx_initializer *item = &out->initializers[out->count++];
    snprintf(item->name, sizeof item->name, "%s", name);
    item->source = source;
    item->rank = rank;
    item->elements = 1;
    for (int32_t i = 0; i < rank; ++i) {
        item->dims[i] = dims[i];
        item->elements *= dims[i];
    }
    return item;
}

/* The name of a parameter's initializer, which it adds. */
static const char *parameter(translation *work, int32_t index) {
    const moco_graph_parameter *item = &work->network->parameters[index];
    moco_onnx_initializer *added = add_initializer(work->out, item->name, MOCO_ONNX_PARAMETER, item->rank, item->dims);
    if (added != NULL) added->parameter = index;
    return item->name;
}

static void constant(translation *work, const char *name, int32_t rank, const int64_t *dims, const float *values) {
    moco_onnx_initializer *added = add_initializer(work->out, name, MOCO_ONNX_CONSTANT, rank, dims);
    if (added != NULL) memcpy(added->constants, values, (size_t) added->elements * sizeof *values);
}

/* --- Names --- */

/* The value that a layer makes by several operators is called so only by the last of them. */
static void name_value(translation *work, int32_t value) {
    if (value == work->last) {
        snprintf(work->names[value], PLACES, "%s", work->job->config.with_head ? "embeddings" : "features");
    } else {
        snprintf(work->names[value], PLACES, "x%d", value);
    }
}

/* --- Layers --- */

static void emit(translation *work, const char *op, const char *input, const char *output) {
    const moco_onnx_node node = {.op = op, .input_count = 1, .inputs = {input}, .output = output};
    moco_onnx_add_node(&work->out->message, &node);
}

static moco_onnx_attribute ints(const char *name, int32_t count, int64_t a, int64_t b, int64_t c, int64_t d) {
    return (moco_onnx_attribute){.name = name, .type = MOCO_ONNX_ATTRIBUTE_INTS, .count = count, .ints = {a, b, c, d}};
}

static moco_onnx_attribute integer(const char *name, int64_t value) {
    return (moco_onnx_attribute){.name = name, .type = MOCO_ONNX_ATTRIBUTE_INT, .ints = {value}};
}

/* `output` by way of a ReLU, where the layer has one. */
static void emit_with_epilogue(translation *work, moco_onnx_node *node, int32_t epilogue, const char *output) {
    char before[PLACES + 8];
    if (epilogue != MOCO_EPILOGUE_RELU) {
        node->output = output;
        moco_onnx_add_node(&work->out->message, node);
        return;
    }
    snprintf(before, sizeof before, "%s.linear", output);
    node->output = before;
    moco_onnx_add_node(&work->out->message, node);
    emit(work, "Relu", before, output);
}

/* Weight and bias of a convolution or linear layer, which its BatchNorm may be folded into. */
static void add_weights(translation *work, int32_t index, moco_onnx_node *node, char folded[2][MOCO_ONNX_NAME_SIZE]) {
    const moco_graph_node *layer = &work->network->nodes[index];
    const moco_graph_parameter *weight = &work->network->parameters[layer->parameters[MOCO_WEIGHT]];
    if (work->folds[index] < 0) {
        for (int32_t i = 0; i < layer->parameter_count; ++i) {
            node->inputs[node->input_count++] = parameter(work, layer->parameters[i]);
        }
        return;
    }
    snprintf(folded[0], MOCO_ONNX_NAME_SIZE, "%s.folded", weight->name);
    snprintf(folded[1], MOCO_ONNX_NAME_SIZE, "%s.folded_bias", weight->name);
    const int64_t channels = weight->dims[0];
    moco_onnx_initializer *items[2];
    items[0] = add_initializer(work->out, folded[0], MOCO_ONNX_FOLDED_WEIGHT, weight->rank, weight->dims);
    if (items[0] != NULL) items[0]->node = index, items[0]->norm = work->folds[index];
    items[1] = add_initializer(work->out, folded[1], MOCO_ONNX_FOLDED_BIAS, 1, &channels);
    if (items[1] != NULL) items[1]->node = index, items[1]->norm = work->folds[index];
    node->inputs[node->input_count++] = folded[0];
    node->inputs[node->input_count++] = folded[1];
}

static void emit_convolution(translation *work, int32_t index) {
    const moco_graph_node *layer = &work->network->nodes[index];
    const moco_conv2d_desc *conv = &layer->of.conv2d;
    char folded[2][MOCO_ONNX_NAME_SIZE];
    moco_onnx_node node = {.op = "Conv", .input_count = 1, .attribute_count = 4};
    node.inputs[0] = work->names[layer->inputs[MOCO_INPUT]];
    node.output = work->names[index + 1];
    node.attributes[0] = ints("kernel_shape", 2, conv->kernel, conv->kernel, 0, 0);
    node.attributes[1] = ints("strides", 2, conv->stride, conv->stride, 0, 0);
    node.attributes[2] = ints("pads", 4, conv->padding, conv->padding, conv->padding, conv->padding);
    node.attributes[3] = integer("group", conv->groups);
    add_weights(work, index, &node, folded);
    moco_onnx_add_node(&work->out->message, &node);
}

static void emit_linear(translation *work, int32_t index) {
    const moco_graph_node *layer = &work->network->nodes[index];
    char folded[2][MOCO_ONNX_NAME_SIZE];
    moco_onnx_node node = {.op = "Gemm", .input_count = 1, .attribute_count = 1};
    node.inputs[0] = work->names[layer->inputs[MOCO_INPUT]];
    node.attributes[0] = integer("transB", 1);
    add_weights(work, index, &node, folded);
    emit_with_epilogue(work, &node, layer->epilogue, work->names[index + 1]);
}

/* Normalization, unless the layer before has it; the residual; ReLU: the last that there is makes the value. */
static void emit_norm(translation *work, int32_t index) {
    const moco_graph_node *layer = &work->network->nodes[index];
    const int32_t is_folded = work->folds[index] >= 0;
    const int32_t has_residual = layer->input_count == 2;
    const int32_t has_relu = layer->epilogue == MOCO_EPILOGUE_RELU;
    const char *name = work->names[index + 1];
    char norm[PLACES + 8];
    char sum[PLACES + 8];
    snprintf(norm, sizeof norm, "%s.norm", name);
    snprintf(sum, sizeof sum, "%s.sum", name);
    const char *now = work->names[layer->inputs[MOCO_INPUT]];
    if (!is_folded) {
        moco_onnx_node node = {.op = "BatchNormalization", .input_count = 1, .attribute_count = 1};
        node.inputs[0] = now;
        for (int32_t i = 0; i < layer->parameter_count; ++i) {
            node.inputs[node.input_count++] = parameter(work, layer->parameters[i]);
        }
        node.attributes[0] = (moco_onnx_attribute){
            .name = "epsilon", .type = MOCO_ONNX_ATTRIBUTE_FLOAT, .number = (float) layer->of.norm.eps};
        node.output = has_residual || has_relu ? norm : name;
        moco_onnx_add_node(&work->out->message, &node);
        now = node.output;
    }
    if (has_residual) {
        moco_onnx_node node = {.op = "Add", .input_count = 2, .output = has_relu ? sum : name};
        node.inputs[0] = now;
        node.inputs[1] = work->names[layer->inputs[MOCO_RESIDUAL]];
        moco_onnx_add_node(&work->out->message, &node);
        now = node.output;
    }
    if (has_relu) {
        emit(work, "Relu", now, name);
    } else if (is_folded && !has_residual) {
        emit(work, "Identity", now, name);
    }
}

static void emit_max_pool(translation *work, int32_t index) {
    const moco_graph_node *layer = &work->network->nodes[index];
    const moco_pool_desc *pool = &layer->of.pool;
    moco_onnx_node node = {.op = "MaxPool", .input_count = 1, .attribute_count = 3, .output = work->names[index + 1]};
    node.inputs[0] = work->names[layer->inputs[MOCO_INPUT]];
    node.attributes[0] = ints("kernel_shape", 2, pool->kernel, pool->kernel, 0, 0);
    node.attributes[1] = ints("strides", 2, pool->stride, pool->stride, 0, 0);
    node.attributes[2] = ints("pads", 4, pool->padding, pool->padding, pool->padding, pool->padding);
    moco_onnx_add_node(&work->out->message, &node);
}

static void emit_average_pool(translation *work, int32_t index) {
    char before[PLACES + 8];
    snprintf(before, sizeof before, "%s.pool", work->names[index + 1]);
    emit(work, "GlobalAveragePool", work->names[work->network->nodes[index].inputs[MOCO_INPUT]], before);
    emit(work, "Flatten", before, work->names[index + 1]); /* from axis 1 on */
}

/* y = x / max(||x||, 1e-12) */
static void emit_l2_normalize(translation *work, int32_t index) {
    const float epsilon = L2_EPSILON;
    const char *input = work->names[work->network->nodes[index].inputs[MOCO_INPUT]];
    constant(work, "l2_epsilon", 0, NULL, &epsilon);
    const moco_onnx_node nodes[3] = {
        {.op = "ReduceL2",
         .input_count = 1,
         .inputs = {input},
         .attribute_count = 2,
         .output = "l2_norm",
         .attributes = {ints("axes", 1, 1, 0, 0, 0), integer("keepdims", 1)}},
        {.op = "Max", .input_count = 2, .inputs = {"l2_norm", "l2_epsilon"}, .output = "l2_divisor"},
        {.op = "Div", .input_count = 2, .inputs = {input, "l2_divisor"}, .output = work->names[index + 1]},
    };
    for (int32_t i = 0; i < 3; ++i) moco_onnx_add_node(&work->out->message, &nodes[i]);
}

static moco_status emit_layer(translation *work, int32_t index) {
    name_value(work, index + 1);
    switch (work->network->nodes[index].kind) {
    case MOCO_LAYER_CONV2D:
        emit_convolution(work, index);
        break;
    case MOCO_LAYER_LINEAR:
        emit_linear(work, index);
        break;
    case MOCO_LAYER_BATCH_NORM:
        emit_norm(work, index);
        break;
    case MOCO_LAYER_MAX_POOL:
        emit_max_pool(work, index);
        break;
    case MOCO_LAYER_AVERAGE_POOL:
        emit_average_pool(work, index);
        break;
    case MOCO_LAYER_L2_NORMALIZE:
        emit_l2_normalize(work, index);
        break;
    default:
        return moco_fail(MOCO_UNSUPPORTED,
                         "layer %d of %s is of kind %d (MOCO_LAYER_*), which is not written to ONNX yet", index,
                         work->job->network->architecture, work->network->nodes[index].kind);
    }
    return work->out->message.status;
}

/* --- Input --- */

/* From pixels[batch x height x width x 3] to (pixels / 255 - mean) / std, channels first. */
static void emit_preprocess(translation *work, const char *output) {
    static const int64_t dims[4] = {1, 3, 1, 1};
    float scale[3];
    float shift[3];
    for (int32_t c = 0; c < 3; ++c) {
        scale[c] = (float) (1 / (PIXEL_RANGE * work->job->view.std[c]));
        shift[c] = (float) (-work->job->view.mean[c] / work->job->view.std[c]);
    }
    constant(work, "pixel_scale", 4, dims, scale);
    constant(work, "pixel_shift", 4, dims, shift);
    const moco_onnx_node nodes[4] = {
        {.op = "Cast",
         .input_count = 1,
         .inputs = {"pixels"},
         .attribute_count = 1,
         .output = "pixels_float",
         .attributes = {integer("to", MOCO_ONNX_FLOAT)}},
        {.op = "Transpose",
         .input_count = 1,
         .inputs = {"pixels_float"},
         .attribute_count = 1,
         .output = "pixels_planes",
         .attributes = {ints("perm", 4, 0, 3, 1, 2)}},
        {.op = "Mul", .input_count = 2, .inputs = {"pixels_planes", "pixel_scale"}, .output = "pixels_scaled"},
        {.op = "Add", .input_count = 2, .inputs = {"pixels_scaled", "pixel_shift"}, .output = output},
    };
    for (int32_t i = 0; i < 4; ++i) moco_onnx_add_node(&work->out->message, &nodes[i]);
}

static void add_input(translation *work) {
    static const char *const plane_names[4] = {"batch", "channels", "height", "width"};
    static const char *const pixel_names[4] = {"batch", "height", "width", "channels"};
    const moco_export_job *job = work->job;
    const int32_t has_size = job->config.augment != NULL;
    const int64_t h = has_size ? job->view.height : 0;
    const int64_t w = has_size ? job->view.width : 0;
    const int64_t planes[4] = {0, work->network->input_channels, h, w};
    const int64_t pixels[4] = {0, h, w, 3};
    const char *now = "images";
    moco_byte_buffer *message = &work->out->message;
    if (job->config.with_preprocess) {
        moco_onnx_add_value(message, MOCO_ONNX_GRAPH_INPUT, "pixels", MOCO_ONNX_UINT8, 4, pixels, pixel_names);
        emit_preprocess(work, now);
    } else {
        moco_onnx_add_value(message, MOCO_ONNX_GRAPH_INPUT, now, MOCO_ONNX_FLOAT, 4, planes, plane_names);
    }
    if (work->network->flat_inputs > 0) {
        emit(work, "Flatten", now, "images_flat");
        now = "images_flat";
    }
    snprintf(work->names[0], PLACES, "%s", now);
}

static void add_output(translation *work) {
    static const char *const names[2] = {"batch", "dim"};
    const moco_encoder *encoder = work->job->encoder;
    const int64_t dims[2] = {0, work->job->config.with_head ? moco_encoder_embedding_dim(encoder)
                                                            : moco_encoder_feature_dim(encoder)};
    moco_onnx_add_value(&work->out->message, MOCO_ONNX_GRAPH_OUTPUT, work->names[work->last], MOCO_ONNX_FLOAT, 2, dims,
                        names);
}

/* --- All --- */

/* A BatchNorm goes into the layer before where nothing else reads that, and where it is linear. */
static void choose_folds(translation *work) {
    for (int32_t i = 0; i < work->nodes; ++i) {
        const moco_graph_node *layer = &work->network->nodes[i];
        for (int32_t j = 0; j < layer->input_count; ++j) work->uses[layer->inputs[j]]++;
        work->folds[i] = -1;
    }
    for (int32_t i = 0; i < work->nodes && work->job->config.fold_batch_norm; ++i) {
        const moco_graph_node *layer = &work->network->nodes[i];
        const int32_t before = layer->inputs[MOCO_INPUT] - 1;
        if (layer->kind != MOCO_LAYER_BATCH_NORM || before < 0 || work->uses[before + 1] != 1) continue;
        const moco_graph_node *other = &work->network->nodes[before];
        if (before + 1 == work->last || other->epilogue != MOCO_EPILOGUE_NONE) continue;
        if (other->kind != MOCO_LAYER_CONV2D && other->kind != MOCO_LAYER_LINEAR) continue;
        work->folds[i] = before;
        work->folds[before] = i;
    }
}

static moco_status check_sizes(const moco_export_job *job, const moco_graph *network) {
    MOCO_REQUIRE(!job->config.with_preprocess || network->input_channels == 3,
                 "with_preprocess is 1, but the encoder's images have %lld channels; pixels have 3",
                 (long long) network->input_channels);
    const int64_t inputs = network->input_channels * job->view.height * job->view.width;
    MOCO_REQUIRE(network->flat_inputs == 0 || job->config.augment == NULL || network->flat_inputs == inputs,
                 "augment's images are %lld x %d x %d, but the encoder takes %lld numbers",
                 (long long) network->input_channels, job->view.height, job->view.width,
                 (long long) network->flat_inputs);
    return MOCO_OK;
}

static moco_status translate(translation *work) {
    moco_context *context = work->job->context;
    const size_t nodes = (size_t) work->nodes;
    work->uses = (int32_t *) moco_allocate_zeroed(context, nodes + 1, sizeof *work->uses);
    work->folds = (int32_t *) moco_allocate_zeroed(context, nodes, sizeof *work->folds);
    work->names = moco_allocate_zeroed(context, nodes + 1, sizeof *work->names);
    if (work->uses == NULL || work->folds == NULL || work->names == NULL) return MOCO_OUT_OF_MEMORY;
    choose_folds(work);
    moco_protobuf_text(&work->out->message, MOCO_ONNX_GRAPH_NAME, work->job->network->architecture);
    add_input(work);
    for (int32_t i = 0; i < work->nodes; ++i) MOCO_TRY(emit_layer(work, i));
    add_output(work);
    return work->out->message.status;
}

moco_status moco_onnx_graph_make(moco_onnx_graph *out, const moco_export_job *job) {
    const moco_graph *network = moco_encoder_graph(job->encoder);
    memset(out, 0, sizeof *out);
    if (network == NULL) {
        return moco_fail(MOCO_UNSUPPORTED, "the caller's own network is functions, of which no graph can be made; "
                                           "MOCO_EXPORT_SAFETENSORS and MOCO_EXPORT_TORCH keep its tensors");
    }
    MOCO_TRY(check_sizes(job, network));
    const int32_t last = job->config.with_head ? network->output : network->features;
    translation work = {.out = out, .job = job, .network = network, .nodes = last, .last = last};
    out->context = job->context;
    out->network = network;
    moco_byte_buffer_init(&out->message, job->context);
    const moco_status status = translate(&work);
    moco_deallocate(job->context, work.uses);
    moco_deallocate(job->context, work.folds);
    moco_deallocate(job->context, work.names);
    if (status != MOCO_OK) moco_onnx_graph_release(out);
    return status;
}

void moco_onnx_graph_release(moco_onnx_graph *graph) {
    moco_byte_buffer_release(&graph->message);
    moco_deallocate(graph->context, graph->initializers);
    graph->initializers = NULL;
    graph->count = graph->capacity = 0;
}
