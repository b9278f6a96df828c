/* A network as data: layers in the order they run, and the parameters they use. Built once by an architecture
 * (architecture.h), it knows channels but no batch or image size; graph_plan.h lays it out for a shape.
 */
#ifndef MOCO_ENCODER_GRAPH_H
#define MOCO_ENCODER_GRAPH_H

#include <moco/sys/backend.h>

#include "core/context_internal.h"

#define MOCO_NAME_CAPACITY 64

/* How a parameter starts (initialisation.c). */
enum {
    MOCO_START_ZERO = 0,
    MOCO_START_ONE = 1,
    MOCO_START_KAIMING = 2, /* normal, std = sqrt(2 / fan) with fan = fan_out */
    MOCO_START_UNIFORM = 3  /* uniform in +- 1 / sqrt(fan) with fan = fan_in */
};

typedef struct moco_graph_parameter {
    char name[MOCO_NAME_CAPACITY];
    int32_t kind; /* MOCO_PARAMETER_* */
    int32_t rank;
    int64_t dims[4];
    int32_t start; /* MOCO_START_* */
    int32_t flags; /* MOCO_PARAMETER_NO_DECAY, FROZEN: what the architecture asks for */
    int64_t fan;
} moco_graph_parameter;

/* The weights of a BatchNorm; indices of parameters. */
typedef struct moco_graph_norm {
    int32_t weight;
    int32_t bias;
    int32_t running_mean;
    int32_t running_var;
} moco_graph_norm;

/* Values are what flows between layers: value 0 is the input, value i + 1 the output of node i. */
typedef struct moco_graph_node {
    int32_t kind; /* MOCO_LAYER_* */
    int32_t epilogue;
    int32_t input_count;
    int32_t inputs[MOCO_LAYER_INPUTS]; /* values */
    int32_t parameter_count;
    int32_t parameters[MOCO_LAYER_PARAMETERS]; /* indices */
    int64_t channels;                          /* of its output; 0: those of its first input */
    moco_layer_part of;
} moco_graph_node;

typedef struct moco_graph {
    moco_context *context;
    moco_status status; /* of building: the first failure, so that builders need not check each layer */
    int32_t node_count;
    int32_t node_capacity;
    int32_t parameter_count;
    int32_t parameter_capacity;
    moco_graph_node *nodes;
    moco_graph_parameter *parameters;
    int32_t features;       /* value: the backbone's output */
    int32_t output;         /* value: the embeddings */
    int64_t input_channels; /* of the images */
    int64_t flat_inputs;    /* > 0: the input is flattened to a vector of this many elements (mlp) */
    int32_t bn_groups;
    int32_t bn_strided;
    int32_t compute_dtype; /* MOCO_DTYPE_F32, or BF16 where a backend has it */
    int32_t direct_convolution;
    double bn_eps;
    double bn_momentum;
} moco_graph;

moco_graph *moco_graph_create(moco_context *context); /* NULL: out of memory */
void moco_graph_destroy(moco_graph *graph);           /* NULL is a no-op */
moco_status moco_graph_copy(moco_graph **out, const moco_graph *graph);

/* Declare parameters under `prefix`, in state_dict order; answer their indices. */
int32_t moco_graph_declare_conv(moco_graph *graph, const char *prefix, int64_t in_c, int64_t out_c, int32_t kernel,
                                int32_t groups);
moco_graph_norm moco_graph_declare_norm(moco_graph *graph, const char *prefix, int64_t channels, int32_t start_weight);

/* Append a layer on value `input`; answer its output value. */
int32_t moco_graph_conv(moco_graph *graph, int32_t input, int32_t weight, int32_t stride, int32_t padding);
int32_t moco_graph_norm_layer(moco_graph *graph, int32_t input, moco_graph_norm norm, int32_t residual, int32_t relu);
/* Declares <prefix>.weight and <prefix>.bias, too. */
int32_t moco_graph_linear(moco_graph *graph, int32_t input, const char *prefix, int64_t in_c, int64_t out_c,
                          int32_t relu);
int32_t moco_graph_max_pool(moco_graph *graph, int32_t input, int32_t kernel, int32_t stride, int32_t padding);
int32_t moco_graph_plain_layer(moco_graph *graph, int32_t input, int32_t kind); /* no parameters, same channels */
/* Any kind: what the others are made of. `node` is copied. */
int32_t moco_graph_append(moco_graph *graph, const moco_graph_node *node);

#endif
