#include "network_layers.h"

#include <stdio.h>
#include <string.h>

int64_t bench_layer_out_h(const bench_layer_shape *shape) {
    return shape->linear ? 1 : (shape->h + 2 * shape->padding - shape->kernel) / shape->stride + 1;
}

double bench_layer_gflop(const bench_layer_shape *shape) {
    const double side = (double) bench_layer_out_h(shape);
    const double products = (double) (shape->c / shape->groups) * shape->kernel * shape->kernel;
    return 2e-9 * (double) shape->n * (double) shape->out_c * side * side * products;
}

double bench_step_gflop(const bench_layer_shape *shapes, int count) {
    double sum = 0;
    for (int i = 0; i < count; ++i) {
        sum += (double) shapes[i].count * (shapes[i].first ? 3 : 4) * bench_layer_gflop(&shapes[i]);
    }
    return sum;
}

static int same_shape(const bench_layer_shape *a, const bench_layer_shape *b) {
    return a->n == b->n && a->c == b->c && a->h == b->h && a->out_c == b->out_c && a->kernel == b->kernel &&
           a->stride == b->stride && a->groups == b->groups && a->linear == b->linear && a->first == b->first;
}

static int add(bench_layer_shape *shapes, int count, const bench_layer_shape *shape) {
    for (int i = 0; i < count; ++i) {
        if (!same_shape(&shapes[i], shape)) continue;
        shapes[i].count++;
        return count;
    }
    if (count == BENCH_MOST_LAYERS) return count;
    shapes[count] = *shape;
    return count + 1;
}

/* Sides of the images on the way through the network. */
typedef struct place {
    int64_t side;     /* where the next convolution reads */
    int64_t block;    /* the side at which the residual block begins: where its shortcut reads */
    int32_t stride;   /* of the block */
    int32_t consumed; /* 1: a convolution of the block has taken the stride */
} place;

/* torchvision's ResNets: the first block of each stage but the first has stride 2, in its first 3x3 convolution and in
 * its shortcut. */
static void enter(place *at, const char *name, int32_t kernel, int imagenet_stem, bench_layer_shape *shape) {
    int stage, index, conv;
    shape->stride = 1;
    if (strcmp(name, "conv1.weight") == 0) {
        shape->stride = imagenet_stem ? 2 : 1;
        shape->h = at->side;
    } else if (sscanf(name, "layer%d.%d.conv%d", &stage, &index, &conv) == 3) {
        if (conv == 1) {
            at->block = at->side;
            at->stride = stage > 1 && index == 0 ? 2 : 1;
            at->consumed = 0;
        }
        if (kernel > 1 && !at->consumed) {
            shape->stride = at->stride;
            at->consumed = 1;
        }
        shape->h = at->side;
    } else { /* downsample.0 */
        shape->stride = at->stride;
        shape->h = at->block;
        return;
    }
    shape->padding = kernel / 2;
    at->side = bench_layer_out_h(shape);
    if (imagenet_stem && strcmp(name, "conv1.weight") == 0) at->side = (at->side + 2 - 3) / 2 + 1; /* the max-pool */
}

int bench_network_layers(const moco_encoder *encoder, int imagenet_stem, int64_t n, int64_t size,
                         bench_layer_shape shapes[BENCH_MOST_LAYERS]) {
    int count = 0, first = 1;
    place at = {size, size, 1, 0};
    for (int64_t i = 0; i < moco_encoder_parameter_count(encoder); ++i) {
        moco_parameter_info info;
        memset(&info, 0, sizeof info);
        info.struct_size = sizeof info;
        if (moco_encoder_parameter_info(encoder, i, &info) != MOCO_OK) return count;
        if (info.rank != 4 && info.rank != 2) continue;
        bench_layer_shape shape;
        memset(&shape, 0, sizeof shape);
        shape.count = 1;
        shape.n = n;
        shape.out_c = info.dims[0];
        shape.c = info.dims[1];
        shape.kernel = info.rank == 4 ? (int32_t) info.dims[2] : 1;
        shape.stride = 1;
        shape.groups = 1;
        shape.h = 1;
        shape.linear = info.rank == 2;
        shape.first = first;
        first = 0;
        if (!shape.linear) {
            shape.padding = shape.kernel / 2;
            enter(&at, info.name, shape.kernel, imagenet_stem, &shape);
            /* The table gives c / groups; only the 3x3 convolutions of ResNeXt have groups, and as many outputs as
             * inputs. */
            const char *conv2 = strstr(info.name, ".conv2.");
            if (conv2 != NULL && shape.kernel == 3 && shape.c < shape.out_c) {
                shape.groups = (int32_t) (shape.out_c / shape.c);
                shape.c = shape.out_c;
            }
        }
        count = add(shapes, count, &shape);
    }
    return count;
}
