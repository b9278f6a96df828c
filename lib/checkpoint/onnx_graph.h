/* A built-in network in ONNX's operators. */
#ifndef MOCO_CHECKPOINT_ONNX_GRAPH_H
#define MOCO_CHECKPOINT_ONNX_GRAPH_H

#include "checkpoint/export_job.h"
#include "checkpoint/onnx_messages.h"
#include "encoder/graph.h"

#define MOCO_ONNX_NAME_SIZE 96

/* Where an initializer's values come from. */
enum {
    MOCO_ONNX_PARAMETER = 0,
    MOCO_ONNX_FOLDED_WEIGHT = 1, /* of the convolution or linear layer `node`, times its BatchNorm's scale */
    MOCO_ONNX_FOLDED_BIAS = 2,
    MOCO_ONNX_CONSTANT = 3
};

typedef struct moco_onnx_initializer {
    char name[MOCO_ONNX_NAME_SIZE];
    int32_t source;
    int32_t node; /* of the graph; FOLDED_* */
    int32_t norm; /* the BatchNorm's node; FOLDED_* */
    int32_t rank;
    int64_t parameter; /* index */
    int64_t dims[4];
    int64_t elements;
    float constants[4];
} moco_onnx_initializer;

typedef struct moco_onnx_graph {
    moco_context *context;
    const moco_graph *network;
    moco_byte_buffer message; /* GraphProto without its initializers */
    int32_t count;
    int32_t capacity;
    moco_onnx_initializer *initializers;
} moco_onnx_graph;

/* UNSUPPORTED: a layer that is not one of those that the built-in networks have. On failure nothing is left to be
 * released. */
moco_status moco_onnx_graph_make(moco_onnx_graph *out, const moco_export_job *job);
void moco_onnx_graph_release(moco_onnx_graph *graph);

#endif
