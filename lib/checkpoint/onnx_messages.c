#include "checkpoint/onnx_messages.h"

#include <moco/version.h>
#include <string.h>

/* --- Nodes --- */

enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP_TYPE = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F = 2, ATTRIBUTE_I = 3, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };

static void add_attribute(moco_byte_buffer *node, const moco_onnx_attribute *attribute) {
    moco_byte_buffer part;
    moco_byte_buffer_init(&part, node->context);
    moco_protobuf_text(&part, ATTRIBUTE_NAME, attribute->name);
    if (attribute->type == MOCO_ONNX_ATTRIBUTE_FLOAT) {
        moco_protobuf_float(&part, ATTRIBUTE_F, attribute->number);
    } else if (attribute->type == MOCO_ONNX_ATTRIBUTE_INT) {
        moco_protobuf_integer(&part, ATTRIBUTE_I, attribute->ints[0]);
    } else {
        for (int32_t i = 0; i < attribute->count; ++i) {
            moco_protobuf_integer(&part, ATTRIBUTE_INTS, attribute->ints[i]);
        }
    }
    moco_protobuf_integer(&part, ATTRIBUTE_TYPE, attribute->type);
    moco_protobuf_message(node, NODE_ATTRIBUTE, &part);
    moco_byte_buffer_release(&part);
}

void moco_onnx_add_node(moco_byte_buffer *graph, const moco_onnx_node *node) {
    moco_byte_buffer part;
    moco_byte_buffer_init(&part, graph->context);
    for (int32_t i = 0; i < node->input_count; ++i) moco_protobuf_text(&part, NODE_INPUT, node->inputs[i]);
    moco_protobuf_text(&part, NODE_OUTPUT, node->output);
    moco_protobuf_text(&part, NODE_NAME, node->output);
    moco_protobuf_text(&part, NODE_OP_TYPE, node->op);
    for (int32_t i = 0; i < node->attribute_count; ++i) add_attribute(&part, &node->attributes[i]);
    moco_protobuf_message(graph, MOCO_ONNX_GRAPH_NODE, &part);
    moco_byte_buffer_release(&part);
}

/* --- Inputs and outputs --- */

enum { VALUE_NAME = 1, VALUE_TYPE = 2 };
enum { TYPE_TENSOR = 1 };
enum { TENSOR_TYPE_ELEM = 1, TENSOR_TYPE_SHAPE = 2 };
enum { SHAPE_DIM = 1 };
enum { DIM_VALUE = 1, DIM_PARAM = 2 };

void moco_onnx_add_value(moco_byte_buffer *graph, int32_t field, const char *name, int32_t dtype, int32_t rank,
                         const int64_t *dims, const char *const *names) {
    moco_byte_buffer shape;
    moco_byte_buffer dim;
    moco_byte_buffer tensor;
    moco_byte_buffer type;
    moco_byte_buffer value;
    moco_byte_buffer *const parts[] = {&shape, &dim, &tensor, &type, &value};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) moco_byte_buffer_init(parts[i], graph->context);
    for (int32_t i = 0; i < rank; ++i) {
        dim.size = 0;
        if (dims[i] > 0) {
            moco_protobuf_integer(&dim, DIM_VALUE, dims[i]);
        } else {
            moco_protobuf_text(&dim, DIM_PARAM, names[i]);
        }
        moco_protobuf_message(&shape, SHAPE_DIM, &dim);
    }
    moco_protobuf_integer(&tensor, TENSOR_TYPE_ELEM, dtype);
    moco_protobuf_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
    moco_protobuf_message(&type, TYPE_TENSOR, &tensor);
    moco_protobuf_text(&value, VALUE_NAME, name);
    moco_protobuf_message(&value, VALUE_TYPE, &type);
    moco_protobuf_message(graph, field, &value);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) moco_byte_buffer_release(parts[i]);
}

/* --- Tensors --- */

enum { TENSOR_DIMS = 1, TENSOR_DATA_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW_DATA = 9 };

void moco_onnx_tensor_head(moco_byte_buffer *tensor, const char *name, int32_t rank, const int64_t *dims,
                           uint64_t bytes) {
    for (int32_t i = 0; i < rank; ++i) moco_protobuf_integer(tensor, TENSOR_DIMS, dims[i]);
    moco_protobuf_integer(tensor, TENSOR_DATA_TYPE, MOCO_ONNX_FLOAT);
    moco_protobuf_text(tensor, TENSOR_NAME, name);
    moco_protobuf_begin(tensor, TENSOR_RAW_DATA, bytes);
}

/* --- Model --- */

enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_OPSET = 8, MODEL_METADATA = 14 };
enum { OPSET_VERSION = 2 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

void moco_onnx_model_head(moco_byte_buffer *model) {
    moco_byte_buffer opset;
    moco_byte_buffer_init(&opset, model->context);
    moco_protobuf_integer(&opset, OPSET_VERSION, MOCO_ONNX_OPSET);
    moco_protobuf_integer(model, MODEL_IR_VERSION, MOCO_ONNX_IR_VERSION);
    moco_protobuf_text(model, MODEL_PRODUCER, "libmoco");
    moco_protobuf_text(model, MODEL_PRODUCER_VERSION, MOCO_VERSION_STRING);
    moco_protobuf_message(model, MODEL_OPSET, &opset);
    moco_byte_buffer_release(&opset);
}

void moco_onnx_add_metadata(moco_byte_buffer *model, const char *key, const char *value) {
    moco_byte_buffer entry;
    moco_byte_buffer_init(&entry, model->context);
    moco_protobuf_text(&entry, ENTRY_KEY, key);
    moco_protobuf_text(&entry, ENTRY_VALUE, value);
    moco_protobuf_message(model, MODEL_METADATA, &entry);
    moco_byte_buffer_release(&entry);
}
