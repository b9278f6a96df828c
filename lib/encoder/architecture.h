/* The built-in networks by name. */
#ifndef MOCO_ENCODER_ARCHITECTURE_H
#define MOCO_ENCODER_ARCHITECTURE_H

#include <moco/encoder.h>

#include "encoder/graph.h"

/* Checks `config` (all fields filled, architecture not NULL) and builds backbone, head and normalisation. */
moco_status moco_architecture_build(moco_graph **out, moco_context *context, const moco_encoder_config *config,
                                    int64_t *feature_dim, int64_t *embedding_dim);

/* --- Backbones; they answer the feature dim and set graph->features. 0: the name is not theirs. --- */

/* resnet18 .. wide_resnet50_4, torchvision's structure and names. */
int64_t moco_resnet_build(moco_graph *graph, const moco_encoder_config *config);
/* cifar_resnetD, D = 6 n + 2: He et al. 2016, section 4.2, with projection shortcuts. */
int64_t moco_cifar_resnet_build(moco_graph *graph, const moco_encoder_config *config);
/* mlp: hidden layers of Linear, BatchNorm and ReLU under the names of an nn.Sequential called `layers`: layers.0 is the
 * first Linear, layers.1 its BatchNorm, layers.3 the second Linear, and so on. */
int64_t moco_mlp_build(moco_graph *graph, const moco_encoder_config *config);

#endif
