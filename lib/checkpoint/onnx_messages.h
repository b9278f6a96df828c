/* The messages of onnx.proto3 that a network needs, each appended to the message that holds it. */
#ifndef MOCO_CHECKPOINT_ONNX_MESSAGES_H
#define MOCO_CHECKPOINT_ONNX_MESSAGES_H

#include "io/protobuf_writer.h"

#define MOCO_ONNX_IR_VERSION 8
#define MOCO_ONNX_OPSET      17

/* Fields of GraphProto and of ModelProto. */
enum {
    MOCO_ONNX_GRAPH_NODE = 1,
    MOCO_ONNX_GRAPH_NAME = 2,
    MOCO_ONNX_GRAPH_INITIALIZER = 5,
    MOCO_ONNX_GRAPH_INPUT = 11,
    MOCO_ONNX_GRAPH_OUTPUT = 12
};
enum { MOCO_ONNX_MODEL_GRAPH = 7 };
/* TensorProto.DataType */
enum { MOCO_ONNX_FLOAT = 1, MOCO_ONNX_UINT8 = 2, MOCO_ONNX_INT64 = 7 };

enum { MOCO_ONNX_ATTRIBUTE_FLOAT = 1, MOCO_ONNX_ATTRIBUTE_INT = 2, MOCO_ONNX_ATTRIBUTE_INTS = 7 };

typedef struct moco_onnx_attribute {
    const char *name;
    int32_t type;  /* MOCO_ONNX_ATTRIBUTE_* */
    int32_t count; /* of INTS */
    int64_t ints[4];
    float number;
} moco_onnx_attribute;

typedef struct moco_onnx_node {
    const char *op;
    int32_t input_count;
    int32_t attribute_count;
    const char *inputs[5];
    const char *output; /* the node's name, too */
    moco_onnx_attribute attributes[4];
} moco_onnx_node;

void moco_onnx_add_node(moco_byte_buffer *graph, const moco_onnx_node *node);

/* What a graph takes or gives: a dim of 0 or less is free, and called names[i]. `field`: MOCO_ONNX_GRAPH_INPUT or OUTPUT. */
void moco_onnx_add_value(moco_byte_buffer *graph, int32_t field, const char *name, int32_t dtype, int32_t rank,
                         const int64_t *dims, const char *const *names);

/* The whole of a float32 tensor's message but its values, of `bytes` bytes, which come last. */
void moco_onnx_tensor_head(moco_byte_buffer *tensor, const char *name, int32_t rank, const int64_t *dims,
                           uint64_t bytes);

/* All of a model but its metadata and its graph, and an entry of its metadata. */
void moco_onnx_model_head(moco_byte_buffer *model);
void moco_onnx_add_metadata(moco_byte_buffer *model, const char *key, const char *value);

#endif
