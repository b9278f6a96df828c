#include "checkpoint/resnet_shape.h"

#include <stdio.h>
#include <string.h>

static const moco_parameter *find(const moco_encoder *encoder, const char *name) {
    const moco_parameter_table *table = moco_encoder_parameters(encoder);
    for (int64_t i = 0; i < table->count; ++i) {
        if (strcmp(table->items[i].name, name) == 0) return &table->items[i];
    }
    return NULL;
}

static const moco_parameter *find_in_block(const moco_encoder *encoder, int32_t stage, int64_t block,
                                           const char *layer) {
    char name[64];
    snprintf(name, sizeof name, "layer%d.%lld.%s.weight", stage + 1, (long long) block, layer);
    return find(encoder, name);
}

int32_t moco_resnet_shape_of(const moco_encoder *encoder, moco_resnet_shape *shape) {
    memset(shape, 0, sizeof *shape);
    const moco_parameter *stem = find(encoder, "conv1.weight");
    const moco_parameter *spatial = NULL; /* the first block's 3x3 convolution that may have groups */
    if (moco_encoder_configuration(encoder) == NULL || stem == NULL || stem->rank != 4) return 0;
    shape->bottleneck = find_in_block(encoder, 0, 0, "conv3") != NULL;
    spatial = find_in_block(encoder, 0, 0, shape->bottleneck ? "conv2" : "conv1");
    if (spatial == NULL || spatial->rank != 4) return 0;
    while (shape->stages < MOCO_RESNET_STAGES && find_in_block(encoder, shape->stages, 0, "conv1") != NULL) {
        int64_t *blocks = &shape->blocks[shape->stages++];
        while (find_in_block(encoder, shape->stages - 1, *blocks, "conv1") != NULL) ++*blocks;
    }
    shape->stem_kernel = (int32_t) stem->dims[2];
    shape->stem = stem->dims[0];
    shape->channels = stem->dims[1];
    shape->groups = shape->bottleneck ? (int32_t) (spatial->dims[0] / spatial->dims[1]) : 1;
    /* torchvision's width = planes * width_per_group / 64 * groups, with as many planes in the first stage as the stem
     * has channels. */
    shape->width_per_group = shape->bottleneck ? spatial->dims[0] * 64 / (shape->stem * shape->groups) : 64;
    return 1;
}
