/* The built-in networks by name. */
#ifndef MOCO_ENCODER_ARCHITECTURE_H
#define MOCO_ENCODER_ARCHITECTURE_H

#include <moco/encoder.h>

#include "encoder/graph.h"

/* Checks `config` (all fields filled, architecture not NULL) and builds backbone, head and normalization. */
moco_status moco_architecture_build(moco_graph **out, moco_context *context, const moco_encoder_config *config,
                                    int64_t *feature_dim, int64_t *embedding_dim);

/* --- Backbones --- */

/* The networks of torchvision's resnet.py, and wider ones. */
typedef struct moco_resnet {
    int32_t bottleneck; /* 1: blocks of 1x1, 3x3, 1x1 convolutions, 4 times as many channels out; 0: two 3x3 */
    int32_t blocks[4];
    int32_t groups;
    int32_t
        width_per_group; /* the 3x3 convolution of stage s has stem << s times width_per_group / 64 channels a group */
    int32_t stem;        /* channels of conv1 */
} moco_resnet;

/* A row of the table in architecture.c: one name, or a family of names that differ in a number. A new architecture is a
 * builder and a row. */
typedef struct moco_architecture {
    const char *name;   /* as lists show it */
    const char *prefix; /* of a family's names: what stands before the number. NULL: `name` is the one name */
    const char *help;   /* what it is, as a phrase */
    /* Appends the backbone, sets graph->features, and answers the feature dim; after a failure that graph->status tells
     * it may be anything. */
    int64_t (*build)(moco_graph *graph, const moco_encoder_config *config, const moco_resnet *net);
    moco_resnet shape; /* of moco_resnet_build, which alone looks at it */
} moco_architecture;

/* resnet18 .. wide_resnet50_4 in torchvision's structure and names, resnet50_w2 and resnet50_w4. */
int64_t moco_resnet_build(moco_graph *graph, const moco_encoder_config *config, const moco_resnet *net);
/* cifar_resnetD, D = 6 n + 2: He et al. 2016, section 4.2, with projection shortcuts. */
int64_t moco_cifar_resnet_build(moco_graph *graph, const moco_encoder_config *config, const moco_resnet *net);
/* mlp: hidden layers of Linear, BatchNorm and ReLU under the names of an nn.Sequential called `layers`: layers.0 is the
 * first Linear, layers.1 its BatchNorm, layers.3 the second Linear, and so on. */
int64_t moco_mlp_build(moco_graph *graph, const moco_encoder_config *config, const moco_resnet *net);

#endif
