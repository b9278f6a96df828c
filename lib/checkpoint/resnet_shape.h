/* What kind of ResNet an encoder is, read off its tensors, for formats that name networks in words of their own. */
#ifndef MOCO_CHECKPOINT_RESNET_SHAPE_H
#define MOCO_CHECKPOINT_RESNET_SHAPE_H

#include "encoder/encoder_internal.h"

#define MOCO_RESNET_STAGES 4

typedef struct moco_resnet_shape {
    int32_t stages; /* 3: cifar_resnetD */
    int32_t bottleneck;
    int32_t groups;
    int32_t stem_kernel; /* 7: with stride 2 and a max-pool behind it; 3: without */
    int64_t blocks[MOCO_RESNET_STAGES];
    int64_t width_per_group; /* torchvision's argument */
    int64_t stem;            /* channels of conv1 */
    int64_t channels;        /* of the images */
} moco_resnet_shape;

/* 1 where the encoder is a built-in ResNet, else 0. */
int32_t moco_resnet_shape_of(const moco_encoder *encoder, moco_resnet_shape *shape);

#endif
