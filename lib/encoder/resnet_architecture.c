#include <stdio.h>
#include <string.h>

#include "encoder/architecture.h"

static const char *prefixed(char *buffer, const char *block, const char *name) {
    snprintf(buffer, MOCO_NAME_CAPACITY, "%s.%s", block, name);
    return buffer;
}

typedef struct block_shape {
    int64_t in_c;
    int64_t width; /* of the 3x3 convolution */
    int64_t out_c;
    int32_t stride;
    int32_t groups;
    int32_t bottleneck;
} block_shape;

/* One residual block: y = relu(branch(x) + shortcut(x)). Parameters are declared in torchvision's order, where the
 * shortcut's come last, though its layers run before the sum. */
static int32_t add_block(moco_graph *graph, int32_t x, const char *block, const block_shape *shape,
                         int32_t zero_init_residual) {
    char name[MOCO_NAME_CAPACITY];
    const int32_t last_start = zero_init_residual ? MOCO_START_ZERO : MOCO_START_ONE;
    int32_t branch = x;
    moco_graph_norm last;

    if (shape->bottleneck) {
        int32_t weight =
            moco_graph_declare_conv(graph, prefixed(name, block, "conv1"), shape->in_c, shape->width, 1, 1);
        moco_graph_norm norm =
            moco_graph_declare_norm(graph, prefixed(name, block, "bn1"), shape->width, MOCO_START_ONE);
        branch = moco_graph_norm_layer(graph, moco_graph_conv(graph, branch, weight, 1, 0), norm, -1, 1);
        weight = moco_graph_declare_conv(graph, prefixed(name, block, "conv2"), shape->width, shape->width, 3,
                                         shape->groups);
        norm = moco_graph_declare_norm(graph, prefixed(name, block, "bn2"), shape->width, MOCO_START_ONE);
        branch = moco_graph_norm_layer(graph, moco_graph_conv(graph, branch, weight, shape->stride, 1), norm, -1, 1);
        weight = moco_graph_declare_conv(graph, prefixed(name, block, "conv3"), shape->width, shape->out_c, 1, 1);
        last = moco_graph_declare_norm(graph, prefixed(name, block, "bn3"), shape->out_c, last_start);
        branch = moco_graph_conv(graph, branch, weight, 1, 0);
    } else {
        int32_t weight =
            moco_graph_declare_conv(graph, prefixed(name, block, "conv1"), shape->in_c, shape->out_c, 3, 1);
        const moco_graph_norm norm =
            moco_graph_declare_norm(graph, prefixed(name, block, "bn1"), shape->out_c, MOCO_START_ONE);
        branch = moco_graph_norm_layer(graph, moco_graph_conv(graph, branch, weight, shape->stride, 1), norm, -1, 1);
        weight = moco_graph_declare_conv(graph, prefixed(name, block, "conv2"), shape->out_c, shape->out_c, 3, 1);
        last = moco_graph_declare_norm(graph, prefixed(name, block, "bn2"), shape->out_c, last_start);
        branch = moco_graph_conv(graph, branch, weight, 1, 1);
    }

    int32_t shortcut = x;
    if (shape->stride != 1 || shape->in_c != shape->out_c) {
        const int32_t weight =
            moco_graph_declare_conv(graph, prefixed(name, block, "downsample.0"), shape->in_c, shape->out_c, 1, 1);
        const moco_graph_norm norm =
            moco_graph_declare_norm(graph, prefixed(name, block, "downsample.1"), shape->out_c, MOCO_START_ONE);
        shortcut = moco_graph_norm_layer(graph, moco_graph_conv(graph, x, weight, shape->stride, 0), norm, -1, 0);
    }
    return moco_graph_norm_layer(graph, branch, last, shortcut, 1);
}

/* conv1, bn1, relu and, in the ImageNet stem, the max-pool. */
static int32_t add_stem(moco_graph *graph, int64_t channels, int64_t out_c, int32_t imagenet) {
    const int32_t weight = moco_graph_declare_conv(graph, "conv1", channels, out_c, imagenet ? 7 : 3, 1);
    const moco_graph_norm norm = moco_graph_declare_norm(graph, "bn1", out_c, MOCO_START_ONE);
    int32_t x = moco_graph_conv(graph, 0, weight, imagenet ? 2 : 1, imagenet ? 3 : 1);
    x = moco_graph_norm_layer(graph, x, norm, -1, 1);
    return imagenet ? moco_graph_max_pool(graph, x, 3, 2, 1) : x;
}

int64_t moco_resnet_build(moco_graph *graph, const moco_encoder_config *config, const moco_resnet *net) {
    int32_t x = add_stem(graph, config->channels, net->stem, config->stem == MOCO_STEM_IMAGENET);
    int64_t in_c = net->stem;
    for (int32_t stage = 0; stage < 4; ++stage) {
        const int64_t planes = (int64_t) net->stem << stage;
        for (int32_t i = 0; i < net->blocks[stage]; ++i) {
            const block_shape shape = {
                .in_c = in_c,
                .width = planes * net->width_per_group / 64 * net->groups,
                .out_c = net->bottleneck ? 4 * planes : planes,
                .stride = stage > 0 && i == 0 ? 2 : 1,
                .groups = net->groups,
                .bottleneck = net->bottleneck,
            };
            char block[MOCO_NAME_CAPACITY / 2];
            snprintf(block, sizeof block, "layer%d.%d", stage + 1, i);
            x = add_block(graph, x, block, &shape, config->zero_init_residual);
            in_c = shape.out_c;
        }
    }
    graph->features = moco_graph_plain_layer(graph, x, MOCO_LAYER_AVERAGE_POOL);
    return in_c;
}

/* D of "cifar_resnetD"; 0 for a D that is none. */
static int32_t cifar_depth(const char *name) {
    int32_t depth = 0;
    const char *digits = name + strlen("cifar_resnet");
    for (const char *digit = digits; *digit != '\0'; ++digit) {
        if (*digit < '0' || *digit > '9' || depth > 1202) return 0;
        depth = 10 * depth + (*digit - '0');
    }
    return *digits != '0' && depth >= 8 && depth <= 1202 && (depth - 2) % 6 == 0 ? depth : 0;
}

int64_t moco_cifar_resnet_build(moco_graph *graph, const moco_encoder_config *config, const moco_resnet *net) {
    (void) net;
    const int32_t depth = cifar_depth(config->architecture);
    if (depth == 0) {
        graph->status = moco_fail(MOCO_NOT_FOUND,
                                  "architecture is \"%s\"; the depth of a cifar_resnet must be 6 n + 2, from 8 to 1202",
                                  config->architecture);
        return 0;
    }
    int32_t x = add_stem(graph, config->channels, 16, 0);
    int64_t in_c = 16;
    for (int32_t stage = 0; stage < 3; ++stage) {
        for (int32_t i = 0; i < (depth - 2) / 6; ++i) {
            const int64_t out_c = (int64_t) 16 << stage;
            const block_shape shape = {in_c, out_c, out_c, stage > 0 && i == 0 ? 2 : 1, 1, 0};
            char block[MOCO_NAME_CAPACITY / 2];
            snprintf(block, sizeof block, "layer%d.%d", stage + 1, i);
            x = add_block(graph, x, block, &shape, config->zero_init_residual);
            in_c = out_c;
        }
    }
    graph->features = moco_graph_plain_layer(graph, x, MOCO_LAYER_AVERAGE_POOL);
    return in_c;
}
